"""A Sentry in memory, as the poller's client."""

from collections.abc import Mapping, Sequence

from exporter.collect.plan.core import Reply
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import Question
from tests.support.rows import API, WEB
from tests.support.store import Row, Store


def listed(
    *projects: int, hidden: Sequence[int] = (), slugs: Mapping[int, str] | None = None
) -> ProjectList:
    """Return a list of readable ``projects`` and of ``hidden`` ones; ids make up other slugs."""
    named = slugs or {}
    return ProjectList.of(
        Project(number, named.get(number, f"project-{number}"), "python", number not in hidden)
        for number in (*projects, *hidden)
    )


class Sentry:
    """A client that answers from a store and a list of projects, or fails with ``error``."""

    def __init__(self, rows: Sequence[Row] = (), projects: ProjectList | None = None) -> None:
        self.store = Store(list(rows))
        self.listing = projects or listed(WEB, API)
        self.status = ApiStatus()
        self.token = "first"
        self.refuses: frozenset[int] = frozenset()
        self.error: Exception | None = None
        self.listing_error: Exception | None = None
        self.listings = 0

    @property
    def asked(self) -> list[Question]:
        """The questions that came."""
        return self.store.asked

    def add(self, *rows: Row) -> None:
        """Let ``rows`` arrive."""
        self.store.rows = [*self.store.rows, *rows]

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Answer ``questions``."""
        if self.error is not None:
            raise self.error
        return [self.reply(question) for question in questions]

    def reply(self, question: Question) -> Reply:
        """Answer ``question``."""
        self.store.readable = self.listing.accessible - self.refuses
        return self.store.reply(question)

    def credentials(self) -> str:
        """Return what changes with the token."""
        return self.token

    def projects(self) -> ProjectList:
        """Return the projects."""
        self.listings += 1
        if self.listing_error is not None:
            raise self.listing_error
        return self.listing
