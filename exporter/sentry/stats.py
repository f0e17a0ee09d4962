"""Questions to ``stats_v2`` and the answers to them.

A `Question` is what one request asks; `parse` turns the body that came back into an `Answer`, or
raises with the place in the document that is wrong. Both are plain values, nothing here talks
to anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AwareDatetime, ConfigDict, FailFast, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from exporter.buckets import Window
from exporter.sentry.documents import Digits, read
from exporter.sentry.errors import BadAnswerError

QUANTITY: Final = "sum(quantity)"
TIMES_SEEN: Final = "sum(times_seen)"

ROW_LIMIT: Final = 10_000
"""Sentry's store cuts every answer at this many rows, in no order and without a word."""

NO_REASON: Final = "none"
"""What Sentry's hourly store says where its raw one says null."""


class By(NamedTuple):
    """What a group stands for; ``""`` (``0`` for the project) where it is not grouped by it."""

    category: str = ""
    outcome: str = ""
    reason: str = ""
    project: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One request to ``stats_v2``: totals, and a series per group unless grouped by project.

    ``group_by`` is in the order in which it is sent, which matters: with ``project`` last, or with
    a ``project`` filter, Sentry counts only projects the token may read; with ``project`` before
    another, it counts every project of the organization, deleted ones too
    (``_is_org_total_query`` in Sentry's ``organization_stats_v2.py``).
    """

    fields: tuple[str, ...]
    group_by: tuple[str, ...]
    window: Window
    category: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    reason: str | None = None
    project: tuple[int, ...] = ()

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query string's pairs.

        The end is sent as the last second inside the last bucket: old servers take it as
        inclusive, new ones round it up, and both read the same buckets.
        """
        pairs = [("field", field) for field in self.fields]
        pairs += [("groupBy", group) for group in self.group_by]
        pairs += [("category", category) for category in self.category]
        pairs += [("outcome", outcome) for outcome in self.outcome]
        if self.reason is not None:
            pairs.append(("reason", self.reason))
        pairs += [("project", str(project)) for project in self.project]
        pairs.append(("start", iso(self.window.start)))
        pairs.append(("end", iso(self.window.end - 1)))
        pairs.append(("interval", _duration(self.window.interval)))
        return pairs


class Group(NamedTuple):
    """One group of an answer, values in the order of the question's fields.

    ``series`` has a sequence per field, a value per bucket of the question's window; it is empty
    where the question groups by project.
    """

    by: By
    totals: tuple[int, ...]
    series: tuple[Sequence[int], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Sentry said to ``question``: right in shape and range, not yet proven whole."""

    question: Question
    groups: tuple[Group, ...]


def iso(moment: int) -> str:
    """Return ``moment`` as Sentry writes times, ``2026-11-23T14:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: int) -> str:
    """Return an interval of whole hours in the endpoint's own notation, ``6h`` or ``1d``."""
    days, rest = divmod(seconds, 86400)
    return f"{seconds // 3600}h" if rest else f"{days}d"


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


@with_config(ConfigDict(extra="allow"))
class _ByDocument(TypedDict, total=False):
    category: str
    outcome: str
    reason: str | None
    project: Digits


class _GroupDocument(TypedDict):
    by: _ByDocument
    totals: _TotalsDocument


class _SeriesGroupDocument(_GroupDocument):
    series: _SeriesDocument


class _TotalsAnswer(TypedDict):
    start: _Moment
    end: _Moment
    groups: Annotated[list[_GroupDocument], FailFast()]


class _SeriesAnswer(TypedDict):
    intervals: Annotated[list[_Moment], FailFast()]
    groups: Annotated[list[_SeriesGroupDocument], FailFast()]


_TOTALS_ANSWER: Final = TypeAdapter(_TotalsAnswer)
_SERIES_ANSWER: Final = TypeAdapter(_SeriesAnswer)


def parse(body: bytes, question: Question) -> Answer:
    """Return what ``body`` says to ``question``; raises `BadAnswerError` with the place.

    Every bucket of the question's window must be there, and every group must be one that was
    asked for, once, with whole numbers that are not negative. Buckets outside the window and keys
    not known here are ignored.
    """
    if "project" in question.group_by:
        groups = _with_totals(read(_TOTALS_ANSWER, body), question)
    else:
        groups = _with_series(read(_SERIES_ANSWER, body), question)
    if len({group.by for group in groups}) != len(groups):
        raise _twice(groups)
    return Answer(question, tuple(groups))


def _with_totals(document: _TotalsAnswer, question: Question) -> list[Group]:
    window = question.window
    if document["start"].timestamp() != window.start:
        raise BadAnswerError("start", f"is not {iso(window.start)}, which was asked for")
    if not window.end - window.interval < document["end"].timestamp() <= window.end:
        raise BadAnswerError("end", f"is not in the bucket that ends at {iso(window.end)}")
    return _groups(document["groups"], question, lambda _number, _group: ())


def _with_series(document: _SeriesAnswer, question: Question) -> list[Group]:
    intervals = [moment.timestamp() for moment in document["intervals"]]
    positions = _positions(intervals, question.window)

    def series(number: int, group: Mapping[str, Any]) -> tuple[Sequence[int], ...]:
        found = _fields(number, "series", group["series"], question.fields)
        for field, values in zip(question.fields, found, strict=True):
            if len(values) != len(intervals):
                where = f"groups[{number}].series.{field}"
                raise BadAnswerError(where, f"is not {len(intervals)} values long")
        return tuple(tuple(map(values.__getitem__, positions)) for values in found)

    groups = _groups(document["groups"], question, series)
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


def _groups(
    documents: Sequence[Any],
    question: Question,
    series: Callable[[int, Mapping[str, Any]], tuple[Sequence[int], ...]],
) -> list[Group]:
    """Return the groups. There may be very many: this loop is what a large answer costs."""
    keys = frozenset(question.group_by)
    fields = question.fields
    groups = []
    for number, group in enumerate(documents):
        raw = group["by"]
        if raw.keys() != keys:
            raise _other_keys(f"groups[{number}].by", raw, keys)
        get = raw.get
        reason = get("reason", "")
        by = By(
            get("category", ""),
            get("outcome", ""),
            NO_REASON if reason is None else reason,
            int(get("project", 0)),
        )
        totals = _fields(number, "totals", group["totals"], fields)
        groups.append(Group(by, totals, series(number, group)))
    return groups


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
    for key in By._fields:
        if key in keys and key not in found:
            return BadAnswerError(f"{where}.{key}", "is missing")
        if key in found and key not in keys:
            return BadAnswerError(f"{where}.{key}", "was not grouped by")
    return BadAnswerError(where, "holds a key that was not grouped by")


def _twice(groups: Sequence[Group]) -> BadAnswerError:
    seen: set[By] = set()
    for number, group in enumerate(groups):
        if group.by in seen:
            return BadAnswerError(f"groups[{number}].by", "is there twice")
        seen.add(group.by)
    raise ValueError("no group is there twice")
