"""A query's data as lines: the right family, unit, labels and order."""

import re
from collections.abc import Mapping

import pytest

from exporter.categories import KNOWN_CATEGORIES, Unit, unit_of
from exporter.publish.families import DATA_FAMILIES
from exporter.publish.family import Family
from exporter.publish.series import data_lines
from exporter.sentry.question import TIMES_SEEN
from tests.publish.reports import GONE, WEB, series, view

Data = tuple[Mapping[Family, bytes], int]


def lines(data: Data) -> list[str]:
    """Return the lines of all families."""
    return [line for text in data[0].values() for line in text.decode().splitlines()]


def names(data: Data) -> list[str]:
    """Return the names of the families that have lines, sorted."""
    return sorted(family.name for family, text in data[0].items() if text)


def test_line() -> None:
    """A sample has all six labels, always in the same order."""
    data = data_lines("acme", "outcomes", view(bucket={series(): 5}))

    assert [
        (
            'sentry_stats_bucket_events{organization="acme",query="outcomes",category="error",'
            'outcome="accepted",reason="none",project=""} 5'
        )
    ] == lines(data)


def test_three_kinds() -> None:
    """Finished bucket, running bucket and counters are families of their own."""
    data = data_lines(
        "acme",
        "outcomes",
        view(bucket={series(): 5}, running={series(): 2}, counters={series(): 90}),
    )

    assert [
        "sentry_stats_bucket_events",
        "sentry_stats_events_total",
        "sentry_stats_running_bucket_events",
    ] == names(data)
    assert 3 == data[1]


@pytest.mark.parametrize("category", [*KNOWN_CATEGORIES, "not-known-yet"])
def test_unit(category: str) -> None:
    """Each category is in the family of its unit; milliseconds become seconds."""
    data = data_lines("acme", "outcomes", view(bucket={series(category): 1500}))

    unit = unit_of(category)
    assert [f"sentry_stats_bucket_{unit}"] == names(data)
    assert lines(data)[0].endswith(" 1.5" if unit is Unit.SECONDS else " 1500")


@pytest.mark.parametrize("category", ["error", "log_byte", "profile_duration"])
def test_times_seen(category: str) -> None:
    """sum(times_seen) has no unit, whatever the category."""
    bucket = {series(category, field=TIMES_SEEN): 1500}

    data = data_lines("acme", "outcomes", view(bucket=bucket))

    assert ["sentry_stats_bucket_times_seen"] == names(data)
    assert lines(data)[0].endswith(" 1500")


def test_without_category() -> None:
    """Series without category have the view's unit."""
    data = data_lines("acme", "outcomes", view(bucket={series(""): 1500}, unit=Unit.SECONDS))

    assert lines(data)[0].startswith("sentry_stats_bucket_seconds{")
    assert lines(data)[0].endswith(" 1.5")


def test_projects() -> None:
    """Projects have their labels; the values of those without a label belong to the remainder."""
    bucket = {series(project=WEB): 1, series(project=GONE): 2, series(project=0): 3}

    data = data_lines("acme", "projects", view(bucket=bucket, projects={WEB: "web"}))

    assert ['project="web"} 1', 'project=""} 5'] == [
        line[line.rindex("pro") :] for line in lines(data)
    ]
    assert 2 == data[1]


class CountingLabels(dict[int, str]):
    """Labels of projects that count how often one was looked for."""

    lookups = 0

    def __contains__(self, project: object) -> bool:
        """Return whether ``project`` has a label."""
        self.lookups += 1
        return super().__contains__(project)


@pytest.mark.parametrize("category", ["error", "profile_duration"])
def test_projects_are_matched_once(category: str) -> None:
    """The values of a series are matched with the labels once, whatever their unit."""
    bucket = {series(category, project=WEB): 1000, series(category, project=GONE): 2000}
    labels = CountingLabels({WEB: "web"})

    data_lines("acme", "projects", view(bucket=bucket, projects=labels))

    assert 2 == labels.lookups


def test_counters() -> None:
    """Counters have the labels under which they were counted, whatever the projects' names now."""
    counters = {series(project=1): 7, series(project=0): 2}

    data = data_lines(
        "acme",
        "projects",
        view(bucket={}, counters=counters, counter_labels=("", "old"), projects={WEB: "web"}),
    )

    assert ['project="old"} 7', 'project=""} 2'] == [
        line[line.rindex("pro") :] for line in lines(data)
    ]


def test_without_labels() -> None:
    """Without labels, ids are used."""
    data = data_lines("acme", "projects", view(bucket={series(project=WEB): 1}, projects=None))

    assert lines(data)[0].endswith('project="4505"} 1')


def test_order() -> None:
    """Lines are in the order of the rows, which is the same from poll to poll."""
    bucket = {series(reason=reason): 1 for reason in ("b", "c", "a")}

    data = data_lines("acme", "outcomes", view(bucket=bucket))

    assert ["b", "c", "a"] == [re.findall('reason="(.)"', line)[0] for line in lines(data)]


def test_no_data() -> None:
    """Without a view there are no lines."""
    assert (dict.fromkeys(DATA_FAMILIES, b""), 0) == data_lines("acme", "outcomes", None)
