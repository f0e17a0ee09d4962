"""The dashboard of one organization."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import (
    ACCEPTED,
    SUBMITTED,
    chosen,
    greatest,
    known,
    named,
    series,
    total,
)
from deploy.grafana.generator.frame import Identity, Row, framed
from deploy.grafana.generator.panels import (
    YES,
    Figure,
    Target,
    bars,
    ranking,
    sheet,
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
    "What one organization sent to Sentry, what of it was dropped, why, and by which projects.",
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
        Row("$category, by project", [_greatest(), _projects()]),
        Row("All categories of $organization", by_category(_QUERY)),
    )
    return framed(_IDENTITY, variables, rows, "24h")


def _finished() -> Panel:
    latest = total(series(BUCKET["events"], _SCOPE), "outcome")
    return ranking(
        Figure("Latest finished bucket", "By outcome.", (Target(latest, "{{outcome}}"),), width=8)
    )


def _running() -> Panel:
    running = total(series(RUNNING["events"], _SCOPE), "outcome")
    what = "By outcome, so far: these values still rise."
    return ranking(Figure("Running bucket", what, (Target(running, "{{outcome}}"),), width=8))


def _queries() -> Panel:
    by = "query"
    ended = known(f"max by ({by}) ({series(BUCKET_END, _ORGANIZATION)})")
    whole = f"min by ({by}) ({series(COMPLETE, _ORGANIZATION)})"
    return sheet(
        Figure(
            "Queries",
            "When the bucket ended that each query's gauges show, and whether it is proven whole: "
            "nothing of it can have been cut off.",
            (
                Target(ended, "Latest bucket ended", "dateTimeFromNow"),
                Target(whole, "Whole", "none", (YES,)),
            ),
            width=8,
        )
    )


def _week() -> Panel:
    (accepted,) = chosen(BUCKET["events"], _SCOPE, ACCEPTED)
    return steps(
        Figure(
            "Accepted, against the week before",
            "The latest finished bucket as the hours went by, and the same hours a week earlier; "
            "an hour stands where it was first known, so after its end.",
            (
                Target(total(accepted), "accepted"),
                Target(total(f"{accepted} offset 1w"), "a week before"),
            ),
            width=24,
        )
    )


def _greatest() -> Panel:
    course = named(greatest(chosen(EVENTS, _PROJECTS, SUBMITTED), "project"), "project", NO_PROJECT)
    return bars(
        Figure(
            "The ten projects that submitted most",
            "What clients had for Sentry, of the projects with the most over the whole range; "
            f"{NO_PROJECT} stands for those deleted or not readable.",
            (Target(course, "{{project}}"),),
            width=24,
        )
    )


def _projects() -> Panel:
    return sheet(
        Figure(
            "Projects",
            "All projects over the range; the row without a name stands for those deleted or not "
            "readable, and makes the rows add up to the organization's own number. A name leads "
            "to the project.",
            columns(_PROJECTS, "project"),
            width=24,
            height=10,
            links={"project": _DRILL_DOWN},
        )
    )
