"""Whoever Alertmanager notifies: a listener that takes everything, and what it has heard."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """An alert, and the receiver that heard of it; what an alert is without is empty."""

    receiver: str
    name: str
    severity: str
    organization: str = ""
    query: str = ""
    category: str = ""
    project: str = ""


class Message(NamedTuple):
    """What a person reads."""

    channel: str
    color: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Everything that has come, as pairs of path and document, oldest first.

    The first ``skipped`` of them are left unread.
    """

    letters: list[tuple[str, Any]] = field(default_factory=list)
    skipped: int = 0

    def from_here(self) -> "Mailbox":
        """Return the mailbox of what comes from now on."""
        return Mailbox(self.letters, len(self.letters))

    def fired(self) -> list[Heard]:
        """Return the alerts that were told as firing, each as often as it began anew."""
        return [alert for alert, _ in sorted(set(self._alerts("firing")))]

    def resolved(self) -> set[Heard]:
        """Return the alerts that were told as resolved."""
        return {alert for alert, _ in self._alerts("resolved")}

    def messages(self) -> list[Message]:
        """Return what was written into the chats."""
        return [
            Message(letter["channel"], one["color"], one["title"], one["text"])
            for letter in self._at("/slack")
            for one in letter["attachments"]
        ]

    def pages(self) -> set[tuple[str, str]]:
        """Return who was called out of bed, as pairs of key and summary."""
        return {
            (letter["routing_key"], letter["payload"]["summary"])
            for letter in self._at("/pagerduty")
        }

    def _alerts(self, status: str) -> Iterator[tuple[Heard, str]]:
        """Yield each alert of a status whenever it was told, and the moment it began."""
        for letter in self._at("/webhook"):
            for alert in letter["alerts"]:
                if alert["status"] == status:
                    yield _heard(letter["receiver"], alert), alert["startsAt"]

    def _at(self, path: str) -> list[Any]:
        return [letter for to, letter in self.letters[self.skipped :] if to == path]


def _heard(receiver: str, alert: dict[str, Any]) -> Heard:
    labels = alert["labels"]
    place = [labels.get(name, "") for name in ("organization", "query", "category", "project")]
    return Heard(receiver, labels["alertname"], labels["severity"], *place)


@contextmanager
def listening() -> Iterator[tuple[str, Mailbox]]:
    """Take whatever is posted; yields the URL to post to, and what has come."""
    mailbox = Mailbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            mailbox.letters.append((self.path, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
            """Keep quiet: the mailbox is the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", mailbox
        finally:
            server.shutdown()
            thread.join()
