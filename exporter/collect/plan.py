"""The planner: which questions to ask until an answer is proven whole.

Pure. A plan is a generator: it yields the questions of a round, is sent their answers in the same
order, and at the end returns what it read. An answer is proven whole

- when its sums equal those of the same question asked in a way that was not cut, or
- when the store rows behind it must be fewer than the store's limit, and nothing contradicts it.

What is not proven is asked again in smaller parts: fewer buckets, fewer projects, single outcomes,
single categories. Where the store itself refuses a question as too heavy, its parts are asked too.
"""

import math
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from exporter.buckets import Window
from exporter.categories import OUTCOMES
from exporter.collect.rows import added, between, difference, nonzero, sums, without_reason
from exporter.collect.subject import Rows, Series, Subject
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.stats import ROW_LIMIT, Answer, By, Group, Question

Reply = Answer | TooHeavyError

T = TypeVar("T")
Plan = Generator[list[Question], list[Reply], T]

ROWS_PER_ERROR_GROUP = 3
"""Sentry merges default, error and security rows into one ``error`` group after its query."""

FILL = 0.9
"""How much of the row limit a batch is sized to, since the number of rows is an estimate."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one bucket holds; ``whole`` if that is proven."""

    rows: Rows
    whole: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """How many rows a bucket has that had to be split, and at how many the store cuts.

    A limit below the usual one is what an answer speaks of that lost rows though it was small:
    then only sums that agree prove anything. But ``small_is_whole`` where splitting such an answer
    brought nothing more: the server leaves out the projects that cannot be read.
    """

    rows: int
    limit: int = ROW_LIMIT
    small_is_whole: bool = False


@dataclass(frozen=True, slots=True)
class ProjectReading(Reading):
    """A bucket by project, every id that came back in it; ``cut`` is set if it had to be split."""

    cut: Cut | None = None


def together(plans: Sequence[Plan[T]]) -> Plan[list[T]]:
    """Run ``plans`` side by side: each round asks what all of them want to know next."""
    results: dict[int, T] = {}
    waiting: dict[int, list[Question]] = {}
    replies: dict[int, list[Reply] | None] = dict.fromkeys(range(len(plans)))
    while replies:
        for index, reply in replies.items():
            try:
                waiting[index] = next(plans[index]) if reply is None else plans[index].send(reply)
            except StopIteration as done:
                results[index] = done.value
        if not waiting:
            break
        arrived = iter((yield [question for batch in waiting.values() for question in batch]))
        replies = {index: [next(arrived) for _ in batch] for index, batch in waiting.items()}
        waiting = {}
    return [results[index] for index in range(len(plans))]


def read_series(subject: Subject, question: Question) -> Plan[dict[int, Reading]]:
    """Read every bucket of ``question``, which is not grouped by project."""
    (reply,) = yield [question]
    if isinstance(reply, Answer) and _series_is_whole(reply):
        rows = subject.buckets(reply)
        return {start: Reading(rows[start], whole=True) for start in rows}
    parts = _smaller(question, reply) or (yield from _by_category(question))
    if parts:
        read = yield from together([read_series(subject, part) for part in parts])
        return _merged(read)
    if isinstance(reply, TooHeavyError):
        raise reply
    return (yield from _topped_up(subject, question, reply))


def _by_category(question: Question) -> Plan[list[Question]]:
    """Return a question for each category there is, if that can be found out."""
    if question.category or "category" not in question.group_by:
        return []
    (reply,) = yield [replace(question, group_by=("category",))]
    if not isinstance(reply, Answer) or not _series_is_whole(reply):
        return []
    return [replace(question, category=(group.by.category,)) for group in reply.groups]


def _topped_up(subject: Subject, question: Question, answer: Answer) -> Plan[dict[int, Reading]]:
    """Return one bucket of one outcome and category, what was cut off it without a reason."""
    (rows,) = subject.buckets(answer).values()
    reply: Reply | None = None
    if question.category:
        (reply,) = yield [replace(question, group_by=())]
    if isinstance(reply, Answer):
        by = By(question.category[0], question.outcome[0])
        for number, field in enumerate(question.fields):
            seen = sum(value for series, value in rows.items() if series.field == field)
            rest = sum(group.totals[number] for group in reply.groups) - seen
            series = subject.series(field, by)
            rows[series] = rows.get(series, 0) + max(rest, 0)
    return {question.window.start: Reading(rows, whole=False)}


def read_projects(
    subject: Subject,
    bucket: int,
    told: Reading,
    accessible: tuple[int, ...],
    cut: Cut | None = None,
    remainder: Mapping[Series, int] | None = None,
) -> Plan[ProjectReading]:
    """Read one bucket by project and reconcile it with ``told``, the same without project.

    ``accessible`` are the ids that the token may filter by: only those can be asked in batches.
    What no project accounts for comes back as project 0. ``cut`` is what the last reading
    remembered, ``remainder`` what project 0 held in this bucket then.
    """
    small_is_whole = cut is not None and cut.small_is_whole
    if cut is None or cut.rows < cut.limit * FILL:
        question = subject.project_question(bucket)
        (reply,) = yield [question]
        if isinstance(reply, Answer) and _projects_are_whole(
            subject, reply, told, small_is_whole=small_is_whole
        ):
            rows = subject.totals(reply)
            return ProjectReading(added(rows, _rest(told, rows)), told.whole)
        if not accessible:
            part = yield from _prove(subject, question, reply, told, ROW_LIMIT)
            missing = _rest(told, part.rows)
            return ProjectReading(added(part.rows, missing), part.whole and not missing)
        cut = replace(_estimate(subject, reply, told), small_is_whole=small_is_whole)
        if isinstance(reply, Answer) and cut.limit < ROW_LIMIT:
            split = yield from _split(subject, bucket, told, accessible, cut, remainder or {})
            return _confirmed(subject, reply, told, split)
    return (yield from _split(subject, bucket, told, accessible, cut, remainder or {}))


def _confirmed(
    subject: Subject, reply: Answer, told: Reading, split: ProjectReading
) -> ProjectReading:
    """Return what was read in parts, whole if the parts have just what the small answer had."""
    parts = {series: value for series, value in split.rows.items() if series.project}
    if nonzero(parts) != nonzero(subject.totals(reply)):
        return split
    return replace(split, whole=told.whole, cut=Cut(0, small_is_whole=True))


def _split(
    subject: Subject,
    bucket: int,
    told: Reading,
    accessible: tuple[int, ...],
    cut: Cut,
    remainder: Mapping[Series, int],
) -> Plan[ProjectReading]:
    projects = tuple(one for one in accessible if not subject.project or one in subject.project)
    most = max(1, math.floor(len(projects) * FILL * cut.limit / max(cut.rows, 1)))
    batches = list(subject.project_batches(bucket, projects, most))
    replies = yield batches
    parts = [_taken(subject, reply, cut.limit) for reply in replies]
    if not _agree(told, parts):
        parts = yield from together(
            [
                _prove(subject, question, reply, told, cut.limit)
                for question, reply in zip(batches, replies, strict=True)
            ]
        )
    rows = added(*(part.rows for part in parts))
    usual = cut.limit == ROW_LIMIT
    proven = _agree(told, parts) or (usual and all(part.whole for part in parts))
    low = high = _rest(told, rows)
    if low != nonzero(remainder):
        window = Window(bucket, bucket + subject.interval, subject.interval)
        later = yield from read_series(subject, subject.question(window))
        high = _rest(later[bucket], rows)
    bound = sum(part.bound for part in parts)
    size = min(bound, max(cut.rows, sum(len(part.rows) for part in parts)))
    return ProjectReading(
        added(rows, between(low, remainder, high)),
        proven and told.whole,
        replace(cut, rows=size) if usual else None,
    )


@dataclass(frozen=True, slots=True)
class _Part(Reading):
    """One part of a split bucket, and how many rows of the store it can stand for."""

    bound: int = 0


def _taken(subject: Subject, reply: Reply, limit: int) -> _Part:
    if isinstance(reply, TooHeavyError):
        return _Part({}, whole=False)
    return _Part(subject.totals(reply), _bound(reply) < limit, _bound(reply))


def _prove(
    subject: Subject, question: Question, reply: Reply, told: Reading, limit: int
) -> Plan[_Part]:
    """Return the part that ``question`` asks for, of which ``reply`` is the first answer."""
    part = _taken(subject, reply, limit)
    smaller = [] if part.whole else _smaller(question, reply, told)
    if smaller:
        replies = yield smaller
        parts = yield from together(
            [
                _prove(subject, one, answer, told, limit)
                for one, answer in zip(smaller, replies, strict=True)
            ]
        )
        rows = added(*(part.rows for part in parts))
        return _Part(rows, all(p.whole for p in parts), sum(p.bound for p in parts))
    if isinstance(reply, TooHeavyError):
        raise reply
    return part


def _rest(told: Reading, rows: Rows) -> Rows:
    """Return what of ``told`` is not in ``rows``; by reason only if the reasons are known."""
    if told.whole:
        return difference(told.rows, rows)
    return difference(without_reason(told.rows), without_reason(rows))


def _agree(told: Reading, parts: Sequence[Reading]) -> bool:
    """Tell whether the sums of ``parts`` equal ``told``: then nothing was lost."""
    return sums(added(*(part.rows for part in parts))) == nonzero(told.rows)


def _projects_are_whole(
    subject: Subject, answer: Answer, told: Reading, *, small_is_whole: bool
) -> bool:
    """Hold an answer with every project of the organization in it against the organization's."""
    rows = subject.totals(answer)
    if sums(rows) == nonzero(told.rows):
        return True
    nothing_missing = small_is_whole or not difference(told.rows, rows)
    return nothing_missing and _bound(answer) < ROW_LIMIT


def _series_is_whole(answer: Answer) -> bool:
    """Hold the series against the totals, which the store reads in a query of their own."""
    sums = [tuple(map(sum, group.series)) for group in answer.groups]
    fewer = any(
        summed < total
        for group, summed_fields in zip(answer.groups, sums, strict=True)
        for summed, total in zip(summed_fields, group.totals, strict=True)
    )
    if fewer:
        return False
    equal = all(summed == group.totals for group, summed in zip(answer.groups, sums, strict=True))
    groups_whole = sum(_weight(answer.question, group) for group in answer.groups) < ROW_LIMIT
    return (equal and groups_whole) or _bound(answer) < ROW_LIMIT


def _bound(answer: Answer) -> int:
    """Return how many rows of the store can stand behind ``answer`` at the most."""
    return sum(
        _weight(answer.question, group) * max(1, _filled_buckets(group)) for group in answer.groups
    )


def _weight(question: Question, group: Group) -> int:
    merged = "category" in question.group_by and group.by.category == "error"
    return ROWS_PER_ERROR_GROUP if merged else 1


def _filled_buckets(group: Group) -> int:
    return sum(1 for values in zip(*group.series, strict=True) if any(values))


def _estimate(subject: Subject, reply: Reply, told: Reading) -> Cut:
    """Tell from an answer that is not whole how many rows there are.

    It is a sample: what its groups hold of the organization's own numbers is its share. Rows that
    went missing from an answer too small for the usual limit speak of a lower one, which cannot
    be below the number of groups that did come.
    """
    if isinstance(reply, TooHeavyError):
        return Cut(ROW_LIMIT)
    groups = Counter(series.without_project() for series in subject.totals(reply))
    share = _share(sums(subject.totals(reply)), told.rows, groups)
    limit = ROW_LIMIT if _bound(reply) >= ROW_LIMIT else max(1, len(reply.groups))
    return Cut(math.ceil(min(ROW_LIMIT, _bound(reply)) / share), limit)


def _share(sampled: Rows, told: Rows, weights: Mapping[Series, int]) -> float:
    """Return which part of ``told`` a sample holds, each series weighted by its rows in it."""
    shares = {s: min(1.0, value / told[s]) for s, value in sampled.items() if told.get(s)}
    weight = sum(weights[series] for series in shares)
    return sum(weights[series] * of for series, of in shares.items()) / weight if weight else 1.0


def _smaller(question: Question, reply: Reply, told: Reading | None = None) -> list[Question]:
    """Return questions that together ask the same in smaller parts; none if there are none."""
    if len(question.window) > 1:
        return _shorter(question, reply)
    if len(question.project) > 1:
        middle = len(question.project) // 2
        return [
            replace(question, project=question.project[:middle]),
            replace(question, project=question.project[middle:]),
        ]
    if len(question.outcome) != 1:
        return [replace(question, outcome=(one,)) for one in question.outcome or OUTCOMES]
    categories = _categories(question, reply, told)
    if len(categories) > 1:
        return [replace(question, category=(one,)) for one in categories]
    return []


def _shorter(question: Question, reply: Reply) -> list[Question]:
    """Cut the window into as many runs as the rows that came of it call for, at least two."""
    window = question.window
    runs = 2
    if isinstance(reply, Answer):
        told = sum(sum(group.totals) for group in reply.groups)
        came = sum(sum(map(sum, group.series)) for group in reply.groups)
        share = came / told if 0 < came < told else 1.0
        runs = max(runs, math.ceil(1 / (share * FILL)))
    length = math.ceil(len(window) / min(runs, len(window))) * window.interval
    return [
        replace(question, window=replace(window, start=start, end=min(start + length, window.end)))
        for start in range(window.start, window.end, length)
    ]


def _categories(question: Question, reply: Reply, told: Reading | None) -> list[str]:
    """Return the categories to ask one by one, where the set of them is known to be complete."""
    if question.category:
        return list(question.category)
    if told is None or not told.whole or isinstance(reply, TooHeavyError):
        return []
    return sorted({series.category for series in told.rows} - {""})


def _merged(parts: Sequence[Mapping[int, Reading]]) -> dict[int, Reading]:
    """Put together readings of the same or of different buckets."""
    merged: dict[int, Reading] = {}
    for part in parts:
        for start, reading in part.items():
            before = merged.get(start, Reading({}, whole=True))
            rows = added(before.rows, reading.rows)
            merged[start] = Reading(rows, before.whole and reading.whole)
    return merged
