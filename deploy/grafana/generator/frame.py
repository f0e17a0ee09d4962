"""The parts that all dashboards share: identity, layout, links, and alerts as annotations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)

from deploy.grafana.generator.panels import DATASOURCE

TAG: Final = "sentry-stats"
ALERTS: Final = 'alertstate="firing",alertname=~"Sentry.+"'
"""Matchers of the alerts that are shown as annotations."""

_COLUMNS: Final = 24
_REFRESH: Final = "5m"


@dataclass(frozen=True, slots=True)
class Row:
    """A row title and the panels of the row, in reading order."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Identity:
    """A dashboard's names; ``uid`` is part of its address and never changes.

    ``alerts`` are matchers of the alerts that concern it, besides `ALERTS`.
    """

    uid: str
    title: str
    description: str
    alerts: str = ""


def assembled(
    identity: Identity, variables: Sequence[VariableModel], rows: Sequence[Row], period: str
) -> Dashboard:
    """Return a dashboard of ``rows``; its default time range is the last ``period``."""
    builder = builders.Dashboard(identity.title).uid(identity.uid)
    builder.description(identity.description).tags([TAG]).refresh(_REFRESH)
    # Sentry's hours and days are in UTC. Grafana aligns the steps of charts in this time zone.
    builder.timezone("utc").readonly()
    builder.time(f"now-{period}", "now").tooltip(DashboardCursorSync.CROSSHAIR).link(_links())
    dashboard = builder.build()
    dashboard.templating = DashboardDashboardTemplating(list(variables))
    dashboard.annotations = AnnotationContainer([_alerts(identity.alerts)])
    dashboard.panels = list(_placed(rows))
    return dashboard


def _links() -> builders.DashboardLink:
    link = builders.DashboardLink("Sentry stats").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True)  # noqa: FBT003 - the builder's way


class _Alerts(AnnotationQuery):
    """Firing alerts, with the texts that Grafana shows on their annotations."""

    def to_json(self) -> dict[str, object]:
        """Return the annotation with the fields that the SDK does not have."""
        return {
            **super().to_json(),
            "step": "60s",
            "titleFormat": "{{alertname}}",
            "textFormat": "{{organization}} {{query}} {{category}} {{project}}",
            "tagKeys": "severity",
        }


def _alerts(matchers: str) -> AnnotationQuery:
    firing = f"ALERTS{{{','.join(filter(None, (ALERTS, matchers)))}}}"
    return _Alerts(name="Alerts", datasource=DATASOURCE, enable=True, icon_color="red", expr=firing)


def _placed(rows: Sequence[Row]) -> Iterator[Panel | RowPanel]:
    """Yield rows and panels with their grid positions, numbered in reading order."""
    number = top = 0
    for row in rows:
        number += 1
        yield RowPanel(id_val=number, title=row.title, grid_pos=GridPos(1, _COLUMNS, 0, top))
        top += 1
        for line in _lines(row.panels):
            left = 0
            for panel in line:
                number += 1
                panel.id_val = number
                panel.grid_pos = GridPos(_size(panel).h, _size(panel).w, left, top)
                left += _size(panel).w
                yield panel
            top += max(_size(panel).h for panel in line)


def _lines(panels: Sequence[Panel]) -> Iterator[Sequence[Panel]]:
    """Yield the panels of each line of the grid."""
    line: list[Panel] = []
    for panel in panels:
        if sum(_size(one).w for one in line) + _size(panel).w > _COLUMNS:
            yield line
            line = []
        line.append(panel)
    if line:
        yield line


def _size(panel: Panel) -> GridPos:
    return panel.grid_pos or GridPos()
