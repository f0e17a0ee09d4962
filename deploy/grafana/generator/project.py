"""The dashboard of projects: one, some, or all of an organization's."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import (
    DROPPED,
    SUBMITTED,
    Choice,
    chosen,
    greatest,
    named,
    series,
    total,
)
from deploy.grafana.generator.frame import Identity, Row, framed
from deploy.grafana.generator.panels import YES, Figure, Target, bars, ranking, sheet
from deploy.grafana.generator.variables import choice, choices, datasource
from deploy.grafana.generator.volumes import (
    EVENTS,
    by_category,
    by_outcome,
    by_reason,
    columns,
    discarded_by_reason,
    numbers,
)
from exporter.publish.families import BUCKET, PROJECT_INFO

NO_PROJECT: Final = "no project"
"""Stands for projects that are deleted or that the token cannot read."""

_IDENTITY: Final = Identity(
    "sentry-stats-project",
    "Sentry stats: project",
    "What projects sent to Sentry, what of it was dropped, and why.",
)
_ORGANIZATION: Final = 'organization="$organization"'
_PROJECT: Final = 'project=~"$project"'
_QUERY: Final = f'{_ORGANIZATION},query="$project_query"'
_CATEGORY: Final = f'{_QUERY},category="$category"'
_SCOPE: Final = f"{_CATEGORY},{_PROJECT}"


def built() -> Dashboard:
    """Return the dashboard."""
    events = BUCKET["events"]
    by_project = series(events, f'{_ORGANIZATION},project!=""')
    variables = (
        datasource(),
        choice("organization", "Organization", series(events, 'project!=""')),
        choice("project_query", "Query", by_project, "query"),
        choice("category", "Category", series(events, _QUERY)),
        choices("project", "Project", series(events, _CATEGORY)),
    )
    rows = (
        Row(
            "$category in $project",
            [*numbers(_SCOPE), by_outcome(_SCOPE), by_reason(_SCOPE), discarded_by_reason(_SCOPE)],
        ),
        Row("By project", [_greatest(), _dropping(), _projects(), _latest()]),
        Row("All categories of $project", by_category(f"{_QUERY},{_PROJECT}")),
        Row("About", [_about()]),
    )
    return framed(_IDENTITY, variables, rows, "7d")


def _course(choice: Choice) -> Target:
    course = greatest(chosen(EVENTS, _SCOPE, choice), "project")
    return Target(named(course, "project", NO_PROJECT), "{{project}}")


def _greatest() -> Panel:
    return bars(
        Figure(
            "The ten that submitted most",
            "What clients had for Sentry, of those chosen projects with the most over the range; "
            f"{NO_PROJECT} stands for those deleted or not readable.",
            (_course(SUBMITTED),),
        )
    )


def _dropping() -> Panel:
    return bars(
        Figure(
            "The ten that lost most",
            "What was dropped of the chosen projects with the most dropped over the whole range; "
            f"{NO_PROJECT} stands for those deleted or not readable.",
            (_course(DROPPED),),
        )
    )


def _projects() -> Panel:
    return sheet(
        Figure(
            "Projects",
            "The chosen projects over the range; the row without a name stands for those deleted "
            "or not readable. With all chosen, the rows add up to the organization's own number.",
            columns(_SCOPE, "project"),
            width=16,
            height=10,
        )
    )


def _latest() -> Panel:
    latest = named(
        total(series(BUCKET["events"], _SCOPE), "project", "outcome"), "project", NO_PROJECT
    )
    return ranking(
        Figure(
            "Latest finished bucket",
            "By project and outcome, the ten largest.",
            (Target(f"topk(10, {latest})", "{{project}}: {{outcome}}"),),
            width=8,
            height=10,
        )
    )


def _about() -> Panel:
    selector = series(PROJECT_INFO, f"{_ORGANIZATION},{_PROJECT}")
    info = f"max by (project, id, platform, team) ({selector})"
    return sheet(
        Figure(
            "Projects list",
            "Who the chosen projects are, those that send nothing too. Projects missing here are "
            "deleted or not readable.",
            (Target(info, "Listed", "none", (YES,)),),
            width=24,
        )
    )
