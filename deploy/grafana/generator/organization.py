"""The dashboard of one organization."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import (
    MEASURES,
    SUBMITTED,
    WEEK,
    Gauges,
    Recorded,
    known,
    once,
    series,
)
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import (
    CHANGE,
    YES,
    Figure,
    Target,
    data_table,
    measured_columns,
)
from deploy.grafana.generator.projects import (
    changed,
    hidden,
    ranked,
    silent,
    spike_protection,
    teams,
)
from deploy.grafana.generator.quota_series import Quotas
from deploy.grafana.generator.quota_usage import summary
from deploy.grafana.generator.variables import (
    category,
    organization,
    project_query,
    query,
    targets,
)
from deploy.grafana.generator.volumes import (
    against_last_week,
    by_outcome,
    categories,
    month,
    now,
    numbers,
    reasons,
)
from exporter.publish.families import BUCKET_END, COMPLETE, LAST_SUCCESS

_ORGANIZATION: Final = 'organization="$organization"'
_IDENTITY: Final = Identity(
    "sentry-stats-organization",
    "Sentry stats: organization",
    "What one organization sent to Sentry, what was dropped, why, and from which projects.",
    _ORGANIZATION,
)
_QUERY: Final = f'{_ORGANIZATION},query="$query"'
_CATEGORY: Final = 'category="$category"'
_ALL: Final = Gauges(_QUERY)
_SOURCE: Final = Gauges(_QUERY, _CATEGORY)
_QUOTAS: Final = Quotas(_ORGANIZATION)
_QUOTA_LINK: Final = "${organization:queryparam}"
_PROJECTS: Final = Recorded(f'{_ORGANIZATION},query="$project_query"', _CATEGORY)


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (
        *targets(),
        organization(),
        query(_ORGANIZATION),
        category(_QUERY),
        project_query(_ORGANIZATION),
        *hidden(_PROJECTS),
    )
    rows = (
        Row("$category in $organization", [*numbers(_SOURCE), *now(_SOURCE)]),
        Row("What was dropped, and why?", [by_outcome(_SOURCE), *reasons(_SOURCE)]),
        Row("Which projects?", ranked(_PROJECTS)),
        Row(
            "What is different, and who fell silent?",
            [against_last_week(_SOURCE), changed(_PROJECTS), silent(_PROJECTS)],
        ),
        Row("Spike protection", spike_protection(_PROJECTS)),
        Row("Quotas, and the last 30 days", [summary(_QUOTAS, _QUOTA_LINK), month(_SOURCE)]),
        Row("Teams, and how fresh this is", [teams(_PROJECTS, _ORGANIZATION), _fresh()]),
        Row("All categories of $organization", [*categories(_ALL), _categories_changed()]),
    )
    return assembled(_IDENTITY, variables, rows, "24h")


def _fresh() -> Panel:
    by = ("query",)
    return data_table(
        Figure(
            "Is the data fresh and complete?",
            "For each query, the last successful poll, the end of the bucket that its gauges show, "
            "and whether the bucket is proven complete: Sentry has not cut off any of its rows.",
            (
                Target(
                    known(once(series(LAST_SUCCESS, _ORGANIZATION), *by)),
                    "Last success",
                    "dateTimeFromNow",
                ),
                Target(
                    known(once(series(BUCKET_END, _ORGANIZATION), *by)),
                    "Latest bucket ended",
                    "dateTimeFromNow",
                ),
                Target(
                    f"min by (query) ({series(COMPLETE, _ORGANIZATION)})",
                    "Complete",
                    "none",
                    (YES,),
                ),
            ),
            height=10,
        )
    )


def _categories_changed() -> Panel:
    def submitted(measure: str) -> str:
        return f"({_ALL.comparable(measure, SUBMITTED, ('category',))} > 0)"

    def before(measure: str) -> str:
        sums = _ALL.comparable(measure, SUBMITTED, ("category",), WEEK)
        return f"({sums} > 0 and on () {_ALL.has_week()})"

    ratios = " or ".join(f"{submitted(each.name)} / {before(each.name)} - 1" for each in MEASURES)
    return data_table(
        Figure(
            "Which categories differ from last week?",
            "Submitted in the time range without the last hour, and in the same hours a week "
            "earlier. Needs the hours of the time range and those a week before.",
            (
                *measured_columns([("Submitted", submitted), ("A week earlier", before)]),
                Target(ratios, "Change", "percentunit", thresholds=CHANGE),
            ),
            width=24,
            height=10,
            sort="Change",
        )
    )
