"""The HTTP server of the simulator, which can also deliver an answer with a fault."""

import contextlib
import gzip
import http.client
import socket
import struct
import sys
import threading
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final

from exporter.simulator.application import Application, Reply
from exporter.simulator.faults import Fault
from exporter.simulator.messages import Answer, Request

# SO_LINGER with a timeout of 0: closing sends a reset instead of a regular end.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_MIN_GZIP_SIZE: Final = 1024


class Server(ThreadingTCPServer):
    """Serves ``application``, with a thread per connection.

    ``record`` is called with each request and the status of its answer, 0 if it gets none.
    """

    allow_reuse_address = True
    daemon_threads = True
    # A handler that hangs on purpose must not delay the stop.
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        application: Application,
        stopping: threading.Event,
        record: Callable[[Request, int], None],
    ) -> None:
        self.application = application
        self.stopping = stopping
        self.record = record
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def serve(self) -> None:
        """Accept connections until `shutdown` is called."""
        # A stop waits for up to this long; the default is half a second.
        self.serve_forever(poll_interval=0.05)

    def verify_request(self, request: Any, _client_address: Any) -> bool:
        """Reset the connection if the simulated server is down."""
        if self.application.faults.down:
            _reset(request)
            return False
        self._open.add(request)
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """Close all connections."""
        # A race: the threads of the connections close and remove them meanwhile.
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, unless the client closed the connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def serve(self) -> None:
        """Answer the request that has just been parsed."""
        request = self._request()
        # Connections that were opened before the server went down are reset as well.
        if self.server.application.faults.down:
            self._reset()
            return
        reply = self.server.application.reply(request)
        # Before delivery: a client that has its answer finds the request recorded.
        self.server.record(request, _status(reply))
        self._deliver(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
        """Log nothing: the server records its requests."""

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        return Request(self.command, path, query, headers, body, str(self.client_address[0]))

    def _deliver(self, reply: Reply) -> None:
        head, body = self._serialize(reply.answer)
        match reply.fault:
            case Fault(kind="reset"):
                self._reset()
            case Fault(kind="hang"):
                self._hang()
            case Fault(kind="drip") as fault:
                self._drip(head + body, _drip_start(fault, head), fault.interval)
            case Fault(kind="cut"):
                self.wfile.write(head + body[: len(body) // 2])
                self.close_connection = True
            case _:
                self.wfile.write(head + body)

    def _serialize(self, answer: Answer) -> tuple[bytes, bytes]:
        dated = answer.with_headers((("Date", self._date()),))
        headers = [("Content-Type", answer.content_type), *dated.headers]
        body = answer.body
        accepted = self.headers.get("Accept-Encoding", "")
        if "gzip" in accepted and len(body) >= _MIN_GZIP_SIZE:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        headers.append(("Connection", "close" if self.close_connection else "keep-alive"))
        reason = http.client.responses.get(answer.status, "Unknown")
        lines = [
            f"HTTP/1.1 {answer.status} {reason}",
            *(f"{name}: {text}" for name, text in headers),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head, b"" if self.command == "HEAD" else body

    def _date(self) -> str:
        return formatdate(self.server.application.clock(), usegmt=True)

    def _hang(self) -> None:
        self.close_connection = True
        while self.connection.recv(65536):
            pass

    def _drip(self, raw: bytes, start: int, interval: float) -> None:
        self.wfile.write(raw[:start])
        for position in range(start, len(raw)):
            if self.server.stopping.wait(interval):
                break
            self.wfile.write(raw[position : position + 1])

    def _reset(self) -> None:
        self.close_connection = True
        _reset(self.connection)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.close()


def _status(reply: Reply) -> int:
    is_unanswered = reply.fault is not None and reply.fault.kind in {"hang", "reset"}
    return 0 if is_unanswered else reply.answer.status


def _drip_start(fault: Fault, head: bytes) -> int:
    starts = {"status line": 0, "headers": head.index(b"\r\n") + 2, "body": len(head)}
    return starts[fault.part]
