"""Worlds ready to serve: two organizations with a believable past, and one of any size.

`demo_world` has the organizations ``acme`` and ``globex`` and the tokens of `DEMO_TOKENS`.
Every day of its past holds a release that breaks a project for some hours, an hour of rate
limiting, in which SDKs hold back some of their errors, and a rise of events that clients discard;
which and when follows from the seed and the day alone. A scenario adds what happens from ``now``
on.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, product
from random import Random
from typing import Final, Literal, get_args

from exporter.simulator.roster import (
    ACME,
    ACME_TEAMS,
    QUIET,
    backing_off,
    globex_projects,
    series_of,
    size_of,
)
from exporter.simulator.store import Store
from exporter.simulator.traffic import DAY, HOUR, RHYTHMS, Episode, Series, Traffic
from exporter.simulator.world import (
    Member,
    Organization,
    Project,
    ProjectStatus,
    Token,
    TokenKind,
    World,
)

Scenario = Literal["steady", "incident", "quota", "silence"]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

DEMO_TOKENS: Final = {
    "acme": "demo-token-acme",
    "globex": "demo-token-globex",
    "both": "demo-token-user",
    "useless": "sntrys_demo",
}
"""Integration tokens of either organization, a user's for both, and one that cannot read stats."""

SCALE_TOKEN: Final = "scale-token"  # noqa: S105 - opens nothing but a simulation
SCALE_USER_TOKEN: Final = "scale-token-user"  # noqa: S105 - nor does this one

_ACME: Final = Organization(1, "acme")
_GLOBEX: Final = Organization(2, "globex")
_FIRST_PROJECT: Final = 4_505_123_000_000_000
_MINUTE: Final = 60
_USER: Final = "demo"
_ERRORS: Final = frozenset({"error", "default"})

_SCALE_CATEGORIES: Final = (
    "error",
    "transaction",
    "span",
    "replay",
    "attachment",
    "profile_duration",
    "log_item",
    "monitor",
)
_SCALE_OUTCOMES: Final = (
    ("accepted", None),
    ("rate_limited", "key_quota"),
    ("filtered", "browser-extensions"),
    ("client_discard", "sample_rate"),
    ("invalid", "cors"),
)


def demo_world(
    now: float, *, projects: int = 150, scenario: Scenario = "steady", seed: int = 1
) -> World:
    """Return the demo's world; ``projects`` is how many globex has, acme has a dozen."""
    rosters = {_ACME: _acme_projects(), _GLOBEX: _globex_projects(projects)}
    to_come = {_ACME: _to_come(scenario, now)}
    traffic = {
        organization.id: Traffic(
            seed,
            organization.id,
            _demo_series(seed, roster),
            _episodes(seed, roster, to_come.get(organization, ())),
        )
        for organization, roster in rosters.items()
    }
    return World(
        rosters,
        chain.from_iterable(rosters.values()),
        [Member(organization.id, _USER, "owner") for organization in rosters],
        _demo_tokens(),
        store=Store(traffic),
        seed=seed,
    )


def scale_world(
    projects: int,
    rows_per_project: int = 20,
    *,
    seed: int = 1,
    deleted: float = 0.0,
    hidden: float = 0.0,
    open_membership: bool = True,
) -> World:
    """Return one organization, ``scale``, with that many projects and rows in every hour.

    At most 40 rows an hour for each project. `SCALE_TOKEN` is an integration's, and
    `SCALE_USER_TOKEN` that of a user who is a member of every project except a share of
    ``hidden`` ones; any hidden project closes Open Membership. A share of ``deleted`` projects,
    all of them others, has rows too. Shares are rounded to whole projects. Raises ValueError
    where there are not that many kinds of rows, or the shares are more than 1 together.
    """
    kinds = list(islice(product(_SCALE_OUTCOMES, _SCALE_CATEGORIES), rows_per_project))
    if len(kinds) < rows_per_project:
        raise ValueError(f"at most {len(kinds)} rows for each project, not {rows_per_project}")
    organization = Organization(1, "scale", open_membership=open_membership and not hidden)
    roster = _scale_projects(organization.id, projects, deleted, hidden, seed)
    series = [
        Series(project.id, category, outcome, reason, 40.0, rhythm=len(RHYTHMS) - 1)
        for project in roster
        for (outcome, reason), category in kinds
    ]
    tokens = (
        Token(SCALE_TOKEN, TokenKind.INTEGRATION, organization.id),
        Token(SCALE_USER_TOKEN, TokenKind.USER, user=_USER),
    )
    store = Store({organization.id: Traffic(seed, organization.id, series)})
    members = (Member(organization.id, _USER),)
    return World((organization,), roster, members, tokens, store=store, seed=seed)


def _scale_projects(
    organization: int, count: int, deleted: float, hidden: float, seed: int
) -> list[Project]:
    gone_count, hidden_count = round(count * deleted), round(count * hidden)
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    # Drawn at random, so that they lie all over the ids and in every batch of them.
    apart = random.sample(range(count), gone_count + hidden_count)
    gone, unseen = frozenset(apart[:gone_count]), frozenset(apart[gone_count:])
    everyone, nobody = frozenset({_USER}), frozenset[str]()
    return [
        Project(
            _FIRST_PROJECT + number,
            organization,
            f"project-{number:05d}",
            "python",
            ProjectStatus.DELETED if number in gone else ProjectStatus.ACTIVE,
            nobody if number in unseen else everyone,
        )
        for number in range(count)
    ]


def _acme_projects() -> list[Project]:
    active = [
        Project(
            _FIRST_PROJECT + 1 + number,
            _ACME.id,
            slug,
            platform,
            members=frozenset({_USER}),
            teams=ACME_TEAMS.get(slug, ()),
        )
        for number, (slug, platform, _) in enumerate(ACME)
    ]
    gone = Project(_FIRST_PROJECT, _ACME.id, "legacy-shop", "php", ProjectStatus.DELETED)
    return [*active, gone]


def _globex_projects(count: int) -> list[Project]:
    first = _FIRST_PROJECT + 1_000_000
    return [
        Project(first + number, _GLOBEX.id, slug, platform, members=frozenset({_USER}), teams=teams)
        for number, (slug, platform, teams) in enumerate(globex_projects(count))
    ]


def _demo_series(seed: int, projects: Sequence[Project]) -> Iterator[Series]:
    for project in projects:
        yield from series_of(project, size_of(seed, project))
    # Last, because the place of a series decides its noise: the others keep their numbers.
    for project in projects:
        yield from backing_off(project, size_of(seed, project))


def _demo_tokens() -> list[Token]:
    return [
        Token(DEMO_TOKENS["acme"], TokenKind.INTEGRATION, _ACME.id),
        Token(DEMO_TOKENS["globex"], TokenKind.INTEGRATION, _GLOBEX.id),
        Token(DEMO_TOKENS["both"], TokenKind.USER, user=_USER),
        Token(
            DEMO_TOKENS["useless"],
            TokenKind.ORGANIZATION,
            _ACME.id,
            scopes=frozenset({"org:ci"}),
        ),
    ]


def _episodes(
    seed: int, projects: Sequence[Project], to_come: Sequence[Episode]
) -> Callable[[int], Sequence[Episode]]:
    """Return what tells the episodes of an hour: those of its day, then those to come."""
    busy = [project.id for project in projects if size_of(seed, project) > QUIET]

    def of_hour(hour: int) -> Sequence[Episode]:
        past = _of_day(seed, hour // DAY, busy) if busy else []
        return [each for each in (*past, *to_come) if each.start < hour + HOUR and each.end > hour]

    return of_hour


def _of_day(seed: int, day: int, busy: Sequence[int]) -> list[Episode]:
    random = Random(f"{seed}:{busy[0]}:{day}")  # noqa: S311 - repeatable, not secret
    broken, limited, discarding = (random.choice(busy) for _ in range(3))
    reason = random.choice(("key_quota", "smart_rate_limit"))
    released = day * DAY + random.randrange(8 * HOUR, 16 * HOUR, _MINUTE)
    mended = released + random.randrange(2 * HOUR, 5 * HOUR, _MINUTE)
    # At the same time every day, so that any day's lookback has one.
    exhausted = day * DAY + busy[0] % 24 * HOUR
    discards = day * DAY + random.randrange(20) * HOUR
    return [
        Episode(released, mended, 9.0, broken, _ERRORS, "accepted"),
        Episode(discards, discards + 3 * HOUR, 6.0, discarding, outcome="client_discard"),
        # Clients discard more for reasons of their own; nothing is rate limited.
        _held_back(discards, discards + 3 * HOUR, 0.0, discarding),
        *_limited(exhausted, exhausted + HOUR, limited, reason),
    ]


def _limited(start: float, end: float, project: int | None, reason: str) -> list[Episode]:
    return [
        Episode(start, end, 0.1, project, _ERRORS, "accepted"),
        Episode(start, end, 1.0, project, _ERRORS, "rate_limited", reason),
        _held_back(start, end, 1.0, project),
    ]


def _held_back(start: float, end: float, scale: float, project: int | None) -> Episode:
    return Episode(start, end, scale, project, _ERRORS, "client_discard", "ratelimit_backoff")


def _to_come(scenario: Scenario, now: float) -> list[Episode]:
    checkout, ios = (_acme_id(slug) for slug in ("checkout", "ios"))
    match scenario:
        case "incident":
            broken, limited = now + 3 * _MINUTE, now + 10 * _MINUTE
            return [
                Episode(broken, broken + HOUR, 12.0, checkout, _ERRORS, "accepted"),
                *_limited(limited, limited + HOUR // 2, checkout, "key_quota"),
                Episode(now + 15 * _MINUTE, now + 3 * HOUR, 0.0, ios),
            ]
        case "quota":
            spent = now + 3 * _MINUTE
            return _limited(spent, spent + 2 * HOUR, None, "error_usage_exceeded")
        case "silence":
            return [Episode(now + 3 * _MINUTE, now + DAY, 0.0, checkout)]
        case _:
            return []


def _acme_id(slug: str) -> int:
    return next(project.id for project in _acme_projects() if project.slug == slug)
