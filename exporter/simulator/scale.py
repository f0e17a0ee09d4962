"""A world with one organization of any size, for tests and benchmarks."""

from itertools import islice, product
from random import Random
from typing import Final

from exporter.simulator.series import RHYTHMS, Series
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

SCALE_TOKEN: Final = "scale-token"  # noqa: S105 - valid only in a simulation
SCALE_USER_TOKEN: Final = "scale-token-user"  # noqa: S105 - likewise

_FIRST_PROJECT: Final = 4_505_123_000_000_000
_USER: Final = "demo"
_CATEGORIES: Final = (
    "error",
    "transaction",
    "span",
    "replay",
    "attachment",
    "profile_duration",
    "log_item",
    "monitor",
)
_OUTCOMES: Final = (
    ("accepted", None),
    ("rate_limited", "key_quota"),
    ("filtered", "browser-extensions"),
    ("client_discard", "sample_rate"),
    ("invalid", "cors"),
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
    """Return one organization, ``scale``, with ``projects`` projects and their rows per hour.

    `SCALE_TOKEN` is an integration's token. `SCALE_USER_TOKEN` is the token of a user who is a
    member of every project, except for the share ``hidden``; if any project is hidden, the
    organization has no Open Membership. The share ``deleted``, which is never hidden, has rows too.
    Shares are rounded to a number of projects. Raise ValueError for more than 40 rows per project,
    or if the shares add up to more than 1.
    """
    labels = list(islice(product(_OUTCOMES, _CATEGORIES), rows_per_project))
    if len(labels) < rows_per_project:
        raise ValueError(f"at most {len(labels)} rows per project, not {rows_per_project}")
    organization = Organization(1, "scale", open_membership=open_membership and not hidden)
    all_projects = _projects(organization.id, projects, deleted, hidden, seed)
    series = [
        Series(project.id, category, outcome, reason, 40.0, rhythm=len(RHYTHMS) - 1)
        for project in all_projects
        for (outcome, reason), category in labels
    ]
    tokens = (
        Token(SCALE_TOKEN, TokenKind.INTEGRATION, organization.id),
        Token(SCALE_USER_TOKEN, TokenKind.USER, user=_USER),
    )
    store = Store({organization.id: Traffic(seed, organization.id, series)})
    members = (Member(organization.id, _USER),)
    return World((organization,), all_projects, members, tokens, store=store, seed=seed)


def _projects(
    organization: int, count: int, deleted: float, hidden: float, seed: int
) -> list[Project]:
    deleted_count, hidden_count = round(count * deleted), round(count * hidden)
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    # Drawn at random, so that they are spread over all ids, and over every batch of ids.
    drawn = random.sample(range(count), deleted_count + hidden_count)
    deleted_numbers = frozenset(drawn[:deleted_count])
    hidden_numbers = frozenset(drawn[deleted_count:])
    return [
        Project(
            _FIRST_PROJECT + number,
            organization,
            f"project-{number:05d}",
            "python",
            ProjectStatus.DELETED if number in deleted_numbers else ProjectStatus.ACTIVE,
            frozenset() if number in hidden_numbers else frozenset({_USER}),
        )
        for number in range(count)
    ]
