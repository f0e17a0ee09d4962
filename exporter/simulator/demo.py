"""The world of the demo: the organizations ``acme`` and ``globex``, with a realistic history."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from exporter.simulator.demo_plans import acme_subscription, globex_subscription
from exporter.simulator.demo_projects import ACME, ACME_TEAMS, QUIET, globex_projects, size_of
from exporter.simulator.demo_series import limit_series, series_of
from exporter.simulator.episodes import Episode
from exporter.simulator.limited import LimitedTraffic
from exporter.simulator.scenarios import (
    Scenario,
    episodes_of_hour,
    scenario_episodes,
    scenario_episodes_everywhere,
)
from exporter.simulator.series import Series
from exporter.simulator.store import Store
from exporter.simulator.traffic import Traffic
from exporter.simulator.world import (
    Member,
    Organization,
    Project,
    ProjectStatus,
    Token,
    TokenKind,
    World,
)

DEMO_TOKENS: Final = {
    "acme": "demo-token-acme",
    "globex": "demo-token-globex",
    "both": "demo-token-user",
    "useless": "sntrys_demo",
}
"""An integration token per organization, a user's token for both, and one that is refused."""

_ACME: Final = Organization(1, "acme")
_GLOBEX: Final = Organization(2, "globex")
# As large as the ids of sentry.io, which need more than 32 bits.
_FIRST_ACME_PROJECT: Final = 4_505_123_000_000_000
_FIRST_GLOBEX_PROJECT: Final = 4_505_123_001_000_000
_USER: Final = "demo"


def demo_world(
    now: float, *, projects: int = 150, scenario: Scenario = "steady", seed: int = 1
) -> World:
    """Return the world of the demo, in which ``scenario`` begins soon after ``now``.

    The organization ``acme`` has a dozen projects, ``globex`` has ``projects``. The faults of a
    scenario are not part of the world: see `scenario_faults`.
    """
    acme, globex = _acme_projects(), _globex_projects(projects)
    acme_ids = {project.slug: project.id for project in acme}
    # There is no episode in which a quota is spent: the plan of acme has too little volume.
    episodes = () if scenario == "quota" else scenario_episodes(scenario, now, acme_ids)
    acme_traffic = _traffic(seed, _ACME, acme, episodes)
    subscription = acme_subscription(scenario, now, acme_traffic)
    if scenario == "quota":
        # Only here: otherwise it is never used up, and to find that out takes half a second.
        acme_traffic = LimitedTraffic(acme_traffic, subscription)
    traffic = {
        _ACME.id: acme_traffic,
        _GLOBEX.id: _traffic(seed, _GLOBEX, globex, scenario_episodes_everywhere(scenario, now)),
    }
    return World(
        (_ACME, _GLOBEX),
        chain(acme, globex),
        [Member(organization.id, _USER, "owner") for organization in (_ACME, _GLOBEX)],
        _tokens(),
        store=Store(traffic),
        seed=seed,
        subscriptions={_ACME.id: subscription, _GLOBEX.id: globex_subscription()},
    )


def _acme_projects() -> list[Project]:
    active = [
        Project(
            _FIRST_ACME_PROJECT + 1 + number,
            _ACME.id,
            slug,
            platform,
            members=frozenset({_USER}),
            teams=ACME_TEAMS.get(slug, ()),
        )
        for number, (slug, platform, _) in enumerate(ACME)
    ]
    deleted = Project(_FIRST_ACME_PROJECT, _ACME.id, "legacy-shop", "php", ProjectStatus.DELETED)
    return [*active, deleted]


def _globex_projects(count: int) -> list[Project]:
    return [
        Project(
            _FIRST_GLOBEX_PROJECT + number,
            _GLOBEX.id,
            slug,
            platform,
            members=frozenset({_USER}),
            teams=teams,
        )
        for number, (slug, platform, teams) in enumerate(globex_projects(count))
    ]


def _traffic(
    seed: int,
    organization: Organization,
    projects: Sequence[Project],
    additional: Sequence[Episode],
) -> Traffic:
    busy = [project.id for project in projects if size_of(seed, project) > QUIET]
    episodes = episodes_of_hour(seed, busy, additional)
    return Traffic(seed, organization.id, _series(seed, projects), episodes)


def _series(seed: int, projects: Sequence[Project]) -> Iterator[Series]:
    sized = [(project, size_of(seed, project)) for project in projects]
    for project, size in sized:
        yield from series_of(project, size)
    # After all others: the noise of a series depends on its index, and theirs stays the same.
    yield from limit_series(sized)


def _tokens() -> list[Token]:
    return [
        Token(DEMO_TOKENS["acme"], TokenKind.INTEGRATION, _ACME.id),
        Token(DEMO_TOKENS["globex"], TokenKind.INTEGRATION, _GLOBEX.id),
        Token(DEMO_TOKENS["both"], TokenKind.USER, user=_USER),
        # Organization tokens always have only this scope, so that stats_v2 answers with 403.
        Token(
            DEMO_TOKENS["useless"],
            TokenKind.ORGANIZATION,
            _ACME.id,
            scopes=frozenset({"org:ci"}),
        ),
    ]
