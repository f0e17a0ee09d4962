"""Plans: which questions to ask until an answer is proven complete. Pure.

A plan is a generator: it yields the questions of a round, is sent their replies in the same order,
and at the end returns what it read. An answer is proven complete

- when its sums equal those of a proven answer to the same question asked in another way, or
- when the store rows behind it must be fewer than the store's limit, and nothing contradicts it.

What is not proven is asked again in smaller parts: fewer buckets, fewer projects, single outcomes,
single categories. Where the store refuses a question as too heavy, its parts are asked too, and
where Sentry refuses one because of a project in its filter, until that project is identified.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from exporter.sentry.answer import By, ProjectsAnswer, SeriesAnswer
from exporter.sentry.errors import Refusal
from exporter.sentry.question import ROW_LIMIT, Question

SeriesReply = SeriesAnswer | Refusal
ProjectsReply = ProjectsAnswer | Refusal
Reply = SeriesReply | ProjectsReply

T = TypeVar("T")
# The question determines the reply's type, which a generator cannot express: annotate at the call.
Plan = Generator[list[Question], list[Any], T]

ROWS_PER_ERROR_GROUP: Final = 3
"""Sentry merges default, error and security rows into one ``error`` group after its query."""

FILL: Final = 0.9
"""How much of the row limit a batch is sized to, since the number of rows is an estimate."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How many rows a bucket has that had to be split, and at how many the store cuts.

    A limit below the usual one is inferred from a small answer that had lost rows. With such a
    limit, only sums that agree prove anything.
    """

    rows: int
    limit: int = ROW_LIMIT


@dataclass(frozen=True, slots=True)
class Hints:
    """What a plan learns for the ones after it.

    ``cut`` is set where a bucket had to be split. ``tells_attributable`` says that the server
    answers what the token's projects hold together, ``unlisted`` that the token can read projects
    that the projects list did not have.
    """

    cut: Cut | None = None
    tells_attributable: bool = True
    unlisted: bool = False


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
    """Return how many rows of the store one value of a group stands for at most."""
    # Without a grouping by category the three are one row: then the store adds them up itself.
    merged = "category" in question.group_by and by.category == "error"
    return ROWS_PER_ERROR_GROUP if merged else 1
