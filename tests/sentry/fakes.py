"""Stand-ins for what the upstream client is given."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.buckets import Window
from exporter.moments import iso
from exporter.sentry.question import QUANTITY, Question
from exporter.sentry.token import Secret

TOKEN = "sntryu_0123456789abcdef-opens-nothing"
HOUR = 3600
START = 492_222 * HOUR
WINDOW = Window(START, START + 3 * HOUR, HOUR)


class FakeToken:
    """A token's place that counts how often it is read and can be rotated."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.reads = 0

    def read(self) -> Secret:
        """Return the token as it is now."""
        self.reads += 1
        return Secret(self.token)

    def describe(self) -> str:
        """Return a name for the place."""
        return "token_fake"

    def fingerprint(self) -> str:
        """Return what changes with the token."""
        return f"{len(self.token)} characters"


class RecordingMeter:
    """Records every call."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.seconds: list[float] = []
        self.failures: list[tuple[str, str]] = []
        self.rate_limits: list[tuple[int, int]] = []
        self.waits: list[float] = []
        self.skews: list[float] = []
        self.deprecations: list[tuple[str, float | None]] = []

    def request(self, api: str, code: int, seconds: float) -> None:
        """Record a request."""
        self.requests.append((api, code))
        self.seconds.append(seconds)

    def failure(self, api: str, reason: str) -> None:
        """Record a failure."""
        self.failures.append((api, reason))

    def rate_limit(self, limit: int, remaining: int) -> None:
        """Record the server's rate limit."""
        self.rate_limits.append((limit, remaining))

    def throttled(self, seconds: float) -> None:
        """Record a wait."""
        self.waits.append(seconds)

    def clock_skew(self, seconds: float) -> None:
        """Record the server's clock."""
        self.skews.append(seconds)

    def deprecation(self, api: str, moment: float | None) -> None:
        """Record an announcement."""
        self.deprecations.append((api, moment))


def question(
    *group_by: str, window: Window = WINDOW, fields: Sequence[str] = (QUANTITY,)
) -> Question:
    """Return a question about `WINDOW`, by category and outcome if nothing else is said."""
    return Question(tuple(fields), group_by or ("category", "outcome"), window)


def group(by: Mapping[str, Any], *values: int) -> dict[str, Any]:
    """Return a group as Sentry sends it, with the values as its series."""
    return {"by": by, "totals": {QUANTITY: sum(values)}, "series": {QUANTITY: list(values)}}


def document(*groups: Mapping[str, Any], window: Window = WINDOW) -> dict[str, Any]:
    """Return an answer as Sentry sends it."""
    return {
        "start": iso(window.start),
        "end": iso(window.end),
        "intervals": [iso(bucket) for bucket in window.buckets()],
        "groups": list(groups),
    }


def body(*groups: Mapping[str, Any], window: Window = WINDOW) -> bytes:
    """Return the bytes of `document`."""
    return json.dumps(document(*groups, window=window)).encode()
