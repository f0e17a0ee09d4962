"""The history of quotas."""

from typing import Any

import pytest

from exporter.backfill.progress_file import ProgressFile
from exporter.backfill.quotas import (
    QuotaJob,
    Samples,
    quota_history,
    quota_jobs,
    quota_window,
    read_plan,
    shown,
)
from exporter.backfill.times import DAY, HOUR, Range
from exporter.collect.series import Series
from exporter.config import Organization
from exporter.publish import quota_families as families
from exporter.publish.family import Family
from exporter.sentry.errors import NotFoundError
from exporter.sentry.question import QUANTITY
from tests.support.rows import NOON, reading, series
from tests.support.settings import SETTLE, organization

START = NOON // DAY * DAY
"""14 November: periods begin on the 12th."""

NOW = float(START + 20 * DAY)
ACCEPTED = Series(QUANTITY, "error", "accepted", "none")


def billed(**more: Any) -> Organization:
    """Return an organization with a quota of errors, and ``more`` keys of the file."""
    quotas = [{"name": "errors", "category": "error", "limit": 1000}, *more.pop("quotas", [])]
    entry = {"slug": "acme", "token": "opens-nothing", "quotas": quotas, **more}
    return organization().model_copy(
        update={
            key: getattr(Organization.model_validate(entry), key) for key in ("quotas", "billing")
        }
    )


def jobs_of(
    entry: Organization, start: float = START, end: float = START + DAY, **members: frozenset[int]
) -> list[QuotaJob]:
    """Return the jobs of a range; ``members`` are the projects of quotas about some projects."""
    window = quota_window(entry, None, Range(start, end, end + SETTLE), NOW)
    return [] if window is None else list(quota_jobs(3, entry, None, window, members))


MONTHLY = billed(billing={"period": {"start_day": 12}})
DAILY = billed(billing={"period": {"every": "1d", "from": "2023-01-01"}})


def values(samples: Samples, family: Family, *labels: str) -> list[tuple[int, float]]:
    """Return times and values of a series."""
    return list(samples[family, ("acme", "errors", *labels)].samples())


def at_ends(samples: Samples, family: Family, *labels: str) -> list[float]:
    """Return the values of a series a minute before each hour ends."""
    return [value for at, value in values(samples, family, *labels) if not (at + 60) % HOUR]


def written(
    file: ProgressFile, one: QuotaJob, *hours: int, start: int = START, end: int = START + DAY
) -> Samples:
    """Return the samples from ``start`` to ``end``.

    Each hour has so many errors, `START` is the first of them, and one where nothing is said.
    """
    window = one.job.window
    accepted = series()._replace(series=ACCEPTED)
    by_hour = dict(zip(range(START, window.end, HOUR), hours, strict=False))
    file.add(
        3,
        {start: reading({accepted: by_hour.get(start, 1)}) for start in window.buckets()},
    )
    return quota_history(one, shown(one, file, start, end))


def test_hours_from_the_beginning_of_the_period() -> None:
    """What was used is known from the first hour of the period in which the range begins."""
    (one,) = jobs_of(MONTHLY)

    assert (START - 2 * DAY, START + DAY) == (one.job.window.start, one.job.window.end)
    assert "quotas" == one.job.query.name
    assert ("error",) == one.job.query.filter.category


def test_use_at_the_end_of_each_hour(file: ProgressFile) -> None:
    """It is what was accepted from the beginning of the period on."""
    (one,) = jobs_of(MONTHLY)
    samples = written(file, one, 5, 0, 7)

    assert [53, 53, 60, 61] == at_ends(samples, families.QUOTA_USED)[:4]
    assert 24 == len(at_ends(samples, families.QUOTA_USED))
    assert {1000} == {value for _, value in values(samples, families.QUOTA_LIMIT)}
    assert {START - 2 * DAY} == {value for _, value in values(samples, families.QUOTA_PERIOD_START)}


def test_a_sample_every_five_minutes(file: ProgressFile) -> None:
    """Prometheus finds one at any time of the range, and none after it."""
    (one,) = jobs_of(MONTHLY)
    used = values(written(file, one, 5), families.QUOTA_USED)

    assert [*range(START + 240, START + DAY, 300)] == [at for at, _ in used]
    assert [48.0] * 11 + [53.0] * 12 == [value for _, value in used[:23]]


def test_ranges_that_touch(file: ProgressFile) -> None:
    """Together they have the samples of one range."""
    (one,) = jobs_of(MONTHLY)
    middle = START + 7 * HOUR + 1000
    parts = [
        values(written(file, one, *range(24), start=start, end=end), families.QUOTA_USED)
        for start, end in ((START, START + DAY), (START, middle), (middle, START + DAY))
    ]

    assert parts[0] == parts[1] + parts[2]


def test_forecasts_are_those_of_the_time(file: ProgressFile) -> None:
    """At an even pace, as much is expected as the period has hours; later hours do not matter."""
    (one,) = jobs_of(MONTHLY)
    samples = written(file, one, *[1] * 12, *[10_000] * 12)
    projected = at_ends(samples, families.QUOTA_PROJECTED, "day")

    assert pytest.approx(30 * 24, rel=0.01) == projected[5]
    assert projected[12] > 10_000
    assert (families.QUOTA_EXHAUSTION, ("acme", "errors", "day")) in samples


def test_the_last_sample_of_a_period_has_all_of_it(file: ProgressFile) -> None:
    """A minute before its end it shows the use of its last hour; afterwards, another one begins."""
    (one,) = jobs_of(DAILY, end=START + 2 * DAY)
    samples = written(file, one, end=START + 2 * DAY)
    end = START + DAY
    used, starts = (
        dict(values(samples, family))
        for family in (families.QUOTA_USED, families.QUOTA_PERIOD_START)
    )

    assert [1, 2, 3] == at_ends(samples, families.QUOTA_USED)[:3]
    assert (23, 24, 0) == tuple(used[end + more] for more in (-360, -60, 240))
    assert (START, START, end) == tuple(starts[end + more] for more in (-360, -60, 240))


def test_periods_that_begin_too_long_ago_are_left_out(file: ProgressFile) -> None:
    """Of a period whose hours Sentry does not have any more, nothing is known."""
    (one,) = jobs_of(billed(billing={"period": {"every": "366d", "from": "2023-01-01"}}))

    assert {} == written(file, one)
    assert not len(one.shown_hours())


def test_the_first_period_that_is_shown() -> None:
    """It is the first one that begins in the hours that Sentry has."""
    (one,) = jobs_of(MONTHLY, start=NOW - 120 * DAY)
    shown_hours = one.shown_hours()

    assert 0 < (shown_hours.start - one.job.window.start) < 31 * DAY
    assert shown_hours.start == one.account(shown_hours.start).period.start


def test_allocations_have_jobs_of_their_own() -> None:
    """They are read by the projects that count; what has none is not read."""
    quotas = [
        {"name": "web", "category": "error", "project": ["web"], "limit": 5},
        {"name": "empty", "category": "span", "project": ["gone"], "limit": 5},
    ]
    every, part = jobs_of(billed(quotas=quotas), web=frozenset({17, 12}), empty=frozenset())

    assert ["quotas", "quotas (web)"] == [one.job.query.name for one in (every, part)]
    assert ("12", "17") == part.job.query.filter.project
    assert ["errors"] == [one.quota.name for one in every.account(NOW).quotas]
    assert ["web"] == [one.quota.name for one in part.account(NOW).quotas]


def test_without_quotas_nothing_is_read() -> None:
    """An organization without quotas has no job, nor has a range that is too old."""
    assert [] == jobs_of(organization())
    assert [] == jobs_of(MONTHLY, start=NOW - 120 * DAY, end=NOW - 95 * DAY)


class NoPlan:
    """A server without plans."""

    def look_up(self, _api: str, _url: str, _kind: object, _use: object) -> Any:
        """Answer 404."""
        raise NotFoundError(404, "")

    def credentials(self) -> str:
        """Return what changes with the token."""
        return ""


def test_servers_without_plans() -> None:
    """What the file says holds where there is no plan."""
    assert read_plan(billed(billing={"plan": "sentry"}), NoPlan(), NOW) is None
