"""Quotas of an organization with 2,000 projects and 40 teams: sums, owners and requests."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Final

import pytest

from exporter.app import Exporter
from exporter.buckets import floor
from exporter.simulator import SCALE_TOKEN, RecordedRequest, Simulator, scale_world
from tests.end_to_end.exposition import Samples, sums, values
from tests.end_to_end.stage import page, polled
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization
from tests.support.exporters import poll_due, with_settings

pytestmark = pytest.mark.slow

DAY: Final = 86400
NOW: Final = 1_790_000_000 // DAY * DAY + 12 * 3600 + 420.0
START: Final = floor(NOW, DAY) - DAY
PROJECTS: Final = 2_000
TEAMS: Final = 40
FIRST_ID: Final = 4_505_123_000_000_000
ROW_LIMIT: Final = 10_000
DELETED: Final = 50
MOVED: Final = 110
NEW_TEAM: Final = "team-5"

PRICES: Final[Mapping[str, tuple[str, str, Decimal]]] = {
    "errors": ("error", "1_000_000", Decimal("0.0002188")),
    "units": ("transaction", "0", Decimal("0.00001")),
    "spans": ("span", "500_000", Decimal("0.000002")),
    "replays": ("replay", "10_000", Decimal("0.00375")),
    "files": ("attachment", "1MB", Decimal("0.25")),
    "profiling": ("profile_duration", "0", Decimal("0.0315")),
}
"""The category, the limit and the price of each quota, the price in the unit of the bill."""
SUFFIXES: Final = {"files": "/GB", "profiling": "/h"}


def teams_of(number: int) -> tuple[str, ...]:
    """Return the teams of a project: none for each 11th, two for each 13th, else one."""
    if number % 11 == 0:
        return ()
    one, other = f"team-{number % TEAMS}", f"team-{(number + 7) % TEAMS}"
    return (one, other) if number % 13 == 0 else (one,)


def quotas() -> Iterator[Mapping[str, object]]:
    """Yield the quotas as the file writes them."""
    for name, (category, limit, price) in PRICES.items():
        suffix = SUFFIXES.get(name)
        yield {
            "name": name,
            "category": category,
            "limit": int(limit.replace("_", "")) if limit[-1].isdigit() else limit,
            "price": f"{price}{suffix}" if suffix else float(price),
        }


def quota_requests(requests: Iterable[RecordedRequest]) -> list[RecordedRequest]:
    """Return the requests about quotas of the organization: none of a query, or of a team."""
    return [
        one
        for one in requests
        if ("outcome", "accepted") in one.query and not any(map(names_a_project, one.query))
    ]


def names_a_project(parameter: tuple[str, str]) -> bool:
    """Return whether a parameter of a request names a project."""
    name, value = parameter
    return name == "project" and int(value) > 0


@dataclass
class Stage:
    """What an exporter shows at its first poll, and at the end of the hour in which a team changed.

    ``requests`` are those of the first poll, ``again`` those of the second.
    """

    sentry: Simulator
    first: Samples
    last: Samples
    requests: Sequence[RecordedRequest]
    again: Sequence[RecordedRequest]

    def used(self, project: Collection[int] | None = None) -> dict[tuple[str, ...], float]:
        """Return what Sentry has accepted of each quota, in its base unit."""
        totals = self.sentry.world.store.totals(
            1, START, NOW, at=NOW, group_by=("category",), outcome=["accepted"], project=project
        )
        return {
            (name,): totals[category,] / (1000 if name == "profiling" else 1)
            for name, (category, _, _) in PRICES.items()
        }


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Poll the quotas of 2,000 projects of 40 teams, of which 50 are deleted."""
    clock, world = Clock(NOW), scale_world(PROJECTS, 8)
    for number in range(PROJECTS):
        world.set_teams(FIRST_ID + number, teams_of(number))
    for number in range(DELETED):
        world.delete_project(FIRST_ID + number)
    entry = organization(
        slug="scale",
        token=SCALE_TOKEN,
        billing={"period": {"every": "7d", "from": "2026-09-20"}},
        quotas=[*quotas(), {"name": "own", "category": "error", "team": NEW_TEAM}],
    )
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        config = with_settings(configuration(sentry.url, entry), timeout=600.0)
        exporter = Exporter(config, clock=clock)
        first = polled(exporter, clock.now)
        world.set_teams(FIRST_ID + MOVED, [NEW_TEAM])
        asked = [len(sentry.requests)]
        for _ in range(4):
            clock.now += 900
            poll_due(exporter, clock.now)
            asked.append(len(sentry.requests))
        yield Stage(
            sentry,
            first,
            page(exporter),
            quota_requests(sentry.requests[: asked[0]]),
            quota_requests(sentry.requests[asked[0] : asked[1]]),
        )


def test_sums_are_exact(stage: Stage) -> None:
    """Use and costs over the projects equal those of the organization, to the unit and the cent."""
    used = values(stage.first, "quota_used", "quota")
    costs = values(stage.first, "quota_cost", "quota", "kind")

    assert stage.used().items() <= used.items()
    assert {quota: value for (quota,), value in used.items()} == pytest.approx(
        sums(stage.first, "quota_project_used"), abs=1e-6
    )
    assert {quota: cost for (quota, _), cost in costs.items()} == pytest.approx(
        sums(stage.first, "quota_project_cost"), abs=1e-6
    )


def test_costs(stage: Stage) -> None:
    """What exceeds the limit has its price."""
    used = values(stage.first, "quota_used", "quota")
    costs = values(stage.first, "quota_cost", "quota", "kind")

    assert {
        ("errors", "overage"): round((used["errors",] - 1_000_000) * 0.0002188, 2),
        ("units", "overage"): round(used["units",] * 0.00001, 2),
        ("spans", "overage"): round((used["spans",] - 500_000) * 0.000002, 2),
        ("replays", "overage"): round((used["replays",] - 10_000) * 0.00375, 2),
        ("files", "overage"): round((used["files",] - 10**6) / 10**9 * 0.25, 2),
        ("profiling", "overage"): round(used["profiling",] / 3600 * 0.0315, 2),
    } == pytest.approx(costs, abs=0.0051)


def test_deleted_projects_are_in_the_remainder(stage: Stage) -> None:
    """What deleted projects have used is under no project, and each other one has its own."""
    by_project = values(stage.first, "quota_project_used", "quota", "project")
    deleted = stage.used(project=range(FIRST_ID, FIRST_ID + DELETED))

    assert deleted == {(quota,): by_project[quota, ""] for (quota,) in deleted}
    assert 6 * (PROJECTS - DELETED + 1) == sum(quota != "own" for quota, _ in by_project)


def test_teams_add_up(stage: Stage) -> None:
    """The teams, and what nobody owns, have used and cost everything."""
    owners = values(stage.first, "project_info", "project", "team")
    team_of = {labels[0]: labels[1] for labels in (*owners, ("", ""))}
    by_team: dict[tuple[str, str], float] = {}
    for (quota, project), value in values(
        stage.first, "quota_project_used", "quota", "project"
    ).items():
        key = quota, team_of[project]
        by_team[key] = by_team.get(key, 0) + value
    unowned = [number for number in range(DELETED, PROJECTS) if len(teams_of(number)) != 1]

    assert {f"team-{number}" for number in range(TEAMS)} | {""} == {team for _, team in by_team}
    assert len(unowned) == sum(not team for _, team in owners)
    assert values(stage.first, "quota_used", "quota")["errors",] == sum(
        value for (quota, _), value in by_team.items() if quota == "errors"
    )


@pytest.mark.parametrize("poll", ["first", "second"])
def test_requests(stage: Stage, poll: str) -> None:
    """Two have the quotas, and as few as the row limit allows, and two, have the projects."""
    by_project = values(stage.first, "quota_project_used", "quota", "project")
    rows = sum(project != "" and quota != "own" for quota, project in by_project)
    requests = stage.requests if poll == "first" else stage.again
    with_series = [one for one in requests if ("groupBy", "project") not in one.query]

    assert rows > ROW_LIMIT
    assert len(requests) <= 2 + ceil(rows / ROW_LIMIT) + 2
    # The third one has what the projects that can be read have together.
    assert 3 == len(with_series)


def test_a_project_changes_its_team(stage: Stage) -> None:
    """Within an hour it counts for its new team, with all that it has used in the period."""
    project = f"project-{MOVED:05d}"
    owners = [
        values(samples, "project_info", "project", "team") for samples in (stage.first, stage.last)
    ]
    used = values(stage.last, "quota_project_used", "quota", "project")

    assert [(project, ""), (project, NEW_TEAM)] == [
        next(labels for labels in one if labels[0] == project) for one in owners
    ]
    assert ("own", project) not in values(stage.first, "quota_project_used", "quota", "project")
    assert 0 < used["own", project] == used["errors", project]
