"""Shards: several exporters that share a configuration publish what one exporter would."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from click.testing import Result

from exporter.app import Exporter
from exporter.buckets import next_slot
from exporter.config import Config
from exporter.shard import Shard
from exporter.simulator import Simulator
from exporter.state import State
from tests.end_to_end.exposition import Sample, Samples, data, read_text, sample
from tests.end_to_end.stage import COMMAND, page, polled
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, Entry, configuration, organization
from tests.support.programs import TIMEOUT, running

SHARDS = tuple(Shard(ordinal, 3) for ordinal in range(3))
QUERIES: tuple[Entry, ...] = tuple(
    {**query, "name": f"{query['name']}-{number}", "lookback": "2h"}
    for query in (OUTCOMES, PROJECTS)
    for number in range(4)
)
SLUGS = ("acme", "globex")

OF_EACH_PROCESS = ("sentry_stats_clock_skew_seconds", "sentry_stats_api_", "sentry_stats_exporter_")
"""The metrics of an exporter about itself and its own requests."""

ANYWHERE = ("--web.listen-address", "127.0.0.1:0")
NEXT_POLL = "sentry_stats_next_poll_timestamp_seconds"


@pytest.fixture
def config(sentry: Simulator) -> Config:
    """Configure two organizations with enough queries to spread polls."""
    return configuration(sentry.url, *(organization(*QUERIES, slug=slug) for slug in SLUGS))


@pytest.fixture
def shards(config: Config, clock: Clock) -> list[Exporter]:
    """Return an exporter for each shard."""
    return [Exporter(config, clock=clock, shard=shard) for shard in SHARDS]


def shared(samples: Samples) -> Samples:
    """Return the samples about queries and projects, except the durations of polls."""
    return {
        (name, labels): value
        for (name, labels), value in samples.items()
        if not name.startswith(OF_EACH_PROCESS) and name != "sentry_stats_poll_duration_seconds"
    }


def name_on(shard: Shard) -> str:
    """Return the name of a query of acme that belongs to ``shard``."""
    return next(name for name in "abcdefghijklmnop" if shard.owns("acme", name))


def listings(sentry: Simulator, exporter: Exporter, now: float) -> int:
    """Poll, and return the number of requests for the projects list."""
    before = len(sentry.requests)
    polled(exporter, now)
    return sum(request.path.endswith("/projects/") for request in sentry.requests[before:])


def last_success(slug: str, query: str) -> Sample:
    """Return the key of the time of a query's last success."""
    name = "sentry_stats_last_success_timestamp_seconds"
    return sample(name, organization=slug, query=query)


def forty_queries(sentry: Simulator, clock: Clock) -> Exporter:
    """Return an exporter with forty queries."""
    queries = [
        {"name": f"query-{number}", "filter": {"category": "error"}, "lookback": "1h"}
        for number in range(40)
    ]
    return Exporter(configuration(sentry.url, organization(*queries)), clock=clock)


def seconds_past_the_slot(sentry: Simulator, clock: Clock) -> dict[Sample, float]:
    """Poll forty queries once, and return the delay after the slot of each next poll."""
    exporter = forty_queries(sentry, clock)
    slot = next_slot(clock.now, 3600, 300)
    samples = polled(exporter, clock.now)
    return {each: value - slot for each, value in samples.items() if each[0] == NEXT_POLL}


def test_the_union_equals_the_page_of_a_single_daemon(
    config: Config, clock: Clock, shards: list[Exporter]
) -> None:
    """Each sample of a single daemon is on the page of exactly one shard."""
    entire = shared(polled(Exporter(config, clock=clock), clock.now))
    parts = [shared(polled(exporter, clock.now)) for exporter in shards]
    times = Counter(each for part in parts for each in part)

    assert all(data(part) for part in parts)
    assert dict.fromkeys(entire, 1) == times
    assert entire == {each: value for part in parts for each, value in part.items()}


def test_each_shard_publishes_its_ordinal(shards: list[Exporter]) -> None:
    """The page has the shard's ordinal and the number of shards."""
    ordinal = sample("sentry_stats_exporter_shard_ordinal")
    total = sample("sentry_stats_exporter_total_shards")
    pages = [page(exporter) for exporter in shards]

    assert [(0, 3), (1, 3), (2, 3)] == [(samples[ordinal], samples[total]) for samples in pages]


def test_a_single_daemon_is_the_only_shard(config: Config, clock: Clock) -> None:
    """Without sharding, the exporter is the first of one shard."""
    samples = page(Exporter(config, clock=clock))

    assert 0 == samples[sample("sentry_stats_exporter_shard_ordinal")]
    assert 1 == samples[sample("sentry_stats_exporter_total_shards")]


def test_the_projects_list_is_read_where_it_is_needed(sentry: Simulator, clock: Clock) -> None:
    """Only shards with queries about projects read the projects list."""
    plain = {**OUTCOMES, "name": name_on(SHARDS[0])}
    by_project = {**PROJECTS, "name": name_on(SHARDS[1]), "lookback": "1h"}
    config = configuration(sentry.url, organization(plain, by_project))
    alone = listings(sentry, Exporter(config, clock=clock), clock.now)
    each = [
        listings(sentry, Exporter(config, clock=clock, shard=shard), clock.now) for shard in SHARDS
    ]

    assert [0, alone, 0] == each
    assert alone


def test_a_shard_requests_only_its_organizations(sentry: Simulator, clock: Clock) -> None:
    """An organization without queries on a shard has neither requests nor metrics there."""
    query = {**OUTCOMES, "name": name_on(SHARDS[1]), "lookback": "1h"}
    config = configuration(sentry.url, organization(query))
    samples = polled(Exporter(config, clock=clock, shard=SHARDS[0]), clock.now)

    assert [] == list(sentry.requests)
    assert not [each for each in samples if dict(each[1]).get("organization")]


def test_a_shard_without_queries_is_ready(sentry: Simulator, clock: Clock) -> None:
    """A shard without queries is ready."""
    config = configuration(sentry.url, organization({**OUTCOMES, "name": name_on(SHARDS[1])}))
    idle, busy = (Exporter(config, clock=clock, shard=shard) for shard in SHARDS[:2])

    assert not idle.why_not_ready()
    assert busy.why_not_ready()


def test_equal_queries_have_separate_counters(
    sentry: Simulator, clock: Clock, tmp_path: Path
) -> None:
    """Queries that differ only in their name each restore their own state on any shard."""
    names = [name_on(shard) for shard in SHARDS[:2]]
    queries = [{**OUTCOMES, "name": name, "lookback": "1h"} for name in names]
    config = configuration(sentry.url, organization(*queries))
    path = tmp_path / "state"
    state = State(path)
    polled(Exporter(config, clock=clock, state=state, shard=SHARDS[1]), clock.now)
    state.close()
    state = State(path)
    samples = page(Exporter(config, clock=clock, state=state))
    state.close()

    assert [0, clock.now] == [samples[last_success("acme", name)] for name in names]


def test_polls_are_spread_over_the_start_of_the_interval(sentry: Simulator, clock: Clock) -> None:
    """The polls of forty queries are spread over the four seconds after the slot."""
    assert {0, 1, 2, 3} == set(seconds_past_the_slot(sentry, clock).values())


def test_first_polls_are_spread_too(sentry: Simulator, clock: Clock) -> None:
    """The first polls have the same delays as the later ones."""
    exporter = forty_queries(sentry, clock)
    waits = [query.report.next_poll - clock.now for query in exporter.queries]

    assert {0, 1, 2, 3} == set(waits)
    assert [wait == 0 for wait in waits] == [query.due(clock.now) for query in exporter.queries]
    assert all(query.due(clock.now + 3) for query in exporter.queries)


def test_a_restart_does_not_move_polls(sentry: Simulator, clock: Clock) -> None:
    """The delay of a query's polls depends only on its name."""
    assert seconds_past_the_slot(sentry, clock) == seconds_past_the_slot(sentry, clock)


def test_serve_takes_its_shard_from_the_environment(
    configured: Callable[..., Path], tmp_path: Path
) -> None:
    """A daemon reads its shard from environment variables, and publishes it."""
    environment = {
        "SENTRY_STATS_EXPORTER_SHARD": "1",
        "SENTRY_STATS_EXPORTER_TOTAL_SHARDS": "2",
    }
    command = [*COMMAND, "serve", "--config.file", str(configured()), *ANYWHERE]
    with running(command, tmp_path / "serve.log", environment) as program:
        url = "http://" + program.wait_for(r"event=listening .*address=(\S+)")
        program.wait_ready(f"{url}/-/ready")
        samples = read_text(requests.get(f"{url}/metrics", timeout=TIMEOUT).text)

    assert 1 == samples[sample("sentry_stats_exporter_shard_ordinal")]
    assert 2 == samples[sample("sentry_stats_exporter_total_shards")]


@pytest.mark.parametrize(
    "flags",
    [
        ("--shard", "0"),
        ("--total-shards", "2"),
        ("--shard", "2", "--total-shards", "2"),
        ("--shard", "first", "--total-shards", "2"),
        ("--shard", "auto", "--total-shards", "2"),
        ("--shard", "0", "--total-shards", "0"),
    ],
    ids=" ".join,
)
def test_serve_refuses_invalid_shards(
    command: Callable[..., Result],
    configured: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
) -> None:
    """An invalid shard ends the daemon with status 2 before it polls."""
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    result = command("serve", "--config.file", configured(), *flags)

    assert 2 == result.exit_code
    assert "shard" in result.output
