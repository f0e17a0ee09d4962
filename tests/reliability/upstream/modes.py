"""How requests fail, for how long, and what is to be expected of each of three endpoints."""

import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, Final, Self

import pytest

from tests.reliability.upstream.world import HOUR
from tests.support.fault_proxy import Act

LONG: Final = os.environ.get("FAULTS") == "all"
"""Whether to try every combination; otherwise a mode is tried at one time, if it is chosen."""

SHARE: Final = 8
"""Of so many modes that are not named, one is chosen."""

BY_PAGES: Final = frozenset({"bad_request", "timeout", "server_error", "too_heavy", "too_large"})
"""Where all projects cannot be read at once for one of these reasons, they are read by pages."""


class Position(Enum):
    """Which request of a poll is the first to fail."""

    FIRST = "first request"
    MIDDLE = "middle of a split"
    LAST = "last request"

    def after(self, requests: int) -> int:
        """Return how many of a poll's ``requests`` are answered before."""
        return {"FIRST": 0, "MIDDLE": requests // 2, "LAST": requests - 1}[self.name]


class Duration(Enum):
    """How many requests fail, and after how many seconds the page is looked at meanwhile."""

    ONCE = "once", 1, (0,)
    FOR_AN_HOUR = "for an hour", inf, (0, 1200, 2400)
    FOR_EVER = "for ever", inf, (0, HOUR, 2 * HOUR)

    def __init__(self, words: str, times: float, offsets: Sequence[int]) -> None:
        self.words = words
        self.times = times
        self.offsets = offsets


@dataclass(frozen=True)
class When:
    """Which requests fail: from where in a poll on, how long, and in the first poll or later."""

    position: Position
    duration: Duration
    is_start: bool

    def __str__(self) -> str:
        start = ", at the start" if self.is_start else ""
        return f"{self.position.value}, {self.duration.words}{start}"


EVERY: Final = tuple(itertools.starmap(When, itertools.product(Position, Duration, (True, False))))


@dataclass(frozen=True)
class Mode:
    """What happens to requests, and the reasons for which they fail; ``""`` where none does.

    ``once`` is the reason where only one request is broken: some are sent again. Where one in
    a position of ``split`` is about stats, its parts are asked instead. ``only`` has the
    organizations whose answers can be broken like this.
    """

    act: Act
    stats: str
    projects: str
    plan: str
    once: str | None = None
    split: Sequence[Position] = ()
    only: Sequence[str] = ("stats", "lists", "plans")

    @classmethod
    def of(
        cls,
        act: Act,
        reason: str,
        *,
        projects: str | None = None,
        plan: str | None = None,
        once: str | None = None,
        split: Sequence[Position] = (),
        only: Sequence[str] = ("stats", "lists", "plans"),
    ) -> Self:
        """Return a mode whose reason is the same for every endpoint, unless it is given."""
        return cls(
            act,
            reason,
            reason if projects is None else projects,
            reason if plan is None else plan,
            once,
            split,
            only,
        )

    def reason(self, slug: str, when: When) -> str:
        """Return why requests of an organization fail."""
        if slug not in self.only:
            return ""
        if when.duration is Duration.ONCE and self.once is not None:
            return self.once
        return {"stats": self.stats, "lists": self.projects, "plans": self.plan}[slug]

    def reason_of_poll(self, slug: str, when: When) -> str:
        """Return why polls of an organization fail, if they need what is broken.

        Where a question is too much, its parts are asked; where all projects cannot be read at
        once, they are read by pages.
        """
        reason = self.reason(slug, when)
        if when.duration is not Duration.ONCE:
            return reason
        if slug == "stats":
            return "" if when.position in self.split else reason
        by_pages = when.position is Position.FIRST and reason in BY_PAGES
        return "" if by_pages else reason


def combinations(
    modes: Mapping[str, Any],
    named: Collection[str],
    positions: Sequence[Position] = tuple(Position),
) -> list[Any]:
    """Return names of ``modes``, and when they are tried, as the parameters of a test.

    Those that are ``named`` stand for their kind, and are tried always; of the others, some are.
    """
    unknown = set(named) - modes.keys()
    assert not unknown, unknown
    times = [when for when in EVERY if when.position in positions]
    others = [name for name in modes if name not in named]
    chosen = [*named, *others[::SHARE]]
    every = itertools.product(modes, times)
    # 7 has no factor in common with the number of times: each comes equally often.
    some = (
        (name, times[(7 * number + len(modes)) % len(times)]) for number, name in enumerate(chosen)
    )
    return [
        pytest.param(name, when, id=f"{name}, {when}") for name, when in (every if LONG else some)
    ]
