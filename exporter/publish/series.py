"""A query's data as lines, one piece for each family that has any."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.categories import MILLISECONDS_PER_SECOND, Unit, unit_of
from exporter.collect.report import View
from exporter.collect.subject import Series
from exporter.publish.body import Piece, piece
from exporter.publish.families import BUCKET, COUNTED, DATA_LABELS, RUNNING
from exporter.publish.text import label_set, number
from exporter.sentry.stats import TIMES_SEEN


@dataclass(frozen=True, slots=True)
class DataPieces:
    """The data of one query: a piece by family name, and the number of samples in all."""

    pieces: Mapping[str, Piece] = field(default_factory=dict)
    samples: int = 0


def render(organization: str, query: str, view: View | None) -> DataPieces:
    """Return the data families of ``view``, lines sorted by labels."""
    if view is None:
        return DataPieces()
    labels = _Labels(organization, query, view.projects)
    lines: dict[str, list[str]] = {}
    for families, rows in (
        (BUCKET, view.bucket),
        (RUNNING, view.running),
        (COUNTED, view.counters),
    ):
        for series, value in (rows or {}).items():
            label_set = labels[series]
            if label_set:
                measure = _measure(series, view.unit)
                family = families[measure]
                shown = value / MILLISECONDS_PER_SECOND if measure == Unit.SECONDS else value
                lines.setdefault(family.name, []).append(
                    f"{family.name}{label_set} {number(shown)}\n"
                )
    pieces = {name: piece("".join(sorted(some))) for name, some in lines.items()}
    return DataPieces(pieces, sum(map(len, lines.values())))


class _Labels(dict[Series, str]):
    """The label set of each series; empty if its project is not to be shown."""

    def __init__(self, organization: str, query: str, projects: Mapping[int, str] | None) -> None:
        super().__init__()
        self._query = organization, query
        self._projects = projects

    def __missing__(self, series: Series) -> str:
        project = _project(series.project, self._projects)
        if project is None:
            labels = ""
        else:
            values = (*self._query, series.category, series.outcome, series.reason, project)
            labels = label_set(DATA_LABELS, values)
        self[series] = labels
        return labels


def _measure(series: Series, unit: Unit) -> str:
    if series.field == TIMES_SEEN:
        return "times_seen"
    return unit_of(series.category) if series.category else unit


def _project(project: int, projects: Mapping[int, str] | None) -> str | None:
    if not project:
        return ""
    return str(project) if projects is None else projects.get(project)
