"""What the organizations of these tests have at their simulated Sentry, each of them the same."""

from typing import Final

from exporter.simulator import Organization, Plan, Project, Row, Subscription, Token, World
from exporter.simulator.plans import Category
from tests.end_to_end.stage import moment

START: Final = moment("2026-03-02T00:06:00Z")
"""When the exporter starts: the period of the plan has begun the day before."""

ORGANIZATIONS: Final = ("healthy", "stats", "lists", "plans")
"""One without faults, and those whose stats, projects and plan are broken."""

PROJECTS: Final = 12
HOUR: Final = 3600
LIMIT: Final = 700_000
"""Of the transactions that are reserved by the plan; the file has another limit."""

_DAYS: Final = 4
_OUTCOMES: Final = (("accepted", None), ("filtered", "web-crawlers"))


def token_of(slug: str) -> str:
    """Return the token of an organization."""
    return f"sntryu_opens-nothing-of-{slug}-0123456789abcdef"


def world() -> World:
    """Return the organizations, with rows of several days, some of them in the future."""
    ids = {slug: number for number, slug in enumerate(ORGANIZATIONS, 1)}
    plan = Plan({"transactions": Category(LIMIT)}, budget=5_000)
    made = World(
        [Organization(number, slug) for slug, number in ids.items()],
        [
            Project(100 * number + project, number, f"{slug}-{project}", "python")
            for slug, number in ids.items()
            for project in range(PROJECTS)
        ],
        tokens=[Token(token_of(slug), organization=number) for slug, number in ids.items()],
        subscriptions={number: Subscription(plan) for number in ids.values()},
    )
    made.add_rows(*(row for number in ids.values() for row in _rows(number)))
    return made


def _rows(organization: int) -> list[Row]:
    first = int(START) // HOUR * HOUR - 24 * HOUR
    return [
        Row(
            organization,
            100 * organization + project,
            "transaction",
            outcome,
            reason,
            first + hour * HOUR + 60 * project + 600,
            1 + (hour * 7 + project * 3 + len(outcome)) % 50,
        )
        for hour in range(24 * (_DAYS + 1))
        for project in range(PROJECTS)
        for outcome, reason in _OUTCOMES
    ]
