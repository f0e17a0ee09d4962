"""The dashboard of one organization."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import (
    ACCEPTED,
    SUBMITTED,
    chosen,
    known,
    named,
    series,
    top,
    total,
)
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import (
    YES,
    Figure,
    Target,
    bars,
    data_table,
    ranking,
    steps,
)
from deploy.grafana.generator.project import NO_PROJECT
from deploy.grafana.generator.variables import choice, datasource
from deploy.grafana.generator.volumes import (
    EVENTS,
    by_category,
    by_outcome,
    by_reason,
    columns,
    discarded_by_reason,
    numbers,
)
from exporter.publish.families import BUCKET, BUCKET_END, COMPLETE, RUNNING

_IDENTITY: Final = Identity(
    "sentry-stats-organization",
    "Sentry stats: organization",
    "What one organization sent to Sentry, what was dropped, why, and from which projects.",
)
_ORGANIZATION: Final = 'organization="$organization"'
_QUERY: Final = f'{_ORGANIZATION},query="$query"'
_SCOPE: Final = f'{_QUERY},category="$category"'
_PROJECTS: Final = f'{_ORGANIZATION},query="$project_query",category="$category"'
_DRILL_DOWN: Final = (
    "/d/sentry-stats-project?${datasource:queryparam}&${organization:queryparam}"
    "&${project_query:queryparam}&${category:queryparam}&var-project=${__value.raw:percentencode}"
    "&${__url_time_range}"
)


def built() -> Dashboard:
    """Return the dashboard."""
    events = BUCKET["events"]
    by_project = series(events, f'{_ORGANIZATION},project!=""')
    variables = (
        datasource(),
        choice("organization", "Organization", series(events, "")),
        choice("query", "Query", series(events, _ORGANIZATION)),
        choice("category", "Category", series(events, _QUERY)),
        choice("project_query", "Query for projects", by_project, "query"),
    )
    rows = (
        Row(
            "$category in $organization",
            [*numbers(_SCOPE), by_outcome(_SCOPE), by_reason(_SCOPE), discarded_by_reason(_SCOPE)],
        ),
        Row("Latest and running bucket", [_finished(), _running(), _queries(), _week()]),
        Row("$category, by project", [_top(), _projects()]),
        Row("All categories of $organization", by_category(_QUERY)),
    )
    return assembled(_IDENTITY, variables, rows, "24h")


def _finished() -> Panel:
    latest = total(series(BUCKET["events"], _SCOPE), "outcome")
    return ranking(
        Figure("Latest finished bucket", "By outcome.", (Target(latest, "{{outcome}}"),), width=8)
    )


def _running() -> Panel:
    running = total(series(RUNNING["events"], _SCOPE), "outcome")
    what = "By outcome, so far: these values still grow."
    return ranking(Figure("Running bucket", what, (Target(running, "{{outcome}}"),), width=8))


def _queries() -> Panel:
    by = "query"
    ended = known(f"max by ({by}) ({series(BUCKET_END, _ORGANIZATION)})")
    complete = f"min by ({by}) ({series(COMPLETE, _ORGANIZATION)})"
    return data_table(
        Figure(
            "Queries",
            "The end of the bucket that each query's gauges show, and whether the bucket is proven "
            "complete: Sentry has not cut off any of its rows.",
            (
                Target(ended, "Latest bucket ended", "dateTimeFromNow"),
                Target(complete, "Complete", "none", (YES,)),
            ),
            width=8,
        )
    )


def _week() -> Panel:
    (accepted,) = chosen(BUCKET["events"], _SCOPE, ACCEPTED)
    return steps(
        Figure(
            "Accepted, compared with the week before",
            "The latest finished bucket over time, and the same hours a week earlier. Each hour is "
            "drawn when it was first published, which is after its end.",
            (
                Target(total(accepted), "accepted"),
                Target(total(f"{accepted} offset 1w"), "a week earlier"),
            ),
            width=24,
        )
    )


def _top() -> Panel:
    increases = named(top(chosen(EVENTS, _PROJECTS, SUBMITTED), "project"), "project", NO_PROJECT)
    return bars(
        Figure(
            "The ten projects that submitted most",
            "Submitted events of the ten projects with the most over the time range. "
            f"'{NO_PROJECT}' stands for deleted and unreadable projects.",
            (Target(increases, "{{project}}"),),
            width=24,
        )
    )


def _projects() -> Panel:
    return data_table(
        Figure(
            "Projects",
            "All projects over the time range. The row without a name stands for deleted and "
            "unreadable projects, so the rows add up to the organization total. Click a name to "
            "open the project.",
            columns(_PROJECTS, "project"),
            width=24,
            height=10,
            links={"project": _DRILL_DOWN},
        )
    )
