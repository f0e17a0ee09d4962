"""The HTTP server: what scrapers, probes and people request."""

from exporter.web.address import Address, bind, parse_address
from exporter.web.app import make_app
from exporter.web.server import Server

__all__ = ["Address", "Server", "bind", "make_app", "parse_address"]
