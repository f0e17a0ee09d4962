"""Reading what is not grouped by project: every bucket of a window at once. Pure, a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exporter.collect.plan import Plan, Reading, SeriesReply, together, weight
from exporter.collect.rows import added
from exporter.collect.splitting import smaller
from exporter.collect.subject import Subject
from exporter.sentry.answers import By, Group, SeriesAnswer
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.stats import ROW_LIMIT, Question


def read_series(subject: Subject, question: Question) -> Plan[dict[int, Reading]]:
    """Read every bucket of ``question``, which is not grouped by project."""
    reply: SeriesReply
    (reply,) = yield [question]
    if isinstance(reply, SeriesAnswer) and _series_is_whole(reply):
        rows = subject.buckets(reply)
        return {start: Reading(rows[start], whole=True) for start in rows}
    parts = smaller(question, reply) or (yield from _by_category(question))
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
    reply: SeriesReply
    (reply,) = yield [replace(question, group_by=("category",))]
    if not isinstance(reply, SeriesAnswer) or not _series_is_whole(reply):
        return []
    return [replace(question, category=(group.by.category,)) for group in reply.groups]


def _topped_up(
    subject: Subject, question: Question, answer: SeriesAnswer
) -> Plan[dict[int, Reading]]:
    """Return one bucket of one outcome and category, what was cut off it without a reason."""
    (rows,) = subject.buckets(answer).values()
    reply: SeriesReply | None = None
    if question.category:
        (reply,) = yield [replace(question, group_by=())]
    if isinstance(reply, SeriesAnswer):
        by = By(question.category[0], question.outcome[0])
        for number, field in enumerate(question.fields):
            seen = sum(value for series, value in rows.items() if series.field == field)
            rest = sum(group.totals[number] for group in reply.groups) - seen
            series = subject.series(field, by)
            rows[series] = rows.get(series, 0) + max(rest, 0)
    return {question.window.start: Reading(rows, whole=False)}


def _merged(parts: Sequence[Mapping[int, Reading]]) -> dict[int, Reading]:
    """Put together readings of the same or of different buckets."""
    merged: dict[int, Reading] = {}
    for part in parts:
        for start, reading in part.items():
            before = merged.get(start, Reading({}, whole=True))
            rows = added(before.rows, reading.rows)
            merged[start] = Reading(rows, before.whole and reading.whole)
    return merged


def _series_is_whole(answer: SeriesAnswer) -> bool:
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
    groups_whole = sum(weight(answer.question, one.by) for one in answer.groups) < ROW_LIMIT
    return (equal and groups_whole) or _series_bound(answer) < ROW_LIMIT


def _series_bound(answer: SeriesAnswer) -> int:
    """Return how many rows of the store can stand behind ``answer`` at the most."""
    return sum(
        weight(answer.question, one.by) * max(1, _filled_buckets(one)) for one in answer.groups
    )


def _filled_buckets(group: Group) -> int:
    return sum(1 for values in zip(*group.series, strict=True) if any(values))
