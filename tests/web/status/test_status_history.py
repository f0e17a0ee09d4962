"""The lookback as a chart shows it."""

from dataclasses import replace
from typing import Any, Final

import pytest

from exporter.collect.ledger import Bucket
from exporter.collect.ledger.columns import Column as Cells
from exporter.collect.ledger.columns import SeriesTable
from exporter.collect.series import Series, Totals
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from exporter.web.status.history import ALL, MAX_COLUMNS, OTHERS, History, Lookback
from tests.support.rows import HOUR, NOON
from tests.support.statuses import query, query_status

START = NOON // 86400 * 86400


def bucket(sums: dict[tuple[str, str], int], field: str = QUANTITY, **settings: Any) -> Bucket:
    """Return a bucket with a value for each category and outcome."""
    rows = {Series(field, *key, "none"): {0: value} for key, value in sums.items()}
    return Bucket(Cells.of(SeriesTable().extended(rows), rows), **settings)


def lookback(buckets: dict[int, Bucket], **settings: Any) -> Lookback:
    """Return what a query has read in ``buckets``."""
    return Lookback(query_status(written=query(**settings), history=buckets))


def read(buckets: dict[int, Bucket], by: str = "outcome", **settings: Any) -> list[History]:
    """Return the histories of a query that has read ``buckets``."""
    return list(lookback(buckets, **settings).histories(by))


class TestUnits:
    """One history for each unit, because their values cannot be added."""

    def test_each_has_its_own(self) -> None:
        """Events come first; durations are in seconds."""
        values = {("error", "accepted"): 5, ("attachment", "accepted"): 700}

        shown = read({START: bucket({**values, ("profile_duration", "accepted"): 1500})})

        assert [("events", [5]), ("bytes", [700]), ("seconds", [1.5])] == [
            (one.unit, one.totals) for one in shown
        ]

    def test_rows_seen(self) -> None:
        """The number of stored rows is no number of events."""
        (shown,) = read({START: bucket({("error", "accepted"): 5}, TIMES_SEEN)})

        assert "times seen" == shown.unit

    def test_without_category(self) -> None:
        """Where the query has no category, the unit is that of its filter."""
        (shown,) = read({START: bucket({("", "accepted"): 5})}, filter={"category": "attachment"})

        assert "bytes" == shown.unit


class TestNames:
    """What is stacked on each other."""

    def test_outcomes(self) -> None:
        """Outcomes have Sentry's order, and categories are added together."""
        sums = {("error", "invalid"): 9, ("error", "accepted"): 1, ("span", "accepted"): 2}

        (shown,) = read({START: bucket(sums)})

        assert (["accepted", "invalid"], [3, 9]) == (shown.names, shown.totals)
        assert "events of 2 categories" == shown.subject

    def test_categories(self) -> None:
        """Categories are sorted by size."""
        sums = {("error", "invalid"): 9, ("error", "accepted"): 1, ("span", "accepted"): 20}

        (shown,) = read({START: bucket(sums)}, "category")

        assert (["span", "error"], [20, 10]) == (shown.names, shown.totals)

    def test_many_categories(self) -> None:
        """The smallest of many are added together, and nothing is lost."""
        sums = {(f"category-{number}", "accepted"): 100 - number for number in range(30)}

        (shown,) = read({START: bucket(sums)}, "category")

        assert [*(f"category-{number}" for number in range(7)), OTHERS] == shown.names
        assert sum(sums.values()) == sum(shown.totals) == shown.columns[0].total

    def test_not_grouped(self) -> None:
        """A query without outcomes has one name for everything."""
        (shown,) = read({START: bucket({("error", ""): 5})})

        assert ["all"] == shown.names


class TestCategories:
    """Which category is shown, and which are added to each other."""

    SOME: Final = {
        ("span", "accepted"): 900,
        ("error", "accepted"): 5,
        ("attachment", "invalid"): 7,
        ("brand_new", "accepted"): 3,
    }

    def test_order(self) -> None:
        """They have Sentry's order, those that are not known yet at the end."""
        shown = lookback({START: bucket(self.SOME)})

        assert ["error", "attachment", "span", "brand_new"] == shown.categories

    @pytest.mark.parametrize(
        ("wanted", "shown"),
        [("", "error"), ("span", "span"), (ALL, ALL), ("transaction", "error")],
    )
    def test_chosen(self, wanted: str, shown: str) -> None:
        """Errors are shown by default, and in the place of what the query has not read."""
        assert shown == lookback({START: bucket(self.SOME)}).category(wanted)

    def test_no_errors(self) -> None:
        """Without errors all categories are shown by default."""
        assert ALL == lookback({START: bucket({("span", "accepted"): 9})}).category("")

    def test_one(self) -> None:
        """The history of one category has nothing of the others, and its own unit."""
        (shown,) = lookback({START: bucket(self.SOME)}).histories("outcome", "attachment")

        assert ("bytes", ["invalid"], [7]) == (shown.unit, shown.names, shown.totals)
        assert "bytes of attachment" == shown.subject

    @pytest.mark.parametrize("by", ["outcome", "category"])
    def test_no_item_is_added_twice(self, by: str) -> None:
        """Of categories that count the same items only one is in the sum."""
        names = ("transaction", "transaction_processed", "transaction_indexed", "span_indexed")
        values = {(name, "accepted"): 100 for name in names}

        (shown,) = read({START: bucket(values)}, by)

        assert 200 == sum(shown.totals)
        assert ["span_indexed", "transaction"] == shown.categories
        assert ["transaction_indexed", "transaction_processed"] == shown.left_out

    def test_other_units_are_not_repeated(self) -> None:
        """Log items and their bytes are in different charts, and in the same one as rows."""
        values = {("log_item", "accepted"): 5, ("log_byte", "accepted"): 700}

        assert [[], []] == [one.left_out for one in read({START: bucket(values)})]
        assert ["log_byte"] == read({START: bucket(values, TIMES_SEEN)})[0].left_out


class TestColumns:
    """The columns, from the oldest bucket to the newest."""

    def test_gap(self) -> None:
        """A bucket that was not read has a column without values."""
        some = bucket({("error", "accepted"): 5}, finished=True)

        (shown,) = read({START: some, START + 2 * HOUR: some})

        assert [[5], None, [5]] == [column.values for column in shown.columns]

    def test_notes(self) -> None:
        """A column says whether its buckets are finished and complete."""
        some = bucket({("error", "accepted"): 5}, finished=True)
        buckets = {START: some, START + HOUR: replace(some, finished=False, proven=False)}

        (shown,) = read(buckets)

        assert [(True, True), (False, False)] == [
            (column.finished, column.complete) for column in shown.columns
        ]

    @pytest.mark.parametrize("hours", [1, 25, 48, 49, 100, 721])
    @pytest.mark.parametrize("interval", [1, 2, 24])
    def test_many_are_added_together(self, hours: int, interval: int) -> None:
        """There are never too many, they begin at round times, and no value is lost."""
        some = bucket({("error", "accepted"): 5})
        starts = range(START, START + hours * HOUR, interval * HOUR)
        lookback = {"interval": f"{interval}h" if interval < 24 else "1d", "lookback": "30d"}

        (shown,) = read(dict.fromkeys(starts, some), poll_interval="1h", **lookback)

        assert len(shown.columns) <= MAX_COLUMNS + 1
        assert [5 * len(starts)] == shown.totals
        assert all(0 == column.start % column.length for column in shown.columns)

    def test_nothing_read(self) -> None:
        """Before the first poll there is no history."""
        assert [] == read({})


def test_total_of_queries_by_project() -> None:
    """The organization total is used where there is one, not the rows of all projects."""
    total: Totals = {
        Series(QUANTITY, "error", "accepted", reason): 4 for reason in ("none", "other")
    }

    (shown,) = read({START: replace(bucket({("error", "accepted"): 5}), total=total)})

    assert [8] == shown.totals
