"""Answers to the questions of `exporter.sentry.question`.

`parse` turns the body that came back into an `Answer`, or raises with the place in the document
that is wrong. Nothing here talks to anybody.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AwareDatetime, FailFast, Field, TypeAdapter
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from exporter.buckets import Window
from exporter.sentry.documents import Id, read
from exporter.sentry.errors import BadAnswerError
from exporter.sentry.question import Question, iso

NO_REASON: Final = "none"
"""What Sentry's hourly store says where its raw one says null."""


class By(NamedTuple):
    """What a group stands for, but for its project; ``""`` where it is not grouped by it."""

    category: str = ""
    outcome: str = ""
    reason: str = ""


class Group(NamedTuple):
    """One group of an answer, values in the order of the question's fields.

    ``series`` has a sequence per field, a value per bucket of the question's window.
    """

    by: By
    totals: tuple[int, ...]
    series: tuple[Sequence[int], ...]


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """What Sentry said to a question that does not group by project.

    It is right in shape and range, and not yet proven whole.
    """

    question: Question
    groups: tuple[Group, ...]


_Totals = Mapping[str, Mapping[By, Mapping[int, int]]]


@dataclass(frozen=True, slots=True)
class ProjectsAnswer:
    """The same to a question by project: totals by field, by group, and by project id."""

    question: Question
    totals: _Totals

    def __len__(self) -> int:
        """Return how many groups came."""
        return sum(map(len, self.totals[self.question.fields[0]].values()))

    def projects(self) -> frozenset[int]:
        """Return the ids of the projects that came."""
        return frozenset().union(*self.totals[self.question.fields[0]].values())


Answer = SeriesAnswer | ProjectsAnswer


# What does not fit into 63 bits is no count, and no state file could hold it.
_Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
_Moment = Annotated[AwareDatetime, Field(strict=True)]
# Told one by one, the faults of a body that is full of them take many times its size.
_Counts = Annotated[list[_Count], FailFast()]

_TotalsDocument = TypedDict(
    "_TotalsDocument", {"sum(quantity)": _Count, "sum(times_seen)": _Count}, total=False
)
_SeriesDocument = TypedDict(
    "_SeriesDocument", {"sum(quantity)": _Counts, "sum(times_seen)": _Counts}, total=False
)


class _ByDocument(TypedDict, total=False):
    category: str
    outcome: str
    reason: str | None
    project: Id


class _GroupDocument(TypedDict):
    by: _ByDocument
    totals: _TotalsDocument


class _SeriesGroupDocument(_GroupDocument):
    series: _SeriesDocument


class _TotalsBody(TypedDict):
    start: _Moment
    end: _Moment
    groups: Annotated[list[_GroupDocument], FailFast()]


class _SeriesBody(TypedDict):
    intervals: Annotated[list[_Moment], FailFast()]
    groups: Annotated[list[_SeriesGroupDocument], FailFast()]


_MOMENTS: Final = TypeAdapter(tuple[_Moment, _Moment])
_IDS: Final = TypeAdapter(Annotated[list[Id], FailFast()])
_COUNTS: Final = TypeAdapter(_Counts)
_LABELS: Final = TypeAdapter(_ByDocument)
_TOTALS_BODY: Final = TypeAdapter(_TotalsBody)
_SERIES_BODY: Final = TypeAdapter(_SeriesBody)


def parse(body: bytes, question: Question) -> Answer:
    """Return what ``body`` says to ``question``; raises `BadAnswerError` with the place.

    Every bucket of the question's window must be there, and every group must be one that was
    asked for, once, with whole numbers that are not negative. Buckets outside the window and keys
    not known here are ignored, those that tell what a group stands for too.
    """
    if "project" in question.group_by:
        return ProjectsAnswer(question, _with_totals(body, question))
    groups = _with_series(read(_SERIES_BODY, body), question)
    if len({group.by for group in groups}) != len(groups):
        raise _twice([group.by for group in groups])
    return SeriesAnswer(question, tuple(groups))


def nothing(question: Question) -> Answer:
    """Return the answer to ``question`` that has no groups."""
    if "project" in question.group_by:
        return ProjectsAnswer(question, {field: {} for field in question.fields})
    return SeriesAnswer(question, ())


def _with_totals(body: bytes, question: Question) -> _Totals:
    """Return the totals of a body in which there may be very many groups.

    They are looked at column by column, which takes much less time than group by group. That is
    done only where something is amiss, to be told what and where.
    """
    with suppress(KeyError, TypeError, ValueError):
        return _from_columns(from_json(body), question)
    document = read(_TOTALS_BODY, body)
    _check_shape(document["groups"], question)
    return _from_columns(document, question)


def _from_columns(document: Any, question: Question) -> _Totals:
    """Return the totals; raises KeyError, TypeError or ValueError where something is amiss."""
    window, groups = question.window, document["groups"]
    if not isinstance(groups, list):
        raise TypeError("groups are no list")
    start, end = _MOMENTS.validate_json(to_json([document["start"], document["end"]]))
    if start.timestamp() != window.start:
        raise BadAnswerError("start", f"is not {iso(window.start)}, which was asked for")
    if not window.end - window.interval < end.timestamp() <= window.end:
        raise BadAnswerError("end", f"is not in the bucket that ends at {iso(window.end)}")
    kinds = [group["by"] for group in groups]
    if sum(map(len, kinds)) != len(question.group_by) * len(kinds):
        raise ValueError("a group has a key that was not grouped by")
    projects = _IDS.validate_python([by["project"] for by in kinds])
    # Of numbers that are equal one is kept, which all that is done with them is faster for.
    numbers = {project: int(project) for project in set(projects)}
    ids = list(map(numbers.__getitem__, projects))
    names = [name for name in By._fields if name in question.group_by]
    labels = list(map(_getter(names), kinds))
    return {
        field: _by_project(
            names,
            labels,
            ids,
            _COUNTS.validate_python([group["totals"][field] for group in groups]),
        )
        for field in question.fields
    }


def _by_project(
    names: Sequence[str],
    labels: Sequence[tuple[Any, ...]],
    ids: Sequence[int],
    values: Sequence[int],
) -> Mapping[By, Mapping[int, int]]:
    """Return what the columns hold; the loop is what a large answer costs."""
    cells: dict[tuple[Any, ...], dict[int, int]] = defaultdict(dict)
    for label, project, value in zip(labels, ids, values, strict=True):
        cells[label][project] = value
    totals: dict[By, dict[int, int]] = defaultdict(dict)
    for label, by_project in cells.items():
        named = _LABELS.validate_python(dict(zip(names, label, strict=True)))
        totals[_by(named)] |= _copied(by_project)
    if sum(map(len, totals.values())) != len(ids):
        groups = zip(labels, ids, strict=True)
        raise _twice([(_by(dict(zip(names, label, strict=True))), one) for label, one in groups])
    return dict(totals)


def _check_shape(groups: Sequence[Any], question: Question) -> None:
    """See that every group has the keys that were grouped by, no others, and every field."""
    keys = frozenset(question.group_by)
    for number, group in enumerate(groups):
        if group["by"].keys() != keys:
            raise _other_keys(f"groups[{number}].by", group["by"], keys)
        _fields(number, "totals", group["totals"], question.fields)


def _copied(values: Mapping[int, int]) -> dict[int, int]:
    """Return the same values, side by side in memory.

    Those of a body that is sorted by project are not: a million of them take more than twice as
    long to be entered into a ledger.
    """
    return dict(zip(values, array("Q", values.values()), strict=True))


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[str | None, ...]]:
    """Return what takes the values of ``names`` out of a mapping, at least two without a loop."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda found: tuple([found[name] for name in names])


def _by(raw: Mapping[str, Any]) -> By:
    reason = raw.get("reason", "")
    category, outcome = raw.get("category", ""), raw.get("outcome", "")
    return By(category, outcome, NO_REASON if reason is None else reason)


def _with_series(document: _SeriesBody, question: Question) -> list[Group]:
    intervals = [moment.timestamp() for moment in document["intervals"]]
    positions = _positions(intervals, question.window)
    _check_shape(document["groups"], question)

    def series(number: int, group: Mapping[str, Any]) -> tuple[Sequence[int], ...]:
        found = _fields(number, "series", group["series"], question.fields)
        for field, values in zip(question.fields, found, strict=True):
            if len(values) != len(intervals):
                where = f"groups[{number}].series.{field}"
                raise BadAnswerError(where, f"is not {len(intervals)} values long")
        return tuple(tuple(map(values.__getitem__, positions)) for values in found)

    groups = [
        Group(
            _by(group["by"]),
            _fields(number, "totals", group["totals"], question.fields),
            series(number, group),
        )
        for number, group in enumerate(document["groups"])
    ]
    if len(intervals) == len(positions):
        return groups
    return [
        _within(group, document["groups"][number]["series"], question)
        for number, group in enumerate(groups)
    ]


def _within(group: Group, series: Mapping[str, Any], question: Question) -> Group:
    """Return ``group`` with totals that leave out the buckets outside the question's window."""
    outside = [
        sum(series[field]) - sum(inside)
        for field, inside in zip(question.fields, group.series, strict=True)
    ]
    totals = tuple(max(t - o, 0) for t, o in zip(group.totals, outside, strict=True))
    return group._replace(totals=totals)


def _positions(intervals: Sequence[float], window: Window) -> list[int]:
    """Return where each bucket of ``window`` stands among ``intervals``."""
    found = {moment: position for position, moment in enumerate(intervals)}
    if len(found) != len(intervals):
        raise BadAnswerError("intervals", "holds a bucket twice")
    for bucket in window.buckets():
        if bucket not in found:
            raise BadAnswerError("intervals", f"lacks the bucket {iso(bucket)}")
    return [found[bucket] for bucket in window.buckets()]


def _fields(
    number: int, part: str, values: Mapping[str, Any], fields: Sequence[str]
) -> tuple[Any, ...]:
    """Return the values of ``fields``, which are of the kind that the document's type says."""
    try:
        return tuple([values[field] for field in fields])
    except KeyError as error:
        missing = error.args[0]
    raise BadAnswerError(f"groups[{number}].{part}.{missing}", "is missing")


def _other_keys(where: str, found: Mapping[str, object], keys: frozenset[str]) -> BadAnswerError:
    """Return what is wrong with ``found``, whose keys are others than ``keys``."""
    key = min(found.keys() ^ keys)
    return BadAnswerError(f"{where}.{key}", "is missing" if key in keys else "was not grouped by")


def _twice(groups: Sequence[object]) -> BadAnswerError:
    seen = set()
    for number, group in enumerate(groups):
        if group in seen:
            return BadAnswerError(f"groups[{number}].by", "is there twice")
        seen.add(group)
    raise ValueError("no group is there twice")
