"""Which outcomes and reasons belong to the volumes of the dashboards."""

from collections.abc import Callable, Mapping
from typing import Final

Kind = Callable[[str, str], bool]
"""Returns whether an outcome and reason belong to the kind."""


def held_back(outcome: str, reason: str) -> bool:
    """Return whether SDKs held the events back after a 429."""
    return (outcome, reason) == ("client_discard", "ratelimit_backoff")


def submitted(outcome: str, reason: str) -> bool:
    """Return whether the events count as submitted."""
    return outcome != "client_discard" or held_back(outcome, reason)


def refused(outcome: str, reason: str) -> bool:
    """Return whether Sentry refused the events, or SDKs held them back after a 429."""
    dropped = {"rate_limited", "invalid", "abuse", "cardinality_limited"}
    return outcome in dropped or held_back(outcome, reason)


def everything(_outcome: str, _reason: str) -> bool:
    """Return true for all events."""
    return True


VOLUMES: Final[Mapping[str, Kind]] = {
    "Submitted": submitted,
    "Accepted": lambda outcome, _: outcome == "accepted",
    "Filtered": lambda outcome, _: outcome == "filtered",
    "Dropped": refused,
    "Discarded by clients": lambda *why: not submitted(*why),
}
