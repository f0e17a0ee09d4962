"""Panels about the periods that are over, and about the plan against the measurement."""

from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.expressions import series
from deploy.grafana.generator.panels import (
    SPENT,
    Figure,
    Steps,
    Target,
    data_table,
    lines,
    longer,
    state,
    states,
)
from deploy.grafana.generator.quota_series import Quotas, money
from deploy.grafana.generator.quota_usage import FULL
from exporter.publish.quota_families import (
    PLAN_UP,
    QUOTA_COST,
    QUOTA_DISAGREEMENT,
    QUOTA_PERIOD_END,
    QUOTA_PERIOD_START,
    QUOTA_SUBMITTED,
    QUOTA_USED,
)

_HISTORY: Final = "180d"
_STEP: Final = "6h"
"""Periods begin at midnight in UTC, so a step ends with each of them."""

_LAST_MINUTE: Final = "1m"
"""How much earlier than a step its values are read: those of midnight are of the next period."""

_READ: Final = state(("read", "green"), ("not read", "red"))
_DIFFERENT: Final[Steps] = ((None, "red"), (-0.01, "transparent"), (0.01, "red"))
"""The alert calls more than 1 % a disagreement."""


def past(quotas: Quotas) -> Panel:
    """Return how the periods that are over have ended."""
    before = replace(quotas, before=_LAST_MINUTE)
    ended = f"({_at_end(quotas, before.current(QUOTA_PERIOD_END))} < time())"

    def column(vector: str) -> str:
        return f"{_at_end(quotas, vector)} and on ({_key(quotas)}) {ended}"

    used, costs = before.current(QUOTA_USED), before.current(QUOTA_COST, "currency", "kind")
    lost = f"({before.lost()} / {before.current(QUOTA_SUBMITTED)})"
    return data_table(
        Figure(
            "How did the last periods end?",
            f"The last values of each period that is over, as far as Prometheus has them, for up "
            f"to {_HISTORY.removesuffix('d')} days: what was used, and which share of what was "
            "submitted was lost because of limits. What Sentry added after the end of a period is "
            "missing.",
            (
                Target(f"1000 * {ended}", "Period ended", "dateTimeAsIso"),
                Target(
                    column(f"({before.used_share()})"),
                    "Used %",
                    "percentunit",
                    thresholds=SPENT,
                ),
                *(
                    replace(target, expression=column(f"({target.expression})"))
                    for target in before.measured("Used", used)
                ),
                Target(column(lost), "Share lost", "percentunit"),
                money(f"sum by ({_key(quotas)}, currency) ({column(costs)})", "Cost"),
            ),
            hidden=("period",),
            sort="Period ended",
            empty="No period has ended yet",
        )
    )


def _key(quotas: Quotas) -> str:
    return ", ".join((*quotas.key, "period"))


def _at_end(quotas: Quotas, vector: str) -> str:
    """Return the last value of ``vector`` in each period; the label ``period`` is its start."""
    start = replace(quotas, before=_LAST_MINUTE).current(QUOTA_PERIOD_START)
    periods = f'count_values by ({", ".join(quotas.key)}) ("period", {start})'
    of_period = f"{vector} * {quotas.on} group_left (period) {periods}"
    return f"last_over_time(({of_period})[{_HISTORY}:{_STEP}])"


def periods(quotas: Quotas, pinned: Quotas) -> Panel:
    """Return the used shares of half a year."""
    largest = f"topk(10, {pinned.used_share()})"
    figure = Figure(
        "How were the last periods used?",
        "What share of each quota was used, whatever the time range of the page; it falls to 0 "
        "when a period begins. The ten quotas of which the most is used now.",
        (Target(f"{quotas.used_share()} and {quotas.on} {largest}", "{{quota}}"),),
        "percentunit",
        thresholds=FULL,
    )
    return longer(lines(figure), _HISTORY, _STEP)


def plan_up(organization: str) -> Panel:
    """Return when the plan could be read."""
    up = f"min by (organization) ({series(PLAN_UP, organization)})"
    what = (
        "Whether the plan could be read from Sentry. If not, the values of the configuration hold."
    )
    return states(
        Figure(
            "Could the plan be read?",
            what,
            (Target(up, "{{organization}}"),),
            empty="The plan is not asked for (billing.plan)",
        ),
        _READ,
    )


def disagreement(quotas: Quotas) -> Panel:
    """Return by how much the plan and stats_v2 differ."""
    difference = quotas.current(QUOTA_DISAGREEMENT)
    return data_table(
        Figure(
            "Do the plan and Sentry's stats agree?",
            "What is used according to the plan, minus what is used according to stats_v2, when "
            "the plan was last read; the invoice follows the plan. The plan may be minutes older.",
            (
                Target(
                    f"{difference} / ({quotas.current(QUOTA_USED)} > 0)",
                    "Difference %",
                    "percentunit",
                    thresholds=_DIFFERENT,
                ),
                *quotas.measured("Difference", difference),
            ),
            sort="Difference %",
            empty="The plan does not say what is used",
        )
    )
