"""Requests to a served simulator, without an HTTP library."""

import socket

from exporter.simulator import Simulator

NOW = 1_790_000_000.0
HOUR = 3600
PROJECTS = "/api/0/organizations/acme/projects/"
STATS = "/api/0/organizations/acme/stats_v2/"


def raw(sentry: Simulator, *, path: str = PROJECTS, seconds: float = 5.0) -> bytes:
    """Return all bytes received for one request until the connection ends."""
    with connected(sentry, path, seconds) as connection:
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def connected(
    sentry: Simulator, path: str, seconds: float, *, after: str = "close"
) -> socket.socket:
    """Return a connection on which one request has been sent."""
    host, port = sentry.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=seconds)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nConnection: {after}"
    connection.sendall(f"{head}\r\n\r\n".encode())
    return connection


def split(answer: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def content_length(head: bytes) -> int:
    """Return the ``Content-Length`` of a head."""
    return int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
