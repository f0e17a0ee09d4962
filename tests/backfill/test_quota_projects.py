"""What each project has used of the quotas."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from exporter.backfill.progress_file import ProgressFile
from exporter.backfill.quota_projects import COST, USED, ProjectUse, Source, covers, sources_of
from exporter.backfill.quotas import QuotaJob, hours_of, quota_jobs, shown
from exporter.backfill.times import DAY, HOUR, Job
from exporter.buckets import Window
from exporter.collect.series import NO_PROJECT, Reading, Series
from exporter.config import Organization, Query
from exporter.sentry.question import QUANTITY
from tests.backfill.test_quotas import billed
from tests.support.rows import NOON
from tests.support.settings import organization

START = NOON // DAY * DAY
HOURS = Window(START - DAY, START + DAY, HOUR)
LABELS = {1: "web", 2: "api"}
BILLING = {"period": {"every": "2d", "from": "2023-11-13"}}
"""A period begins a day before `START`."""


def job(window: Window = HOURS, **query: Any) -> Job:
    """Return the job of a query by project."""
    entry = {"name": "projects", "groupBy": ["project", "category", "outcome", "reason"], **query}
    return Job(1, organization(), Query.model_validate(entry), window)


def rows(
    values: Mapping[int, int], outcome: str = "accepted"
) -> Mapping[Series, Mapping[int, int]]:
    """Return the errors of projects."""
    return {Series(QUANTITY, "error", outcome, "none"): values}


@pytest.mark.parametrize(
    ("query", "covered"),
    [
        ({}, True),
        ({"groupBy": ["project", "category", "outcome"]}, True),
        ({"groupBy": ["project", "category"], "filter": {"outcome": "accepted"}}, True),
        ({"filter": {"category": ["error", "span"]}}, True),
        ({"field": ["sum(quantity)", "sum(times_seen)"]}, True),
        ({"groupBy": ["project", "category"]}, False),
        ({"groupBy": ["category", "outcome"]}, False),
        ({"filter": {"category": "error"}}, False),
        ({"filter": {"outcome": "rate_limited"}}, False),
        ({"filter": {"reason": "none"}}, False),
        ({"filter": {"project": "web"}}, False),
        ({"field": "sum(times_seen)"}, False),
    ],
)
def test_queries_that_have_what_quotas_need(query: Mapping[str, Any], *, covered: bool) -> None:
    """They have everything that was accepted of the categories, by project and hour."""
    assert covered == covers(job(**query), ["error", "span"])


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], [(9, START - DAY, START + DAY)]),
        ([HOURS], [(1, START - DAY, START + DAY)]),
        (
            [Window(START - HOUR, START + DAY, HOUR)],
            [(9, START - DAY, START), (1, START, START + DAY)],
        ),
        (
            [Window(START - DAY, START + DAY, 6 * HOUR), Window(START - DAY, START + DAY, DAY)],
            [(1, START - DAY, START + DAY)],
        ),
        (
            [Window(START + 20 * HOUR, START + DAY, HOUR)],
            [(9, START - DAY, START + DAY)],
        ),
    ],
)
def test_days_are_read_until_the_buckets_of_a_query_begin(
    windows: Sequence[Window], expected: Sequence[tuple[int, int, int]]
) -> None:
    """Nothing is read that a query has read, and no hour counts twice."""
    sources = sources_of(9, organization(), ["error"], HOURS, [job(one) for one in windows])

    assert expected == [(one.job.number, one.window.start, one.window.end) for one in sources]


def quota_job(
    entry: Organization, *sources: Source, members: frozenset[int] | None = None
) -> QuotaJob:
    """Return the job of the quotas, or of those of ``members``."""
    every = list(quota_jobs(3, entry, None, HOURS, {"web": members or frozenset()}))
    one = every[-1] if members else every[0]
    return QuotaJob(one.job, one.plan, one.part, one.members, sources)


def used(
    file: ProgressFile, one: QuotaJob, *, cost: bool = False
) -> Mapping[int, Mapping[str, int]]:
    """Return what is written, by time and label."""
    use = ProjectUse(file, -1, one.sources, LABELS, one.members)
    for each in shown(one, file, START - DAY, START + DAY):
        if each.is_end:
            use.add(each.end, each.view, 1)
    use.finish()
    written: dict[int, dict[str, int]] = {}
    (runs,) = [
        runs
        for series, runs in file.table(-1).runs.items()
        if series.field == (COST if cost else USED)
    ]
    absent = (1 << 64) - 1
    for end, cells in file.columns(-1):
        for run in runs:
            for place, project in enumerate(run.projects, run.start):
                if cells[place] != absent:
                    written.setdefault(end, {})[use.names[project]] = cells[place]
    return written


def filled(
    file: ProgressFile, total: int, values: Mapping[int, int], number: int = 1, interval: int = HOUR
) -> Source:
    """Write that each hour has ``total``, and each bucket of projects ``values``."""
    file.add(3, {start: Reading(rows({NO_PROJECT: total})) for start in HOURS.buckets()})
    window = Window(HOURS.start, HOURS.end, interval)
    file.add(number, {start: Reading(rows(values)) for start in window.buckets()})
    return Source(job(window), window)


def test_hours_add_up(file: ProgressFile) -> None:
    """Each project has what its hours have, and what no project has is without a label."""
    source = filled(file, 10, {1: 4, 2: 3, 5: 1})
    written = used(file, quota_job(billed(billing=BILLING), source))

    assert {"web": 4, "api": 3, "": 3} == written[HOURS.start + HOUR]
    assert {"web": 4 * 48, "api": 3 * 48, "": 3 * 48} == written[HOURS.end]
    assert 48 == len(written)


def test_days_add_up_at_their_ends(file: ProgressFile) -> None:
    """Where days were read, the use of projects is known where they end."""
    source = filled(file, 10, {1: 150, 2: 80}, interval=DAY)
    written = used(file, quota_job(billed(billing=BILLING), source))

    assert {
        START: {"web": 150, "api": 80, "": 10},
        START + DAY: {"web": 300, "api": 160, "": 20},
    } == written


def test_use_begins_anew_with_a_period(file: ProgressFile) -> None:
    """In a new period, only what was used in it counts; the last sample has all of the old one."""
    source = filled(file, 10, {1: 10})
    daily = billed(billing={"period": {"every": "1d", "from": "2023-11-13"}})
    written = used(file, quota_job(daily, source))

    assert {"web": 240, "": 0} == written[START]
    assert {"web": 10, "": 0} == written[START + HOUR]


def test_events_that_came_in_between(file: ProgressFile) -> None:
    """Projects that were read later have more: then the quota has it, too."""
    one = quota_job(billed(billing=BILLING), filled(file, 10, {1: 10, 2: 2}))
    last = list(shown(one, file, START - DAY, START + DAY))[-1]

    assert 12 * 48 == last.view.quotas[0].used
    assert {"web": 10 * 48, "api": 2 * 48, "": 0} == used(file, one)[HOURS.end]


def test_costs_add_up_to_the_cent(file: ProgressFile) -> None:
    """The cost of the quota is divided among the projects, and nothing is left."""
    entry = billed(billing=BILLING)
    (quota,) = entry.quotas
    priced = {"name": "errors", "category": "error", "limit": 100, "price": 0.001}
    entry = entry.model_copy(update={"quotas": (type(quota).model_validate(priced),)})
    one = quota_job(entry, filled(file, 10, {1: 4, 2: 3}))
    costs = used(file, one, cost=True)

    for each in shown(one, file, START - DAY, START + DAY):
        (view,) = each.view.quotas
        if each.is_end:
            assert sum(view.costs.values()) * 100 == sum(costs[each.end].values())
    assert Decimal("0.38") * 100 == sum(costs[HOURS.end].values())


def test_allocations_have_their_members(file: ProgressFile) -> None:
    """The use of an allocation is that of its projects, and it has no remainder."""
    entry = billed(
        billing=BILLING,
        quotas=[{"name": "web", "category": "error", "project": ["web"], "limit": 5}],
    )
    source = filled(file, 10, {1: 4, 2: 3})
    one = quota_job(entry, source, members=frozenset({1}))
    file.add(4, {start: Reading(rows({NO_PROJECT: 5})) for start in HOURS.buckets()})

    assert 4 * 48 == sum(hours_of(one, file).accepted["error"].values())
    assert {"web": 4 * 48} == used(file, one)[HOURS.end]
