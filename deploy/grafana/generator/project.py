"""The dashboard of projects: one, some, or all projects of an organization."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import Recorded, once, series
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import YES, Figure, Target, data_table
from deploy.grafana.generator.projects import changed, hidden, ranked, silent, spike_protection
from deploy.grafana.generator.variables import (
    category,
    organization,
    project,
    project_query,
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
from exporter.publish.families import PROJECT_INFO

_ORGANIZATION: Final = 'organization="$organization"'
_PROJECT: Final = 'project=~"$project"'
_IDENTITY: Final = Identity(
    "sentry-stats-project",
    "Sentry stats: project",
    "What projects sent to Sentry, what was dropped, and why.",
    f'{_ORGANIZATION},project=~"$project|"',
)
_QUERY: Final = f'{_ORGANIZATION},query="$project_query"'
_ALL: Final = Recorded(_QUERY, projects=_PROJECT, chosen=True)
_SOURCE: Final = Recorded(_QUERY, 'category="$category"', _PROJECT, chosen=True)


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (
        *targets(),
        organization(),
        project_query(_ORGANIZATION),
        category(_QUERY),
        project(_ORGANIZATION),
        *hidden(_SOURCE),
    )
    rows = (
        Row("$category in $project", [*numbers(_SOURCE), *now(_SOURCE)]),
        Row("What was dropped, and why?", [by_outcome(_SOURCE), *reasons(_SOURCE)]),
        Row("Which of these projects?", ranked(_SOURCE)),
        Row(
            "What is different, and who fell silent?",
            [against_last_week(_SOURCE), changed(_SOURCE), silent(_SOURCE)],
        ),
        Row("Spike protection", spike_protection(_SOURCE)),
        Row("The last 30 days", [month(_SOURCE)]),
        Row("All categories of $project", categories(_ALL)),
        Row("About", [_about()]),
    )
    return assembled(_IDENTITY, variables, rows, "7d")


def _about() -> Panel:
    info = once(series(PROJECT_INFO, _ORGANIZATION, _PROJECT), "project", "id", "platform", "team")
    return data_table(
        Figure(
            "What are these projects, and whose?",
            "Id, platform and team of the chosen projects, including those without events. Deleted "
            "and unreadable projects are not listed.",
            (Target(info, "Listed", "none", (YES,)),),
            width=24,
        )
    )
