"""Reading one bucket by project, reconciled with the same question without project. Pure, a plan.

The projects have two references. The organization total counts every project, deleted and
inaccessible ones too. What is attributable counts just those that the token can read, so that their
sum must equal it; the difference of the two is the remainder, which is published without project.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from exporter.collect.plan.core import (
    FILL,
    Cut,
    Hints,
    Plan,
    ProjectsReply,
    together,
)
from exporter.collect.plan.proof import References, agrees, projects_bound, sampled_share
from exporter.collect.plan.resolved import ResolvedQuery
from exporter.collect.plan.series import confirm_access, read_attributable
from exporter.collect.plan.split import smaller
from exporter.collect.series import (
    Reading,
    Rows,
    Series,
    added,
    added_readings,
    joined,
    refused_projects,
    totals,
)
from exporter.sentry.answer import ProjectsAnswer
from exporter.sentry.errors import ForbiddenError
from exporter.sentry.question import ROW_LIMIT, Question


def read_projects(
    query: ResolvedQuery,
    bucket: int,
    references: References,
    projects: tuple[int, ...],
    cut: Cut | None = None,
) -> Plan[tuple[Reading, Hints]]:
    """Read one bucket by project, the remainder under `NO_PROJECT`.

    ``projects`` are those that may be asked for in batches. ``cut`` is what the last reading
    learned of splitting.
    """
    sampled: frozenset[int] = frozenset()
    question = query.project_question(bucket)
    if _fits(query, question, cut):
        reply, rows, references = yield from _read_at_once(query, question, references)
        if rows is not None:
            return _reading(rows, references)
        if not projects:
            part = yield from _prove(query, question, reply, references, ROW_LIMIT)
            return _without_projects(part, references)
        if isinstance(reply, ProjectsAnswer):
            sampled = reply.projects()
        cut = _estimate(query, reply, references.expected)
    everyone = tuple(sorted(sampled.union(projects)))
    return (yield from _split(query, bucket, references, everyone, cut or Cut(0)))


def first_round(
    query: ResolvedQuery, bucket: int, projects: tuple[int, ...], cut: Cut | None = None
) -> list[Question]:
    """Return what `read_projects` asks in any case: all that it asks, if it is proven by that.

    The arguments are the same.
    """
    question = query.project_question(bucket)
    if _fits(query, question, cut):
        return [question]
    return _batches(query, bucket, tuple(sorted(projects)), cut or Cut(0))


def _fits(query: ResolvedQuery, question: Question, cut: Cut | None) -> bool:
    """Return whether to ask about all projects in one question.

    A bucket that did not fit the last time is split at once, which saves the question for all.
    """
    if len(query.batches(question)) > 1:
        return False
    return cut is None or cut.rows < cut.limit * FILL


def _batches(
    query: ResolvedQuery, bucket: int, projects: tuple[int, ...], cut: Cut
) -> list[Question]:
    # As many projects as have a limit's worth of rows, if all have as many as the average.
    size = max(1, math.floor(len(projects) * FILL * cut.limit / max(cut.rows, 1)))
    return query.batches(query.project_question(bucket, projects), size)


def _read_at_once(
    query: ResolvedQuery, question: Question, references: References
) -> Plan[tuple[ProjectsReply, Rows | None, References]]:
    """Ask about all projects in one question.

    Returns the reply, its rows if there is nothing to prove about them any more, and the
    references.
    """
    reply: ProjectsReply
    (reply,) = yield [question]
    if isinstance(reply, ForbiddenError) and not query.project:
        # Nobody is refused all that he can read: the token has lost its rights.
        raise reply.copied()
    if not isinstance(reply, ProjectsAnswer):
        return reply, None, references
    # A large answer takes long to turn into rows and sums: once for each answer.
    rows = query.rows(reply)
    sums = totals(rows)
    # No remainder, so nothing to attribute; whether it is proven depends on the total alone.
    if sums == totals(references.total.rows):
        return reply, rows, references
    if references.attributable is None:
        references = yield from _with_attributable(query, question.window.start, references)
        if projects_bound(reply) < ROW_LIMIT and not references.prove(reply, sums):
            # Events may have come in between the two questions.
            (reply,) = yield [question]
            if not isinstance(reply, ProjectsAnswer):
                return reply, None, references
            rows = query.rows(reply)
            sums = totals(rows)
    return reply, rows if references.prove(reply, sums) else None, references


def _with_attributable(
    query: ResolvedQuery, bucket: int, references: References
) -> Plan[References]:
    if not references.tells_attributable:
        return references
    read = yield from read_attributable(query, query.bucket(bucket))
    attributable = added_readings(read.values()) if read else None
    return replace(references, attributable=attributable, tells_attributable=bool(read))


def _reading(rows: Rows, references: References) -> tuple[Reading, Hints]:
    return (
        Reading(joined(rows, references.remainder(totals(rows))), references.total.proven),
        Hints(tells_attributable=references.tells_attributable),
    )


def _without_projects(part: Reading, references: References) -> tuple[Reading, Hints]:
    """Return a bucket whose projects could not be asked for one by one."""
    sums = totals(part.rows)
    proven = part.proven and references.total.proven and references.allows(sums)
    return (
        Reading(joined(part.rows, references.remainder(sums)), proven, refused=part.refused),
        Hints(tells_attributable=references.tells_attributable),
    )


def _split(
    query: ResolvedQuery,
    bucket: int,
    references: References,
    projects: tuple[int, ...],
    cut: Cut,
) -> Plan[tuple[Reading, Hints]]:
    batches = _batches(query, bucket, projects, cut)
    replies: list[ProjectsReply] = yield batches
    if any(isinstance(reply, ForbiddenError) for reply in replies):
        yield from confirm_access(query, query.bucket(bucket))
    parts = [_part(query, reply, cut.limit) for reply in replies]
    sums = _sums(parts)
    if references.attributable is None and not agrees(references.total, sums):
        references = yield from _with_attributable(query, bucket, references)
    # Only where the sums disagree: equal sums prove all parts at once, however many rows they have.
    if not agrees(references.expected, sums):
        parts = yield from together(
            [
                _prove(query, question, reply, references, cut.limit)
                for question, reply in zip(batches, replies, strict=True)
            ]
        )
    return _together(parts, references, cut)


def _together(parts: Sequence[Reading], references: References, cut: Cut) -> tuple[Reading, Hints]:
    """Return the reading that ``parts`` make, and how many rows to expect the next time."""
    rows, sums = joined(*(part.rows for part in parts)), _sums(parts)
    usual = cut.limit == ROW_LIMIT
    # Each part may be complete, and there be projects that none of them was about.
    proven = agrees(references.expected, sums) or (
        usual and references.allows(sums) and all(part.proven for part in parts)
    )
    # The bound counts an error group three times: no fewer than arrived, no more than was expected.
    arrived = sum(map(len, rows.values()))
    expected = min(sum(part.bound for part in parts), max(cut.rows, arrived))
    return (
        Reading(
            joined(rows, references.remainder(sums)),
            proven and references.total.proven,
            refused=refused_projects(parts),
        ),
        Hints(
            replace(cut, rows=expected) if usual else None,
            references.tells_attributable,
            references.lacks(sums),
        ),
    )


def _part(query: ResolvedQuery, reply: ProjectsReply, limit: int) -> Reading:
    """Return what a reply about some projects holds, and how many rows stand behind it at most."""
    if not isinstance(reply, ProjectsAnswer):
        return Reading({}, proven=False)
    bound = projects_bound(reply)
    return Reading(query.rows(reply), bound < limit, bound=bound)


def _prove(
    query: ResolvedQuery,
    question: Question,
    reply: ProjectsReply,
    references: References,
    limit: int,
) -> Plan[Reading]:
    """Return the part that ``question`` asks for, of which ``reply`` is the first answer."""
    part = _part(query, reply, limit)
    questions = [] if part.proven else smaller(question, reply, references.expected)
    if questions:
        replies: list[ProjectsReply] = yield questions
        parts = yield from together(
            [
                _prove(query, one, answer, references, limit)
                for one, answer in zip(questions, replies, strict=True)
            ]
        )
        return Reading(
            joined(*(part.rows for part in parts)),
            all(part.proven for part in parts),
            refused=refused_projects(parts),
            bound=sum(part.bound for part in parts),
        )
    if isinstance(reply, ForbiddenError) and len(question.project) == 1:
        return Reading({}, refused=frozenset(question.project))
    if not isinstance(reply, ProjectsAnswer):
        raise reply.copied()
    return part


def _sums(parts: Sequence[Reading]) -> dict[Series, int]:
    return added(*(totals(part.rows) for part in parts))


def _estimate(query: ResolvedQuery, reply: ProjectsReply, expected: Reading) -> Cut:
    """Return how many rows there are, estimated from an answer that is not complete.

    The answer is a sample: what its groups hold of the expected numbers is its share. Rows that are
    missing from an answer too small for the usual limit mean a lower limit, which cannot be below
    the number of groups that did arrive.
    """
    if not isinstance(reply, ProjectsAnswer):
        # Refused as too heavy, its size is unknown: as many rows make `_split` divide it.
        return Cut(ROW_LIMIT)
    share = sampled_share(query.rows(reply), totals(expected.rows))
    bound = projects_bound(reply)
    limit = ROW_LIMIT if bound >= ROW_LIMIT else max(1, len(reply))
    return Cut(math.ceil(min(ROW_LIMIT, bound) / share), limit)
