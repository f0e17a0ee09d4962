"""Every kind of Sentry, hosted and self-hosted, and GlitchTip, which is refused by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from click.testing import Result

from exporter.app import Exporter
from exporter.simulator import Release, Simulator, demo_world
from tests.end_to_end.exposition import Samples, data, nonzero, sample
from tests.end_to_end.stage import moment, page, polled, truths
from tests.support.clock import Clock
from tests.support.configuration import (
    OUTCOMES,
    PROJECTS,
    Entry,
    configuration,
    document,
    organization,
)
from tests.support.exporters import unpaced
from tests.support.glitchtip import glitchtip

NOW: Final = moment("2026-05-04T10:12:00Z")
HOUR: Final = 3600
GRACE_PERIOD: Final = 120

RELEASES: Final = ((21, 4), (22, 12), (24, 4), (26, 8))
"""The first release with stats_v2, and the last one of each kind."""

BY_PROJECT: Final = {"groupBy": ["project", "category", "outcome", "reason"], "lookback": "12h"}
QUERIES: Final = (
    {**OUTCOMES, "poll_interval": "5m", "lookback": "12h"},
    {**PROJECTS, **BY_PROJECT, "poll_interval": "15m"},
    {"name": "days", "groupBy": ["category", "outcome"], "interval": "1d", "lookback": "1d"},
)
"""The shipped queries, and others that ask in other ways."""


def increases(before: Samples, after: Samples) -> Samples:
    """Return how much each counter has increased."""
    return {
        each: value - before.get(each, 0)
        for each, value in data(after).items()
        if each[0].endswith("_total")
    }


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES, ids=lambda release: "{}.{}".format(*release))
def test_self_hosted(release: tuple[int, int]) -> None:
    """Buckets, running buckets and counters are those of the store, and no limit is published."""
    clock = Clock(NOW)
    with Simulator(
        demo_world(NOW, projects=2),
        clock=clock,
        rate_limit=None,
        release=Release(*release),
    ) as sentry:
        config = unpaced(configuration(sentry.url, organization(*QUERIES)))
        exporter = Exporter(config, clock=clock)
        first = polled(exporter, clock.now)
        clock.now += HOUR
        polled(exporter, clock.now)
        for query in exporter.queries:
            query.refresh(clock.now + GRACE_PERIOD)
        last = page(exporter)
        expected = [*truths(sentry.world, config)]

    for truth in expected:
        name = truth.query.name
        own = data(last, query=name)
        assert truth.bucket(clock.now) == data(own, prefix="sentry_stats_bucket_")
        began = NOW // truth.query.interval * truth.query.interval - truth.query.lookback
        gained = truth.gains(began, since=NOW, until=clock.now)
        assert nonzero(gained) == nonzero(increases(data(first, query=name), own))
    assert {1.0} == {last[sample("sentry_stats_complete", **labels)] for labels in queries_of()}
    assert not any(name.startswith("sentry_stats_api_rate_limit") for name, _ in last)


def queries_of() -> list[Mapping[str, str]]:
    """Return the labels of each query."""
    return [{"organization": "acme", "query": str(query["name"])} for query in QUERIES]


def test_hosted() -> None:
    """Hosted Sentry has limits, which are published, and the same numbers."""
    with Simulator(demo_world(NOW, projects=2), clock=lambda: NOW) as sentry:
        config = configuration(sentry.url, organization(OUTCOMES))
        samples = polled(Exporter(config, clock=lambda: NOW), NOW)
        (truth,) = truths(sentry.world, config)

    assert truth.bucket(NOW) == data(samples, prefix="sentry_stats_bucket_")
    assert 20 == samples[sample("sentry_stats_api_rate_limit", organization="acme")]


@pytest.mark.parametrize(("release", "up"), [((24, 4), 0), ((24, 5), 1)])
def test_numeric_id(release: tuple[int, int], up: int) -> None:
    """An organization can be named by its id from Sentry 24.5 on; before, its queries are down."""
    entry = {**organization(OUTCOMES), "slug": "1", "name": "acme"}
    with Simulator(
        demo_world(NOW, projects=2),
        clock=lambda: NOW,
        rate_limit=None,
        release=Release(*release),
    ) as sentry:
        exporter = Exporter(configuration(sentry.url, entry), clock=lambda: NOW)
        for query in exporter.queries:
            query.poll(NOW)

    assert up == page(exporter)[sample("sentry_stats_up", organization="acme", query="outcomes")]


GLITCHTIP: Final[Mapping[str, tuple[Entry, str]]] = {
    "no category": (OUTCOMES, "unexpected_status"),
    "by project": (PROJECTS, "unexpected_status"),
    "a category": (
        {"name": "errors", "groupBy": ["outcome"], "filter": {"category": "error"}},
        "bad_answer",
    ),
    "nothing but a category": ({"name": "errors", "filter": {"category": "error"}}, "bad_answer"),
    "a category of Sentry's": (
        {"name": "spans", "groupBy": ["outcome"], "filter": {"category": "span"}},
        "unexpected_status",
    ),
}
"""Queries, and why they fail at GlitchTip."""


@pytest.mark.parametrize("name", GLITCHTIP)
def test_glitchtip_is_refused_by_name(
    name: str, tmp_path: Path, command: Callable[..., Result]
) -> None:
    """Whatever is asked, the check names GlitchTip and says what is supported."""
    query, _ = GLITCHTIP[name]
    path = tmp_path / "config.yaml"
    with glitchtip() as url:
        path.write_text(document(url, organization(query)), "utf-8")
        result = command("check", "--config.file", path, "--online")

    assert 1 == result.exit_code
    assert "GlitchTip is not supported, as its stats_v2 cannot group" in result.output


@pytest.mark.parametrize("name", GLITCHTIP)
def test_nothing_of_glitchtip_is_published(name: str) -> None:
    """A query at GlitchTip is down, with its reason, and publishes no numbers."""
    query, reason = GLITCHTIP[name]
    with glitchtip() as url:
        exporter = Exporter(configuration(url, organization(query)), clock=lambda: NOW)
        for one in exporter.queries:
            one.poll(NOW)
        samples = page(exporter)

    labels = {"organization": "acme", "query": str(query["name"])}
    assert {} == data(samples)
    assert 0 == samples[sample("sentry_stats_up", **labels)]
    assert 1 == samples[sample("sentry_stats_poll_failures_total", reason=reason, **labels)]
