"""From what is known of each query to the bytes that Prometheus scrapes."""

from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics

__all__ = ["Page", "SelfMetrics"]
