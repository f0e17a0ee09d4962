"""Quotas of a simulated Sentry: what was used, by whom, and what that costs."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from exporter.app import Exporter
from exporter.config import QUOTAS_QUERY
from exporter.shard import Shard
from exporter.simulator import Fault, Plan, Simulator, Subscription
from exporter.simulator.plans import Category
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


def test_a_changed_quota_holds_at_once(sentry: Simulator, clock: Clock) -> None:
    """Before the next poll, a changed limit is there, and the others have their numbers."""
    exporter = Exporter(configuration(sentry.url, acme()), clock=clock)
    before = polled(exporter, clock.now)
    requests = len(sentry.requests)
    changed = [{**QUOTAS[0], "limit": 7}, *QUOTAS[1:]]
    exporter.apply(configuration(sentry.url, acme(*changed)))
    samples = page(exporter)

    assert requests == len(sentry.requests)
    assert 7 == values(samples, "quota_limit", "quota")["errors",]
    for family in ("quota_used", "quota_project_used"):
        labels = ("quota", "project") if family == "quota_project_used" else ("quota",)
        assert values(before, family, *labels) == values(samples, family, *labels)


def test_an_added_quota_comes_with_its_poll(sentry: Simulator, clock: Clock) -> None:
    """What nothing was read of yet appears with the next poll, which is due at once."""
    exporter = Exporter(configuration(sentry.url, acme(*QUOTAS[:2])), clock=clock)
    polled(exporter, clock.now)
    exporter.apply(configuration(sentry.url, acme(*QUOTAS[:3])))
    at_once = values(page(exporter), "quota_used", "quota")
    poll_due(exporter, clock.now)

    assert {("errors",), ("spans",)} == at_once.keys()
    assert {("errors",), ("spans",), ("logs",)} == values(
        page(exporter), "quota_used", "quota"
    ).keys()


def test_another_period_is_read_anew(sentry: Simulator, clock: Clock) -> None:
    """What was read of another period says nothing about the new one."""
    exporter = Exporter(configuration(sentry.url, acme()), clock=clock)
    polled(exporter, clock.now)
    exporter.apply(configuration(sentry.url, acme(period={"start_day": 17})))
    at_once = values(page(exporter), "quota_used", "quota")
    poll_due(exporter, clock.now)

    assert {} == at_once
    assert {moment("2026-02-17T00:00:00Z")} == set(
        values(page(exporter), "quota_period_start_timestamp_seconds", "quota").values()
    )


def test_removed_quotas_leave_the_page(sentry: Simulator, clock: Clock) -> None:
    """They leave it with their polls."""
    exporter = Exporter(configuration(sentry.url, acme()), clock=clock)
    polled(exporter, clock.now)
    exporter.apply(configuration(sentry.url, organization()))
    samples = page(exporter)

    assert {} == values(samples, "quota_info", "quota")
    assert ("quotas",) not in values(samples, "up", "query")


def test_first_polls_are_spread(sentry: Simulator, clock: Clock) -> None:
    """The quotas of many organizations are not all polled at the same second, as queries are."""
    many = [{**acme(QUOTAS[0]), "name": f"acme-{number}"} for number in range(40)]
    exporter = Exporter(configuration(sentry.url, *many), clock=clock)
    waits = [
        each.report.next_poll - clock.now
        for each in exporter.queries
        if each.about["query"] == QUOTAS_QUERY
    ]

    assert 40 == len(waits)
    # As many seconds as 80 polls need, ten in each.
    assert set(range(8)) == set(waits)


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

    def test_a_plan_that_changes(self, sentry: Simulator, clock: Clock) -> None:
        """Within an hour its new limits, prices and budget hold."""
        clock.now = moment("2026-03-01T00:00:00Z")
        config = configuration(sentry.url, organization(billing={"plan": "sentry"}))
        exporter = Exporter(config, clock=clock)
        before = polled(exporter, clock.now)
        # Its periods begin on the same day as those of the plan before.
        less = Plan({"errors": Category(9, 1)}, budget=5_000, start_day=9)
        sentry.world.subscribe(1, Subscription(less))
        for _ in range(4):
            clock.now += 900
            poll_due(exporter, clock.now)
        samples = page(exporter)

        assert {("errors",): 10} == values(samples, "quota_limit", "quota")
        assert ({("",): 300}, {("",): 50}) == (
            values(before, "budget", "quota"),
            values(samples, "budget", "quota"),
        )
        assert (
            values(before, "quota_used", "quota")["errors",]
            < values(samples, "quota_used", "quota")["errors",]
        )

    def test_a_plan_that_fails_for_a_time(self, sentry: Simulator, clock: Clock) -> None:
        """While Sentry cannot answer, the last plan holds; afterwards it is the present one."""
        config = configuration(sentry.url, organization(billing={"plan": "sentry"}))
        exporter = Exporter(config, clock=clock)
        before = values(polled(exporter, clock.now), "quota_limit", "quota")
        broken = sentry.faults.add(Fault("status", status=503, endpoint="customers"))
        sentry.world.subscribe(1, Subscription(Plan({"errors": Category(9, 1)})))
        clock.now += 3600
        poll_due(exporter, clock.now)
        failing = page(exporter)
        sentry.faults.remove(broken)
        clock.now += 3600
        poll_due(exporter, clock.now)
        after = page(exporter)

        assert before == values(failing, "quota_limit", "quota")
        assert [{("acme",): 0}, {("acme",): 1}] == [
            values(samples, "plan_up", "organization") for samples in (failing, after)
        ]
        assert {("errors",): 10} == values(after, "quota_limit", "quota")

    def test_a_reload_does_not_read_it_again(self, sentry: Simulator, clock: Clock) -> None:
        """The plan is asked for once an hour, however often the file changes."""
        exporter = Exporter(
            configuration(sentry.url, organization(billing={"plan": "sentry"})), clock=clock
        )
        polled(exporter, clock.now)
        for limit in range(3):
            changed = acme({**QUOTAS[0], "limit": limit}, plan="sentry")
            exporter.apply(configuration(sentry.url, changed))
            poll_due(exporter, clock.now)
        limits = values(page(exporter), "quota_limit", "quota")

        assert 1 == sum("/customers/" in request.path for request in sentry.requests)
        assert (2, 40 * 10**9) == (limits["errors",], limits["logBytes",])

    def test_a_plan_that_is_turned_off(self, sentry: Simulator, clock: Clock) -> None:
        """Its quotas leave the page at once, and so does the metric about it."""
        quota = {**QUOTAS[0], "name": "mine"}
        exporter = Exporter(configuration(sentry.url, acme(quota, plan="sentry")), clock=clock)
        polled(exporter, clock.now)
        exporter.apply(configuration(sentry.url, acme(quota)))
        samples = page(exporter)

        assert {} == values(samples, "plan_up", "organization")
        assert {("mine",), ("errors",)} >= values(samples, "quota_limit", "quota").keys()

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("status", status=401, endpoint="customers"),
            Fault("status", status=403, endpoint="customers"),
            Fault("status", status=404, endpoint="customers"),
            Fault("status", status=410, endpoint="customers"),
            Fault("garbage", endpoint="customers"),
            Fault("garbage", body=b'{"categories": {}}', endpoint="customers"),
            Fault("redirect", status=301, location="/api/0/billing/acme/", endpoint="customers"),
        ],
        ids=["401", "403", "404", "410", "a page", "other fields", "moved"],
    )
    def test_values_of_the_file_hold(self, sentry: Simulator, clock: Clock, fault: Fault) -> None:
        """A plan that cannot be read leaves the quotas of the file, and the polls are well."""
        sentry.faults.add(fault)
        config = configuration(sentry.url, acme(QUOTAS[0], plan="sentry"))
        samples = polled(Exporter(config, clock=clock), clock.now)

        assert {("acme",): 0} == values(samples, "plan_up", "organization")
        assert {("errors", "file"): 1} == values(samples, "quota_info", "quota", "source")
        assert 1 == values(samples, "up", "query")["quotas",]
