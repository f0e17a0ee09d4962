"""Faults on demand: failures of the network, of a proxy, or of Sentry's own store."""

import threading
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from exporter.simulator.messages import HTML, JSON, Answer, refusal

Kind = Literal["status", "garbage", "redirect", "hang", "drip", "cut", "reset"]
Part = Literal["status line", "headers", "body"]
Endpoint = Literal["stats_v2", "projects", "customers"]

_NOT_JSON: Final = b"<!doctype html><title>Down for maintenance</title>"


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure, the requests it applies to, and how often it occurs.

    =========  ====================================================================
    status     answers with ``status`` and ``body``
    garbage    answers 200 with ``body``, or with an HTML page instead of JSON
    redirect   answers with ``status``, or 302, and ``location``
    hang       accepts the request and never answers
    drip       sends the answer one byte per ``interval`` seconds, from ``part`` on
    cut        closes the connection in the middle of the body
    reset      resets the connection at once
    =========  ====================================================================

    ``organization`` (a slug) and ``endpoint`` restrict the requests it applies to. The first
    ``after`` of these requests are answered normally, the next ``times`` fail; without ``times``
    they fail until the fault is removed. It applies from ``start`` to ``end``, in seconds since
    1970.
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
    start: float = -inf
    end: float = inf

    def applies(self, organization: str, endpoint: str, now: float) -> bool:
        """Return whether the fault applies to a request to ``endpoint`` about ``organization``."""
        return (
            self.organization in (None, organization)
            and self.endpoint in (None, endpoint)
            and self.start <= now < self.end
        )

    def answer(self) -> Answer | None:
        """Return the faulty answer, ``None`` if the fault disturbs only the delivery."""
        if self.kind == "status":
            return Answer(self.status or 503, self.body, self.content_type, self.headers)
        if self.kind == "garbage":
            return Answer(200, self.body or _NOT_JSON, HTML, self.headers)
        if self.kind == "redirect":
            location = ("Location", self.location)
            return Answer(self.status or 302, b"", HTML, (*self.headers, location))
        return None


def store_rate_limited(times: int | None = 1) -> Fault:
    """Return the 429 of the store's allocation policy, which has no hint how long to wait."""
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
    remaining: int | None

    def count_request(self) -> bool:
        """Count a request that the fault applies to; return whether it fails."""
        if self.to_skip:
            self.to_skip -= 1
            return False
        if self.remaining is None:
            return True
        self.remaining -= 1
        return self.remaining >= 0


@dataclass(slots=True)
class Faults:
    """The active faults, applied in the order in which they were added; thread-safe.

    While ``down`` is set, every connection is reset.
    """

    down: bool = False
    _scripts: list[_Script] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        """Activate ``fault``, and return it."""
        with self._lock:
            self._scripts.append(_Script(fault, fault.after, fault.times))
        return fault

    def remove(self, fault: Fault) -> None:
        """Remove ``fault``."""
        with self._lock:
            self._scripts = [script for script in self._scripts if script.fault != fault]

    def clear(self) -> None:
        """Remove all faults, and set ``down`` to false."""
        self.down = False
        with self._lock:
            self._scripts.clear()

    def take(self, organization: str, endpoint: str, now: float) -> Fault | None:
        """Count the request, and return the fault that it meets, if any."""
        with self._lock:
            applying = (
                script
                for script in self._scripts
                if script.fault.applies(organization, endpoint, now)
            )
            # Lazily: faults after the one that is met do not count the request.
            return next((script.fault for script in applying if script.count_request()), None)
