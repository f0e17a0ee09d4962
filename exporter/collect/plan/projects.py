"""Reading one bucket by project, reconciled with the same without project. Pure, a plan.

Two numbers are at hand to hold the projects against. The organization's own number counts every
project, deleted and inaccessible ones too. What is attributable counts just those that the token
can read, so that their sum must equal it; the difference of the two is the remainder, which is
published as project 0.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from exporter.collect.plan.core import FILL, Cut, Plan, ProjectsReply, Reading, together, weight
from exporter.collect.plan.resolved import Subject
from exporter.collect.plan.series import confirm_access, read_attributable
from exporter.collect.plan.split import smaller
from exporter.collect.series import (
    PartedRows,
    Rows,
    Series,
    added,
    difference,
    joined,
    lesser,
    nonzero,
    sums,
    without_reason,
)
from exporter.sentry.answer import ProjectsAnswer
from exporter.sentry.errors import ForbiddenError
from exporter.sentry.question import ROW_LIMIT, Question


@dataclass(frozen=True, slots=True)
class ProjectReading(Reading):
    """A bucket by project, the remainder under 0; ``cut`` is set if it had to be split.

    ``lacking`` says that there are projects to be read that nobody has told of.
    """

    cut: Cut | None = None
    lacking: bool = False
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class References:
    """What the sums of a bucket's projects are held against.

    ``told`` is the organization's own number, read before any project. ``attributable`` is what
    the token's projects hold of it, ``None`` where that has not been read, or cannot be:
    ``is_told`` says whether the server tells it.
    """

    told: Reading
    attributable: Reading | None = None
    is_told: bool = True

    @property
    def expected(self) -> Reading:
        """What the projects have to add up to, as far as is known."""
        return self.attributable or self.told

    def remainder(self, rows: Rows) -> Rows:
        """Return what of the organization's number belongs to no project of ``rows``.

        By reason only if the reasons are known.
        """
        found = sums(rows)
        if self.attributable is not None and self.attributable.whole:
            # What came in while the projects were read is theirs, and nothing of the remainder.
            found = lesser(found, self.attributable.rows)
        if self.told.whole:
            return difference(self.told.rows, found)
        return difference(without_reason(self.told.rows), without_reason(found))


def read_projects(
    subject: Subject,
    bucket: int,
    references: References,
    projects: tuple[int, ...],
    cut: Cut | None = None,
) -> Plan[ProjectReading]:
    """Read one bucket by project and reconcile it with ``references``.

    ``projects`` are those that may be asked for in batches. ``cut`` is what the last reading
    remembered.
    """
    sampled: frozenset[int] = frozenset()
    question = subject.project_question(bucket)
    if len(subject.batches(question)) > 1:
        cut = cut or Cut(0)
    elif cut is None or cut.rows < cut.limit * FILL:
        reply: ProjectsReply
        (reply,) = yield [question]
        if isinstance(reply, ForbiddenError) and not subject.project:
            # Nobody is refused all that he can read: the token has lost its rights.
            raise reply
        # A large answer takes long to turn into rows: once for each answer.
        rows = subject.totals(reply) if isinstance(reply, ProjectsAnswer) else PartedRows({})
        if isinstance(reply, ProjectsAnswer) and _equal(rows, references.told):
            return _reading(rows, references)
        if isinstance(reply, ProjectsAnswer) and references.attributable is None:
            references = yield from _with_attributable(subject, bucket, references)
            if _projects_bound(reply) < ROW_LIMIT and not _suffices(reply, rows, references):
                # More may have come in between the two questions.
                (reply,) = yield [question]
                rows = subject.totals(reply) if isinstance(reply, ProjectsAnswer) else rows
        if isinstance(reply, ProjectsAnswer):
            if _suffices(reply, rows, references):
                return _reading(rows, references)
            sampled = reply.projects()
        if not projects:
            part = yield from _prove(subject, question, reply, references, ROW_LIMIT)
            return _unattributed(part, references)
        cut = _estimate(subject, reply, references.expected)
    everyone = tuple(sorted(sampled.union(projects)))
    return (yield from _split(subject, bucket, references, everyone, cut))


def _with_attributable(subject: Subject, bucket: int, references: References) -> Plan[References]:
    if not references.is_told:
        return references
    found = yield from read_attributable(subject, subject.bucket(bucket))
    return replace(references, attributable=found[bucket] if found else None, is_told=bool(found))


def _reading(rows: Rows, references: References) -> ProjectReading:
    return ProjectReading(
        joined(rows, references.remainder(rows)),
        references.told.whole,
        is_told=references.is_told,
    )


def _unattributed(part: "_Part", references: References) -> ProjectReading:
    """Return a bucket whose projects could not be asked for one by one."""
    rest = references.remainder(part.rows)
    whole = part.whole and references.told.whole and (references.attributable or not rest)
    return ProjectReading(joined(part.rows, rest), bool(whole), part.refused)


def _split(
    subject: Subject,
    bucket: int,
    references: References,
    projects: tuple[int, ...],
    cut: Cut,
) -> Plan[ProjectReading]:
    most = max(1, math.floor(len(projects) * FILL * cut.limit / max(cut.rows, 1)))
    batches = subject.batches(subject.project_question(bucket, projects), most)
    replies: list[ProjectsReply] = yield batches
    if any(isinstance(reply, ForbiddenError) for reply in replies):
        yield from confirm_access(subject, subject.bucket(bucket))
    parts = [_taken(subject, reply, cut.limit) for reply in replies]
    if references.attributable is None and not _agree(references.told, parts):
        references = yield from _with_attributable(subject, bucket, references)
    if not _agree(references.expected, parts):
        parts = yield from together(
            [
                _prove(subject, question, reply, references, cut.limit)
                for question, reply in zip(batches, replies, strict=True)
            ]
        )
    rows = joined(*(part.rows for part in parts))
    usual = cut.limit == ROW_LIMIT
    # Parts may be whole, and there be projects that none of them was about.
    lacking = _lacks(references, rows)
    proven = _agree(references.expected, parts) or (
        usual and not lacking and all(part.whole for part in parts)
    )
    size = min(sum(part.bound for part in parts), max(cut.rows, len(rows)))
    return ProjectReading(
        joined(rows, references.remainder(rows)),
        proven and references.told.whole,
        frozenset[int]().union(*(part.refused for part in parts)),
        replace(cut, rows=size) if usual else None,
        lacking,
        references.is_told,
    )


@dataclass(frozen=True, slots=True)
class _Part(Reading):
    """One part of a split bucket, and how many rows of the store it can stand for."""

    bound: int = 0


def _taken(subject: Subject, reply: ProjectsReply, limit: int) -> _Part:
    if not isinstance(reply, ProjectsAnswer):
        return _Part({}, whole=False)
    bound = _projects_bound(reply)
    return _Part(subject.totals(reply), bound < limit, bound=bound)


def _prove(
    subject: Subject, question: Question, reply: ProjectsReply, references: References, limit: int
) -> Plan[_Part]:
    """Return the part that ``question`` asks for, of which ``reply`` is the first answer."""
    part = _taken(subject, reply, limit)
    questions = [] if part.whole else smaller(question, reply, references.expected)
    if questions:
        replies: list[ProjectsReply] = yield questions
        parts = yield from together(
            [
                _prove(subject, one, answer, references, limit)
                for one, answer in zip(questions, replies, strict=True)
            ]
        )
        return _Part(
            joined(*(part.rows for part in parts)),
            all(part.whole for part in parts),
            frozenset[int]().union(*(part.refused for part in parts)),
            sum(part.bound for part in parts),
        )
    if isinstance(reply, ForbiddenError) and len(question.project) == 1:
        return _Part({}, whole=True, refused=frozenset(question.project))
    if not isinstance(reply, ProjectsAnswer):
        raise reply
    return part


def _lacks(references: References, rows: Rows) -> bool:
    """Tell whether the token's projects are known to hold more than ``rows``."""
    attributable = references.attributable
    if attributable is None or not attributable.whole:
        return False
    return bool(difference(attributable.rows, sums(rows)))


def _equal(rows: Rows, expected: Reading) -> bool:
    return sums(rows) == nonzero(expected.rows)


def _agree(expected: Reading, parts: Iterable[Reading]) -> bool:
    """Tell whether the sums of ``parts`` equal what is ``expected``: then nothing was lost."""
    return added(*(sums(part.rows) for part in parts)) == nonzero(expected.rows)


def _suffices(answer: ProjectsAnswer, rows: Rows, references: References) -> bool:
    """Tell whether an answer about every project, which adds up to ``rows``, is proven whole.

    Where what is attributable is not known, what a small answer lacks may be the remainder.
    """
    found, attributable = sums(rows), references.attributable
    if attributable is None:
        return _projects_bound(answer) < ROW_LIMIT
    if found == nonzero(attributable.rows):
        return True
    return _projects_bound(answer) < ROW_LIMIT and not difference(attributable.rows, found)


def _projects_bound(answer: ProjectsAnswer) -> int:
    groups = answer.totals[answer.question.fields[0]]
    return sum(weight(answer.question, by) * len(values) for by, values in groups.items())


def _estimate(subject: Subject, reply: ProjectsReply, expected: Reading) -> Cut:
    """Tell from an answer that is not whole how many rows there are.

    It is a sample: what its groups hold of the expected numbers is its share. Rows that went
    missing from an answer too small for the usual limit speak of a lower one, which cannot be
    below the number of groups that did come.
    """
    if not isinstance(reply, ProjectsAnswer):
        return Cut(ROW_LIMIT)
    rows = subject.totals(reply)
    groups = {whole: len(values) for whole, values in rows.parts.items()}
    share = _share(sums(rows), expected.rows, groups)
    bound = _projects_bound(reply)
    limit = ROW_LIMIT if bound >= ROW_LIMIT else max(1, len(reply))
    return Cut(math.ceil(min(ROW_LIMIT, bound) / share), limit)


def _share(sampled: Rows, expected: Rows, weights: Mapping[Series, int]) -> float:
    """Return which part of what is ``expected`` a sample holds, each series weighted by rows."""
    shares = {s: min(1.0, value / expected[s]) for s, value in sampled.items() if expected.get(s)}
    weighed = sum(weights[series] for series in shares)
    return sum(weights[series] * of for series, of in shares.items()) / weighed if weighed else 1.0
