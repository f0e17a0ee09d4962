"""Reading without project: every bucket of a window at once. Pure, a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exporter.buckets import Window
from exporter.collect.plan.core import Plan, SeriesReply, together
from exporter.collect.plan.proof import arrived_rows, may_be_cut, proves_itself
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.split import smaller
from exporter.collect.series import Reading, joined
from exporter.sentry.answer import By, SeriesAnswer
from exporter.sentry.errors import ForbiddenError
from exporter.sentry.question import ATTRIBUTABLE, Question


def read_series(
    query: ResolvedQuery, question: Question, *, narrowed: bool = False, arrived: int = 0
) -> Plan[dict[int, Reading]]:
    """Read every bucket of ``question``, which is not grouped by project.

    ``narrowed`` says that it is a part of one that was refused because of a project, ``arrived``
    how many rows the answer to a larger one had.
    """
    batches = query.batches(question)
    if len(batches) > 1:
        read = yield from together(
            [read_series(query, batch, arrived=arrived) for batch in batches]
        )
        return _merged(read)
    reply: SeriesReply
    (reply,) = yield [question]
    if isinstance(reply, SeriesAnswer) and proves_itself(reply):
        return {start: Reading(rows) for start, rows in query.buckets(reply).items()}
    if isinstance(reply, SeriesAnswer):
        if not may_be_cut(reply, arrived):
            buckets = query.buckets(reply)
            return {start: Reading(rows, proven=False) for start, rows in buckets.items()}
        arrived = max(arrived, arrived_rows(reply))
    # A narrowed question was confirmed before it was divided; old servers refuse ATTRIBUTABLE.
    if isinstance(reply, ForbiddenError) and question.project != ATTRIBUTABLE and not narrowed:
        yield from confirm_access(query, question.window)
    if isinstance(reply, ForbiddenError) and len(question.project) == 1:
        nothing = Reading({}, refused=frozenset(question.project))
        return dict.fromkeys(question.window.buckets(), nothing)
    parts = smaller(question, reply)
    if not parts and not isinstance(reply, ForbiddenError):
        parts = yield from _by_category(question)
    if parts:
        narrowed = isinstance(reply, ForbiddenError)
        read = yield from together(
            [read_series(query, part, narrowed=narrowed, arrived=arrived) for part in parts]
        )
        return _merged(read)
    if not isinstance(reply, SeriesAnswer):
        # A copy: the frames of the plans above, which its traceback holds, hold the reply.
        raise reply.copied()
    return (yield from _topped_up(query, question, reply))


def confirm_access(query: ResolvedQuery, window: Window) -> Plan[None]:
    """Ask something that names no project, after one was refused that does.

    A token that may not read anything any more is refused this too, which ends the plan: then the
    refusal says nothing about the project.
    """
    newest = replace(window, start=window.end - window.interval)
    yield [replace(query.question(newest), project=())]


def read_attributable(query: ResolvedQuery, window: Window) -> Plan[dict[int, Reading] | None]:
    """Read what the projects that the token can read hold together, bucket by bucket.

    ``None`` where the server cannot say: those of before 2023 refuse the question.
    """
    try:
        return (yield from read_series(query, query.attributable_question(window)))
    except ForbiddenError:
        return None


def _by_category(question: Question) -> Plan[list[Question]]:
    """Return a question for each category there is, if the categories can be read."""
    if question.category or "category" not in question.group_by:
        return []
    reply: SeriesReply
    (reply,) = yield [replace(question, group_by=("category",))]
    if not isinstance(reply, SeriesAnswer) or not proves_itself(reply):
        return []
    return [replace(question, category=(group.by.category,)) for group in reply.groups]


def _topped_up(
    query: ResolvedQuery, question: Question, answer: SeriesAnswer
) -> Plan[dict[int, Reading]]:
    """Return the bucket of one outcome and category.

    The part that was cut off is added with an empty reason.
    """
    # One bucket and one outcome: `smaller` divides by both before it gives up.
    (rows,) = query.buckets(answer).values()
    reply: SeriesReply | None = None
    # Sentry requires a category in groupBy or filter (its src/sentry/snuba/outcomes.py).
    if question.category:
        (reply,) = yield [replace(question, group_by=())]
    if isinstance(reply, SeriesAnswer):
        missing = query.missing(reply, By(question.category[0], question.outcome[0]), rows)
        rows = joined(rows, missing)
    return {question.window.start: Reading(rows, proven=False)}


def _merged(parts: Sequence[Mapping[int, Reading]]) -> dict[int, Reading]:
    """Put together readings of the same or of different buckets."""
    merged: dict[int, Reading] = {}
    for part in parts:
        for start, reading in part.items():
            before = merged.get(start, Reading({}))
            merged[start] = Reading(
                joined(before.rows, reading.rows),
                before.proven and reading.proven,
                refused=before.refused | reading.refused,
            )
    return merged
