"""The page: whole and in order after each report, the same in every form."""

import gzip
from dataclasses import replace
from itertools import groupby

import pytest

from exporter.collect.snapshot import REASONS, ProjectInfo
from exporter.publish.families import PROJECT_INFO
from exporter.publish.page import Page
from exporter.publish.self_metrics import OwnMetrics
from tests.publish.reports import (
    START,
    WEB,
    page,
    report,
    samples_of,
    series,
    text_of,
    values_of,
    view,
)

FULL = view(
    bucket={series(): 5, series("log_byte"): 900, series("profile_duration"): 1250},
    running={series(): 1},
    counters={series(reason='"quoted"\n'): 5, series(project=1): 7},
    projects={WEB: "web"},
    counter_labels=("", "web"),
)


def test_formats_agree() -> None:
    """Text and OpenMetrics hold the same samples."""
    shown = page(report(view=FULL), report("projects"), report(organization="globex", view=None))

    assert samples_of(shown) == samples_of(shown, openmetrics=True)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_compressed(openmetrics: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """The compressed page is the plain one, but for what the process is doing meanwhile."""
    shown = page(report(view=FULL))

    packed = b"".join(shown.chunks(openmetrics=openmetrics, compressed=True))
    kept = [gzip.decompress(packed).decode(), text_of(shown, openmetrics=openmetrics)]

    ours = [text[: text.index("# HELP process_")] for text in kept]
    assert ours[0] == ours[1]


def test_ends() -> None:
    """OpenMetrics ends with its mark, which is there once; the text format has none."""
    shown = page(report())

    assert text_of(shown, openmetrics=True).endswith("\n# EOF\n")
    assert 1 == text_of(shown, openmetrics=True).count("# EOF")
    assert "# EOF" not in text_of(shown)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_families_stand_together(openmetrics: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """A family that several queries fill has one header, and all its samples behind it."""
    shown = page(report("b", view=FULL), report("a", view=FULL), report("c"))

    lines = text_of(shown, openmetrics=openmetrics).splitlines()
    samples = [line.split("{")[0] for line in lines if line.startswith("sentry_stats_bucket_")]
    headers = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    runs = [name for name, _ in groupby(samples)]
    assert len(set(runs)) == len(runs)
    assert len(set(headers)) == len(headers)


def test_order() -> None:
    """The page does not depend on who reported first."""
    one, other = report("a", view=FULL), report("b", organization="globex")

    there, back = page(one, other, one), page(other, one)

    assert _without_clock(there) == _without_clock(back)


def _without_clock(shown: Page) -> str:
    text = text_of(shown)
    return text[: text.index("# HELP process_")]


def test_values() -> None:
    """What a report says stands on the page."""
    one = report(
        about=("1h", "sum(quantity)", "category,outcome"),
        missing=("gone", "77"),
        next_poll=START + 7500,
        duration=0.25,
        requests=2,
        revisions=4,
        regressions=1,
        failures={"network": 6},
    )

    assert {
        "query_info": 1,
        "up": 1,
        "last_success_timestamp_seconds": START + 3900.5,
        "next_poll_timestamp_seconds": START + 7500,
        "bucket_start_timestamp_seconds": START,
        "bucket_end_timestamp_seconds": START + 3600,
        "complete": 1,
        "series": 1,
        "filter_projects_missing": 2,
        "polls_total": 3,
        "poll_duration_seconds": 0.25,
        "poll_requests": 2,
        "revisions_total": 4,
        "regressions_total": 1,
    } == {
        name.removeprefix("sentry_stats_"): value
        for (name, labels), value in samples_of(page(one)).items()
        if ("query", "outcomes") in labels and "reason" not in dict(labels)
    }


def test_what_a_query_asks() -> None:
    """Dashboards and rules can choose queries by what they ask."""
    shown = page(report(about=("1h", "sum(quantity)", "category,outcome,reason")))

    labels = {
        "organization": "acme",
        "query": "outcomes",
        "interval": "1h",
        "field": "sum(quantity)",
        "group_by": "category,outcome,reason",
    }
    assert 1 == samples_of(shown)["sentry_stats_query_info", frozenset(labels.items())]


def test_ready_for_scrapes() -> None:
    """A report counts as shown once its data are on the page, and not before."""
    shown = page(report("a"))
    before = [one.query for one in shown.shown()]

    shown.publish(report("b", view=FULL))

    assert ["a"] == before
    assert ["a", "b"] == [one.query for one in shown.shown()]


def test_every_reason() -> None:
    """Each reason of a failed poll is there from the start, at 0."""
    shown = samples_of(page(report(failures={"network": 6})))

    assert dict.fromkeys(REASONS, 0) | {"network": 6} == {
        dict(labels)["reason"]: value
        for (name, labels), value in shown.items()
        if name == "sentry_stats_poll_failures_total"
    }


def test_replaced() -> None:
    """A report takes the place of the one before of the same query, and of no other."""
    shown = page(report("a"), report("b"))

    shown.publish(report("a", up=False, view=view(bucket={series(): 6})))

    assert {"a": 0, "b": 1} == values_of(shown, "sentry_stats_up")
    assert {"a": 6, "b": 5} == values_of(shown, "sentry_stats_bucket_events")


def test_withdrawn() -> None:
    """Data that is withdrawn leaves the page, and what is said about the query stays."""
    shown = page(report(view=FULL), report("b"))

    shown.publish(report(up=False, view=None))

    assert {"b": 5} == values_of(shown, "sentry_stats_bucket_events")
    assert {"b": 1} == values_of(shown, "sentry_stats_complete")
    assert {"outcomes": 0, "b": 1} == values_of(shown, "sentry_stats_up")
    assert {"outcomes": 0, "b": 1} == values_of(shown, "sentry_stats_series")
    assert "sentry_stats_bucket_bytes" not in text_of(shown)


def test_not_whole() -> None:
    """A bucket that is not proven whole is said to be incomplete."""
    shown = page(report(view=replace(FULL, complete=False)))

    assert {"outcomes": 0} == values_of(shown, "sentry_stats_complete")


def test_projects() -> None:
    """Who the projects are shows with the next report, those of each organization apart."""
    shown = page(report())
    shown.publish_projects("acme", [ProjectInfo("web", WEB, "python")])
    shown.publish_projects("globex", [ProjectInfo("api", 7, "", "payments")])
    shown.publish_projects("acme", [ProjectInfo("www", WEB, "python")])
    before = text_of(shown)

    shown.publish(report())

    assert "project_info" not in before
    assert {
        ("acme", "www", "4505", "python", ""),
        ("globex", "api", "7", "", "payments"),
    } == {
        tuple(dict(labels)[name] for name in PROJECT_INFO.labels)
        for (name, labels) in samples_of(shown)
        if name == PROJECT_INFO.name
    }


def test_nothing_yet() -> None:
    """Before any report the page says who the exporter is."""
    assert any(name.endswith("build_info") for name, _ in samples_of(page()))


def test_scrape_renders_nothing() -> None:
    """Two scrapes between reports hand out the same bytes, not equal ones."""
    shown = page(report(view=FULL))

    one, other = (shown.chunks(openmetrics=True, compressed=True) for _ in range(2))

    assert all(here is there for here, there in zip(one[:-1], other[:-1], strict=True))


def test_reading_changes_nothing() -> None:
    """No metric of ours changes by being read."""
    shown = page(report(view=FULL))

    assert samples_of(shown) == samples_of(shown)


def test_requests_show_with_the_next_report() -> None:
    """What the client counts is on the page from the next report on."""
    own = OwnMetrics()
    shown = Page(own)
    meter = own.meter("acme")
    shown.publish(report())
    meter.request("stats_v2", 200, 0.5)

    before = samples_of(shown)
    shown.publish(report())

    name = "sentry_stats_api_requests_total"
    labels = frozenset({"organization": "acme", "api": "stats_v2", "code": "200"}.items())
    assert 0 == before[name, labels]
    assert 1 == samples_of(shown)[name, labels]
