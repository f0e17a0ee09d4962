"""Reading one bucket by project, reconciled with the same without project. Pure, a plan."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.buckets import Window
from exporter.collect.over_time import read_series
from exporter.collect.plan import FILL, Cut, Plan, ProjectsReply, Reading, together, weight
from exporter.collect.rows import (
    Rows,
    Series,
    added,
    between,
    difference,
    joined,
    nonzero,
    sums,
    without_reason,
)
from exporter.collect.splitting import smaller
from exporter.collect.subject import Subject
from exporter.sentry.answers import ProjectsAnswer
from exporter.sentry.errors import TooHeavyError
from exporter.sentry.stats import ROW_LIMIT, Question


@dataclass(frozen=True, slots=True)
class ProjectReading(Reading):
    """A bucket by project, every id that came back in it; ``cut`` is set if it had to be split."""

    cut: Cut | None = None


def read_projects(
    subject: Subject,
    bucket: int,
    told: Reading,
    accessible: tuple[int, ...],
    cut: Cut | None = None,
    remainder: Rows | None = None,
) -> Plan[ProjectReading]:
    """Read one bucket by project and reconcile it with ``told``, the same without project.

    ``accessible`` are the ids that the token may filter by: only those can be asked in batches.
    What no project accounts for comes back as project 0. ``cut`` is what the last reading
    remembered, ``remainder`` what project 0 held in this bucket then.
    """
    small_is_whole = cut is not None and cut.small_is_whole
    if cut is None or cut.rows < cut.limit * FILL:
        question = subject.project_question(bucket)
        reply: ProjectsReply
        (reply,) = yield [question]
        if isinstance(reply, ProjectsAnswer):
            rows = subject.totals(reply)
            if _projects_are_whole(reply, sums(rows), told, small_is_whole=small_is_whole):
                return ProjectReading(joined(rows, _rest(told, rows)), told.whole)
        if not accessible:
            part = yield from _prove(subject, question, reply, told, ROW_LIMIT)
            missing = _rest(told, part.rows)
            return ProjectReading(joined(part.rows, missing), part.whole and not missing)
        cut = replace(_estimate(subject, reply, told), small_is_whole=small_is_whole)
        if isinstance(reply, ProjectsAnswer) and cut.limit < ROW_LIMIT:
            split = yield from _split(subject, bucket, told, accessible, cut, remainder or {})
            return _confirmed(subject, reply, told, split)
    return (yield from _split(subject, bucket, told, accessible, cut, remainder or {}))


def _confirmed(
    subject: Subject, reply: ProjectsAnswer, told: Reading, split: ProjectReading
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
    remainder: Rows,
) -> Plan[ProjectReading]:
    projects = tuple(one for one in accessible if not subject.project or one in subject.project)
    most = max(1, math.floor(len(projects) * FILL * cut.limit / max(cut.rows, 1)))
    batches = list(subject.project_batches(bucket, projects, most))
    replies: list[ProjectsReply] = yield batches
    parts = [_taken(subject, reply, cut.limit) for reply in replies]
    if not _agree(told, parts):
        parts = yield from together(
            [
                _prove(subject, question, reply, told, cut.limit)
                for question, reply in zip(batches, replies, strict=True)
            ]
        )
    rows = joined(*(part.rows for part in parts))
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
        joined(rows, between(low, remainder, high)),
        proven and told.whole,
        replace(cut, rows=size) if usual else None,
    )


@dataclass(frozen=True, slots=True)
class _Part(Reading):
    """One part of a split bucket, and how many rows of the store it can stand for."""

    bound: int = 0


def _taken(subject: Subject, reply: ProjectsReply, limit: int) -> _Part:
    if isinstance(reply, TooHeavyError):
        return _Part({}, whole=False)
    bound = _projects_bound(reply)
    return _Part(subject.totals(reply), bound < limit, bound)


def _prove(
    subject: Subject, question: Question, reply: ProjectsReply, told: Reading, limit: int
) -> Plan[_Part]:
    """Return the part that ``question`` asks for, of which ``reply`` is the first answer."""
    part = _taken(subject, reply, limit)
    questions = [] if part.whole else smaller(question, reply, told)
    if questions:
        replies: list[ProjectsReply] = yield questions
        parts = yield from together(
            [
                _prove(subject, one, answer, told, limit)
                for one, answer in zip(questions, replies, strict=True)
            ]
        )
        rows = joined(*(part.rows for part in parts))
        return _Part(rows, all(p.whole for p in parts), sum(p.bound for p in parts))
    if isinstance(reply, TooHeavyError):
        raise reply
    return part


def _rest(told: Reading, rows: Rows) -> Rows:
    """Return what of ``told`` is not in ``rows``; by reason only if the reasons are known."""
    if told.whole:
        return difference(told.rows, sums(rows))
    return difference(without_reason(told.rows), without_reason(sums(rows)))


def _agree(told: Reading, parts: Sequence[Reading]) -> bool:
    """Tell whether the sums of ``parts`` equal ``told``: then nothing was lost."""
    return added(*(sums(part.rows) for part in parts)) == nonzero(told.rows)


def _projects_are_whole(
    answer: ProjectsAnswer, found: Rows, told: Reading, *, small_is_whole: bool
) -> bool:
    """Hold an answer with every project of the organization in it against the organization's.

    ``found`` is what the answer adds up to.
    """
    if found == nonzero(told.rows):
        return True
    nothing_missing = small_is_whole or not difference(told.rows, found)
    return nothing_missing and _projects_bound(answer) < ROW_LIMIT


def _projects_bound(answer: ProjectsAnswer) -> int:
    groups = answer.totals[answer.question.fields[0]]
    return sum(weight(answer.question, by) * len(values) for by, values in groups.items())


def _estimate(subject: Subject, reply: ProjectsReply, told: Reading) -> Cut:
    """Tell from an answer that is not whole how many rows there are.

    It is a sample: what its groups hold of the organization's own numbers is its share. Rows that
    went missing from an answer too small for the usual limit speak of a lower one, which cannot
    be below the number of groups that did come.
    """
    if isinstance(reply, TooHeavyError):
        return Cut(ROW_LIMIT)
    rows = subject.totals(reply)
    groups = {whole: len(values) for whole, values in rows.parts.items()}
    share = _share(sums(rows), told.rows, groups)
    bound = _projects_bound(reply)
    limit = ROW_LIMIT if bound >= ROW_LIMIT else max(1, len(reply))
    return Cut(math.ceil(min(ROW_LIMIT, bound) / share), limit)


def _share(sampled: Rows, told: Rows, weights: Mapping[Series, int]) -> float:
    """Return which part of ``told`` a sample holds, each series weighted by its rows in it."""
    shares = {s: min(1.0, value / told[s]) for s, value in sampled.items() if told.get(s)}
    weighed = sum(weights[series] for series in shares)
    return sum(weights[series] * of for series, of in shares.items()) / weighed if weighed else 1.0
