"""What the rules of the dashboards would have recorded."""

import pytest

from exporter.backfill.recorded import (
    FAMILIES,
    PROJECTS,
    TOTALS,
    VOLUMES,
    is_recorded,
    recorded,
    volumes_of,
)
from exporter.backfill.times import HOUR, Job
from exporter.buckets import Window
from exporter.categories import OUTCOMES
from exporter.config import Query
from tests.support.rows import NOON, series
from tests.support.settings import organization, query

BY_PROJECT = query("project", "category", "outcome", "reason")
ACCEPTED = series(reason="none").series
INVALID = series(outcome="invalid", reason="cors").series
PLACES = {(ACCEPTED, "web"): [0], (ACCEPTED, "api"): [1], (INVALID, "web"): [2]}


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        ("accepted", "none", {"submitted", "accepted"}),
        ("filtered", "web-crawlers", {"submitted", "filtered"}),
        ("rate_limited", "key_quota", {"submitted", "dropped"}),
        ("client_discard", "ratelimit_backoff", {"submitted", "dropped"}),
        ("client_discard", "sample_rate", {"discarded"}),
    ],
)
def test_volumes(outcome: str, reason: str, expected: set[str]) -> None:
    """The volumes are those of the dashboards."""
    assert expected == set(volumes_of(outcome, reason))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_a_volume(outcome: str) -> None:
    """No outcome is in no volume."""
    assert set(volumes_of(outcome, "some"))


def test_sums() -> None:
    """Each family adds the values of other places."""
    by_family = [recorded(family, PLACES, "events") for family in FAMILIES]

    assert (PROJECTS, VOLUMES, TOTALS) == FAMILIES
    assert [3, 5, 2] == list(map(len, by_family))
    assert [0, 1] == by_family[2]["transaction", "accepted", "none", "events"]
    assert [0, 2] == by_family[1]["transaction", "web", "events", "submitted"]
    assert [2] == by_family[0]["transaction", "invalid", "cors", "web", "events"]


@pytest.mark.parametrize(
    ("asked", "interval", "expected"),
    [
        (BY_PROJECT, HOUR, True),
        (query(), HOUR, False),
        (BY_PROJECT, 24 * HOUR, False),
        (BY_PROJECT.model_copy(update={"interval": 6 * HOUR}), 6 * HOUR, False),
    ],
)
def test_hours_by_project_are_recorded(asked: Query, interval: int, expected: bool) -> None:  # noqa: FBT001
    """The rules record nothing else."""
    window = Window(NOON, NOON + interval, interval)

    assert expected == is_recorded(Job(0, organization(), asked, window))
