"""Prometheus exporter for Sentry's organization stats."""

__version__ = "0.1.0"
