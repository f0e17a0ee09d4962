"""PromQL, put together from the table of metrics. Pure.

A sum over hourly numbers has two traps. An increase over exactly one step loses what is counted
between the last scrape of a step and the first of the next, so `each_step` looks one scrape
further back (``$__rate_interval``) and multiplies the rate by the step: what is counted falls
into one step, and the steps add up to the counter. And two queries of an organization may count
the same events, so whatever is added up must come from one query: every scope names one.
"""

from typing import Final

from exporter.categories import OUTCOMES
from exporter.publish.families import Family

SUBMITTED: Final = tuple(outcome for outcome in OUTCOMES if outcome != "client_discard")
"""What reached Sentry, taken or not. What clients discard never did."""

ACCEPTED: Final = ("accepted",)
FILTERED: Final = ("filtered",)
NOT_ACCEPTED: Final = tuple(outcome for outcome in SUBMITTED if outcome not in ACCEPTED)
DROPPED: Final = tuple(outcome for outcome in NOT_ACCEPTED if outcome not in FILTERED)
"""What Sentry refused. Filters are set by the user, so what they catch is no loss."""

DISCARDED: Final = ("client_discard",)


def series(family: Family, scope: str, outcomes: tuple[str, ...] = ()) -> str:
    """Return the selector of ``family`` in ``scope``, of ``outcomes`` only if any are given."""
    chosen = f'outcome=~"{"|".join(outcomes)}"' if outcomes else ""
    return f"{family.name}{{{','.join(filter(None, (scope, chosen)))}}}"


def total(vector: str, *by: str) -> str:
    """Return the sum of ``vector`` by labels."""
    return f"sum by ({', '.join(by)}) ({vector})" if by else f"sum({vector})"


def over_range(counter: str, *by: str) -> str:
    """Return what ``counter`` gained over the time range on display."""
    return total(f"increase({counter}[$__range])", *by)


def each_step(counter: str, *by: str) -> str:
    """Return what ``counter`` gained in each step of a chart."""
    return f"{total(f'rate({counter}[$__rate_interval])', *by)} * $__interval_ms / 1000"


def share(part: str, whole: str) -> str:
    """Return ``part / whole``, nothing where there is no whole."""
    return f"{part} / ({whole} > 0)"


def greatest(counter: str, label: str, count: int = 10) -> str:
    """Return `each_step` by ``label``, for those with the most over the whole range."""
    most = f"topk({count}, {total(f'increase({counter}[$__range] @ end())', label)})"
    return f"({each_step(counter, label)}) and on ({label}) {most}"


def named(vector: str, label: str, name: str) -> str:
    """Return ``vector`` with ``name`` where ``label`` is empty, so that a legend can show it."""
    return f'label_replace({vector}, "{label}", "{name}", "{label}", "")'


def known(timestamp: str) -> str:
    """Return ``timestamp`` in the milliseconds that Grafana's date units take, unless it is 0."""
    return f"({timestamp} > 0) * 1000"
