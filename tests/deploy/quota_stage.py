"""A period in which the quotas of an organization run out, on a clock that shows years to come.

Sentry and the exporter share a clock that is set from one moment of the period to the next.
Prometheus and Alertmanager have the host's clock: for them, the days between take seconds. Nothing
is stale for them, as each poll is later than now.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests

from exporter.app import Exporter
from exporter.config import Config
from exporter.simulator import DAY, Simulator, demo_world
from tests.deploy.incident_receiver import Mailbox, Message, listening
from tests.deploy.incident_stage import (
    DEADLINE,
    PROGRAMS,
    Site,
    evaluations,
    is_connected,
    run_alertmanager,
    run_prometheus,
)
from tests.deploy.overlay import DIVISORS, Places, lay_out_secrets
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization
from tests.support.exporters import poll_due
from tests.support.programs import TIMEOUT, wait_until
from tests.support.prometheus import Prometheus
from tests.support.serving import free_port

START: Final = datetime.fromisoformat("2064-03-20T06:00:00Z").timestamp()
"""When the scenario ``quota`` begins: 20 days after the period did, and when its budget ends."""

ALLOTTED: Final = 100_000
"""Errors that are allotted to the team payments."""

TEAM: Final = "payments"

_PROJECTS: Final = ["checkout", "payments", "billing-worker"]
_OPERATORS: Final = "#sentry"
"""The chat for alerts about the exporter: a busy host may miss a scrape."""

_SEED: Final = 3
"""None of the days that are forecast is near midnight."""

_DIVISORS: Final = {
    **DIVISORS,
    "interval": 300,
    "scrape_interval": 24,
    "group_interval": 300,
    "repeat_interval": 1,
    "for": 1800,
    "keep_firing_for": 1800,
}
_RESEND: Final = "--rules.alert.resend-delay=5s"
"""Alertmanager has no text that is older. Without news for four times as long, alerts end."""

_OVER: Final = re.compile(r"• (Over after|and \d+ more that are over).*\n")


class Delivered(NamedTuple):
    """An alert of which a receiver was notified."""

    receiver: str
    name: str
    quota: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was delivered while the clock showed a moment.

    ``messages`` are those about alerts that fire, ``over`` the alerts that ended, and ``fired``
    those that fire, each with when it began.
    """

    messages: Sequence[Message]
    over: frozenset[Delivered]
    fired: frozenset[tuple[Delivered, str]]
    pages: Sequence[Mapping[str, Any]]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stage:
    """All running programs."""

    clock: Clock
    exporter: Exporter
    prometheus: Prometheus
    alertmanager: str
    mailbox: Mailbox

    def play(self, moment: float, messages: Sequence[Message], over: frozenset[Delivered]) -> Scene:
        """Set the clock, poll, and return what is delivered once nothing of it is missing."""
        mailbox = self.mailbox.from_here()
        # For 15 minutes, Prometheus repeats that an alert has ended, and so do messages.
        ended = {_began(each) for each in _alerts(self.mailbox, "resolved")}
        earlier = set(_firing(self.mailbox))
        self.clock.now = moment
        poll_due(self.exporter, moment)

        def scene() -> Scene:
            over = {_began(each) for each in _alerts(mailbox, "resolved")} - ended
            return Scene(
                [one for one in dict.fromkeys(_firing(mailbox)) if one not in earlier],
                frozenset(delivered for delivered, _ in over),
                frozenset(map(_began, _alerts(mailbox, "firing"))),
                [letter for to, letter in _letters(mailbox) if to == "/pagerduty"],
                [one.text for one in mailbox.messages()],
            )

        wait_until(
            lambda: set(messages) <= set(scene().messages) and over <= scene().over,
            lambda: f"expected: {messages}\n{over}\nactual: {scene()}",
            DEADLINE,
        )
        self._settle()
        return scene()

    def active(self) -> Mapping[frozenset[tuple[str, str]], str]:
        """Return the summaries of the alerts about data that Alertmanager knows as firing."""
        query = {"filter": 'component="data"'}
        alerts = requests.get(f"{self.alertmanager}/api/v2/alerts", query, timeout=TIMEOUT).json()
        return {_identity(one): one["annotations"]["summary"] for one in alerts}

    def _settle(self) -> None:
        """Wait until everything has been evaluated again, and Alertmanager has all texts of it."""
        enough = evaluations(self.prometheus) + 1
        wait_until(lambda: evaluations(self.prometheus) >= enough, timeout=DEADLINE)
        wait_until(lambda: self._evaluated() == self.active(), timeout=DEADLINE)

    def _evaluated(self) -> Mapping[frozenset[tuple[str, str]], str]:
        return {
            _identity(one): one["annotations"]["summary"]
            for one in self.prometheus.ask("alerts")["alerts"]
            if one["state"] == "firing" and one["labels"].get("component") == "data"
        }


def _identity(alert: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(alert["labels"].items())


def _letters(mailbox: Mailbox) -> Sequence[tuple[str, Any]]:
    return mailbox.letters[mailbox.skipped :]


def _alerts(mailbox: Mailbox, status: str) -> list[dict[str, Any]]:
    """Return the alerts about data that were reported with ``status``, with their receivers."""
    return [
        {**alert, "receiver": letter["receiver"]}
        for to, letter in _letters(mailbox)
        if to == "/webhook"
        for alert in letter["alerts"]
        if alert["status"] == status and alert["labels"]["component"] == "data"
    ]


def _began(alert: Mapping[str, Any]) -> tuple[Delivered, str]:
    """Return an alert, and when it began."""
    labels = alert["labels"]
    place = labels.get("quota", ""), labels.get("team", "")
    return Delivered(alert["receiver"], labels["alertname"], *place), alert["startsAt"]


def _firing(mailbox: Mailbox) -> Iterator[Message]:
    """Yield the messages about alerts that fire, without links and without those that ended."""
    for one in mailbox.messages():
        if one.channel != _OPERATORS and not one.title.startswith("RESOLVED"):
            text, _, _ = one.text.partition("Links: ")
            yield one._replace(text=_OVER.sub("", text))


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Run everything. Nothing has been polled yet."""
    clock = Clock(START - 20 * DAY)
    world = demo_world(START, projects=1, scenario="quota", seed=_SEED)
    ports = {name: free_port() for name in PROGRAMS}
    with ExitStack() as stack:
        url, mailbox = stack.enter_context(listening())
        sentry = stack.enter_context(Simulator(world, clock=clock, rate_limit=None))
        exporter = Exporter(_configuration(sentry.url), clock=clock)
        site = Site(exporter, ports["exporter:10790"])
        stack.callback(site.stop)
        site.start()
        places = Places(ports, folder / "secrets", url)
        lay_out_secrets(places)
        alertmanager = stack.enter_context(run_alertmanager(folder, places, divisors=_DIVISORS))
        prometheus = stack.enter_context(
            run_prometheus(folder, places, _RESEND, divisors=_DIVISORS)
        )
        # Each reload makes Prometheus look for Alertmanager again.
        wait_until(partial(is_connected, prometheus), timeout=DEADLINE)
        yield Stage(clock, exporter, prometheus, alertmanager, mailbox)


def _configuration(url: str) -> Config:
    """Return a configuration with the plan, and a query of which nothing is ever dropped."""
    replays = {
        "name": "replays",
        "groupBy": ["category", "outcome"],
        "filter": {"category": "replay"},
    }
    allotted = {"name": "payments", "category": "error", "team": TEAM, "limit": ALLOTTED}
    acme = organization(
        replays, billing={"plan": "sentry"}, teams={TEAM: _PROJECTS}, quotas=[allotted]
    )
    return configuration(url, acme)
