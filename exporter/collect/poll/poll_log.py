"""What the log says about polls: few lines, however many queries fail and for however long.

Failures with the same reason at the same server are taken to have the same cause. The first queries
that fail for it are logged at once, each with its error. What follows is counted, and logged
together at growing distances.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

import structlog

from exporter.collect.poll.failure import Failure
from exporter.moments import elapsed, iso
from exporter.repetition import Repetition

MAX_NAMED: Final = 10
"""Queries of a cause that are named: at first, and again in each hour that it lasts."""

MAX_FIRST: Final = 20
"""Queries whose first success is logged at info; that of others at debug."""

_OWN_REASONS: Final = frozenset({"internal", "state"})
"""Reasons that have nothing to do with Sentry, and are logged as errors."""

_log = structlog.get_logger(__name__)


class _Name(NamedTuple):
    organization: str
    query: str

    @classmethod
    def of(cls, about: Mapping[str, str]) -> Self:
        return cls(about["organization"], about["query"])


class _Cause(NamedTuple):
    reason: str
    server: str

    def about(self) -> Mapping[str, str]:
        return {"reason": self.reason, **({"server": self.server} if self.server else {})}


@dataclass(slots=True)
class _Episode:
    """A cause, from its first failure until every query that failed for it succeeds again.

    ``named`` and ``recovered`` are how many queries have had a line of their own, with a failure
    or with a success after it; ``unnamed`` how many have succeeded without one.
    """

    failures: Repetition
    queries: set[_Name] = field(default_factory=set)
    named: int = 0
    recovered: int = 0
    unnamed: int = 0


@dataclass(slots=True)
class _Failing:
    """A query that fails, and what it has failed for since its last success."""

    since: float
    failures: int = 0
    causes: set[_Cause] = field(default_factory=set)

    def about(self, now: float) -> Mapping[str, object]:
        return {"failures": self.failures, "failed_for": elapsed(now - self.since)}


class PollLog:
    """Logs the polls of all queries, or of those that are to be retained.

    Any number of threads may use it. Where nobody ``repeats`` failed polls, it names no time for
    the next try.
    """

    def __init__(self, *, repeats: bool = True) -> None:
        self._repeats = repeats
        self._lock = Lock()
        self._episodes: dict[_Cause, _Episode] = {}
        self._failing: dict[_Name, _Failing] = {}
        self._succeeded: set[_Name] = set()
        self._retained: frozenset[_Name] | None = None

    def failed(
        self,
        about: Mapping[str, str],
        failure: Failure,
        now: float,
        next_poll: float,
        exception: BaseException | None = None,
    ) -> None:
        """Note that the poll of a query failed at ``now``, and is repeated at ``next_poll``.

        ``about`` has the names of the query and its organization.
        """
        name, cause = _Name.of(about), _Cause(failure.reason, urlsplit(failure.url).netloc)
        with self._lock:
            line = self._note_failure(name, cause, now) if self._is_retained(name) else None
        if line is not None:
            event, fields = line
            log = _log.error if failure.reason in _OWN_REASONS else _log.warning
            log(
                event,
                **fields,
                **failure.details(),
                **({"next_try": iso(next_poll)} if self._repeats else {}),
                **({"exc_info": exception} if exception else {}),
            )

    def succeeded(
        self, about: Mapping[str, str], now: float, details: Mapping[str, object]
    ) -> None:
        """Note that the poll of a query succeeded at ``now``; ``details`` are for its line."""
        name = _Name.of(about)
        with self._lock:
            if not self._is_retained(name):
                return
            first = name not in self._succeeded
            self._succeeded.add(name)
            early = len(self._succeeded) <= MAX_FIRST
            failing = self._failing.pop(name, None)
            named, ended = self._recover(name, failing.causes if failing else ())
        recovery = failing.about(now) if failing else {}
        if first:
            level = _log.info if early else _log.debug
            level("first poll succeeded", **about, **recovery, **details)
        elif failing is not None and named:
            _log.info("poll succeeds again", **about, **recovery, **details)
        for cause, episode in ended:
            _log.info(
                "polls succeed again",
                **cause.about(),
                queries=episode.unnamed,
                **episode.failures.about(),
            )

    def retain(self, abouts: Collection[Mapping[str, str]]) -> None:
        """Forget all queries but these, and ignore polls of others that are still out."""
        names = frozenset(_Name.of(about) for about in abouts)
        with self._lock:
            self._retained = names
            self._succeeded &= names
            for name in self._failing.keys() - names:
                self._recover(name, self._failing.pop(name).causes)

    def _is_retained(self, name: _Name) -> bool:
        return self._retained is None or name in self._retained

    def _note_failure(
        self, name: _Name, cause: _Cause, now: float
    ) -> tuple[str, Mapping[str, object]] | None:
        """Count a failure; return the event and the fields of its line, if it is to have one."""
        episode = self._episodes.setdefault(cause, _Episode(Repetition(now)))
        failing = self._failing.setdefault(name, _Failing(now))
        failing.failures += 1
        # What it has failed for before stays: a query that fails for two reasons in turn does not
        # begin a new episode each time.
        failing.causes.add(cause)
        is_new = name not in episode.queries
        episode.queries.add(name)
        is_due = episode.failures.note(now)
        if is_new and episode.named < MAX_NAMED:
            episode.named += 1
            return "poll failed", {"reason": cause.reason, **name._asdict()}
        if not is_due:
            return None
        if episode.failures.is_old:
            episode.named = episode.recovered = 0
        if len(episode.queries) == 1:
            about = {"reason": cause.reason, **name._asdict()}
            return "poll keeps failing", {**about, **episode.failures.about()}
        together = {"queries": len(episode.queries), **episode.failures.about()}
        return "polls keep failing", {**cause.about(), **together, **name._asdict()}

    def _recover(
        self, name: _Name, causes: Collection[_Cause]
    ) -> tuple[bool, list[tuple[_Cause, _Episode]]]:
        """Remove a query from its episodes.

        Return whether it is to have a line, and the episodes that have ended and need one.
        """
        episodes = {cause: self._episodes[cause] for cause in causes}
        named = any(episode.recovered < MAX_NAMED for episode in episodes.values())
        ended = []
        for cause, episode in episodes.items():
            episode.queries.discard(name)
            episode.recovered += named
            episode.unnamed += not named
            if not episode.queries:
                del self._episodes[cause]
                ended += [(cause, episode)] if episode.unnamed else []
        return named, ended
