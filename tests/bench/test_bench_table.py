"""What is met and what is missed, and how it is printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.distribution import Distribution
from bench.table import (
    BASE_HEADINGS,
    HEADINGS,
    MILLISECONDS,
    Row,
    Target,
    aligned,
    at_least,
    at_most,
    beside,
    significant,
    table,
)


def row(work: str, figure: float, target: Target | None) -> Row:
    """Return a row with a second on our side and two on the other."""
    return Row(work, Distribution((1.0,)), Distribution((2.0,)), MILLISECONDS, figure, target)


@pytest.mark.parametrize(
    ("target", "figure", "expected"),
    [
        (at_least(5), 5, True),
        (at_least(5), 4.99, False),
        (at_most(3), 3, True),
        (at_most(3), 3.01, False),
        (at_most(0.05, " s"), -0.2, True),
    ],
)
def test_a_target_is_met_up_to_its_value(*, target: Target, figure: float, expected: bool) -> None:
    """The value itself is good enough, on either side of it."""
    assert expected is target.is_met(figure)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.00481, "0.00481"),
        (1.2345, "1.23"),
        (99.96, "100"),
        (123.4, "123"),
        (15196.4, "15,196"),
    ],
)
def test_numbers_have_three_digits_or_more(value: float, expected: str) -> None:
    """Large ones are written out, small ones are not drowned in digits."""
    assert expected == significant(value)


class TestTable:
    """The plain table."""

    def test_shows_both_sides_the_figure_and_the_verdict(self) -> None:
        """A row that misses its target says so as loudly as it can."""
        printed = table([row("good", 7, at_least(5)), row("bad", 0.7, at_most(0.6, " s"))])

        assert [
            list(HEADINGS),
            ["good", "1", *["1,000 ms"] * 2, *["2,000 ms"] * 2, "7x", ">= 5x", "met"],
            ["bad", "1", *["1,000 ms"] * 2, *["2,000 ms"] * 2, "0.7 s", "<= 0.6 s", "MISSED"],
        ] == cells(printed)

    def test_a_figure_without_target_is_not_judged(self) -> None:
        """It is a ratio, and there are dashes in place of a verdict."""
        printed = table([row("some", 0.7, None)])

        assert ["0.7x", "-", "-"] == cells(printed)[1][-3:]

    def test_shows_an_earlier_revision_beside(self) -> None:
        """Its median and figure, and the ratio of the medians; where it is missing, dashes."""
        rows = [beside([row("better", 1, at_most(3)), row("better", 2, at_most(3))])]
        printed = table([*rows, beside([row("alone", 1, at_most(3))])], with_base=True)
        heading, better, alone = cells(printed)

        assert list(BASE_HEADINGS) == heading[-3:]
        assert ["1,000 ms", "2x", "1x"] == better[-3:]
        assert ["-", "-", "-"] == alone[-3:]

    @given(
        st.integers(1, 5).flatmap(
            lambda columns: st.lists(
                st.lists(st.text("ab", min_size=1), min_size=columns, max_size=columns), min_size=1
            )
        )
    )
    def test_columns_are_aligned(self, lines: list[list[str]]) -> None:
        """Every line is as long as the others, with its cells in order."""
        printed = aligned(lines).split("\n")

        assert 1 == len({len(line) for line in printed})
        assert lines == [line.split() for line in printed]


def cells(printed: str) -> list[list[str]]:
    """Return the cells of a table: what stands apart by more than one space."""
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in printed.split("\n")
    ]
