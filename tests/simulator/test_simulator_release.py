"""Older releases of Sentry: what they do not have, and what they do differently."""

from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator import Release, Row, World
from exporter.simulator.application import Application
from exporter.simulator.messages import Answer, Request

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 600.0


def ask(
    world: World, release: Release, *, name: str = "acme", endpoint: str = "stats_v2", **asked: Any
) -> Answer:
    """Return the answer of a server of ``release``."""
    application = Application(world, lambda: NOW, lambda _: None, rate_limit=None, release=release)
    period = asked or {"statsPeriod": "1h"}
    query = {"field": "sum(quantity)", "category": "error", "interval": "1h", **period}
    path = f"/api/0/organizations/{name}/{endpoint}/"
    headers = {"authorization": "Bearer right"}
    return application.reply(Request("GET", path, urlencode(query), headers)).answer


@pytest.mark.parametrize(("release", "status"), [(Release(21, 3), 404), (Release(21, 4), 200)])
def test_stats_came_with_21_4(world: World, release: Release, status: int) -> None:
    """Before, the endpoint is no route; the projects list is."""
    assert status == ask(world, release).status
    assert 200 == ask(world, release, endpoint="projects").status


@pytest.mark.parametrize(("release", "status"), [(Release(24, 4), 404), (Release(24, 5), 200)])
@pytest.mark.parametrize("endpoint", ["stats_v2", "projects"])
def test_ids_in_paths_came_with_24_5(
    world: World, release: Release, endpoint: str, status: int
) -> None:
    """Before, an organization is found by its slug only."""
    assert status == ask(world, release, name="1", endpoint=endpoint).status
    assert 200 == ask(world, release, endpoint=endpoint).status


@pytest.mark.parametrize(("release", "buckets"), [(Release(22, 12), 3), (Release(23, 1), 2)])
def test_an_end_was_inclusive(world: World, release: Release, buckets: int) -> None:
    """An old server moves an end on the hour by a second, and so counts the bucket after it."""
    end = NOW // HOUR * HOUR
    world.add_rows(Row(1, 11, "error", "accepted", None, end + 60))
    document = ask(world, release, start=end - 2 * HOUR, end=end).document()

    assert buckets == len(document["intervals"])
    assert buckets - 2 == document["groups"][0]["totals"]["sum(quantity)"]


@pytest.mark.parametrize("asked", [{"end": NOW - 601}, {"statsPeriod": "2h"}])
def test_other_ends_mean_the_same_everywhere(world: World, asked: dict[str, Any]) -> None:
    """A last second of an hour is in no other bucket, and no second is added to a period."""
    period = {"start": NOW - 600 - 2 * HOUR, **asked}
    old, new = (ask(world, release, **period) for release in (Release(22, 12), Release(25, 1)))

    assert new.document()["intervals"] == old.document()["intervals"]
