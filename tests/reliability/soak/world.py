"""The world of a soak: three organizations, some of whose projects come, go and change names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final, NamedTuple

from exporter.simulator import (
    DAY,
    HOUR,
    RHYTHMS,
    Member,
    Organization,
    Plan,
    Project,
    Row,
    Series,
    Store,
    Subscription,
    Token,
    TokenKind,
    Traffic,
    World,
)
from exporter.simulator.plans import Category, Tier

START: Final = datetime(2026, 3, 5, 9, 7, tzinfo=UTC).timestamp()
"""When the first exporter of a soak starts."""

PERIOD_ENDS: Final = START // DAY * DAY + 2 * DAY
"""When a billing period of the first organization ends; the next one ends after a month."""

USER: Final = "reader"
TEMPORARY: Final = 3
"""How many slugs of an organization pass from one short-lived project to the next."""

MOVING: Final = 3
"""How many projects of an organization change their names."""

MOVING_NAMES: Final = tuple(
    f"moving-{place:02d}{suffix}" for place in range(MOVING) for suffix in ("", "-new")
)
"""The names that these have in turn."""

_SIZES: Final = {"acme": 8, "globex": 16, "initech": 5}
_FIRST_PROJECT: Final = 4_505_123_000_000_000
_IDS: Final = 1_000_000
_RHYTHM: Final = len(RHYTHMS) - 1
_MAX_LATE: Final = 20 * HOUR
"""Rows that come later than the lookback are not counted, so none does."""


class _Kind(NamedTuple):
    """What a project sends; ``hourly`` is what is generated of it, beside the rows that are added.

    ``is_added`` says whether rows are: all of short-lived projects, and what comes late.
    """

    category: str
    outcome: str
    reason: str | None
    hourly: float
    is_added: bool = False


_KINDS: Final = (
    _Kind("error", "accepted", None, 60.0, is_added=True),
    _Kind("default", "accepted", None, 30.0),
    _Kind("error", "filtered", "browser-extensions", 12.0, is_added=True),
    _Kind("transaction", "client_discard", "sample_rate", 400.0, is_added=True),
    _Kind("span", "accepted", None, 6_000.0),
    _Kind("log_byte", "accepted", None, 2_000_000.0),
    _Kind("profile_duration", "accepted", None, 300_000.0),
)
_ADDED: Final = tuple(kind for kind in _KINDS if kind.is_added)


class Stay(NamedTuple):
    """A short-lived project: who it is, and from when to when it exists."""

    organization: int
    project: int
    slug: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Soaked:
    """A world, and its short-lived projects; ``steady`` are slugs of those that stay as they are.

    ``moving`` are ids of projects that change their names, by organization.
    """

    world: World
    stays: tuple[Stay, ...]
    steady: frozenset[str]
    moving: Mapping[int, tuple[int, ...]]

    @property
    def names(self) -> frozenset[str]:
        """All that projects are ever called, and what stands for those that are no more."""
        return self.steady | {*MOVING_NAMES} | {stay.slug for stay in self.stays} | {""}


def soaked(days: float, seed: int) -> Soaked:
    """Return the world of a soak of so many ``days``."""
    random = Random(f"{seed}:world")
    organizations = [Organization(number, slug) for number, slug in enumerate(_SIZES, start=1)]
    projects = [one for organization in organizations for one in _projects(organization)]
    end = START + days * DAY
    stays = tuple(one for each in organizations for one in _stays(random, each.id, end))
    traffic = {
        each.id: Traffic(
            seed,
            each.id,
            [
                _series(project, kind)
                for project in projects
                if project.organization == each.id
                for kind in _KINDS
            ],
        )
        for each in organizations
    }
    world = World(
        organizations,
        [*projects, *(_project_of(stay) for stay in stays if stay.start <= START)],
        [Member(each.id, USER, "owner") for each in organizations],
        store=Store(traffic),
        seed=seed,
        subscriptions={organizations[0].id: Subscription(_plan())},
    )
    for stay in stays:
        world.add_rows(*_rows(random, stay))
    for each in projects:
        world.add_rows(*_late_rows(random, each, end))
    return Soaked(
        world,
        stays,
        frozenset(each.slug for each in projects if each.slug not in MOVING_NAMES),
        {each.id: tuple(_ids(each.id, MOVING)) for each in organizations},
    )


def appear(world: World, stay: Stay) -> None:
    """Create a short-lived project."""
    world.add_project(_project_of(stay))


def token(value: str, organization: int) -> Token:
    """Return a token for one organization: an integration's, or that of a user."""
    if organization == len(_SIZES):
        return Token(value, TokenKind.USER, user=USER)
    return Token(value, TokenKind.INTEGRATION, organization)


def _ids(organization: int, count: int) -> range:
    first = _FIRST_PROJECT + organization * _IDS
    return range(first, first + count)


def _projects(organization: Organization) -> Iterator[Project]:
    for place, number in enumerate(_ids(organization.id, _SIZES[organization.slug])):
        kind = "moving" if place < MOVING else "steady"
        yield Project(
            number,
            organization.id,
            f"{kind}-{place:02d}",
            "python",
            members=frozenset({USER}),
            teams=("payments",) if place % 2 else (),
        )


def _series(project: Project, kind: _Kind) -> Series:
    return Series(project.id, kind.category, kind.outcome, kind.reason, kind.hourly, rhythm=_RHYTHM)


def _project_of(stay: Stay) -> Project:
    return Project(stay.project, stay.organization, stay.slug, "go", members=frozenset({USER}))


def _stays(random: Random, organization: int, end: float) -> Iterator[Stay]:
    number = _ids(organization, 0).stop + _IDS // 2
    for place in range(TEMPORARY):
        # The first of each slug is there from the beginning, so that no label comes later.
        start = START - 30 * HOUR
        while start < end:
            leaves = max(start, START) + random.uniform(6, 60) * HOUR
            yield Stay(organization, number, f"temporary-{place}", start, leaves)
            number += 1
            start = leaves + random.uniform(0.2, 10) * HOUR


def _rows(random: Random, stay: Stay) -> Iterator[Row]:
    moment = stay.start
    for number in range(int((stay.end - stay.start) / HOUR)):
        moment = stay.start + (number + random.random()) * HOUR
        yield _row(random, stay.organization, stay.project, moment, number)


def _late_rows(random: Random, project: Project, end: float) -> Iterator[Row]:
    moment = START - DAY
    while moment < end:
        moment += random.expovariate(1 / (6 * HOUR))
        yield _row(random, project.organization, project.id, moment, random.randrange(3))


def _row(random: Random, organization: int, project: int, moment: float, number: int) -> Row:
    delay = random.uniform(0, _MAX_LATE) if random.random() < 0.2 else 60.0
    kind = _ADDED[number % len(_ADDED)]
    return Row(
        organization,
        project,
        kind.category,
        kind.outcome,
        kind.reason,
        timestamp=moment,
        quantity=random.randint(1, 50),
        written_at=moment + delay,
    )


def _plan() -> Plan:
    day = datetime.fromtimestamp(PERIOD_ENDS, UTC).day
    tier = Tier(50_000, 2_900, 0.03625)
    categories = {
        "errors": Category(50_000, 0, (tier,)),
        "spans": Category(10_000_000, 0, (Tier(10_000_000, 0, 0.0002),)),
        "logBytes": Category(5, 0, (Tier(5, 0, 50.0),)),
    }
    return Plan(categories, budget=30_000, start_day=day)
