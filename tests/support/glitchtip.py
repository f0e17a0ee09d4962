"""A server that answers as GlitchTip 5 does, as far as the exporter asks it anything.

It follows ``apps/stats/api.py`` of glitchtip-backend: no grouping, one category, hours without an
event are missing, and groups have nothing but a series.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

_PROJECT = {"id": "1", "slug": "web", "name": "web", "platform": "python", "teams": []}
_CATEGORIES = ("error", "transaction")
_NEEDED = ("category", "field", "start", "end")


class _Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    protocol_version = "HTTP/1.1"
    paths: ClassVar[Mapping[str, str]] = {
        "/api/0/organizations/acme/projects/": "_projects",
        "/api/0/organizations/acme/stats_v2/": "_stats",
        "/api/0/organizations/acme/": "_organization",
    }

    def do_GET(self) -> None:
        """Answer with JSON, as django-ninja does."""
        url = urlsplit(self.path)
        status, document = 404, {"detail": "Not Found"}
        if url.path in self.paths:
            status, document = getattr(self, self.paths[url.path])(parse_qs(url.query))
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _organization(self, _query: Mapping[str, list[str]]) -> tuple[int, Any]:
        return 200, {"id": "1", "slug": "acme", "name": "acme", "openMembership": True}

    def _projects(self, _query: Mapping[str, list[str]]) -> tuple[int, Any]:
        return 200, [_PROJECT]

    def _stats(self, query: Mapping[str, list[str]]) -> tuple[int, Any]:
        complaints = [_complaint("missing", name) for name in _NEEDED if name not in query]
        if query.get("category", ["error"])[-1] not in _CATEGORIES:
            complaints.append(_complaint("literal_error", "category"))
        if complaints:
            return 422, {"detail": complaints}
        start, end = (datetime.fromisoformat(query[name][-1]) for name in ("start", "end"))
        hours = int((end + timedelta(hours=1) - start).total_seconds()) // 3600
        # An hour of another project's event is there, without a number.
        shown = [start.astimezone(UTC) + timedelta(hours=hour) for hour in range(0, hours, 2)]
        values = [None, *range(1, len(shown))]
        return 200, {
            "intervals": [hour.isoformat() for hour in shown],
            "groups": [{"series": {query["field"][-1]: values}}],
        }


def _complaint(kind: str, parameter: str) -> Mapping[str, Any]:
    return {"type": kind, "loc": ["query", "filters", parameter], "msg": "Field required"}


@contextmanager
def glitchtip() -> Iterator[str]:
    """Serve GlitchTip with the organization ``acme`` during the block; the value is its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
