"""The history of quotas."""

from typing import Any

import pytest

from exporter.backfill.progress_file import ProgressFile
from exporter.backfill.quotas import QuotaJob, Samples, quota_history, quota_job, read_plan
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


def job_of(entry: Organization, start: float = START, end: float = START + DAY) -> QuotaJob | None:
    """Return the job of a range."""
    return quota_job(3, entry, None, Range(start, end, end + SETTLE), NOW)


MONTHLY = billed(billing={"period": {"start_day": 12}})


def values(samples: Samples, family: Family, *labels: str) -> list[tuple[int, float]]:
    """Return times and values of a series."""
    return list(zip(*samples[family, ("acme", "errors", *labels)], strict=True))


def written(file: ProgressFile, one: QuotaJob | None, *hours: int) -> Samples:
    """Return the samples from `START` on, where each hour from it on has so many errors."""
    assert one is not None
    window = one.job.window
    accepted = series()._replace(series=ACCEPTED)
    by_hour = dict(zip(range(START, window.end, HOUR), hours, strict=False))
    file.add(
        3,
        {start: reading({accepted: by_hour.get(start, 1)}) for start in window.buckets()},
    )
    return quota_history(one, file, START)


def test_hours_from_the_beginning_of_the_period() -> None:
    """What was used is known from the first hour of the period in which the range begins."""
    one = job_of(MONTHLY)

    assert one is not None
    assert (START - 2 * DAY, START + DAY) == (one.job.window.start, one.job.window.end)
    assert "quotas" == one.job.query.name
    assert ("error",) == one.job.query.filter.category


def test_use_at_the_end_of_each_hour(file: ProgressFile) -> None:
    """It is what was accepted from the beginning of the period on."""
    samples = written(file, job_of(MONTHLY), 5, 0, 7)
    used = values(samples, families.QUOTA_USED)

    assert (START + HOUR + SETTLE, 48 + 5) == used[0]
    assert [53, 53, 60, 61] == [value for _, value in used[:4]]
    assert 24 == len(used)
    assert {1000} == {value for _, value in values(samples, families.QUOTA_LIMIT)}
    assert {START - 2 * DAY} == {value for _, value in values(samples, families.QUOTA_PERIOD_START)}


def test_forecasts_are_those_of_the_time(file: ProgressFile) -> None:
    """At an even pace, as much is expected as the period has hours; later hours do not matter."""
    samples = written(file, job_of(MONTHLY), *[1] * 12, *[10_000] * 12)
    projected = values(samples, families.QUOTA_PROJECTED, "day")

    assert pytest.approx(30 * 24, rel=0.01) == projected[5][1]
    assert projected[12][1] > 10_000
    assert (families.QUOTA_EXHAUSTION, ("acme", "errors", "day")) in samples


def test_use_begins_anew_with_a_period(file: ProgressFile) -> None:
    """The first sample of a period is that of its first hour."""
    entry = billed(billing={"period": {"every": "1d", "from": "2023-01-01"}})
    used = values(written(file, job_of(entry, end=START + 2 * DAY)), families.QUOTA_USED)

    assert [1, 2, 3] == [value for _, value in used[:3]]
    # At midnight, the period that has begun has used nothing.
    assert [23, 0, 1] == [value for _, value in used[22:25]]


def test_periods_that_begin_too_long_ago_are_left_out(file: ProgressFile) -> None:
    """Of a period whose hours Sentry does not have any more, nothing is known."""
    entry = billed(billing={"period": {"every": "366d", "from": "2023-01-01"}})
    samples = written(file, job_of(entry))

    assert {} == samples


def test_allocations_are_left_out(file: ProgressFile) -> None:
    """What some projects have used would have to be read by project."""
    entry = billed(quotas=[{"name": "web", "category": "error", "project": ["web"], "limit": 5}])
    samples = written(file, job_of(entry))

    assert {"errors"} == {labels[1] for _, labels in samples}
    assert families.QUOTA_PROJECT_USED not in {family for family, _ in samples}


def test_without_quotas_nothing_is_read() -> None:
    """An organization without quotas has no job, nor has a range that is too old."""
    assert job_of(organization()) is None
    assert job_of(MONTHLY, start=NOW - 120 * DAY, end=NOW - 95 * DAY) is None


class NoPlan:
    """A server without plans."""

    def look_up(self, _api: str, _url: str, _kind: object) -> Any:
        """Answer 404."""
        raise NotFoundError(404, "")

    def credentials(self) -> str:
        """Return what changes with the token."""
        return ""


def test_servers_without_plans() -> None:
    """What the file says holds where there is no plan."""
    assert read_plan(billed(billing={"plan": "sentry"}), NoPlan(), NOW) is None
