"""One mode of failure, in one position, tried on three organizations at once."""

import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.end_to_end.exposition import Sample, Samples
from tests.reliability.upstream.modes import LONG, Mode, Position, When
from tests.reliability.upstream.stage import MAX_AGE, Stage
from tests.reliability.upstream.world import HOUR, LIMIT, ORGANIZATIONS, START
from tests.support.fault_proxy import Endpoint
from tests.support.programs import wait_until

ENDPOINT: Final[Mapping[str, Endpoint]] = {
    "stats": "stats_v2",
    "lists": "projects",
    "plans": "customers",
}
"""What is broken of each organization."""

REQUESTS: Final = {"stats": 6, "lists": 3, "plans": 1}
"""How many requests there are to it in a poll."""

_MAX_PAUSE: Final = 360
"""Seconds after which a failed poll is repeated at the latest: five minutes after its end."""

_GRACE: Final = 120
"""Seconds in which a new counter is shown at 0."""


class Trial:
    """Breaks what a mode says, and checks what the exporter shows meanwhile and afterwards."""

    def __init__(self, stage: Stage, mode: Mode, when: When) -> None:
        self._stage = stage
        self._mode = mode
        self._when = when
        self._failed: Counter[tuple[str, str]] = Counter()

    def run(self) -> int:
        """Try, and return how many combinations of a mode, a time and an endpoint that was.

        A plan is one request, which has no position.
        """
        now, before = START, dict[Sample, float]()
        if not self._when.is_start:
            self._poll(now)
            now, before = now + HOUR + 60, self._stage.data("stats")
        used = _resources()
        for slug, endpoint in ENDPOINT.items():
            after = self._when.position.after(REQUESTS[slug])
            times = self._when.duration.times
            self._stage.proxies[slug].break_(self._mode.act, endpoint, after=after, times=times)
        for offset in self._when.duration.offsets:
            self._poll(now + offset)
            self._check_stats(before)
            self._check_lists()
            self._check_plans(self._mode.reason("plans", self._when))
            self._check_failures()
        assert self._stage.can_be_parsed()
        met = {slug: self._stage.proxies[slug].mend() for slug in ENDPOINT}
        assert all(met.values()), met
        self._recover(now + self._when.duration.offsets[-1])
        if not self._when.is_start:
            wait_until(lambda: _is_within(_resources(), used), lambda: f"{used} {_resources()}")
        return 2 if LONG and self._when.position is not Position.FIRST else 3

    def _poll(self, now: float) -> None:
        """Poll what is due, of which the healthy organization's query comes in time."""
        stage = self._stage
        is_due = stage.query("healthy").due(now)
        stage.poll(now)

        assert stage.is_up("healthy")
        assert not is_due or now == stage.last_success("healthy")
        assert {} == stage.wrong("healthy")

    def _check_stats(self, before: Samples) -> None:
        """Without an answer, the data stay as they were until they are too old."""
        stage, reason = self._stage, self._mode.reason_of_poll("stats", self._when)
        if not reason:
            assert stage.is_up("stats")
            assert {} == stage.wrong("stats")
            return
        self._failed["stats", reason] += 1
        age = stage.clock.now - stage.last_success("stats")

        assert not stage.is_up("stats")
        assert (before if age < MAX_AGE else {}) == stage.data("stats")
        assert reason in stage.reasons("stats", "stats_v2")

    def _check_lists(self) -> None:
        """Without a list, there are ids in the place of names; the last list does as well."""
        stage, reason = self._stage, self._mode.reason_of_poll("lists", self._when)
        if not reason or not self._when.is_start:
            assert stage.is_up("lists")
            assert {} == stage.wrong("lists")
        else:
            self._failed["lists", reason] += 1
            shown = stage.of("lists", "bucket_events", "project", "outcome")

            assert not stage.is_up("lists")
            assert sum(stage.truth("lists").bucket(stage.clock.now).values()) == sum(shown.values())
            assert all(project.isdigit() for project, _ in shown)
            assert all(shown.values())
        if self._mode.reason("lists", self._when):
            assert stage.reasons("lists", "projects")

    def _check_plans(self, reason: str) -> None:
        """Without the plan, what is used is right all the same; its limit may be gone, not 0."""
        stage = self._stage

        assert {("transactions",): stage.used("plans")} == stage.of("plans", "quota_used", "quota")
        assert {1.0} == set(stage.of("plans", "up", "query").values())
        assert {("plans",): not reason} == stage.of("plans", "plan_up", "organization")
        assert stage.of("plans", "quota_limit", "quota") in (
            [{("transactions",): LIMIT}, {}] if reason else [{("transactions",): LIMIT}]
        )
        if reason:
            assert reason in stage.reasons("plans", "customers")

    def _check_failures(self) -> None:
        """All failed polls are counted under their reasons, and no others."""
        counted = {
            (slug, reason): value
            for slug in ORGANIZATIONS
            for (reason,), value in self._stage.of(slug, "poll_failures_total", "reason").items()
            if value
        }

        assert self._failed == counted

    def _recover(self, now: float) -> None:
        """Look at the next chance, and an hour later, when all is as before."""
        stage = self._stage
        down = [slug for slug in ENDPOINT if not stage.is_up(slug)]
        again = max((stage.query(slug).report.next_poll for slug in down), default=now + 1)
        later = now + HOUR + 60

        assert again - now <= _MAX_PAUSE
        for moment in (again, later, later + _GRACE):
            self._poll(moment)
            assert stage.is_up("stats")
            assert stage.is_up("lists")
            assert {} == stage.wrong("stats")
        # Where there were ids at first, counters of names have begun since then.
        assert {} == stage.wrong("lists")
        self._check_failures()
        self._check_plans("")


def _resources() -> tuple[int, int]:
    """Return how many threads and descriptors there are."""
    return threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())


def _is_within(used: tuple[int, int], before: tuple[int, int]) -> bool:
    return all(one <= other for one, other in zip(used, before, strict=True))
