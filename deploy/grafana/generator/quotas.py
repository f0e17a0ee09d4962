"""The place of quotas: how much is used, and when they are gone.

The exporter publishes these families only where quotas are known. Their names are not in the table
of metrics as long as no version publishes them.
"""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.expressions import TARGETS
from deploy.grafana.generator.panels import Figure, Steps, Target, data_table

LIMIT: Final = "sentry_stats_quota_limit"
USED: Final = "sentry_stats_quota_used"
PROJECTED: Final = "sentry_stats_quota_projected"
EXHAUSTION: Final = "sentry_stats_quota_exhaustion_timestamp_seconds"
PERIOD_END: Final = "sentry_stats_quota_period_end_timestamp_seconds"
FAMILIES: Final = (LIMIT, USED, PROJECTED, EXHAUSTION, PERIOD_END)

_SPENT: Final[Steps] = ((None, "green"), (0.5, "yellow"), (0.8, "orange"), (1, "red"))


def quotas(organization: str) -> Panel:
    """Return the use of each quota of an organization, which matchers select."""

    def known(name: str, *matchers: str) -> str:
        selector = f"{name}{{{','.join((TARGETS, organization, *matchers))}}}"
        return f"max by (quota) ({selector})"

    limit = f"({known(LIMIT)} > 0)"
    week, day = ('pace="week"', 'pace="day"')
    return data_table(
        Figure(
            "How much of the quota is used, and when is it gone?",
            "The current period of each quota: what is used, what will be used at its end, and "
            "when the limit is reached, at the pace of last week and of the last 24 hours. No time "
            "means: not within the period. Empty as long as no quotas are known.",
            (
                Target(f"{known(USED)} / {limit}", "Used", "percentunit", thresholds=_SPENT),
                Target(
                    f"{known(PROJECTED, week)} / {limit}",
                    "At the end of the period",
                    "percentunit",
                    thresholds=_SPENT,
                ),
                Target(
                    f"1000 * {known(EXHAUSTION, week)}",
                    "Gone, at last week's pace",
                    "dateTimeFromNow",
                ),
                Target(
                    f"1000 * {known(EXHAUSTION, day)}",
                    "Gone, at the pace of 24 hours",
                    "dateTimeFromNow",
                ),
                Target(f"1000 * {known(PERIOD_END)}", "Period ends", "dateTimeFromNow"),
            ),
            width=24,
            height=6,
            sort="Used",
            empty="No quotas are known",
        )
    )
