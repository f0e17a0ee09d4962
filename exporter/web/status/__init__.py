"""The status page at ``/``: every query, how it is doing, and what it has read."""

from exporter.web.status.endpoint import StatusPage

__all__ = ["StatusPage"]
