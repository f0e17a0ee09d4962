"""Quotas of a simulated Sentry: what was used, by whom, and what that costs."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from exporter.app import Exporter
from exporter.shard import Shard
from exporter.simulator import Fault, Simulator
from tests.end_to_end.exposition import values
from tests.end_to_end.stage import moment, page, polled
from tests.support.clock import Clock
from tests.support.configuration import Entry, configuration, organization
from tests.support.exporters import poll_due

QUOTAS: Final[list[Mapping[str, Any]]] = [
    {"name": "errors", "category": "error", "limit": 500_000, "price": 0.0002188},
    {"name": "spans", "category": "span", "limit": 5_000_000, "price": 0.000002},
    {"name": "logs", "category": "log_byte", "limit": "5GB", "price": "0.50/GB"},
    {"name": "files", "category": "attachment", "limit": "1GB", "price": "0.25/GB"},
    {"name": "profiling", "category": "profile_duration", "limit": "10h", "price": "0.0315/h"},
    {"name": "both", "category": ["error", "replay"]},
]


def acme(*quotas: Mapping[str, Any], **billing: Any) -> Entry:
    """Return the demo's organization with quotas."""
    return organization(quotas=[*(quotas or QUOTAS)], billing=billing)


def test_next_period_begins_on_its_first_second(sentry: Simulator, clock: Clock) -> None:
    """The first poll of a period falls on its first second, and nothing is used then."""
    clock.now = moment("2026-02-28T23:50:00Z")
    exporter = Exporter(configuration(sentry.url, acme()), clock=clock)
    poll_due(exporter, clock.now)
    before = values(page(exporter), "quota_used", "quota")
    clock.now = moment("2026-03-01T00:00:00Z")
    poll_due(exporter, clock.now)
    samples = page(exporter)

    assert all(before.values())
    assert {clock.now} == set(
        values(samples, "quota_period_start_timestamp_seconds", "quota").values()
    )
    assert {0} == set(values(samples, "quota_used", "quota").values())


def test_reload_keeps_what_did_not_change(sentry: Simulator, clock: Clock) -> None:
    """After a reload, unchanged quotas have their numbers and are not polled before their time."""
    exporter = Exporter(configuration(sentry.url, acme()), clock=clock)
    before = values(polled(exporter, clock.now), "quota_used", "quota")
    requests = len(sentry.requests)
    exporter.apply(configuration(sentry.url, acme(), max_age="4h"))
    poll_due(exporter, clock.now)

    assert before == values(page(exporter), "quota_used", "quota")
    assert requests == len(sentry.requests)


def test_reload_changes_quotas(sentry: Simulator, clock: Clock) -> None:
    """Changed quotas are read at once; removed ones leave the page with their polls."""
    exporter = Exporter(configuration(sentry.url, acme()), clock=clock)
    polled(exporter, clock.now)
    exporter.apply(configuration(sentry.url, acme({**QUOTAS[0], "limit": 7})))
    poll_due(exporter, clock.now)
    changed = values(page(exporter), "quota_limit", "quota")
    exporter.apply(configuration(sentry.url, organization()))
    samples = page(exporter)

    assert {("errors",): 7} == changed
    assert {} == values(samples, "quota_info", "quota")
    assert ("quotas",) not in values(samples, "up", "query")


def test_one_shard_has_the_quotas(sentry: Simulator, clock: Clock) -> None:
    """The quotas of an organization are polled by one of several shards, with their projects."""
    config = configuration(sentry.url, acme(QUOTAS[0]))
    pages = [
        polled(Exporter(config, clock=clock, shard=Shard(number, 3)), clock.now)
        for number in range(3)
    ]
    owners = [one for one in pages if values(one, "quota_used", "quota")]

    assert 1 == len(owners)
    assert values(owners[0], "project_info", "project")


def test_token_that_reads_nothing(sentry: Simulator, clock: Clock) -> None:
    """Without rights the polls fail with their reason, as those of queries do."""
    config = configuration(sentry.url, {**acme(), "token": "unknown"})
    samples = polled(Exporter(config, clock=clock), clock.now)

    assert 0 == values(samples, "up", "query")["quotas",]
    assert 1 == values(samples, "poll_failures_total", "query", "reason")["quotas", "unauthorized"]
    assert {} == values(samples, "quota_used", "quota")


class TestPlan:
    """The plan of the simulated Sentry."""

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_values_of_the_file_hold(self, sentry: Simulator, clock: Clock, status: int) -> None:
        """A plan that cannot be read leaves the quotas of the file, and the polls are well."""
        sentry.faults.add(Fault("status", status=status, endpoint="customers"))
        config = configuration(sentry.url, acme(QUOTAS[0], plan="sentry"))
        samples = polled(Exporter(config, clock=clock), clock.now)

        assert {("acme",): 0} == values(samples, "plan_up", "organization")
        assert {("errors", "file"): 1} == values(samples, "quota_info", "quota", "source")
        assert 1 == values(samples, "up", "query")["quotas",]
