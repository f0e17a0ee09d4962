"""What the log says about polls, however many fail."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.poll.failure import Failure
from exporter.collect.poll.poll_log import MAX_FIRST, MAX_NAMED, PollLog
from exporter.collect.poll.schedule import Schedule, Slots
from tests.support.logs import logged
from tests.support.settings import NOW

DAY: Final = 86400
DEAD: Final = Failure(
    "network", "connection refused", "start it", url="https://sentry.io/api/0/x/ through a:1"
)
SLOW: Final = Failure("timeout", "no answer", url="https://sentry.io/api/0/x/")


def about(query: str = "outcomes", organization: str = "acme") -> Mapping[str, str]:
    """Return the names of a query."""
    return {"organization": organization, "query": query}


def events(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what happened in each record."""
    return [record["event"] for record in records]


@pytest.fixture
def log() -> PollLog:
    """Return a log of polls."""
    return PollLog()


class TestFailures:
    """Failed polls."""

    def test_first(self, log: PollLog) -> None:
        """The first failure is logged at once, with everything that is known."""
        failure = Failure("forbidden", "403: no", "ask", True, "https://sentry.io/a", 403, "12ab")  # noqa: FBT003
        with logged() as records:
            log.failed(about(), failure, 0, 300)

        assert [
            {
                "event": "poll failed",
                "log_level": "warning",
                "reason": "forbidden",
                "organization": "acme",
                "query": "outcomes",
                "error": "403: no",
                "url": "https://sentry.io/a",
                "status": 403,
                "request": "12ab",
                "remedy": "ask",
                "next_try": "1970-01-01T00:05:00Z",
            }
        ] == records

    def test_no_next_try(self) -> None:
        """Where nobody polls again, no time for it is named."""
        with logged() as records:
            PollLog(repeats=False).failed(about(), DEAD, 0, 300)

        assert [False] == ["next_try" in record for record in records]

    def test_a_day_of_failures_is_some_lines(self, log: PollLog) -> None:
        """A query that fails every five minutes for a day has a line an hour, with the count."""
        with logged() as records:
            for moment in range(0, DAY, 300):
                log.failed(about(), DEAD, moment, moment + 300)

        assert ["poll failed", *["poll keeps failing"] * (len(records) - 1)] == events(records)
        assert 24 <= len(records) <= 32
        assert "1970-01-01T00:00:00Z" == records[-1]["since"]
        assert DAY // 300 - 12 <= records[-1]["failures"] <= DAY // 300
        assert "outcomes" == records[-1]["query"]

    def test_another_reason_is_logged_at_once(self, log: PollLog) -> None:
        """A change of the reason does not wait until the next line is due."""
        log.failed(about(), DEAD, 0, 10)
        with logged() as records:
            log.failed(about(), SLOW, 1, 10)

        assert [("poll failed", "timeout")] == [(it["event"], it["reason"]) for it in records]

    def test_two_reasons_in_turn(self, log: PollLog) -> None:
        """Two reasons that alternate for a day fill the log no more than each by itself."""
        with logged() as records:
            for moment in range(0, DAY, 300):
                log.failed(about(), (DEAD, SLOW)[moment // 300 % 2], moment, moment)

        assert ["network", "timeout"] == [it["reason"] for it in records if "since" not in it]
        assert len(records) <= 64

    def test_a_dead_server(self, log: PollLog) -> None:
        """A thousand queries of a server that is down for a day are some lines an hour."""
        with logged() as records:
            for moment in range(0, DAY, 300):
                for number in range(1000):
                    log.failed(about(f"q{number}", f"o{number % 7}"), DEAD, moment, moment)

        together = [it for it in records if it["event"] == "polls keep failing"]
        assert MAX_NAMED == len(records) - len(together)
        assert len(together) <= 32
        assert {1000} == {it["queries"] for it in together}
        assert "sentry.io" == together[0]["server"]
        assert "q999" >= together[0]["query"]

    def test_late_queries_of_a_long_outage_are_named(self, log: PollLog) -> None:
        """What begins to fail hours after the others for the same reason is named, up to a limit.

        In the hours before, it is only counted.
        """
        for moment in range(0, DAY, 300):
            for number in range(MAX_NAMED):
                log.failed(about(f"q{number}"), DEAD, moment, moment)
        with logged() as records:
            for number in range(100):
                log.failed(about(f"late{number}"), DEAD, DAY, DAY)

        assert MAX_NAMED == events(records).count("poll failed")

    def test_servers_are_apart(self, log: PollLog) -> None:
        """Queries of another server are named, whatever fails at the first one."""
        other = Failure("network", "refused", url="http://10.0.0.1:9000/api/")
        with logged() as records:
            for number in range(MAX_NAMED + 5):
                log.failed(about(f"q{number}"), DEAD, 0, 10)
            log.failed(about("mine"), other, 0, 10)

        assert MAX_NAMED + 1 == len(records)
        assert "mine" == records[-1]["query"]

    @pytest.mark.parametrize("reason", ["internal", "state"])
    def test_own_failures_are_errors(self, log: PollLog, reason: str) -> None:
        """What is not Sentry's fault is logged as an error, with the exception if there is one."""
        error = ZeroDivisionError()
        with logged() as records:
            log.failed(about(), Failure(reason, "broken"), 0, 10, error)

        assert [("error", error)] == [(it["log_level"], it["exc_info"]) for it in records]

    def test_retries_of_a_real_schedule(self, log: PollLog) -> None:
        """With the pauses that polls really have, an outage of a day is about a line an hour."""
        schedule, slots = Schedule(NOW), Slots(300, 300)
        with logged() as records:
            while schedule.next_poll < NOW + DAY:
                moment = schedule.next_poll
                schedule = schedule.failed(slots, moment, lasting=False)
                log.failed(about(), DEAD, moment, schedule.next_poll)

        assert len(records) <= 32


class TestRecovery:
    """Polls that succeed."""

    def test_names_what_is_over(self, log: PollLog) -> None:
        """The first success after failures says how many there were, and for how long."""
        log.succeeded(about(), 0, {})
        for moment in (100, 110, 130):
            log.failed(about(), DEAD, moment, moment)
        with logged() as records:
            log.succeeded(about(), 100 + 7500, {"buckets": 2})
            log.succeeded(about(), 8000, {})

        assert [
            {
                "event": "poll succeeds again",
                "log_level": "info",
                "organization": "acme",
                "query": "outcomes",
                "failures": 3,
                "failed_for": "2h5m",
                "buckets": 2,
            }
        ] == records

    def test_a_new_failure_is_logged_at_once(self, log: PollLog) -> None:
        """After a success, the same reason is new again."""
        log.failed(about(), DEAD, 0, 10)
        log.succeeded(about(), 1, {})
        with logged() as records:
            log.failed(about(), DEAD, 2, 10)

        assert ["poll failed"] == events(records)

    def test_of_a_thousand_queries(self, log: PollLog) -> None:
        """Some recoveries are named, and the last one says how many others there were."""
        names = [about(f"q{number}") for number in range(1000)]
        for name in names:
            log.succeeded(name, 0, {})
            log.failed(name, DEAD, 10, 20)
        with logged() as records:
            for name in names:
                log.succeeded(name, 30, {})

        counts = Counter(events(records))
        assert {"poll succeeds again": MAX_NAMED, "polls succeed again": 1} == counts
        assert 1000 - MAX_NAMED == records[-1]["queries"]
        assert 1000 == records[-1]["failures"]

    def test_first_successes_are_bounded(self, log: PollLog) -> None:
        """Of many queries, only the first ones have a line for their first success."""
        with logged() as records:
            for number in range(1000):
                log.succeeded(about(f"q{number}"), 0, {"requests": 1})

        assert ["first poll succeeded"] * MAX_FIRST == events(records)

    def test_removed_queries_are_forgotten(self, log: PollLog) -> None:
        """A query that is removed does not hold up the end of what it failed for."""
        log.failed(about("gone"), DEAD, 0, 10)
        log.failed(about("stays"), DEAD, 0, 10)
        log.retain([about("stays")])
        log.succeeded(about("stays"), 5, {})
        log.retain([about("stays"), about("gone")])
        with logged() as records:
            log.failed(about("stays"), DEAD, 10, 20)
            log.failed(about("gone"), DEAD, 10, 20)

        assert ["poll failed"] * 2 == events(records)

    def test_late_polls_of_a_removed_query(self, log: PollLog) -> None:
        """A poll of a removed query that is still out leaves nothing in the log."""
        log.retain([about("stays")])
        with logged() as records:
            log.failed(about("gone"), DEAD, 0, 10)
            log.succeeded(about("gone"), 5, {})
            log.failed(about("stays"), DEAD, 5, 10)
            log.succeeded(about("stays"), 10, {})
            log.failed(about("stays"), DEAD, 20, 30)

        assert ["poll failed", "first poll succeeded", "poll failed"] == events(records)
        assert {"stays"} == {record["query"] for record in records}


@settings(max_examples=20)
@given(st.integers(1, 500), st.integers())
def test_nothing_fills_the_log(queries: int, seed: int) -> None:
    """Whatever fails, for whatever reason and in whatever order, lines of a day are bounded."""
    log, choices = PollLog(), random.Random(seed)
    causes = (DEAD, SLOW)
    with logged() as records:
        for moment in range(0, DAY, DAY // 200):
            for _ in range(20):
                name = about(f"q{choices.randrange(queries)}")
                log.failed(name, choices.choice(causes), moment, moment)

    named = sum(it["event"] == "poll failed" for it in records)
    assert named <= len(causes) * MAX_NAMED * 25
    assert len(records) - named <= len(causes) * 32
