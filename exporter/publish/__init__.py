"""From numbers to the bytes that Prometheus reads."""
