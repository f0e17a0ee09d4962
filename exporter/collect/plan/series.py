"""Reading what is not grouped by project: every bucket of a window at once. Pure, a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exporter.buckets import Window
from exporter.collect.plan.core import Plan, Reading, SeriesReply, together, weight
from exporter.collect.plan.resolved import Subject
from exporter.collect.plan.split import smaller
from exporter.collect.series import added
from exporter.sentry.answer import By, Group, SeriesAnswer
from exporter.sentry.errors import ForbiddenError
from exporter.sentry.question import ATTRIBUTABLE, ROW_LIMIT, Question


def read_series(
    subject: Subject, question: Question, *, narrowed: bool = False
) -> Plan[dict[int, Reading]]:
    """Read every bucket of ``question``, which is not grouped by project.

    ``narrowed`` says that it is a part of one that was refused because of a project.
    """
    batches = subject.batches(question)
    if len(batches) > 1:
        read = yield from together([read_series(subject, batch) for batch in batches])
        return _merged(read)
    reply: SeriesReply
    (reply,) = yield [question]
    if isinstance(reply, SeriesAnswer) and _series_is_whole(reply):
        rows = subject.buckets(reply)
        return {start: Reading(rows[start], whole=True) for start in rows}
    if isinstance(reply, ForbiddenError) and question.project != ATTRIBUTABLE and not narrowed:
        yield from confirm_access(subject, question.window)
    if isinstance(reply, ForbiddenError) and len(question.project) == 1:
        nothing = Reading({}, whole=True, refused=frozenset(question.project))
        return dict.fromkeys(question.window.buckets(), nothing)
    parts = smaller(question, reply)
    if not parts and not isinstance(reply, ForbiddenError):
        parts = yield from _by_category(question)
    if parts:
        narrowed = isinstance(reply, ForbiddenError)
        read = yield from together(
            [read_series(subject, part, narrowed=narrowed) for part in parts]
        )
        return _merged(read)
    if not isinstance(reply, SeriesAnswer):
        raise reply
    return (yield from _topped_up(subject, question, reply))


def confirm_access(subject: Subject, window: Window) -> Plan[None]:
    """Ask something that names no project, after one was refused that does.

    A token that may not read anything any more is refused this too, which ends the plan: the
    projects that it was refused for say nothing then.
    """
    newest = replace(window, start=window.end - window.interval)
    yield [replace(subject.question(newest), project=())]


def read_attributable(subject: Subject, window: Window) -> Plan[dict[int, Reading] | None]:
    """Read what the projects that the token can read hold together, bucket by bucket.

    ``None`` where the server does not tell: those of before 2023 refuse the question.
    """
    try:
        return (yield from read_series(subject, subject.attributable_question(window)))
    except ForbiddenError:
        return None


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
            merged[start] = Reading(
                added(before.rows, reading.rows),
                before.whole and reading.whole,
                before.refused | reading.refused,
            )
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
