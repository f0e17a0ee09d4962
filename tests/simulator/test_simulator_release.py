"""Older releases of Sentry: what they do not have, and what they do differently."""

from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator import Release, Row, World
from exporter.simulator.application import Application
from exporter.simulator.messages import Answer, Request

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR + 600.0


def get(
    world: World, release: Release, *, name: str = "acme", endpoint: str = "stats_v2", **period: Any
) -> Answer:
    """Return the answer of a server of ``release``."""
    application = Application(world, lambda: NOW, lambda _: None, rate_limit=None, release=release)
    period = period or {"statsPeriod": "1h"}
    query = {"field": "sum(quantity)", "category": "error", "interval": "1h", **period}
    path = f"/api/0/organizations/{name}/{endpoint}/"
    headers = {"authorization": "Bearer right"}
    return application.reply(Request("GET", path, urlencode(query), headers)).answer


@pytest.mark.parametrize(("release", "status"), [(Release(21, 3), 404), (Release(21, 4), 200)])
def test_stats_v2_exists_since_21_4(world: World, release: Release, status: int) -> None:
    """Before 21.4, stats_v2 is an unknown route; the projects list exists."""
    assert status == get(world, release).status
    assert 200 == get(world, release, endpoint="projects").status


@pytest.mark.parametrize(("release", "status"), [(Release(24, 4), 404), (Release(24, 5), 200)])
@pytest.mark.parametrize("endpoint", ["stats_v2", "projects"])
def test_paths_accept_ids_since_24_5(
    world: World, release: Release, endpoint: str, status: int
) -> None:
    """Before 24.5, an organization's id in a path is a 404."""
    assert status == get(world, release, name="1", endpoint=endpoint).status
    assert 200 == get(world, release, endpoint=endpoint).status


@pytest.mark.parametrize(("release", "buckets"), [(Release(22, 12), 3), (Release(23, 1), 2)])
def test_the_end_was_inclusive_before_23_1(world: World, release: Release, buckets: int) -> None:
    """An end on the hour includes one more bucket in an old release."""
    end = NOW // HOUR * HOUR
    world.add_rows(Row(1, 11, "error", "accepted", None, end + 60))
    document = get(world, release, start=end - 2 * HOUR, end=end).document()

    assert buckets == len(document["intervals"])
    assert buckets - 2 == document["groups"][0]["totals"]["sum(quantity)"]


@pytest.mark.parametrize("period", [{"end": NOW - 601}, {"statsPeriod": "2h"}])
def test_other_ranges_are_the_same_in_all_releases(world: World, period: dict[str, Any]) -> None:
    """An end within an hour, and a period, have the same buckets in old releases."""
    period = {"start": NOW - 600 - 2 * HOUR, **period}
    old, new = (get(world, release, **period) for release in (Release(22, 12), Release(25, 1)))

    assert new.document()["intervals"] == old.document()["intervals"]
