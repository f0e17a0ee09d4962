"""Faults on demand: what a network, a proxy or Sentry's own store may do to a request."""

import threading
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from exporter.simulator.messages import HTML, JSON, Answer, refusal

Kind = Literal["status", "garbage", "redirect", "hang", "drip", "cut", "reset"]
Part = Literal["status line", "headers", "body"]
Endpoint = Literal["stats_v2", "projects"]

_NOT_JSON: Final = b"<!doctype html><title>Down for maintenance</title>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, for whom, and how often.

    =========  ====================================================================
    status     answers ``status`` with ``body``
    garbage    answers 200 with ``body``, or an HTML page, where JSON is due
    redirect   answers ``status``, or 302, to ``location``
    hang       takes the request and never answers
    drip       answers a byte per ``interval`` seconds from ``part`` on
    cut        closes in the middle of the body that Content-Length promised
    reset      resets the connection at once
    =========  ====================================================================

    ``organization`` (a slug) and ``endpoint`` narrow it; it skips the first ``after`` requests
    it applies to and then strikes ``times`` times, or until it is removed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Kind
    status: int | None = None
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    location: str = ""
    part: Part = "body"
    interval: float = 0.05
    organization: str | None = None
    endpoint: Endpoint | None = None
    after: int = 0
    times: int | None = None

    def applies(self, organization: str, endpoint: str) -> bool:
        """Return whether a request to ``endpoint`` about ``organization`` is meant."""
        right_organization = self.organization in (None, organization)
        return right_organization and self.endpoint in (None, endpoint)

    def answer(self) -> Answer | None:
        """Return what is answered instead, ``None`` where only the delivery is at fault."""
        if self.kind == "status":
            return Answer(self.status or 503, self.body, self.content_type, self.headers)
        if self.kind == "garbage":
            return Answer(200, self.body or _NOT_JSON, HTML, self.headers)
        if self.kind == "redirect":
            location = ("Location", self.location)
            return Answer(self.status or 302, b"", HTML, (*self.headers, location))
        return None


def store_rate_limited(times: int | None = 1) -> Fault:
    """Return the 429 of the store's allocation policy, which tells no time to wait."""
    advice = "Rate limit exceeded. Please try your query with a smaller date range"
    return _store_fault(429, f"\n{advice} or fewer projects.\n", times)


def store_timeout(times: int | None = 1) -> Fault:
    """Return the 504 of a store query that took too long."""
    advice = (
        "\nQuery timeout. Please try again. If the problem persists try a smaller date range or "
        "fewer projects. Also consider a\nfilter on the transaction field if you're filtering "
        "performance data.\n"
    )
    return _store_fault(504, advice, times)


def store_failure(times: int | None = 1) -> Fault:
    """Return the 500 of a store query that failed."""
    return _store_fault(500, "Internal error. Please try again.", times)


def _store_fault(status: int, detail: str, times: int | None) -> Fault:
    body = refusal(status, detail).body
    return Fault("status", status=status, body=body, endpoint="stats_v2", times=times)


@dataclass(slots=True)
class _Script:
    fault: Fault
    to_skip: int
    left: int | None

    def strikes(self) -> bool:
        if self.to_skip:
            self.to_skip -= 1
            return False
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class Faults:
    """The faults in force, asked in the order they were added; safe from any thread.

    While ``down`` is set every connection is refused.
    """

    down: bool = False
    _scripts: list[_Script] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        """Put ``fault`` in force, and return it."""
        with self._lock:
            self._scripts.append(_Script(fault, fault.after, fault.times))
        return fault

    def remove(self, fault: Fault) -> None:
        """Take ``fault`` out of force."""
        with self._lock:
            self._scripts = [script for script in self._scripts if script.fault != fault]

    def clear(self) -> None:
        """Take every fault out of force."""
        self.down = False
        with self._lock:
            self._scripts.clear()

    def take(self, organization: str, endpoint: str) -> Fault | None:
        """Return the fault that strikes this request, and count it."""
        with self._lock:
            applying = (
                script for script in self._scripts if script.fault.applies(organization, endpoint)
            )
            return next((script.fault for script in applying if script.strikes()), None)
