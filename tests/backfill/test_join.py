"""The seam to a running exporter: its page, and where history ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests
import responses
from responses import Response

from exporter.backfill.join import (
    Daemon,
    DaemonPage,
    JoinError,
    QueryPage,
    Seam,
    has_settled,
    parsed_page,
    parts_of,
    seam,
    waited_for,
)
from exporter.backfill.progress_file import ABSENT
from exporter.backfill.times import HOUR, Job
from exporter.buckets import Window
from exporter.collect.series import Series
from exporter.sentry.question import QUANTITY
from tests.support.rows import NOON, OLD, WEB, series
from tests.support.settings import SETTLE, organization, query

JOB = Job(0, organization(), query(), Window(NOON - 5 * HOUR, NOON - HOUR, HOUR))
STARTED = NOON + 600.0
_METRICS = "http://host:1/metrics"
ONE = series().series
DURATION = series(category="profile_duration").series
BYTES = series(category="attachment").series
LABELS = 'organization="acme",query="outcomes"'
DATA = f'{LABELS},category="transaction",outcome="accepted",reason="",project'
PAGE = f"""\
process_start_time_seconds {STARTED}
sentry_stats_up{{{LABELS}}} 1
sentry_stats_bucket_start_timestamp_seconds{{{LABELS}}} {NOON}
sentry_stats_last_success_timestamp_seconds{{{LABELS}}} {NOON + HOUR + SETTLE}
sentry_stats_bucket_events{{{DATA}="web"}} 7
sentry_stats_events_total{{{DATA}="web"}} 40
sentry_stats_seconds_total{{{DATA.replace("transaction", "profile_duration")}="web"}} 1.5
sentry_stats_running_bucket_events{{{DATA}="web"}} 5
"""


def test_page_of_an_exporter() -> None:
    """Counters and running buckets are in Sentry's own units, by series and label."""
    page = parsed_page(PAGE)

    assert page == DaemonPage(
        STARTED,
        {
            ("acme", "outcomes"): QueryPage(
                {(ONE, "web"): 40, (DURATION, "web"): 1500},
                {(ONE, "web"): 5},
                NOON,
                NOON + HOUR + SETTLE,
            )
        },
    )


@pytest.mark.parametrize("text", ["", "up 1\n", "process_start_time_seconds 5\n"])
def test_pages_of_others(text: str) -> None:
    """A page without a start or without queries is none of ours."""
    with pytest.raises(ValueError, match="no page of an exporter"):
        parsed_page(text)


def test_counters_end_where_those_of_the_exporter_begin() -> None:
    """The end is what all buckets hold, less what the exporter has counted."""
    page = QueryPage({(ONE, "web"): 40}, {(ONE, "web"): 5}, NOON)
    one = seam(JOB, STARTED, page, {ONE: {WEB: 20, OLD: 2}}, {ONE: {WEB: 30}}, {WEB: "web"})

    assert int(STARTED) - 2 == one.moment
    assert 100 + 20 + 30 + 5 - 40 == one.end((ONE, "web"), [60, ABSENT, 40])
    # What has no label of its own is under the empty one.
    assert 2 == one.end((ONE, ""), [])


def test_buckets_between_history_and_the_running_one() -> None:
    """They are divided at the end of the bucket in which the exporter was started."""
    before, after = parts_of(JOB, QueryPage(start=NOON + 3 * HOUR), STARTED)

    assert (NOON - HOUR, NOON + HOUR) == (before.start, before.end)
    assert (NOON + HOUR, NOON + 4 * HOUR) == (after.start, after.end)


def test_counters_never_end_below_zero() -> None:
    """A value that Sentry shows smaller than before is no negative counter."""
    assert 0 == Seam(NOON, {(ONE, "web"): -5}).end((ONE, "web"), [3])


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (400, "hold more than Sentry has since .*; set --end to the time of the first start"),
        (10, "hold less than Sentry has since .*; set --end to the time of the last start"),
    ],
)
def test_counters_of_another_start_are_refused(counted: int, expected: str) -> None:
    """Bytes do not hide that an exporter has counted since another time."""
    page = QueryPage({(ONE, "web"): counted, (BYTES, "web"): 10**9}, {(ONE, "web"): 5}, NOON)
    rows = {ONE: {WEB: 50}, BYTES: {WEB: 10**9}}
    with pytest.raises(JoinError, match=f"acme/outcomes: its counters {expected}"):
        seam(JOB, STARTED, page, {ONE: {WEB: 20}}, rows, {WEB: "web"})


def test_exporters_that_were_started_in_the_running_bucket() -> None:
    """Of a day, the part before the start is in the running bucket."""
    day = Job(0, organization(), query(interval=24 * HOUR), Window(0, 24 * HOUR, 24 * HOUR))
    page = QueryPage({(ONE, "web"): 40}, {(ONE, "web"): 100}, 0)

    assert 60 == seam(day, 30.0 * HOUR, page, {}, {}, {}).more[ONE, "web"]


@pytest.mark.parametrize(("after", "expected"), [(0, False), (SETTLE - 1, False), (SETTLE, True)])
def test_settling_buckets_are_on_no_page(after: int, expected: bool) -> None:  # noqa: FBT001
    """A page of a poll while a bucket settles lacks that bucket."""
    assert expected == has_settled(JOB, QueryPage(start=NOON, polled_at=NOON + after))


def test_exporters_that_have_not_polled_yet() -> None:
    """Without data there is nothing to join."""
    assert not has_settled(JOB, QueryPage(polled_at=NOON + SETTLE))


@dataclass
class Shown:
    """An exporter that shows one page after another."""

    pages: Iterator[DaemonPage]
    slept: list[float] = field(default_factory=list)
    waits: int = 0

    def page(self) -> DaemonPage:
        """Return the next page."""
        return next(self.pages)

    def note(self) -> None:
        """Note that something takes a while."""
        self.waits += 1


def polled(*moments: float) -> Shown:
    """Return an exporter whose pages are of polls at ``moments``."""
    name = "acme", "outcomes"
    return Shown(DaemonPage(STARTED, {name: QueryPage(start=NOON, polled_at=at)}) for at in moments)


def test_it_waits_for_a_poll_that_has_settled() -> None:
    """The page is read again until no bucket is settling; it says once that it waits."""
    pages = polled(NOON, NOON + 200, NOON + SETTLE)
    page = waited_for(pages, [JOB], pages.slept.append, pages.note)

    assert NOON + SETTLE == page.queries["acme", "outcomes"].polled_at
    assert [5.0, 5.0] == pages.slept
    assert 1 == pages.waits


def test_it_does_not_wait_for_ever() -> None:
    """An exporter whose polls fail is an error."""
    pages = polled(*[NOON] * 10_000)
    with pytest.raises(JoinError, match="has not had a successful poll"):
        waited_for(pages, [JOB], pages.slept.append, pages.note)


def test_queries_that_are_not_published() -> None:
    """An exporter with another configuration is an error."""
    pages = Shown(iter([DaemonPage(STARTED, {("acme", "other"): QueryPage()})]))
    with pytest.raises(JoinError, match="does not publish acme/outcomes"):
        waited_for(pages, [JOB], pages.slept.append, pages.note)


@responses.activate
@pytest.mark.parametrize(
    "url",
    ["http://me:secret@host:1", "http://me:secret@host:1/", "http://me:secret@host:1/metrics"],
)
def test_address(url: str) -> None:
    """The path is /metrics by default."""
    responses.get(_METRICS, body=PAGE)

    assert STARTED == Daemon(url).page().started
    assert "Basic bWU6c2VjcmV0" == responses.calls[0].request.headers["Authorization"]


@responses.activate
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response("GET", _METRICS, status=401), "^http://host:1 answers 401$"),
        (Response("GET", _METRICS, body="<html>"), "has no page of sentry-stats-exporter$"),
        (Response("GET", _METRICS, body=requests.Timeout()), "^http://host:1 cannot be read"),
    ],
)
def test_failures_do_not_show_the_password(answer: Response, expected: str) -> None:
    """An error names the address without the user."""
    responses.add(answer)
    with pytest.raises(JoinError, match=expected):
        Daemon("http://me:secret@host:1").page()


def test_series_are_those_of_the_field() -> None:
    """The number of stored rows is a series of its own."""
    text = PAGE.replace("sentry_stats_events_total", "sentry_stats_times_seen_total")
    (_, ((key, label), *_)) = "", list(parsed_page(text).queries["acme", "outcomes"].counters)

    assert ("sum(times_seen)", "web") == (key.field, label)
    assert QUANTITY != Series(*key).field
