"""Settings as tests write them: an organization and its queries, by default the usual ones."""

from typing import Any, Final

from exporter.config import Organization, Query
from tests.support.rows import NOON

SETTLE: Final = 300
NOW: Final = NOON + SETTLE
"""A slot: the hour before `NOON` has just finished, the one that begins there is running."""


def query(*group_by: str, **settings: Any) -> Query:
    """Return a query, by category and outcome unless ``settings`` say otherwise."""
    by_default = Query.model_validate({"name": "outcomes", "groupBy": ["category", "outcome"]})
    return by_default.model_copy(update={"group_by": group_by} | settings if group_by else settings)


def organization(**settings: Any) -> Organization:
    """Return an organization as the configuration has it by default."""
    by_default = Organization.model_validate(
        {"slug": "acme", "url": "https://sentry.example", "token": "opens-nothing"}
    )
    return by_default.model_copy(update=settings)
