"""The requests that ``check`` expects, compared with those of an exporter."""

from collections.abc import Iterator
from statistics import mode
from typing import Any

import pytest

from exporter.app import Exporter
from exporter.check import check_online
from exporter.check.report import Requests
from exporter.simulator import Organization, Project, Row, Simulator, Token, TokenKind, World
from tests.support.clock import Clock
from tests.support.configuration import configuration
from tests.support.exporters import poll_due

HOUR, DAY = 3600, 86400
BEGIN = 1_790_000_000 // DAY * DAY + 1000.0
TOKEN = "a-token"
OUTCOMES = {"name": "outcomes", "groupBy": ["category", "outcome"]}
PROJECTS = {"name": "projects", "groupBy": ["project", "category", "outcome"]}


def world(projects: int, *, deleted: int = 0) -> World:
    """Return an organization with an event of each project in every five minutes, none late."""
    ids = range(1, projects + deleted + 1)
    made = World(
        [Organization(1, "acme")],
        [Project(number, 1, f"project-{number}") for number in ids],
        tokens=[Token(TOKEN, TokenKind.INTEGRATION, 1)],
    )
    moments = range(int(BEGIN) - 2 * DAY, int(BEGIN) + DAY + HOUR, 300)
    made.add_rows(
        *(
            Row(1, project, "error", "accepted", None, moment)
            for project in ids
            for moment in moments
        )
    )
    for number in range(deleted):
        made.delete_project(number + 1)
    return made


def expected(sentry: Simulator, query: dict[str, Any], clock: Clock) -> Requests:
    """Return what ``check`` says of a query's requests."""
    config = configuration(sentry.url, {"slug": "acme", "token": TOKEN, "queries": [query]})
    ((organization, _),) = check_online(config, clock)
    (report,) = organization.queries
    assert report.data is not None
    return report.data.requests


def polled(sentry: Simulator, query: dict[str, Any], clock: Clock) -> tuple[int, int, int]:
    """Return the requests of an exporter: of its first poll, of a usual one, and of a day."""
    config = configuration(sentry.url, {"slug": "acme", "token": TOKEN, "queries": [query]})
    exporter = Exporter(config, clock=clock)
    (poller,) = exporter.queries
    first = poller.poll(clock.now).requests
    poll_due(exporter, clock.now)
    counts = list(counted(exporter, sentry, clock))
    return first, mode(counts), sum(counts)


def counted(exporter: Exporter, sentry: Simulator, clock: Clock) -> Iterator[int]:
    """Poll for a day, and yield the requests to stats_v2 of each poll."""
    (poller,) = exporter.queries
    for moment in range(int(clock.now), int(clock.now) + DAY, 60):
        clock.now = moment
        if poller.due(moment):
            before = len(sentry.requests)
            poll_due(exporter, moment)
            yield sum("stats_v2" in one.path for one in sentry.requests[before:])


@pytest.mark.slow
@pytest.mark.parametrize("deleted", [0, 2])
@pytest.mark.parametrize("poll_interval", ["15m", "1h"])
@pytest.mark.parametrize("query", [OUTCOMES, PROJECTS], ids=lambda query: query["name"])
def test_requests(query: dict[str, Any], poll_interval: str, deleted: int) -> None:
    """Without late data, the requests are those of an exporter."""
    clock = Clock(BEGIN)
    query = {**query, "poll_interval": poll_interval}
    with Simulator(world(5, deleted=deleted), clock=clock, rate_limit=None) as sentry:
        said = expected(sentry, query, clock)
        first, usual, day = polled(sentry, query, clock)
    # Every poll reads the running bucket, or if it is as rare as buckets, the one that has ended.
    ended = 0 if poll_interval == "1h" else 24
    expected_day = said.day + ended * said.changed_bucket

    assert (said.first_poll, said.poll) == (first, usual)
    # The first of these polls may come before anything has changed.
    assert 0 <= expected_day - day < said.poll


def test_an_answer_that_is_split() -> None:
    """A later poll reads in parts what the first one had to split."""
    clock = Clock(BEGIN)
    with Simulator(world(9), clock=clock, rate_limit=None, row_limit=4) as sentry:
        said = expected(sentry, PROJECTS, clock)

    assert said.first_poll > said.poll > 2
    assert said.day == 24 * said.poll
    assert said.changed_bucket > 1
