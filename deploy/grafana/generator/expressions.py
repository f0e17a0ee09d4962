"""PromQL expressions, built from the table of metrics. Pure.

Sums over hourly numbers have two pitfalls:

* An increase over exactly one step loses what is counted between the last scrape of a step and the
  first scrape of the next. So `each_step` uses a range that is one scrape longer
  (``$__rate_interval``) and multiplies the rate by the step. Then the steps add up to the counter.
* Two queries of an organization may count the same events. So every scope names one query, and
  only series of one query are added.

A `Choice` selects outcomes by matchers that exclude each other. One PromQL selector cannot express
"this outcome, or that outcome with this reason", so each matcher has its own selector, and the
selectors are joined by ``or``.
"""

from typing import Final

from exporter.categories import OUTCOMES
from exporter.publish.families import Family

Choice = tuple[str, ...]
"""Matchers of outcomes; a series matches at most one of them."""


def _all_except(*excluded: str) -> str:
    return f'outcome=~"{"|".join(one for one in OUTCOMES if one not in excluded)}"'


_HELD_BACK: Final = 'outcome="client_discard",reason="ratelimit_backoff"'
"""Events that SDKs hold back after a 429: the rate limit drops them, although clients report it."""

ALL: Final[Choice] = ("",)
ACCEPTED: Final[Choice] = ('outcome="accepted"',)
FILTERED: Final[Choice] = ('outcome="filtered"',)
DISCARDED: Final[Choice] = ('outcome="client_discard",reason!="ratelimit_backoff"',)
"""Events that SDKs drop for other reasons; in a query without reasons, all that they drop."""

SUBMITTED: Final[Choice] = (_all_except("client_discard"), _HELD_BACK)
"""Everything that clients had to send, accepted or not."""

NOT_ACCEPTED: Final[Choice] = (_all_except("accepted", "client_discard"), _HELD_BACK)
DROPPED: Final[Choice] = (_all_except("accepted", "filtered", "client_discard"), _HELD_BACK)
"""What Sentry refused. Users set the filters, so filtered events are not a loss."""


def series(family: Family, scope: str, matcher: str = "") -> str:
    """Return the selector of ``family`` in ``scope``, restricted by ``matcher``."""
    return f"{family.name}{{{','.join(filter(None, (scope, matcher)))}}}"


def chosen(family: Family, scope: str, choice: Choice = ALL) -> tuple[str, ...]:
    """Return the selectors of ``family`` in ``scope`` for ``choice``."""
    return tuple(series(family, scope, matcher) for matcher in choice)


def total(vector: str, *by: str) -> str:
    """Return the sum of ``vector`` by labels."""
    return f"sum by ({', '.join(by)}) ({vector})" if by else f"sum({vector})"


def over_range(counters: tuple[str, ...], *by: str) -> str:
    """Return the increase of ``counters`` over the dashboard's time range."""
    return total(_joined("increase", counters, "[$__range]"), *by)


def each_step(counters: tuple[str, ...], *by: str) -> str:
    """Return the increase of ``counters`` in each step of a chart."""
    rates = total(_joined("rate", counters, "[$__rate_interval]"), *by)
    return f"{rates} * $__interval_ms / 1000"


def _joined(function: str, counters: tuple[str, ...], window: str) -> str:
    return " or ".join(f"{function}({counter}{window})" for counter in counters)


def share(part: str, total: str) -> str:
    """Return ``part / total``; no value where ``total`` is 0."""
    return f"{part} / ({total} > 0)"


def top(counters: tuple[str, ...], label: str, count: int = 10) -> str:
    """Return `each_step` by ``label``, for the ``count`` largest over the time range."""
    increases = total(_joined("increase", counters, "[$__range] @ end()"), label)
    return f"({each_step(counters, label)}) and on ({label}) topk({count}, {increases})"


def named(vector: str, label: str, name: str) -> str:
    """Return ``vector`` with ``name`` in place of an empty ``label``, for the legend."""
    return f'label_replace({vector}, "{label}", "{name}", "{label}", "")'


def known(timestamp: str) -> str:
    """Return ``timestamp`` in milliseconds, as Grafana's date units need; no value if it is 0."""
    return f"({timestamp} > 0) * 1000"
