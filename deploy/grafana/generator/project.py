"""The dashboard of projects: one, some, or all projects of an organization."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import (
    DROPPED,
    SUBMITTED,
    Choice,
    chosen,
    named,
    series,
    top,
    total,
)
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import YES, Figure, Target, bars, data_table, ranking
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
"""The legend of deleted projects and of those that the token cannot read."""

_IDENTITY: Final = Identity(
    "sentry-stats-project",
    "Sentry stats: project",
    "What projects sent to Sentry, what was dropped, and why.",
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
        Row("By project", [_top_submitted(), _top_dropped(), _projects(), _latest()]),
        Row("All categories of $project", by_category(f"{_QUERY},{_PROJECT}")),
        Row("About", [_about()]),
    )
    return assembled(_IDENTITY, variables, rows, "7d")


def _top(choice: Choice) -> Target:
    increases = top(chosen(EVENTS, _SCOPE, choice), "project")
    return Target(named(increases, "project", NO_PROJECT), "{{project}}")


def _top_submitted() -> Panel:
    return bars(
        Figure(
            "The ten that submitted most",
            "Submitted events of the ten chosen projects with the most over the time range. "
            f"'{NO_PROJECT}' stands for deleted and unreadable projects.",
            (_top(SUBMITTED),),
        )
    )


def _top_dropped() -> Panel:
    return bars(
        Figure(
            "The ten that lost most",
            "Dropped events of the ten chosen projects with the most over the time range. "
            f"'{NO_PROJECT}' stands for deleted and unreadable projects.",
            (_top(DROPPED),),
        )
    )


def _projects() -> Panel:
    return data_table(
        Figure(
            "Projects",
            "The chosen projects over the time range. The row without a name stands for deleted "
            "and unreadable projects. With all projects chosen, the rows add up to the "
            "organization total.",
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
            "The ten largest values by project and outcome.",
            (Target(f"topk(10, {latest})", "{{project}}: {{outcome}}"),),
            width=8,
            height=10,
        )
    )


def _about() -> Panel:
    selector = series(PROJECT_INFO, f"{_ORGANIZATION},{_PROJECT}")
    info = f"max by (project, id, platform, team) ({selector})"
    return data_table(
        Figure(
            "Projects list",
            "Id, platform and team of the chosen projects, including those without events. Deleted "
            "and unreadable projects are not listed.",
            (Target(info, "Listed", "none", (YES,)),),
            width=24,
        )
    )
