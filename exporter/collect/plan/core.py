"""The planner: which questions to ask until an answer is proven whole.

Pure. A plan is a generator: it yields the questions of a round, is sent their answers in the same
order, and at the end returns what it read. An answer is proven whole

- when its sums equal those of the same question asked in a way that was not cut, or
- when the store rows behind it must be fewer than the store's limit, and nothing contradicts it.

What is not proven is asked again in smaller parts: fewer buckets, fewer projects, single outcomes,
single categories. Where the store itself refuses a question as too heavy, its parts are asked too,
and where Sentry refuses one because of a project in its filter, until that project is found.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from exporter.collect.series import Rows
from exporter.sentry.answer import By, ProjectsAnswer, SeriesAnswer
from exporter.sentry.errors import ForbiddenError, TooHeavyError
from exporter.sentry.question import ROW_LIMIT, Question

Refusal = TooHeavyError | ForbiddenError
"""What comes in place of an answer: ask for less, or not about one of these projects."""

SeriesReply = SeriesAnswer | Refusal
ProjectsReply = ProjectsAnswer | Refusal
Reply = SeriesReply | ProjectsReply

T = TypeVar("T")
# Of which kind a reply is depends on its question: whoever asks says so.
Plan = Generator[list[Question], list[Any], T]

ROWS_PER_ERROR_GROUP = 3
"""Sentry merges default, error and security rows into one ``error`` group after its query."""

FILL = 0.9
"""How much of the row limit a batch is sized to, since the number of rows is an estimate."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one bucket holds; ``whole`` if that is proven.

    ``refused`` are projects that a filter named and that Sentry does not let the token read.
    """

    rows: Rows
    whole: bool
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Cut:
    """How many rows a bucket has that had to be split, and at how many the store cuts.

    A limit below the usual one is what an answer speaks of that lost rows though it was small:
    then only sums that agree prove anything.
    """

    rows: int
    limit: int = ROW_LIMIT


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


def drive(plan: Plan[T], ask_all: Callable[[list[Question]], Sequence[Reply]]) -> T:
    """Run ``plan`` with the replies of ``ask_all``, and return what it read."""
    try:
        questions = next(plan)
        while True:
            questions = plan.send(list(ask_all(questions)))
    except StopIteration as done:
        answer: T = done.value
        return answer


def weight(question: Question, by: By) -> int:
    """Return how many rows of the store, at the most, one value of a group stands for."""
    merged = "category" in question.group_by and by.category == "error"
    return ROWS_PER_ERROR_GROUP if merged else 1
