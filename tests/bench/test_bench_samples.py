"""The data of the measurements: the same on either side, and as Sentry would answer."""

import json
from dataclasses import replace

import pytest

from bench.pipeline import FINISHED, NOW, Feed, Pipeline, configuration
from bench.samples import FAMILY, HOUR, KINDS, hour, project_id, project_slug, samples
from bench.served import served_series
from exporter.collect.snapshot import REASONS


@pytest.mark.parametrize("series", [1, 20, 21, 1_000])
def test_an_hour_has_as_many_rows_as_series(series: int) -> None:
    """The answer's rows are the samples, with their sums by kind beside them."""
    made = hour(series, FINISHED)
    groups = json.loads(made.body())["groups"]
    expected = [
        (project_id(sample.project), sample.category, sample.outcome, sample.value)
        for sample in samples(series)
    ]
    rows = [
        (*(group["by"][key] for key in ("project", "category", "outcome")), *totals(group))
        for group in groups
    ]

    assert expected == rows
    assert sum(made.sums) == sum(value for *_, value in rows)


def test_every_value_grows_from_turn_to_turn() -> None:
    """What comes next is new for every series."""
    pairs = zip(samples(500), samples(500, turn=1), strict=True)

    assert all(before[:-1] == after[:-1] and before.value < after.value for before, after in pairs)


def test_the_page_shows_each_series() -> None:
    """A poll publishes the samples as they are, and nothing else in the family."""
    feed = Feed(60, {FINISHED: hour(60, FINISHED)})
    pipeline = Pipeline(feed, configuration())
    pipeline.poll()
    page = b"".join(pipeline.page.chunks(openmetrics=False, compressed=False))
    lines = [line for line in page.decode().splitlines() if line.startswith(FAMILY + "{")]

    assert 60 == served_series(page)
    assert {(project_slug(s.project), s.category, s.reason, s.value) for s in samples(60)} == {
        shown(line) for line in lines
    }
    assert b"\nsentry_stats_events_total{" in page


def test_counters_gain_what_the_next_answer_has_more() -> None:
    """Polled again with grown values in a finished hour, the counters are what they grew by."""
    feed = Feed(40, {FINISHED: hour(40, FINISHED)})
    pipeline = Pipeline(feed, configuration())
    pipeline.poll()
    feed.hours[FINISHED] = hour(40, FINISHED, turn=1)
    pipeline.poll(NOW + HOUR // 12)
    page = b"".join(pipeline.page.chunks(openmetrics=False, compressed=False)).decode()
    counted = [
        int(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith("sentry_stats_events_total{")
    ]

    grown = zip(samples(40), samples(40, turn=1), strict=True)

    assert sum(after.value - before.value for before, after in grown) == sum(counted)


def test_a_poll_that_fails_is_no_measurement() -> None:
    """Sums that do not fit the rows end the measurement."""
    made = hour(40, FINISHED)
    feed = Feed(40, {FINISHED: replace(made, groups=made.groups[:1] * 2)})

    with pytest.raises(RuntimeError, match="|".join(REASONS)):
        Pipeline(feed, configuration()).poll()


def totals(group: dict[str, dict[str, int]]) -> list[int]:
    """Return the values of a group."""
    return list(group["totals"].values())


def shown(line: str) -> tuple[str, str, str, int]:
    """Return project, category, reason and value of a line."""
    labels, _, value = line.removeprefix(FAMILY).partition("} ")
    pairs = dict(pair.split("=", 1) for pair in labels.strip("{").split(","))
    project, category, reason = (
        pairs[name].strip('"') for name in ("project", "category", "reason")
    )
    return project, category, reason, int(value)


def test_kinds_differ() -> None:
    """No two series of a project are the same."""
    assert len(KINDS) == len(set(KINDS))
