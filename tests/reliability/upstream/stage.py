"""An exporter with a healthy organization and broken ones, on a clock that the test sets."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pytest

from exporter import clients
from exporter.app import Exporter
from exporter.config import QUOTAS_QUERY
from exporter.sentry.limits import limits_by_token
from exporter.sentry.transport import Transport
from exporter.simulator import World
from exporter.simulator.application import Application
from exporter.wiring import Poller
from tests.end_to_end.exposition import (
    Sample,
    Samples,
    data,
    lines_of,
    read_openmetrics,
    read_text,
    values,
)
from tests.end_to_end.truth import Truth
from tests.reliability.upstream.world import HOUR, ORGANIZATIONS, START, token_of
from tests.support.clock import Clock
from tests.support.configuration import configuration
from tests.support.exporters import page_text
from tests.support.fault_proxy import FaultProxy, Host
from tests.support.programs import wait_until

ROW_LIMIT: Final = 20
"""At how many rows an answer of stats is cut: an hour has 24 by project, a lookback 14 without."""

PAGE_SIZE: Final = 4
"""How many projects a page of the list has, so that it has three pages."""

MAX_AGE: Final = 2 * HOUR
SETTLE: Final = 300
QUERY: Final = "outcomes"
_SHOWN: Final = (
    *("up", "poll_failures_total", "api_request_failures_total", "plan_up", "quota_limit"),
    *("quota_used", "bucket_events", "events_total", "complete"),
)
"""The families of which a step looks at the values."""

_ZERO: Final = re.compile(r" 0(?:\.0)?\n")


@dataclass
class Stage:
    """The exporter, its servers by organization, and what it has published."""

    clock: Clock
    exporter: Exporter
    proxies: Mapping[str, FaultProxy]
    world: World
    since: dict[str, float] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict)

    def poll(self, now: float) -> None:
        """Poll what is due, as the poll loop does, and look at the page."""
        self.clock.now = now
        loop, queries = self.exporter.loop, self.exporter.queries
        loop.tick(now)
        wait_until(loop.idle)
        # A backlog is due again at once.
        while any(query.due(now) for query in queries):
            loop.tick(now)
            wait_until(loop.idle)
        self._look()

    def query(self, slug: str, name: str = QUERY) -> Poller:
        """Return a poller of an organization."""
        about = {"organization": slug, "query": name}
        return next(one for one in self.exporter.queries if one.about == about)

    def last_success(self, slug: str, name: str = QUERY) -> float:
        """Return when the last poll of a query began that succeeded."""
        return self.query(slug, name).report.last_success

    def is_up(self, slug: str) -> bool:
        """Return whether the last poll of an organization's query succeeded."""
        return self.of(slug, "up", "query")[QUERY,] == 1

    def reasons(self, slug: str, api: str) -> set[str]:
        """Return for what reasons requests of an organization to ``api`` have failed so far."""
        failures = self.of(slug, "api_request_failures_total", "api", "reason")
        return {reason for (name, reason), value in failures.items() if name == api and value}

    def of(self, slug: str, family: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a family about an organization, by some of their labels."""
        return values(self.samples[slug], family, *labels)

    def data(self, slug: str) -> Samples:
        """Return the data of an organization's query."""
        shown = data(self.samples[slug], prefix="sentry_stats_bucket_")
        return shown | data(self.samples[slug], prefix="sentry_stats_events_total")

    def wrong(self, slug: str) -> dict[Sample, tuple[float, float]]:
        """Return what is to be shown, and what is, where they differ after an organization's poll.

        What was in the running hour at the first poll is not counted.
        """
        now = self.last_success(slug)
        truth = self.truth(slug)
        # By project, only finished hours are read; without, the running one comes with them.
        end = now + 1 if slug in {"healthy", "plans"} else int(now - SETTLE) // HOUR * HOUR
        since = self.since[slug]
        gains = truth.gains(START - 12 * HOUR, since=since, until=max(end, since))
        shown = self._by_name(self.data(slug))
        expected = gains | truth.bucket(now)
        return {
            one: (expected.get(one, 0), shown.get(one, 0))
            for one in expected.keys() | shown.keys()
            if expected.get(one, 0) != shown.get(one, 0)
        }

    def _by_name(self, samples: Samples) -> Samples:
        """Return ``samples`` with what was counted under the id of a project under its name."""
        named: Samples = {}
        for (name, labels), value in samples.items():
            project = dict(labels)["project"]
            if project.isdigit():
                project = f"lists-{int(project) % 100}"
            key = name, labels - {("project", dict(labels)["project"])} | {("project", project)}
            named[key] = named.get(key, 0) + value
        return named

    def truth(self, slug: str) -> Truth:
        """Return the expected values of an organization's query."""
        one = next(each for each in self.exporter.config.organizations if each.slug == slug)
        return Truth(self.world, one, one.queries[0])

    def used(self, slug: str) -> int:
        """Return how many transactions had been used when an organization's quotas were read."""
        one, now = self.world.organization(slug), self.last_success(slug, QUOTAS_QUERY)
        assert one is not None
        sums = self.world.store.totals(
            one.id, START - 30 * HOUR, now + 1, at=now, outcome=["accepted"]
        )
        return sum(sums.values())

    def can_be_parsed(self) -> bool:
        """Return whether both formats of the page can be parsed, and say the same."""
        text = page_text(self.exporter)
        return read_text(text) == read_openmetrics(page_text(self.exporter, openmetrics=True))

    def _look(self) -> None:
        names = [f"sentry_stats_{name}" for name in _SHOWN]
        lines = lines_of(page_text(self.exporter), *names).splitlines(keepends=True)
        # Of most failures there are none, and parsing takes long.
        some = (line for line in lines if "failures_total" not in line or not _ZERO.search(line))
        samples = read_text("".join(some))
        self.samples = {
            slug: {key: value for key, value in samples.items() if ("organization", slug) in key[1]}
            for slug in ORGANIZATIONS
        }
        for slug in ORGANIZATIONS:
            if self.data(slug):
                self.since.setdefault(slug, self.clock.now)


@contextmanager
def staged(
    monkeypatch: pytest.MonkeyPatch,
    made: World,
    host: Host | None = None,
    lookback: str = "1h",
    **settings: Any,
) -> Iterator[Stage]:
    """Give an exporter whose broken organizations have ``settings`` of their own.

    Pauses that Sentry requires take no time. With a ``host``, it is what breaks.
    """
    pauses, clock = Clock(0.0), Clock(START)
    paced = partial(limits_by_token, clock=pauses, sleep=pauses.sleep)
    monkeypatch.setattr(clients, "limits_by_token", paced)
    with ExitStack() as servers:
        proxies = {}
        for slug in ORGANIZATIONS:
            limit = ROW_LIMIT if slug == "stats" else 10_000
            application = Application(
                made, clock, lambda _: None, row_limit=limit, rate_limit=None, all_projects=False
            )
            size = PAGE_SIZE if slug == "lists" else 100
            proxy = FaultProxy(application, host if slug != "healthy" else None, size)
            servers.enter_context(proxy.server)
            proxies[slug] = proxy
        _announce_requests(monkeypatch, proxies)
        entries = [
            _entry(slug, host.url(proxy) if host else proxy.server.url, lookback, settings)
            if slug != "healthy"
            else _entry(slug, proxy.server.url, lookback, {})
            for slug, proxy in proxies.items()
        ]
        config = configuration(
            "http://127.0.0.1:9", *entries, max_age=f"{MAX_AGE}s", settle=f"{SETTLE}s"
        )
        yield Stage(clock, Exporter(config, clock=clock), proxies, made)


def _announce_requests(monkeypatch: pytest.MonkeyPatch, proxies: Mapping[str, FaultProxy]) -> None:
    """Let proxies know of requests before they are sent: a host fails before it knows of them."""
    get = Transport.get

    def announced(self: Transport, url: str, *arguments: Any) -> Any:
        slug = url.split("/")[-3] if "/customers/" not in url else url.split("/")[-2]
        proxies[slug].announce(url)
        return get(self, url, *arguments)

    monkeypatch.setattr(Transport, "get", announced)


def _entry(slug: str, url: str, lookback: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an organization as the configuration file has it."""
    by = ["category", "outcome", "reason"]
    group_by = ["project", *by] if slug in {"stats", "lists"} else by
    quota = {"name": "transactions", "category": "transaction"}
    billing = {"billing": {"plan": "sentry"}, "quotas": [quota]}
    return {
        "slug": slug,
        "token": token_of(slug),
        "url": url,
        "max_concurrency": 1,
        "queries": [{"name": QUERY, "groupBy": group_by, "lookback": lookback}],
        **(billing if slug == "plans" else {}),
        **settings,
    }
