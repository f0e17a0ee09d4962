"""The receiver that Alertmanager notifies: a listener that stores everything it gets."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Notification(NamedTuple):
    """An alert and the receiver that got it; labels that the alert does not have are empty."""

    receiver: str
    name: str
    severity: str
    organization: str = ""
    query: str = ""
    category: str = ""
    project: str = ""


class Message(NamedTuple):
    """A chat message."""

    channel: str
    color: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """All requests received, as pairs of path and document, oldest first.

    The first ``skipped`` of them are ignored.
    """

    letters: list[tuple[str, Any]] = field(default_factory=list)
    skipped: int = 0

    def from_here(self) -> "Mailbox":
        """Return a mailbox that ignores everything received so far."""
        return Mailbox(self.letters, len(self.letters))

    def fired(self) -> list[Notification]:
        """Return the alerts reported as firing, once for each time that they started."""
        return [alert for alert, _ in sorted(set(self._alerts("firing")))]

    def resolved(self) -> set[Notification]:
        """Return the alerts reported as resolved."""
        return {alert for alert, _ in self._alerts("resolved")}

    def messages(self) -> list[Message]:
        """Return the messages sent to chats."""
        return [
            Message(letter["channel"], one["color"], one["title"], one["text"])
            for letter in self._at("/slack")
            for one in letter["attachments"]
        ]

    def messages_about(self, organization: str) -> list[Message]:
        """Return the messages whose title begins with an organization, after the severity."""
        return [
            message
            for message in self.messages()
            if re.match(rf"\w+[^:]*: {organization}(?: /|:)", message.title)
        ]

    def last_message(self, organization: str, severity: str) -> Message:
        """Return the last message about an organization with that severity in its title."""
        messages = self.messages_about(organization)
        return [one for one in messages if one.title.startswith(f"{severity}:")][-1]

    def last_page(self, organization: str) -> dict[str, Any]:
        """Return the last page about an organization that triggers an incident."""
        return [
            dict(letter)
            for letter in self._at("/pagerduty")
            if letter["event_action"] == "trigger"
            and letter["payload"]["component"] == organization
        ][-1]

    def _alerts(self, status: str) -> Iterator[tuple[Notification, str]]:
        """Yield each report of an alert with ``status``, and when the alert started."""
        for letter in self._at("/webhook"):
            for alert in letter["alerts"]:
                if alert["status"] == status:
                    labels = alert["labels"]
                    yield notification(letter["receiver"], labels), alert["startsAt"]

    def _at(self, path: str) -> list[Any]:
        return [letter for to, letter in self.letters[self.skipped :] if to == path]


def notification(receiver: str, labels: dict[str, str]) -> Notification:
    """Return the alert with these labels as ``receiver`` gets it."""
    place = [labels.get(name, "") for name in ("organization", "query", "category", "project")]
    return Notification(receiver, labels["alertname"], labels["severity"], *place)


@contextmanager
def listening() -> Iterator[tuple[str, Mailbox]]:
    """Run the listener; yields its URL and the mailbox of what it receives."""
    mailbox = Mailbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            mailbox.letters.append((self.path, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
            """Log nothing: the mailbox is the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", mailbox
        finally:
            server.shutdown()
            thread.join()
