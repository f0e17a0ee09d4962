"""What the simulator's rows say about the numbers in the messages of an incident."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Final

from exporter.buckets import floor
from exporter.simulator import HOUR, Scenario
from tests.deploy.incident_stage import Stage
from tests.deploy.incident_world import ORGANIZATIONS, projects_of

SLOTS: Final[Mapping[str, str]] = {
    "share": r"\d+(?:\.\d)?",
    "since": r"\d\d:\d\d",
    "since_2": r"\d\d:\d\d",
    "lost": r"[\d,]+",
    "recent": r"[\d,]+",
    "recent_2": r"[\d,]+",
    "recent_3": r"[\d,]+",
    "usual": r"[\d,]+",
    "transactions": r"[\d,]+",
    "hour": r"\d\d:00",
    "ago": r"\d+h \d+m",
    "other_ago": r"\d+h \d+m",
}
"""The parts of texts that differ from run to run, as patterns."""

_TRUE_LOSSES: Final = {
    "quota": "error_usage_exceeded",
    "key-limit": "key_quota",
    "project-limit": "project_quota",
    "spike-protection": "spike_protection",
}
"""The reason of the rate limiting of a cause."""


def filled(template: str, text: str) -> dict[str, str]:
    """Return what stands in the slots of ``template``, of which ``text`` is an instance."""
    parts = re.split(r"\{(\w+)\}", template)
    pattern = "".join(
        f"(?P<{part}>{SLOTS[part]})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    match = re.fullmatch(pattern, text)

    assert match, f"expected: {template}\nactual:   {text}"
    return match.groupdict()


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth about the organization of a cause, as of the polls of ``query``."""

    stage: Stage
    cause: Scenario
    query: str
    project: str = ""

    def check(self, values: Mapping[str, str]) -> None:
        """Compare the values of slots with the rows."""
        if "lost" in values:
            since = self._poll(values["since"])
            is_always_counted = self.cause == "filter"
            truths = [
                self._losses(since, counter_is_new=is_new)
                for is_new in ((False,) if is_always_counted else (False, True))
            ]

            assert (values["lost"], values["share"]) in truths
        if "hour" in values:
            assert _clock(self._last_hour()) == values["hour"]
        for name, category in (("usual", "error"), ("transactions", "transaction")):
            if name in values:
                usual = float(values[name].replace(",", ""))

                # "At least": the first hour of the history is counted only in part.
                assert 0.1 * self._usual(category) < usual < 1.1 * self._usual(category)

    def _poll(self, moment: str) -> float:
        """Return the poll since which events are lost, which a message gives as HH:MM.

        Filtered events are noticed when they are two thirds of what 30 minutes have, so their poll
        may be a later one than that of another loss.
        """
        start = self.stage.incident.start
        latest = HOUR / 2 if self.cause == "filter" else HOUR / 3
        polls = self.stage.polls[ORGANIZATIONS[self.cause].slug, self.query]
        (poll,) = [each for each in polls if _clock(each) == moment]

        assert abs(poll - start) < latest
        return poll

    def _last_hour(self) -> float:
        """Return the last hour of which Sentry has received anything.

        It is the one before the incident's where this begins in the first minutes of an hour.
        """
        hour = floor(self.stage.incident.start, HOUR)
        return hour if self._has_received(hour) else hour - HOUR

    def _has_received(self, hour: float) -> bool:
        sums = (
            self._sums(self.stage.incident.now, category, hour, hour + HOUR)
            for category in ("error", "transaction")
        )
        return any(
            value
            for each in sums
            for (outcome, _), value in each.items()
            if outcome != "client_discard"
        )

    def _losses(self, since: float, *, counter_is_new: bool) -> tuple[str, str]:
        """Return how much was lost between a poll and the last one, and which share, as texts.

        For two minutes, a counter that is new is shown at 0 instead of what it has gained. Whether
        the alert began within these minutes depends on the times of evaluations.
        """
        last = self.stage.polls[ORGANIZATIONS[self.cause].slug, self.query][-1]
        before, after = self._sums(since), self._sums(last)
        lost = others = 0
        for (outcome, reason), value in after.items():
            gained = value - before.get((outcome, reason), 0)
            if self._is_lost(outcome, reason):
                lost += value if counter_is_new else gained
            elif outcome != "client_discard" and not reason.startswith("Sampled:"):
                others += gained
        share = 100 * lost / (lost + others)
        return f"{lost:,}", f"{share:.1f}" if share < 9.95 else f"{share:.0f}"

    def _is_lost(self, outcome: str, reason: str) -> bool:
        if self.cause == "filter":
            return outcome == "filtered"
        return reason in {_TRUE_LOSSES[self.cause], "ratelimit_backoff"}

    def _sums(
        self, at: float, category: str = "error", start: float = 0.0, end: float = inf
    ) -> dict[Any, int]:
        """Return the sums of outcomes and reasons that a poll at ``at`` can have seen."""
        organization = ORGANIZATIONS[self.cause]
        ids = {each.slug: each.id for each in projects_of(organization)}
        return self.stage.sentry.store.totals(
            organization.id,
            max(start, self.stage.incident.start - 2 * HOUR),
            min(end, self.stage.incident.now + HOUR),
            at=at,
            group_by=["outcome", "reason"],
            category=[category],
            project=[ids[self.project]] if self.project else None,
        )

    def _usual(self, category: str) -> float:
        """Return what was submitted in the hour before the incident."""
        start = self.stage.incident.start
        sums = self._sums(self.stage.incident.now, category, start=start - HOUR, end=start)
        return sum(
            value
            for (outcome, reason), value in sums.items()
            if outcome != "client_discard" and not reason.startswith("Sampled:")
        )


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M")
