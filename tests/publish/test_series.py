"""A query's data as lines: the right family, unit, labels and order."""

import re

import pytest

from exporter.categories import KNOWN_CATEGORIES, Unit, unit_of
from exporter.publish.series import DataPieces, render
from exporter.sentry.question import TIMES_SEEN
from tests.publish.reports import GONE, WEB, series, view


def lines(data: DataPieces) -> list[str]:
    """Return the lines of all pieces."""
    return [line for one in data.pieces.values() for line in one.text.decode().splitlines()]


def test_line() -> None:
    """A sample has all six labels, always in the same order."""
    data = render("acme", "outcomes", view(bucket={series(): 5}))

    assert [
        (
            'sentry_stats_bucket_events{organization="acme",query="outcomes",category="error",'
            'outcome="accepted",reason="none",project=""} 5'
        )
    ] == lines(data)


def test_three_kinds() -> None:
    """Finished bucket, running bucket and counters are families of their own."""
    data = render(
        "acme",
        "outcomes",
        view(bucket={series(): 5}, running={series(): 2}, counters={series(): 90}),
    )

    assert [
        "sentry_stats_bucket_events",
        "sentry_stats_events_total",
        "sentry_stats_running_bucket_events",
    ] == sorted(data.pieces)
    assert 3 == data.samples


@pytest.mark.parametrize("category", [*KNOWN_CATEGORIES, "not-known-yet"])
def test_unit(category: str) -> None:
    """Each category is in the family of its unit; milliseconds become seconds."""
    data = render("acme", "outcomes", view(bucket={series(category): 1500}))

    unit = unit_of(category)
    assert [f"sentry_stats_bucket_{unit}"] == list(data.pieces)
    assert lines(data)[0].endswith(" 1.5" if unit is Unit.SECONDS else " 1500")


@pytest.mark.parametrize("category", ["error", "log_byte", "profile_duration"])
def test_times_seen(category: str) -> None:
    """How often rows were seen has no unit, whatever their category."""
    bucket = {series(category, field=TIMES_SEEN): 1500}

    data = render("acme", "outcomes", view(bucket=bucket))

    assert ["sentry_stats_bucket_times_seen"] == list(data.pieces)
    assert lines(data)[0].endswith(" 1500")


def test_without_category() -> None:
    """Series without category are in the view's unit."""
    data = render("acme", "outcomes", view(bucket={series(""): 1500}, unit=Unit.SECONDS))

    assert lines(data)[0].startswith("sentry_stats_bucket_seconds{")
    assert lines(data)[0].endswith(" 1.5")


def test_projects() -> None:
    """Projects bear their labels; what those without a label hold is shown with the remainder."""
    bucket = {series(project=WEB): 1, series(project=GONE): 2, series(project=0): 3}

    data = render("acme", "projects", view(bucket=bucket, projects={WEB: "web"}))

    assert ['project="web"} 1', 'project=""} 5'] == [
        line[line.rindex("pro") :] for line in lines(data)
    ]
    assert 2 == data.samples


def test_counters() -> None:
    """Counters bear the labels that they were counted under, whatever projects are called now."""
    counters = {series(project=1): 7, series(project=0): 2}

    data = render(
        "acme",
        "projects",
        view(bucket={}, counters=counters, counter_labels=("", "old"), projects={WEB: "web"}),
    )

    assert ['project="old"} 7', 'project=""} 2'] == [
        line[line.rindex("pro") :] for line in lines(data)
    ]


def test_without_labels() -> None:
    """Where there are no labels, ids stand in."""
    data = render("acme", "projects", view(bucket={series(project=WEB): 1}, projects=None))

    assert lines(data)[0].endswith('project="4505"} 1')


def test_order() -> None:
    """Lines stand in the order of the rows, which the ledger keeps the same from poll to poll."""
    bucket = {series(reason=reason): 1 for reason in ("b", "c", "a")}

    data = render("acme", "outcomes", view(bucket=bucket))

    assert ["b", "c", "a"] == [re.findall('reason="(.)"', line)[0] for line in lines(data)]


def test_no_data() -> None:
    """Without a view there are no lines."""
    assert DataPieces() == render("acme", "outcomes", None)
