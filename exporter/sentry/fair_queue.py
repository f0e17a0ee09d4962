"""Whose request is next, among the organizations that share a token. Pure.

A request takes one of the token's places while it is out. Next is the organization with the fewest
requests out, and of several the one whose last request began first; in an organization, they begin
in the order in which they came.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event


@dataclass(slots=True, eq=False)
class Waiting:
    """A request of ``user`` that waits; whoever waits is woken by its event."""

    user: str
    woken: Event = field(default_factory=Event)


@dataclass(slots=True, eq=False)
class _User:
    """The requests of an organization: those that wait, how many are out, when the last began."""

    waiting: deque[Waiting] = field(default_factory=deque)
    out: int = 0
    begun: int = 0


class FairQueue:
    """The requests that wait for one of so many ``places``, and how many are out."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._users: dict[str, _User] = {}
        self._out = 0
        self._begun = 0

    def join(self, user: str) -> Waiting:
        """Return a request of ``user`` that waits, behind all others of the same user."""
        one = Waiting(user)
        self._users.setdefault(user, _User()).waiting.append(one)
        return one

    def leave(self, one: Waiting) -> None:
        """Remove a request that waits no longer, without having begun."""
        self._users[one.user].waiting.remove(one)

    def first(self, is_ready: Callable[[str], bool], limit: int) -> Waiting | None:
        """Return the request that may begin next, if there is one.

        Its user ``is_ready`` and has fewer than ``limit`` requests out.
        """
        if self._out >= self._places:
            return None
        ready = [
            user
            for name, user in self._users.items()
            if user.waiting and user.out < limit and is_ready(name)
        ]
        return min(ready, key=_precedence).waiting[0] if ready else None

    def is_head(self, one: Waiting) -> bool:
        """Return whether no request of the same user waits before this one."""
        return self._users[one.user].waiting[0] is one

    def heads(self) -> list[Waiting]:
        """Return the first request of each user that waits."""
        return [user.waiting[0] for user in self._users.values() if user.waiting]

    def begin(self, one: Waiting) -> None:
        """Let the first request of its user take a place."""
        user = self._users[one.user]
        user.waiting.popleft()
        self._out += 1
        self._begun += 1
        user.out, user.begun = user.out + 1, self._begun

    def end(self, user: str) -> None:
        """Free the place of a request of ``user``."""
        self._out -= 1
        self._users[user].out -= 1


def _precedence(user: _User) -> tuple[int, int]:
    return user.out, user.begun
