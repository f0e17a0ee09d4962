"""The file that is written: its format, and what it holds."""

from collections.abc import Sequence

import pytest

from exporter.backfill import writer
from exporter.backfill.progress_file import ProgressFile
from exporter.backfill.times import Job
from exporter.backfill.writer import History, JobData
from exporter.buckets import Window
from exporter.collect.snapshot import ProjectInfo
from exporter.config import Query
from tests.end_to_end.exposition import read_timeline, sample
from tests.support.rows import API, HOUR, NOON, OLD, WEB, reading, series
from tests.support.settings import SETTLE, organization, query

START = NOON - 3 * HOUR
TIMES = [start + HOUR + SETTLE for start in range(START, NOON, HOUR)]
PROJECTS = query("project", "category", "outcome", "reason")
LABELS = {"organization": "acme", "query": "outcomes", "category": "transaction"}
ACCEPTED = {**LABELS, "outcome": "accepted", "reason": "none"}
TARGET = {"job": "sentry"}


def written(file: ProgressFile, *jobs: JobData, limit: float = NOON + HOUR) -> str:
    """Return the text of the file."""
    projects = {"acme": [ProjectInfo("web", WEB, "python", "shop")]}
    return "".join(History(file, jobs, (), projects, TARGET, START, limit, limit).lines())


def data(asked: Query = PROJECTS) -> JobData:
    """Return a job of three hours."""
    job = Job(0, organization(), asked, Window(START, NOON, HOUR))
    return JobData(job, {WEB: "web", API: "api"})


def fill(
    file: ProgressFile, *values: int, project: int = WEB, category: str = "transaction"
) -> None:
    """Let the hours hold ``values``, without those that are negative."""
    for start, value in zip(range(START, NOON, HOUR), values, strict=True):
        one = series(project, category, reason="none")
        file.add(0, {start: reading({one: value} if value >= 0 else {})})


def samples(text: str, name: str, **labels: str) -> Sequence[tuple[float, float]]:
    """Return times and values of a series."""
    return read_timeline(text)[sample(name, **labels)]


def test_gauge_shows_each_bucket(file: ProgressFile) -> None:
    """A bucket has one sample, at the time at which it has settled."""
    fill(file, 5, 0, 7)
    shown = samples(
        written(file, data()), "sentry_stats_bucket_events", **TARGET, **ACCEPTED, project="web"
    )

    assert list(zip(TIMES, [5, 0, 7], strict=True)) == shown


def test_counter_is_the_running_sum(file: ProgressFile) -> None:
    """It is 0 a second after the end of a range that ends where this one begins."""
    fill(file, 5, -1, 7)
    shown = samples(
        written(file, data()), "sentry_stats_events_total", **TARGET, **ACCEPTED, project="web"
    )

    assert [(START + SETTLE + 1, 0), *zip(TIMES, [5, 5, 12], strict=True)] == shown


def test_projects_without_a_label_are_added(file: ProgressFile) -> None:
    """Deleted projects and the remainder share the empty label."""
    one = series(reason="none")
    for start in range(START, NOON, HOUR):
        file.add(0, {start: reading({one: 1, one._replace(project=OLD): 2})})
    shown = samples(
        written(file, data()), "sentry_stats_bucket_events", **TARGET, **ACCEPTED, project=""
    )

    assert [3, 3, 3] == [value for _, value in shown]


def test_durations_are_in_seconds(file: ProgressFile) -> None:
    """Sentry's milliseconds are published as seconds."""
    fill(file, 1500, 2000, 1, category="profile_duration")
    labels = {**ACCEPTED, "category": "profile_duration", "project": "web"}
    text = written(file, data())

    assert [1.5, 2, 0.001] == [
        value for _, value in samples(text, "sentry_stats_bucket_seconds", **TARGET, **labels)
    ]
    assert [0, 1.5, 3.5, 3.501] == [
        value for _, value in samples(text, "sentry_stats_seconds_total", **TARGET, **labels)
    ]


def test_information_has_the_times_of_the_buckets(file: ProgressFile) -> None:
    """Dashboards choose queries and projects by what is known about them."""
    fill(file, 5, 6, 7)
    text = written(file, data())
    project = {"project": "web", "id": str(WEB), "platform": "python", "team": "shop"}
    about = {"interval": "1h", "field": "sum(quantity)", "filter": ""}
    about["group_by"] = "category,outcome,project,reason"
    names = {"organization": "acme", "query": "outcomes"}
    ones = [(time, 1) for time in TIMES]
    # Quotas are read by team at the ends of hours.
    twice = sorted([*ones, *((time + HOUR - 360, 1) for time in (TIMES[0] - HOUR, *TIMES[:-1]))])

    assert twice == samples(
        text, "sentry_stats_project_info", **TARGET, organization="acme", **project
    )
    assert ones == samples(text, "sentry_stats_query_info", **TARGET, **names, **about)
    assert ones == samples(text, "sentry_stats_complete", **TARGET, **names)
    assert list(zip(TIMES, range(START, NOON, HOUR), strict=True)) == samples(
        text, "sentry_stats_bucket_start_timestamp_seconds", **TARGET, **names
    )


def test_what_is_not_proven_is_not_complete(file: ProgressFile) -> None:
    """An hour that may be cut says so."""
    fill(file, 5, 6, 7)
    file.add(0, {START: reading({series(WEB, reason="none"): 5}, proven=False)})
    shown = samples(
        written(file, data()),
        "sentry_stats_complete",
        **TARGET,
        organization="acme",
        query="outcomes",
    )

    assert [0, 1, 1] == [value for _, value in shown]


def test_days_of_an_hourly_query_have_counters_only(file: ProgressFile) -> None:
    """A gauge of hours never shows a day."""
    job = Job(0, organization(), PROJECTS, Window(START, START + 24 * HOUR, 24 * HOUR))
    file.add(0, {START: reading({series(WEB, reason="none"): 5})})
    names = {name for name, _ in read_timeline(written(file, JobData(job)))}

    assert {
        "sentry_stats_events_total",
        "sentry_stats_project_info",
        "sentry_stats_query_info",
    } == names


def test_what_the_rules_record_is_there_until_the_limit(file: ProgressFile) -> None:
    """The last hour would be recorded after the end of what may be imported."""
    fill(file, 5, 0, 7)
    text = written(file, data(), limit=NOON)
    recorded = {**ACCEPTED, "unit": "events"}
    starts = samples(
        text,
        "organization_query:sentry_stats_bucket_start_timestamp_seconds:hour",
        organization="acme",
        query="outcomes",
    )

    assert [(START + HOUR + 57 * 60, 5)] == samples(
        text,
        "organization_query_category_outcome_reason:sentry_stats_bucket_quantity:hour",
        **recorded,
    )
    assert [START, START + HOUR] == [value for _, value in starts]


def test_values_in_memory_are_limited(file: ProgressFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the same if only one series is in memory at a time."""
    fill(file, 5, 0, 7)
    fill(file, 1, 2, -1, project=API)
    usual = written(file, data())
    monkeypatch.setattr(writer, "MAX_VALUES", 3)

    assert usual == written(file, data())


def test_file_has_its_end(file: ProgressFile) -> None:
    """The last line is OpenMetrics' own mark."""
    fill(file, -1, -1, -1)

    assert written(file, data()).endswith("\n# EOF\n")
