"""History in a real Prometheus, compared with Sentry's rows, to the event."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from exporter.app import Exporter
from exporter.categories import unit_of
from exporter.simulator import SCALE_TOKEN, Simulator, demo_world, scale_world
from tests.end_to_end.exposition import read_timeline
from tests.support.backfills import (
    LABELS,
    backfilled,
    import_history,
    increase,
    timelines,
)
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.exporters import scraped
from tests.support.prometheus import Prometheus, import_pages, prometheus
from tests.support.serving import serving

pytestmark = pytest.mark.programs

HOUR: Final = 3600
DAY: Final = 86400
NOW: Final = 1_790_000_000 // DAY * DAY + 12 * HOUR + 600.0
START: Final = int(NOW) // DAY * DAY - 60 * DAY
END: Final = int(NOW) // HOUR * HOUR - 3 * HOUR
"""The end of the last bucket: later ones have settled in the last three hours."""

QUERIES: Final = ({**OUTCOMES, "poll_interval": "15m"}, {**PROJECTS, "poll_interval": "15m"})
GAUGES: Final = '{__name__=~"sentry_stats_bucket_(events|bytes|seconds)"}'
COUNTERS: Final = '{__name__=~"sentry_stats_(events|bytes|seconds)_total"}'

Sums = Mapping[tuple[str, ...], float]


def labels_of(metric: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """Return some labels of a series."""
    return tuple(metric.get(name, "") for name in names)


def stored(sentry: Simulator, start: float, end: float, at: float, *names: str) -> Sums:
    """Return what Sentry has in a range, in published units, by labels without zeros."""
    slugs = {one.id: one.slug for one in sentry.world.active_projects(1)}
    sums: dict[tuple[str, ...], float] = {}
    for (category, *others), value in sentry.store.totals(
        1, start, end, at=at, group_by=("category", *names)
    ).items():
        labels = tuple(slugs.get(one, "") if isinstance(one, int) else one for one in others)
        divisor = 1000 if unit_of(str(category)) == "seconds" else 1
        key = str(category), *labels
        sums[key] = sums.get(key, 0) + value / divisor
    return {key: value for key, value in sums.items() if value}


def summed(values: Mapping[tuple[tuple[str, str], ...], float], query: str, *names: str) -> Sums:
    """Return values of series by some of their labels, without zeros."""
    sums: dict[tuple[str, ...], float] = {}
    for series, value in values.items():
        metric = dict(series)
        if metric["query"] == query:
            key = labels_of(metric, "category", *names)
            sums[key] = sums.get(key, 0) + value
    return {key: value for key, value in sums.items() if value}


BY_OUTCOME: Final = ("outcome", "reason")
BY_PROJECT: Final = ("outcome", "reason", "project")


@pytest.fixture(scope="module")
def scale() -> Iterator[Simulator]:
    """Serve a small organization with a deleted project."""
    world = scale_world(3, 12, deleted=0.34)
    with Simulator(world, clock=Clock(NOW), rate_limit=None) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def history(scale: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that has 60 days of history, in two ranges that touch."""
    folder = tmp_path_factory.mktemp("history")
    config = configuration(scale.url, organization(*QUERIES, slug="scale", token=SCALE_TOKEN))
    middle = str(START + 45 * DAY)
    clock = Clock(NOW)
    first = backfilled(config, folder, clock, str(START), end=middle, name="first.om")
    second = backfilled(config, folder, clock, middle, name="second.om")
    import_history(folder, second, first)
    with prometheus(folder) as server:
        yield server


@pytest.mark.parametrize(("query", "names"), [("outcomes", BY_OUTCOME), ("projects", BY_PROJECT)])
def test_gauges_of_sixty_days(
    query: str, names: tuple[str, ...], history: Prometheus, scale: Simulator
) -> None:
    """The sum over the gauges is Sentry's own number, over the seam of two imports too."""
    vector = history.instant(f"sum_over_time({GAUGES}[61d])", NOW)
    sums = {tuple(one["metric"].items()): float(one["value"][1]) for one in vector}

    assert pytest.approx(stored(scale, START, END, NOW, *names)) == summed(sums, query, *names)


@pytest.mark.parametrize(("query", "names"), [("outcomes", BY_OUTCOME), ("projects", BY_PROJECT)])
def test_counters_of_sixty_days(
    query: str, names: tuple[str, ...], history: Prometheus, scale: Simulator
) -> None:
    """Counters gain Sentry's own number, over the seam of two imports too."""
    gains = {key: increase(one) for key, one in timelines(history, COUNTERS, NOW).items()}

    assert pytest.approx(stored(scale, START, END, NOW, *names)) == summed(gains, query, *names)


@pytest.mark.parametrize("day", [0, 20, 44, 45, 58])
def test_increase_of_any_day(day: int, history: Prometheus, scale: Simulator) -> None:
    """PromQL's increase() of a day is Sentry's number of that day, but for its extrapolation."""
    end = START + (day + 1) * DAY
    # From just before the sample at the beginning of the day to just after that at its end.
    vector = history.instant(f"increase({COUNTERS}[86402s])", end + 301)
    sums = {tuple(one["metric"].items()): float(one["value"][1]) for one in vector}

    expected = stored(scale, end - DAY, end, NOW, *BY_PROJECT)
    assert pytest.approx(expected, rel=1e-3) == summed(sums, "projects", *BY_PROJECT)


def test_no_sample_is_there_twice(history: Prometheus) -> None:
    """Two ranges that touch have each bucket once, and nothing of the last three hours."""
    names = f'{{query="outcomes",job="{LABELS["job"]}"}}'
    starts = f"sentry_stats_bucket_start_timestamp_seconds{names}[61d]"
    ((_, values),) = (
        (one["metric"], [float(value) for _, value in one["values"]])
        for one in history.instant(starts, NOW)
    )

    assert [float(start) for start in range(START, END, HOUR)] == values


@pytest.fixture(scope="module")
def one_project() -> Iterator[Simulator]:
    """Serve an organization with one project."""
    with Simulator(scale_world(1, 4), clock=Clock(NOW), rate_limit=None) as simulator:
        yield simulator


def test_ninety_days_by_the_hour(one_project: Simulator, tmp_path: Path) -> None:
    """From the first hour that Sentry has on, no hour has the values of its day."""
    config = configuration(one_project.url, organization(slug="scale", token=SCALE_TOKEN))
    text = backfilled(config, tmp_path, Clock(NOW), "90d").read_text("utf-8")
    starts = range(int(NOW) // HOUR * HOUR - 90 * DAY + 2 * HOUR, END, HOUR)
    (shown,) = (
        values
        for (name, labels), values in read_timeline(text).items()
        if name == "sentry_stats_bucket_events" and ("category", "error") in labels
    )
    label = ("error", "accepted", "none")

    assert [start + HOUR + 300 for start in starts] == [at for at, _ in shown]
    for start, (_, value) in list(zip(starts, shown, strict=True))[::97]:
        assert stored(one_project, start, start + HOUR, NOW, *BY_OUTCOME)[label] == value


def test_thirteen_months_by_the_day(one_project: Simulator, tmp_path: Path) -> None:
    """With buckets of a day, counters go back thirteen months, and gauges of hours show none."""
    config = configuration(one_project.url, organization(*QUERIES, slug="scale", token=SCALE_TOKEN))
    before = len(one_project.requests)
    output = backfilled(config, tmp_path, Clock(NOW), "392d", resolution=DAY)
    timeline = read_timeline(output.read_text("utf-8"))
    start, end = (int(NOW) // DAY * DAY - days * DAY for days in (391, 0))
    gains = {
        tuple(sorted(labels)): increase([value for _, value in values])
        for (name, labels), values in timeline.items()
        if name == "sentry_stats_events_total"
    }

    expected = stored(one_project, start, end, NOW, *BY_PROJECT)
    assert expected == summed(gains, "projects", *BY_PROJECT)
    assert "sentry_stats_bucket_events" not in {name for name, _ in timeline}
    # A request for each day by project, and a few for all of them.
    assert len(one_project.requests) - before < 391 + 20


def test_seam_to_a_running_exporter(tmp_path: Path) -> None:
    """From three days before an exporter was started until now, no event is lost or twice."""
    began = NOW - 6 * HOUR + 1234
    clock = Clock(began)
    with Simulator(demo_world(began, seed=4), clock=clock, rate_limit=None) as sentry:
        config = configuration(sentry.url, organization(*QUERIES))
        exporter = Exporter(config, clock=clock)
        moments = range(int(began), int(NOW), 300)
        pages = list(scraped(exporter, clock, moments))
        with serving(exporter) as url:
            clock.now = float(moments[-1] + 1)
            start = str(int(began) // HOUR * HOUR - 72 * HOUR)
            file = backfilled(config, tmp_path, clock, start, end=str(int(began)), join=url)
        import_history(tmp_path, file)
        import_pages(tmp_path, pages)
        (polled,) = {query.report.last_success for query in exporter.queries}
        with prometheus(tmp_path) as server:
            gains = {key: increase(one) for key, one in timelines(server, COUNTERS, NOW).items()}

        for query, names in (("outcomes", BY_OUTCOME), ("projects", BY_PROJECT)):
            truth = stored(sentry, int(start), NOW + HOUR, polled, *names)
            assert pytest.approx(truth) == summed(gains, query, *names)
