"""A query's data as lines, one piece for each family that has any."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from exporter.categories import MILLISECONDS_PER_SECOND, Unit, unit_of
from exporter.collect.series import Series, labelled, parts_of
from exporter.collect.snapshot import View
from exporter.publish.families import BUCKET, COUNTED, DATA_LABELS, RUNNING
from exporter.publish.gzip import Piece, piece
from exporter.publish.text import label_set, number
from exporter.sentry.question import TIMES_SEEN

_LARGE: Final = 1 << 20
"""Bytes of text from which on pieces are compressed side by side."""


@dataclass(frozen=True, slots=True)
class DataPieces:
    """The data of one query: a piece by family name, and the number of samples in all."""

    pieces: Mapping[str, Piece] = field(default_factory=dict)
    samples: int = 0


def render(organization: str, query: str, view: View | None) -> DataPieces:
    """Return the data families of ``view``, samples in the order of its rows."""
    if view is None:
        return DataPieces()
    texts: dict[str, list[bytes]] = {}
    samples = 0
    by_project = _Tails(view.projects)
    by_label = _Tails(dict(enumerate(view.counter_labels)))
    for families, rows, labels, tails in (
        (BUCKET, view.bucket, view.projects, by_project),
        (RUNNING, view.running, view.projects, by_project),
        (COUNTED, view.counters, None, by_label),
    ):
        for whole, values in parts_of(rows or {}).items():
            measure = _measure(whole.field, whole.category, view.unit)
            name = families[measure].name
            shown: Mapping[int, int | str] = labelled(values, labels)
            if measure == Unit.SECONDS:
                shown = _in_seconds(labelled(values, labels))
            lines = _lines(_head(name, organization, query, whole), shown, tails)
            texts.setdefault(name, []).append("".join(lines).encode())
            samples += len(lines)
    return DataPieces(
        _pieces({name: parts for name, parts in texts.items() if any(parts)}), samples
    )


def _pieces(texts: Mapping[str, Sequence[bytes]]) -> dict[str, Piece]:
    """Return each family's texts as one piece; large ones are compressed side by side."""
    joined = {name: b"".join(parts) for name, parts in texts.items()}
    if sum(map(len, joined.values())) > _LARGE:
        # Where no thread can be had, as at the end of the process, it goes without.
        with suppress(RuntimeError), ThreadPoolExecutor() as pool:
            return dict(zip(joined, pool.map(piece, joined.values()), strict=True))
    return {name: piece(text) for name, text in joined.items()}


def _lines(head: str, values: Mapping[int, int | str], tails: "_Tails") -> list[str]:
    """Return a line for each project. Every sample passes here."""
    return [f"{head}{tails[project]}{value}\n" for project, value in values.items()]


class _Tails(dict[int, str]):
    """The end of a label set by project id, or by the number of a label."""

    def __init__(self, projects: Mapping[int, str] | None) -> None:
        super().__init__({0: _tail("")})
        self._projects = projects

    def __missing__(self, project: int) -> str:
        label = str(project) if self._projects is None else self._projects[project]
        tail = self[project] = _tail(label)
        return tail


def _head(name: str, organization: str, query: str, whole: Series) -> str:
    """Return what comes before the project of a sample."""
    values = (organization, query, whole.category, whole.outcome, whole.reason, "")
    return name + label_set(DATA_LABELS, values).removesuffix(_tail("").rstrip())


def _tail(project: str) -> str:
    return label_set(DATA_LABELS[-1:], (project,)).removeprefix("{") + " "


def _measure(field: str, category: str, unit: Unit) -> str:
    if field == TIMES_SEEN:
        return "times_seen"
    return unit_of(category) if category else unit


def _in_seconds(milliseconds: Mapping[int, int]) -> dict[int, str]:
    return {
        project: number(value / MILLISECONDS_PER_SECOND) for project, value in milliseconds.items()
    }
