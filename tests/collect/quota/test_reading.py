"""What is asked about the use of quotas, and what is made of the answers."""

from typing import Final

from exporter.buckets import floor
from exporter.collect.quota.reading import UsageReading, read_usage
from exporter.quota.model import DAY, HOUR, Period
from tests.support.rows import API, NOON, WEB, row
from tests.support.store import Row, Store

NOW: Final = NOON + 600
TODAY: Final = floor(NOW, DAY)
PERIOD: Final = Period(TODAY - 20 * DAY, TODAY + 10 * DAY)
ERRORS: Final = ("error",)


def usage(store: Store, *categories: str, projects: tuple[int, ...] = ()) -> UsageReading:
    """Return what was used of ``categories``."""
    return store.run(read_usage(categories or ERRORS, PERIOD, NOW, projects))


def error(quantity: int, bucket: int = NOON, project: int = WEB, **labels: str) -> Row:
    """Return a row of errors."""
    return row(quantity, bucket=bucket, project=project, **{"category": "error", **labels})


class TestUsage:
    """The use of the organization."""

    def test_two_questions(self) -> None:
        """All categories share two questions."""
        store = Store([error(1)])
        usage(store, "error", "span", "log_byte")

        assert 2 == len(store.asked)

    def test_used_in_the_period(self) -> None:
        """All that was accepted from the first second of the period until now counts."""
        store = Store(
            [
                error(1, PERIOD.start - HOUR),
                error(10, PERIOD.start),
                error(100, TODAY - HOUR, category="default"),
                error(1000, NOON),
                error(7, NOON, outcome="filtered"),
            ]
        )

        assert 1110 == usage(store).used(ERRORS)

    def test_lost_to_a_limit(self) -> None:
        """What was rate limited, or held back by SDKs because of that, was lost to a limit."""
        store = Store(
            [
                error(1, outcome="rate_limited", reason="error_usage_exceeded"),
                error(10, outcome="rate_limited", reason="key_quota"),
                error(100, outcome="client_discard", reason="ratelimit_backoff"),
                error(1000, outcome="client_discard", reason="sample_rate"),
                error(10_000, outcome="invalid", reason="cors"),
            ]
        )

        assert 111 == usage(store).lost_of(ERRORS)

    def test_history(self) -> None:
        """The last two weeks are known by the hour, and what is older by the day; nothing twice."""
        old, recent = PERIOD.start + 5 * HOUR, TODAY - 3 * DAY + 5 * HOUR
        store = Store([error(1, old), error(10, recent), error(100, NOON)])

        assert {PERIOD.start: 1, recent: 10, NOON: 100} == {
            start: used for start, used in usage(store).history(ERRORS).items() if used
        }

    def test_history_before_the_period(self) -> None:
        """Before a new period, the hours of the last one are known."""
        store = Store([error(10, TODAY - 10 * DAY), error(1, NOON)])
        new = Period(TODAY, TODAY + 30 * DAY)
        read = store.run(read_usage(ERRORS, new, NOW))

        assert 1 == read.used(ERRORS)
        assert {TODAY - 10 * DAY: 10, NOON: 1} == {
            start: used for start, used in read.history(ERRORS).items() if used
        }

    def test_several_categories(self) -> None:
        """A quota of several categories is used by each of them."""
        store = Store([error(1), row(10, bucket=NOON, category="span")])
        read = usage(store, "error", "span")

        assert 11 == read.used(["error", "span"]) == read.history(["error", "span"])[NOON]

    def test_attachment_beside_others(self) -> None:
        """Sentry refuses attachment beside others in a filter: then there is no filter."""
        store = Store([error(1), row(10, bucket=NOON, category="attachment")])

        assert 10 == usage(store, "attachment", "error").used(["attachment"])
        assert {()} == {question.category for question in store.asked}

    def test_some_projects(self) -> None:
        """Only the projects of a quota are asked for."""
        store = Store([error(1), error(10, project=API)])

        assert 10 == usage(store, projects=(API,)).used(ERRORS)

    def test_cut_answer(self) -> None:
        """An answer that was cut is asked again in parts, until every event is there."""
        rows = [error(1, TODAY - hour * HOUR) for hour in range(200)]
        reasons = [
            error(1, TODAY - day * DAY, outcome="rate_limited", reason=f"reason-{number}")
            for day in range(5)
            for number in range(20)
        ]
        store = Store([*rows, *reasons], limit=60)
        read = usage(store)

        assert (200, 100) == (read.used(ERRORS), read.lost_of(ERRORS))
        assert 200 == sum(read.history(ERRORS).values())
