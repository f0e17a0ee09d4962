"""A query's data as lines, one piece for each family that has any."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.categories import MILLISECONDS_PER_SECOND, Unit, unit_of
from exporter.collect.report import View
from exporter.publish.body import Piece, piece
from exporter.publish.families import BUCKET, COUNTED, DATA_LABELS, RUNNING, Family
from exporter.publish.text import label_set, number
from exporter.sentry.stats import TIMES_SEEN


@dataclass(frozen=True, slots=True)
class DataPieces:
    """The data of one query: a piece by family name, and the number of samples in all."""

    pieces: Mapping[str, Piece] = field(default_factory=dict)
    samples: int = 0


def render(organization: str, query: str, view: View | None) -> DataPieces:
    """Return the data families of ``view``, samples in the order of its rows."""
    if view is None:
        return DataPieces()
    lines: dict[str, list[str]] = {}
    tails = _Tails(view.projects)
    for families, rows in (
        (BUCKET, view.bucket),
        (RUNNING, view.running),
        (COUNTED, view.counters),
    ):
        heads = _Heads(organization, query, families, view.unit, lines)
        # Every sample passes here: what repeats is looked up, not put together again.
        for series, value in (rows or {}).items():
            tail = tails[series.project]
            if tail is not None:
                head, shown, add = heads[series[:-1]]
                add(f"{head}{tail}{shown(value)}\n")
    pieces = {name: piece("".join(some)) for name, some in lines.items()}
    return DataPieces(pieces, sum(map(len, lines.values())))


class _Tails(dict[int, str | None]):
    """The end of a label set by project id; ``None`` if the project is not to be shown."""

    def __init__(self, projects: Mapping[int, str] | None) -> None:
        super().__init__({0: _tail("")})
        self._projects = projects

    def __missing__(self, project: int) -> str | None:
        label = str(project) if self._projects is None else self._projects.get(project)
        tail = self[project] = None if label is None else _tail(label)
        return tail


class _Heads(dict[tuple[str, ...], tuple[str, Callable[[int], str], Callable[[str], None]]]):
    """What comes before the project of a sample, how to show its value, and where it belongs.

    The key is a series without its project.
    """

    def __init__(
        self,
        organization: str,
        query: str,
        families: Mapping[str, Family],
        unit: Unit,
        lines: dict[str, list[str]],
    ) -> None:
        super().__init__()
        self._query = organization, query
        self._families = families
        self._unit = unit
        self._lines = lines

    def __missing__(
        self, key: tuple[str, ...]
    ) -> tuple[str, Callable[[int], str], Callable[[str], None]]:
        field, category, *rest = key
        measure = _measure(field, category, self._unit)
        name = self._families[measure].name
        labels = label_set(DATA_LABELS, (*self._query, category, *rest, ""))
        head = name + labels.removesuffix(_tail("").rstrip())
        shown = _seconds if measure == Unit.SECONDS else str
        entry = self[key] = head, shown, self._lines.setdefault(name, []).append
        return entry


def _tail(project: str) -> str:
    return label_set(DATA_LABELS[-1:], (project,)).removeprefix("{") + " "


def _measure(field: str, category: str, unit: Unit) -> str:
    if field == TIMES_SEEN:
        return "times_seen"
    return unit_of(category) if category else unit


def _seconds(milliseconds: int) -> str:
    return number(milliseconds / MILLISECONDS_PER_SECOND)
