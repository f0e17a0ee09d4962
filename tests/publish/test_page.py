"""The page: complete and in order after each report, the same in every form."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pkgutil import resolve_name
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.snapshot import REASONS, ProjectInfo, Report, Timing
from exporter.publish.families import PROJECT_INFO
from exporter.publish.gzip import Piece, joined
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from tests.publish.reports import (
    START,
    WEB,
    Samples,
    page,
    report,
    samples_of,
    series,
    text_of,
    values_of,
    view,
)
from tests.support.programs import wait_until

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
    texts = [gzip.decompress(packed).decode(), text_of(shown, openmetrics=openmetrics)]

    ours = [text[: text.index("# HELP process_")] for text in texts]
    assert ours[0] == ours[1]


def test_ends() -> None:
    """OpenMetrics ends with its mark, which is there once; the text format has none."""
    shown = page(report())

    assert text_of(shown, openmetrics=True).endswith("\n# EOF\n")
    assert 1 == text_of(shown, openmetrics=True).count("# EOF")
    assert "# EOF" not in text_of(shown)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_families_stand_together(openmetrics: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """A family that several queries fill has one header, followed by all its samples."""
    shown = page(report("b", view=FULL), report("a", view=FULL), report("c"))

    lines = text_of(shown, openmetrics=openmetrics).splitlines()
    samples = [line.split("{")[0] for line in lines if line.startswith("sentry_stats_bucket_")]
    headers = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    runs = [name for name, _ in groupby(samples)]
    assert len(set(runs)) == len(runs)
    assert len(set(headers)) == len(headers)


def test_order() -> None:
    """The page does not depend on the order of the reports."""
    one, other = report("a", view=FULL), report("b", organization="globex")

    there, back = page(one, other, one), page(other, one)

    assert _without_clock(there) == _without_clock(back)


def _without_clock(shown: Page, *, openmetrics: bool = False) -> str:
    text = text_of(shown, openmetrics=openmetrics)
    return text[: text.index("# HELP process_")]


def test_values() -> None:
    """The page shows what a report says."""
    one = report(
        about=("1h", "sum(quantity)", "category,outcome", ""),
        timing=Timing(3600, 900, 300, 10800),
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
        "query_interval_seconds": 3600,
        "query_poll_interval_seconds": 900,
        "query_settle_seconds": 300,
        "query_max_age_seconds": 10800,
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
    shown = page(report(about=("1h", "sum(quantity)", "category,outcome,reason", "category")))

    labels = {
        "organization": "acme",
        "query": "outcomes",
        "interval": "1h",
        "field": "sum(quantity)",
        "group_by": "category,outcome,reason",
        "filter": "category",
    }
    assert 1 == samples_of(shown)["sentry_stats_query_info", frozenset(labels.items())]


def test_last_events() -> None:
    """Each project has the time of its last event, until the data is withdrawn."""
    family = "sentry_stats_project_last_event_timestamp_seconds"
    labels = {"organization": "acme", "query": "outcomes", "project": "web"}
    shown = page(report(view=view(last_events={"web": START - 7200})))
    before = samples_of(shown)
    shown.publish(report(view=None))

    assert START - 7200 == before[family, frozenset(labels.items())]
    assert family not in text_of(shown)


def test_ready_for_scrapes() -> None:
    """A report counts as shown once its data is on the page, and not before."""
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
    """A report replaces the earlier one of the same query, and no other."""
    shown = page(report("a"), report("b"))

    shown.publish(report("a", up=False, view=view(bucket={series(): 6})))

    assert {"a": 0, "b": 1} == values_of(shown, "sentry_stats_up")
    assert {"a": 6, "b": 5} == values_of(shown, "sentry_stats_bucket_events")


def test_withdrawn() -> None:
    """Withdrawn data leaves the page; the lines about the query stay."""
    shown = page(report(view=FULL), report("b"))

    shown.publish(report(up=False, view=None))

    assert {"b": 5} == values_of(shown, "sentry_stats_bucket_events")
    assert {"b": 1} == values_of(shown, "sentry_stats_complete")
    assert {"outcomes": 0, "b": 1} == values_of(shown, "sentry_stats_up")
    assert {"outcomes": 0, "b": 1} == values_of(shown, "sentry_stats_series")
    assert "sentry_stats_bucket_bytes" not in text_of(shown)


def test_not_complete() -> None:
    """A bucket that is not proven complete is shown as incomplete."""
    shown = page(report(view=replace(FULL, complete=False)))

    assert {"outcomes": 0} == values_of(shown, "sentry_stats_complete")


def test_projects() -> None:
    """Projects are shown with the next report, those of each organization separately."""
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
    """Before any report the page describes the exporter."""
    assert any(name.endswith("build_info") for name, _ in samples_of(page()))


def test_scrape_renders_nothing() -> None:
    """Two scrapes between reports return the same objects, not equal ones."""
    shown = page(report(view=FULL))

    one, other = (shown.chunks(openmetrics=True, compressed=True) for _ in range(2))

    assert all(here is there for here, there in zip(one[:-1], other[:-1], strict=True))


def test_reading_changes_nothing() -> None:
    """No metric of ours changes by being read."""
    shown = page(report(view=FULL))

    assert samples_of(shown) == samples_of(shown)


def test_requests_show_with_the_next_report() -> None:
    """What the client counts is on the page from the next report on."""
    own = SelfMetrics()
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


def test_dropped() -> None:
    """Dropped queries leave the page and the reports; the others stay as they are."""
    shown = page(report("a", view=FULL), report("b", view=FULL), report("a", "globex"))

    shown.publish(dropped=[("acme", "a"), ("globex", "a"), ("acme", "never there")])

    assert ["b"] == [one.query for one in shown.shown()]
    assert _without_clock(page(report("b", view=FULL))) == _without_clock(shown)


def test_replaced_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries and projects leave the page, and others come, with one rendering for each format."""
    api = [ProjectInfo("api", 7, "go")]
    shown = page(report("a", view=FULL), report("b", view=FULL))
    shown.publish_projects("acme", [ProjectInfo("web", WEB, "python")])
    shown.publish_projects("globex", api)
    shown.publish()
    rendered = []

    def counted(pieces: Iterable[Piece]) -> Piece:
        """Join ``pieces``, and record the result."""
        rendered.append(joined(pieces))
        return rendered[-1]

    with monkeypatch.context() as patch:
        patch.setattr("exporter.publish.page.joined", counted)
        shown.publish_projects("acme", ())
        shown.publish(report("b"), report("c"), dropped=[("acme", "a"), ("acme", "never there")])

    expected = page(report("b"), report("c"))
    expected.publish_projects("globex", api)
    expected.publish()
    assert 2 == len(rendered)
    assert _without_clock(expected) == _without_clock(shown)
    assert ["b", "c"] == [one.query for one in shown.shown()]


def test_dropped_and_back() -> None:
    """A query that was dropped is shown again with its next report, even with the same view."""
    one = report(view=FULL)
    shown = page(one)

    shown.publish(dropped=[("acme", "outcomes")])
    shown.publish(one)

    assert _without_clock(page(one)) == _without_clock(shown)


def test_dropped_projects() -> None:
    """The projects of an organization leave the page; those of others stay."""
    shown = Page(SelfMetrics())
    for organization in ("acme", "globex"):
        shown.publish_projects(organization, [ProjectInfo("web", WEB, "python")])
    shown.publish()

    shown.publish_projects("acme", ())
    shown.publish()

    assert ["globex"] == [
        dict(labels)["organization"]
        for name, labels in samples_of(shown)
        if name == PROJECT_INFO.name
    ]


Steps = list[tuple[str, str, int | None]]
"""Organization, query, and what its bucket holds from then on; None: it is dropped."""

steps = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex", "initech"]),
        st.sampled_from("abcdefgh"),
        st.none() | st.integers(0, 3),
    ),
    max_size=40,
)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 700, 1 << 16])
@settings(max_examples=25, deadline=None)
@given(steps=steps)
def test_history_does_not_matter(chunk: int, steps: Steps) -> None:
    """Whatever was put and dropped before, in whatever chunks, the page is that of the last."""
    last: dict[tuple[str, str], Report] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.publish.blocks._CHUNK", chunk)
        shown = Page(SelfMetrics())
        for organization, query, value in steps:
            if value is None:
                shown.publish(dropped=[(organization, query)])
                last.pop((organization, query), None)
                continue
            rows = {series(reason=str(number)): value for number in range(value)}
            one = report(query, organization, view=view(bucket=rows), polls=value)
            shown.publish(one)
            last[organization, query] = one

    for openmetrics in (False, True):
        fresh = _without_clock(page(*last.values()), openmetrics=openmetrics)
        packed = b"".join(shown.chunks(openmetrics=openmetrics, compressed=True))
        assert fresh == _without_clock(shown, openmetrics=openmetrics)
        assert gzip.decompress(packed).decode().startswith(fresh)


class Fault:
    """Fails in the given call, counted from 1, and does what ``function`` does in the others."""

    def __init__(self, function: Callable[..., Any], call: int) -> None:
        self._function = function
        self._left = call

    def __call__(self, *arguments: Any) -> Any:
        """Call the function, or fail."""
        self._left -= 1
        if not self._left:
            raise MemoryError
        return self._function(*arguments)


FAULTS = [
    *(("blocks.compressed", number) for number in (1, 2, 4)),
    *(("blocks.joined", number) for number in (1, 2, 7)),
    *(("page.joined", number) for number in (1, 2)),
    *(("page.query_lines", number) for number in (1, 2)),
    *(("page.data_lines", number) for number in (1, 2)),
]


@pytest.mark.parametrize(("function", "call"), FAULTS)
def test_failed_publication(function: str, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication that fails changes nothing on the page; the same one again shows it all."""
    old = report("a", view=FULL), report("b", view=FULL)
    new = [report(query, polls=9, view=view(counters={series(): 9})) for query in "ab"]
    shown, own = _page_with_self_metrics(*old)
    before = samples_of(shown)
    _change_other_lines(shown, own)

    _fail(lambda: shown.publish(*new), function, call, monkeypatch)

    assert before == samples_of(shown) == samples_of(shown, openmetrics=True)
    assert old == shown.shown()
    shown.publish(*new)
    assert _samples_with_other_lines(*new) == samples_of(shown)


@pytest.mark.parametrize("call", [1, 2, 7])
def test_failed_drop(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop that fails leaves the query on the page, and its next report is shown."""
    one, other = report("a", view=FULL), report("b", view=FULL)
    shown, own = _page_with_self_metrics(one, other)
    before = samples_of(shown)
    _change_other_lines(shown, own)

    _fail(lambda: shown.publish(dropped=[("acme", "a")]), "blocks.compressed", call, monkeypatch)

    assert before == samples_of(shown)
    assert (one, other) == shown.shown()
    shown.publish(one)
    assert _samples_with_other_lines(one, other) == samples_of(shown)


def _page_with_self_metrics(*reports: Report) -> tuple[Page, SelfMetrics]:
    own = SelfMetrics()
    shown = Page(own)
    shown.publish(*reports)
    return shown, own


def _change_other_lines(shown: Page, own: SelfMetrics) -> None:
    """Change lines that the next publication shows besides those of its reports."""
    own.configuration_read(START)
    shown.publish_projects("acme", [ProjectInfo("web", WEB, "python")])


def _samples_with_other_lines(*reports: Report) -> Samples:
    shown, own = _page_with_self_metrics()
    _change_other_lines(shown, own)
    shown.publish(*reports)
    return samples_of(shown)


def _fail(
    publish: Callable[[], None], function: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Call ``publish`` while one call of a function of this package fails."""
    name = f"exporter.publish.{function}"
    with monkeypatch.context() as patch:
        patch.setattr(name, Fault(resolve_name(name), call))
        with pytest.raises(MemoryError):
            publish()


def test_publication_renders_what_has_changed() -> None:
    """A report about one of many queries leaves almost all of the page the same objects."""
    shown = Page(SelfMetrics())
    shown.publish(*(report(f"{number:04d}", view=FULL) for number in range(3000)))
    before = {id(chunk) for chunk in shown.chunks(openmetrics=False, compressed=True)}

    shown.publish(report("1500", polls=4, view=view(bucket={series(): 6})))

    after = shown.chunks(openmetrics=False, compressed=True)
    assert len(after) > 100
    assert len([chunk for chunk in after if id(chunk) not in before]) < 15


@pytest.mark.parametrize("organizations", [1, 200])
def test_publication_costs_what_has_changed(
    organizations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll renders as many blocks among 200 as alone, and compresses few chunks."""
    monkeypatch.setattr("exporter.publish.blocks._CHUNK", 2000)
    alone = _work_of_a_poll(1, 1, monkeypatch)
    among_many = _work_of_a_poll(200, organizations, monkeypatch)

    assert alone["rendered"] == among_many["rendered"]
    # Neighbours of a chunk that has become too small are joined with it.
    assert among_many["compressed"] <= 2 * alone["compressed"]


def _work_of_a_poll(
    queries: int, organizations: int, monkeypatch: pytest.MonkeyPatch
) -> Counter[str]:
    """Return how often a poll of one query calls what renders a block, or compresses a chunk."""
    own = SelfMetrics()
    shown = Page(own)
    names = [(f"query-{n:04}", f"organization-{n % organizations:04}") for n in range(queries)]
    meters = {organization: own.meter(organization) for _, organization in names}
    shown.publish(*(report(*name, view=FULL) for name in names))
    query, organization = names[queries // 2]
    work = Counter[str]()

    def count(what: str, function: str) -> None:
        original = resolve_name(f"exporter.publish.{function}")

        def counted(*arguments: Any) -> Any:
            work[what] += 1
            return original(*arguments)

        patch.setattr(f"exporter.publish.{function}", counted)

    with monkeypatch.context() as patch:
        count("rendered", "self_metrics._lines")
        count("rendered", "page.query_lines")
        count("rendered", "page.data_lines")
        count("rendered", "series._lines")
        count("compressed", "blocks.compressed")
        meters[organization].request("stats_v2", 200, 0.1)
        meters[organization].clock_skew(0.5)
        one = view(bucket={series(): 6})
        shown.publish(report(query, organization, polls=4, view=one))
    return work


def test_published_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls that end while the page is being published are published together, in one step."""
    shown, queries = Page(SelfMetrics()), "abcdefgh"
    with ThreadPoolExecutor(len(queries)) as pool, _busy(shown, monkeypatch) as joins:
        polls = [pool.submit(shown.publish, report(query, view=FULL)) for query in queries]
        wait_until(lambda: _waiting(shown) == len(queries))
    for poll in polls:
        poll.result()
    joined_pages = len(joins)

    assert [".", *queries] == sorted(one.query for one in shown.shown())
    assert _without_clock(page(*shown.shown())) == _without_clock(shown)
    # Both formats for the first one, and once more for all others.
    assert 4 == joined_pages


def test_one_of_several_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be published keeps nothing off the page that is published with it."""
    shown, queries = Page(SelfMetrics()), "abcdefgh"

    def by_family(changes: Iterable[Any]) -> Any:
        listed = list(changes)
        if ("acme", "d") in (key for key, _ in listed):
            raise MemoryError
        return original(listed)

    original = resolve_name("exporter.publish.page._by_family")
    monkeypatch.setattr("exporter.publish.page._by_family", by_family)
    with ThreadPoolExecutor(len(queries)) as pool, _busy(shown, monkeypatch):
        polls = {query: pool.submit(shown.publish, report(query)) for query in queries}
        wait_until(lambda: _waiting(shown) == len(queries))

    assert ["d"] == [query for query, poll in polls.items() if poll.exception()]
    assert [".", *"abcefgh"] == sorted(one.query for one in shown.shown())


@contextmanager
def _busy(shown: Page, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Piece]]:
    """Let a thread publish a first query until the end of the block; give the joined pages."""
    began, released, joins = Event(), Event(), list[Piece]()

    def join(pieces: Iterable[Piece]) -> Piece:
        began.set()
        released.wait(60)
        joins.append(joined(pieces))
        return joins[-1]

    monkeypatch.setattr("exporter.publish.page.joined", join)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shown.publish, report("."))
        began.wait(60)
        try:
            yield joins
        finally:
            released.set()
        first.result()


def _waiting(shown: Page) -> int:
    """Return how many publications wait for one that is under way."""
    return len(shown._waiting)  # noqa: SLF001


def test_several_threads() -> None:
    """Publications from several threads are all on the page."""
    shown = Page(SelfMetrics())

    def publish(query: str) -> None:
        """Publish one query again and again."""
        for polls in range(1, 51):
            shown.publish(report(query, polls=polls, view=view(bucket={series(): polls})))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, "abcdefgh"))

    assert dict.fromkeys("abcdefgh", 50) == values_of(shown, "sentry_stats_bucket_events")
    assert dict.fromkeys("abcdefgh", 50) == values_of(shown, "sentry_stats_polls_total")
