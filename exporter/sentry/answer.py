"""Answers to the questions of `exporter.sentry.question`.

`parse` turns the body that came back into an `Answer`, or raises with the place in the document
that is wrong. Nothing here does I/O.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple, NoReturn

from msgspec import Meta, Raw, Struct, defstruct
from msgspec.json import Decoder
from msgspec.structs import astuple

from exporter.buckets import Window
from exporter.moments import iso
from exporter.sentry.decoding import Id, Name, decode
from exporter.sentry.errors import BadAnswerError
from exporter.sentry.question import Question

NO_REASON: Final = "none"
"""What Sentry's hourly store has where its raw one has null."""


class By(NamedTuple):
    """The labels of a group without its project; ``""`` where it is not grouped by one."""

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
    """Sentry's answer to a question that does not group by project.

    It is right in shape and range, and not yet proven complete.
    """

    question: Question
    groups: tuple[Group, ...]


Totals = Mapping[str, Mapping[By, Mapping[int, int]]]
"""Values by field, by group, and by project id."""


@dataclass(frozen=True, slots=True)
class ProjectsAnswer:
    """Sentry's answer to a question by project; not yet proven complete either."""

    question: Question
    totals: Totals

    def __len__(self) -> int:
        """Return the number of groups in the answer."""
        return sum(map(len, self.totals[self.question.fields[0]].values()))

    def projects(self) -> frozenset[int]:
        """Return the ids of the projects in the answer."""
        return frozenset().union(*self.totals[self.question.fields[0]].values())


Answer = SeriesAnswer | ProjectsAnswer


# A larger count cannot be one: no sample of Prometheus could hold it, and a few of them would take
# a counter beyond 64 bits, after which nothing could be counted any more.
_Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_Moment = Annotated[datetime, Meta(tz=True)]


class _NotGroupedBy:
    """The type of a label that the question did not group by: no value fits it."""


_LABELS: Final[Mapping[str, Any]] = {
    "project": Id,
    "category": Name,
    "outcome": Name,
    "reason": Name | None,
}


def parse(body: bytes, question: Question) -> Answer:
    """Return the answer to ``question`` in ``body``; raise `BadAnswerError` with the place.

    Every bucket of the question's window must be there, and every group must be one that was
    asked for, once, with integers that are not negative. Buckets outside the window and unknown
    keys are ignored.
    """
    dimensions = frozenset(question.group_by)
    if "project" in question.group_by:
        document = decode(_decoder(dimensions, question.fields), body)
        _check_range(document.start, document.end, question.window)
        return ProjectsAnswer(question, _totals(document.groups, question.fields))
    try:
        return _series(body, question)
    except BadAnswerError as error:
        fault = error.with_traceback(None)
    # A group by itself does not know its place, which is found in this way.
    decode(_decoder(dimensions, question.fields), body)
    try:
        raise fault
    finally:
        del fault  # its traceback holds this frame


def empty(question: Question) -> Answer:
    """Return the answer to ``question`` that has no groups."""
    if "project" in question.group_by:
        return ProjectsAnswer(question, {field: {} for field in question.fields})
    return SeriesAnswer(question, ())


class _SeriesDocument(Struct, gc=False, frozen=True):
    """An answer with series, whose groups are decoded one by one.

    10,000 groups of 720 hours would hold up all other threads for 0.3 s; this takes a quarter.
    """

    intervals: list[_Moment]
    groups: list[Raw]


_SERIES: Final = Decoder(_SeriesDocument)


# At most 64 combinations of dimensions and fields, so the caches need no limit.
@cache
def _decoder(group_by: frozenset[str], fields: tuple[str, ...]) -> Decoder[Any]:
    """Return what decodes the answers to questions with ``group_by`` and ``fields``."""
    top: list[Any] = [("start", _Moment), ("end", _Moment)]
    if "project" not in group_by:
        top = [("intervals", list[_Moment])]
    groups: Any = list[_group(group_by, fields)]  # type: ignore[misc]
    return _strict(_struct("Document", [*top, ("groups", groups)]))


@cache
def _group_decoder(group_by: frozenset[str], fields: tuple[str, ...]) -> Decoder[Any]:
    """Return what decodes a group of such an answer."""
    return _strict(_group(group_by, fields))


def _strict(kind: type[Struct]) -> Decoder[Any]:
    # msgspec calls the hook for types that it does not know, here only `_NotGroupedBy`.
    return Decoder(kind, dec_hook=_refuse)


@cache
def _group(group_by: frozenset[str], fields: tuple[str, ...]) -> type[Struct]:
    """Return the type of a group.

    It holds just what the question needs, and each key of that is required. The values of
    ``fields`` are the attributes ``field0``, ``field1`` and so on.
    """
    labels: list[Any] = [
        (key, kind) if key in group_by else (key, _NotGroupedBy, "")
        for key, kind in _LABELS.items()
    ]
    by = _struct("By", sorted(labels, key=len))  # required fields come before those with a default
    names = {f"field{number}": field for number, field in enumerate(fields)}
    parts: list[Any] = [
        ("by", by),
        ("totals", _struct("Totals", [(n, _Count) for n in names], names)),
    ]
    if "project" not in group_by:
        parts.append(("series", _struct("Series", [(n, list[_Count]) for n in names], names)))
    return _struct("Group", parts)


def _struct(
    name: str, fields: Sequence[Any], rename: Mapping[str, str] | None = None
) -> type[Struct]:
    # No answer holds a cycle, so the garbage collector need not look at its 300,000 objects.
    return defstruct(name, fields, rename=rename, gc=False, frozen=True)


def _refuse(_kind: type, _value: object) -> NoReturn:
    """Refuse a value of the type `_NotGroupedBy`; msgspec adds its place."""
    raise ValueError("was not grouped by")


def _check_range(start: datetime, end: datetime, window: Window) -> None:
    """Raise `BadAnswerError` unless totals from ``start`` to ``end`` are those of ``window``."""
    if start.timestamp() != window.start:
        raise BadAnswerError("start", f"is not {iso(window.start)}, which was asked for")
    if not window.end - window.interval < end.timestamp() <= window.end:
        raise BadAnswerError("end", f"is not in the bucket that ends at {iso(window.end)}")


def _totals(groups: Sequence[Any], fields: Sequence[str]) -> Totals:
    """Return the totals of ``groups``, of which there may be very many."""
    raw = list({group.by.project for group in groups})
    # One int for all groups of a project: dicts find an identical key faster than an equal one.
    ids = dict(zip(raw, array("Q", map(int, raw)), strict=True))
    return {
        field: _by_project(groups, ids, attrgetter(f"field{number}"))
        for number, field in enumerate(fields)
    }


def _by_project(
    groups: Sequence[Any], ids: Mapping[int | str, int], value_of: Callable[[Any], int]
) -> Mapping[By, Mapping[int, int]]:
    """Return one field's values by label and project.

    The values pass through arrays, and so come out as numbers that lie side by side in memory, in
    the order in which a ledger reads them. With those of the decoder, which lie scattered among
    its other objects, a poll of 100,000 groups takes half as long again.
    """
    columns: dict[tuple[str, str, str | None], tuple[list[int], array[int]]]
    columns = defaultdict(lambda: ([], array("Q")))
    for group in groups:
        by = group.by
        projects, values = columns[by.category, by.outcome, by.reason]
        projects.append(ids[by.project])
        values.append(value_of(group.totals))
    totals: dict[By, dict[int, int]] = defaultdict(dict)
    for label, (projects, values) in columns.items():
        # Two columns may have one label: a null reason counts as "none".
        totals[_by(*label)] |= zip(projects, values, strict=True)
    # Fewer values than groups: some group is there twice, and the dict has only its last value.
    if sum(map(len, totals.values())) != len(groups):
        _check_unique([(_labels(group.by), ids[group.by.project]) for group in groups])
    return dict(totals)


def _series(body: bytes, question: Question) -> SeriesAnswer:
    """Return the groups in ``body`` with the values of the question's window in their series."""
    document = decode(_SERIES, body)
    decoder = _group_decoder(frozenset(question.group_by), question.fields)
    intervals = [moment.timestamp() for moment in document.intervals]
    positions = _positions(intervals, question.window)
    is_all = positions == [*range(len(intervals))]
    groups = []
    for number, raw in enumerate(document.groups):
        group = decode(decoder, raw)
        for field, values in zip(question.fields, astuple(group.series), strict=True):
            if len(values) != len(intervals):
                where = f"groups[{number}].series.{field}"
                raise BadAnswerError(where, f"is not {len(intervals)} values long")
        groups.append(_as_sent(group) if is_all else _within(group, positions))
    _check_unique([group.by for group in groups])
    return SeriesAnswer(question, tuple(groups))


def _as_sent(group: Any) -> Group:
    """Return a group whose series are about the question's window and nothing else."""
    series = tuple(map(tuple, astuple(group.series)))
    return Group(_labels(group.by), astuple(group.totals), series)


def _within(group: Any, positions: Sequence[int]) -> Group:
    """Return a group with the values at ``positions``, and totals that leave out all others."""
    everything = astuple(group.series)
    series = tuple(tuple(map(values.__getitem__, positions)) for values in everything)
    outside = [sum(all_) - sum(inside) for all_, inside in zip(everything, series, strict=True)]
    totals = zip(astuple(group.totals), outside, strict=True)
    # Sentry's store reads totals before series, and rows arrive in between: the series outside may
    # sum to more than the total.
    return Group(_labels(group.by), tuple(max(t - o, 0) for t, o in totals), series)


def _positions(intervals: Sequence[float], window: Window) -> list[int]:
    """Return the index of each bucket of ``window`` in ``intervals``."""
    positions = {moment: position for position, moment in enumerate(intervals)}
    if len(positions) != len(intervals):
        raise BadAnswerError("intervals", "holds a bucket twice")
    for bucket in window.buckets():
        if bucket not in positions:
            raise BadAnswerError("intervals", f"lacks the bucket {iso(bucket)}")
    return [positions[bucket] for bucket in window.buckets()]


def _labels(by: Any) -> By:
    return _by(by.category, by.outcome, by.reason)


def _by(category: str, outcome: str, reason: str | None) -> By:
    return By(category, outcome, NO_REASON if reason is None else reason)


def _check_unique(groups: Iterable[object]) -> None:
    """Raise `BadAnswerError` where two of ``groups`` are the same: either could be right."""
    seen = set()
    for number, group in enumerate(groups):
        if group in seen:
            raise BadAnswerError(f"groups[{number}].by", "is there twice")
        seen.add(group)
