"""A store of outcome rows that answers questions as Sentry does, cut included."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeVar

from exporter.collect.plan.core import Plan, Reply
from exporter.sentry.answer import By, Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.errors import ForbiddenError, TooHeavyError
from exporter.sentry.question import ATTRIBUTABLE, ROW_LIMIT, Question

T = TypeVar("T")

MERGED = {"default": "error", "security": "error"}


class Row(NamedTuple):
    """One row of the store, hourly rolled up: ``category`` as stored."""

    project: int
    category: str
    outcome: str
    reason: str
    bucket: int
    quantity: int


class _Group(NamedTuple):
    """A row of what the store returns: ``by`` with the category as stored."""

    by: By
    project: int
    bucket: int


@dataclass
class Store:
    """Rows, at how many an answer is cut, and the questions that were asked.

    ``readable`` are the projects that may be read, ``None`` for all. An ``old`` server refuses the
    question what they hold together. Of each group, the total is above the sum of its series by
    ``disagreement``.
    """

    rows: Sequence[Row]
    limit: int = ROW_LIMIT
    project_limit: int = ROW_LIMIT
    refuse_over: int = 1 << 62
    readable: frozenset[int] | None = None
    old: bool = False
    disagreement: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self.asked: list[Question] = []

    def reply(self, question: Question) -> Reply:
        """Answer ``question``."""
        self.asked.append(question)
        if self._forbids(question):
            return ForbiddenError(403, "You do not have permission to perform this action.")
        everyone = frozenset(row.project for row in self.rows)
        readable = everyone if self.readable is None else self.readable
        counted = readable if -1 in question.project else frozenset(question.project) or everyone
        rows = [row for row in self.rows if row.project in counted and _matches(row, question)]
        if len(rows) > self.refuse_over:
            return TooHeavyError(429, "Rate limit exceeded.")
        picker = random.Random(f"{self.seed} {question}")
        limit = min(self.limit, self.project_limit if "project" in question.group_by else ROW_LIMIT)
        grouped = _grouped(rows, question, by_bucket=False)
        totals = picker.sample(list(grouped.items()), min(len(grouped), limit))
        if "project" in question.group_by:
            return _projects(question, totals)
        grouped = _grouped(rows, question, by_bucket=True)
        series = picker.sample(list(grouped.items()), min(len(grouped), limit))
        return _series(question, totals, series, self.disagreement)

    def _forbids(self, question: Question) -> bool:
        if question.project == ATTRIBUTABLE:
            return self.old
        named = set(question.project) - {-1}
        return self.readable is not None and not named <= self.readable

    def run(self, plan: Plan[T]) -> T:
        """Answer all that ``plan`` wants to know, and return what it makes of it."""
        try:
            questions = next(plan)
            while True:
                questions = plan.send([self.reply(question) for question in questions])
        except StopIteration as done:
            result: T = done.value
            return result


def _matches(row: Row, question: Question) -> bool:
    window = question.window
    return (
        window.start <= row.bucket < window.end
        and (not question.category or MERGED.get(row.category, row.category) in question.category)
        and (not question.outcome or row.outcome in question.outcome)
        and (question.reason is None or row.reason == question.reason)
    )


def _grouped(rows: Sequence[Row], question: Question, *, by_bucket: bool) -> dict[_Group, int]:
    """Return what the store returns: stored categories apart, merged only afterwards."""
    sums: dict[_Group, int] = defaultdict(int)
    start, interval = question.window.start, question.window.interval
    by_project = "project" in question.group_by
    for row in rows:
        by = _by(question.group_by, row.category, row.outcome, row.reason)
        bucket = start + (row.bucket - start) // interval * interval if by_bucket else 0
        sums[_Group(by, row.project if by_project else 0, bucket)] += row.quantity
    return sums


@cache
def _by(group_by: Sequence[str], category: str, outcome: str, reason: str) -> By:
    values = {"category": category, "outcome": outcome, "reason": reason}
    return By(**{key: values[key] for key in group_by if key != "project"})


def _series(
    question: Question,
    totals: Sequence[tuple[_Group, int]],
    series: Sequence[tuple[_Group, int]],
    disagreement: int,
) -> SeriesAnswer:
    starts = list(question.window.buckets())
    merged_totals: dict[By, int] = defaultdict(int)
    merged_series: dict[By, list[int]] = defaultdict(lambda: [0] * len(starts))
    for group, value in totals:
        merged_totals[_merge(group.by)] += value
    for group, value in series:
        merged_series[_merge(group.by)][starts.index(group.bucket)] += value
    groups = [
        Group(by, (merged_totals[by] + disagreement,), (merged_series[by],))
        for by in list({**merged_totals, **merged_series})
    ]
    return SeriesAnswer(question, tuple(groups))


def _projects(question: Question, totals: Sequence[tuple[_Group, int]]) -> ProjectsAnswer:
    merged: dict[By, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for group, value in totals:
        merged[_merge(group.by)][group.project] += value
    return ProjectsAnswer(question, dict.fromkeys(question.fields, merged))


@cache
def _merge(by: By) -> By:
    return by._replace(category=MERGED.get(by.category, by.category))
