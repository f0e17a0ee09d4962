"""PromQL, put together from the table of metrics. Pure.

A sum over hourly numbers has two traps. An increase over exactly one step loses what is counted
between the last scrape of a step and the first of the next, so `each_step` looks one scrape
further back (``$__rate_interval``) and multiplies the rate by the step: what is counted falls
into one step, and the steps add up to the counter. And two queries of an organization may count
the same events, so whatever is added up must come from one query: every scope names one.

What a number adds up is a choice of outcomes: matchers that exclude each other. PromQL cannot say
"this outcome, or that one with this reason" in one selector, so each matcher has a selector of its
own, and the selectors are joined by ``or``.
"""

from typing import Final

from exporter.categories import OUTCOMES
from exporter.publish.families import Family

Choice = tuple[str, ...]
"""Outcomes, as matchers of which each series meets one at the most."""


def _all_but(*left_out: str) -> str:
    return f'outcome=~"{"|".join(one for one in OUTCOMES if one not in left_out)}"'


_HELD_BACK: Final = 'outcome="client_discard",reason="ratelimit_backoff"'
"""What SDKs hold back after a 429: the limit drops it, whoever reports it."""

ALL: Final[Choice] = ("",)
ACCEPTED: Final[Choice] = ('outcome="accepted"',)
FILTERED: Final[Choice] = ('outcome="filtered"',)
DISCARDED: Final[Choice] = ('outcome="client_discard",reason!="ratelimit_backoff"',)
"""What SDKs drop for reasons of their own; without reasons, all that they drop."""

SUBMITTED: Final[Choice] = (_all_but("client_discard"), _HELD_BACK)
"""What clients had for Sentry, taken or not."""

NOT_ACCEPTED: Final[Choice] = (_all_but("accepted", "client_discard"), _HELD_BACK)
DROPPED: Final[Choice] = (_all_but("accepted", "filtered", "client_discard"), _HELD_BACK)
"""What Sentry refused. Filters are set by the user, so what they catch is no loss."""


def series(family: Family, scope: str, matcher: str = "") -> str:
    """Return the selector of ``family`` in ``scope``, of what ``matcher`` lets through."""
    return f"{family.name}{{{','.join(filter(None, (scope, matcher)))}}}"


def chosen(family: Family, scope: str, choice: Choice = ALL) -> tuple[str, ...]:
    """Return the selectors of ``family`` in ``scope`` that take in ``choice``."""
    return tuple(series(family, scope, matcher) for matcher in choice)


def total(vector: str, *by: str) -> str:
    """Return the sum of ``vector`` by labels."""
    return f"sum by ({', '.join(by)}) ({vector})" if by else f"sum({vector})"


def over_range(counters: tuple[str, ...], *by: str) -> str:
    """Return what ``counters`` gained over the time range on display."""
    return total(_joined("increase", counters, "[$__range]"), *by)


def each_step(counters: tuple[str, ...], *by: str) -> str:
    """Return what ``counters`` gained in each step of a chart."""
    gained = total(_joined("rate", counters, "[$__rate_interval]"), *by)
    return f"{gained} * $__interval_ms / 1000"


def _joined(function: str, counters: tuple[str, ...], window: str) -> str:
    return " or ".join(f"{function}({counter}{window})" for counter in counters)


def share(part: str, whole: str) -> str:
    """Return ``part / whole``, nothing where there is no whole."""
    return f"{part} / ({whole} > 0)"


def greatest(counters: tuple[str, ...], label: str, count: int = 10) -> str:
    """Return `each_step` by ``label``, for those with the most over the whole range."""
    gained = total(_joined("increase", counters, "[$__range] @ end()"), label)
    return f"({each_step(counters, label)}) and on ({label}) topk({count}, {gained})"


def named(vector: str, label: str, name: str) -> str:
    """Return ``vector`` with ``name`` where ``label`` is empty, so that a legend can show it."""
    return f'label_replace({vector}, "{label}", "{name}", "{label}", "")'


def known(timestamp: str) -> str:
    """Return ``timestamp`` in the milliseconds that Grafana's date units take, unless it is 0."""
    return f"({timestamp} > 0) * 1000"
