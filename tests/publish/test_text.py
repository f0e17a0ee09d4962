"""Lines of the exposition formats, as parsers read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.publish.family import Family, Type
from exporter.publish.text import header, label_set, number, sample

GAUGE = Family("sentry_stats_x_bytes", Type.GAUGE, ("one", "other"), "Some help.", "bytes")
COUNTER = Family("sentry_stats_x_seconds_total", Type.COUNTER, (), "Some help.", "seconds")
MARK = "\N{REPLACEMENT CHARACTER}"
PLAIN = Family("sentry_stats_x", Type.GAUGE, ("one",), "Some help.")


def marked(text: str) -> str:
    """Return how a label is read back."""
    return text.replace(MARK, 2 * MARK).replace("\0", f"{MARK}0")


@given(st.text("a0\0\ufffd"), st.text("a0\0\ufffd"))
def test_labels_stay_different(one: str, other: str) -> None:
    """No two labels become the same, whatever stands for NUL in one of them."""
    assert (one == other) is (sample(PLAIN, (one,), 1) == sample(PLAIN, (other,), 1))


@given(st.text(), st.text())
def test_labels_come_back(one: str, other: str) -> None:
    """Both parsers read back any text in a label unchanged, except that NUL is marked."""
    line = sample(GAUGE, (one, other), 1)
    expected = {"one": marked(one), "other": marked(other)}

    (plain,) = parse_text(header(GAUGE, openmetrics=False) + line)
    (open_one,) = parse_openmetrics(header(GAUGE, openmetrics=True) + line + "# EOF\n")

    assert [expected] == [each.labels for each in plain.samples]
    assert [expected] == [each.labels for each in open_one.samples]


@given(st.text())
def test_one_line(text: str) -> None:
    """Whatever is in a label, a sample is one line without a NUL byte."""
    line = sample(PLAIN, (text,), 1)

    assert 1 == line.count("\n")
    assert line.endswith("\n")
    assert "\0" not in line


def test_label_set() -> None:
    """Labels are escaped, in the order of their names; without labels there are no braces."""
    assert r'{one="a\"b",other="c\\d\ne"}' == label_set(("one", "other"), ('a"b', "c\\d\ne"))
    assert "" == label_set((), ())


def test_as_many_values_as_names() -> None:
    """A label without a value, or a value without a label, is an error."""
    with pytest.raises(ValueError, match="shorter"):
        label_set(("one", "other"), ("a",))


@pytest.mark.parametrize(
    ("family", "openmetrics", "expected"),
    [
        (
            GAUGE,
            False,
            "# HELP sentry_stats_x_bytes Some help.\n# TYPE sentry_stats_x_bytes gauge\n",
        ),
        (
            GAUGE,
            True,
            (
                "# HELP sentry_stats_x_bytes Some help.\n# TYPE sentry_stats_x_bytes gauge\n"
                "# UNIT sentry_stats_x_bytes bytes\n"
            ),
        ),
        (
            COUNTER,
            False,
            (
                "# HELP sentry_stats_x_seconds_total Some help.\n"
                "# TYPE sentry_stats_x_seconds_total counter\n"
            ),
        ),
        (
            COUNTER,
            True,
            (
                "# HELP sentry_stats_x_seconds Some help.\n# TYPE sentry_stats_x_seconds counter\n"
                "# UNIT sentry_stats_x_seconds seconds\n"
            ),
        ),
        (
            PLAIN,
            True,
            "# HELP sentry_stats_x Some help.\n# TYPE sentry_stats_x gauge\n",
        ),
    ],
)
def test_header(family: Family, openmetrics: bool, expected: str) -> None:  # noqa: FBT001 - a column
    """OpenMetrics names counters without ``_total``, and has units."""
    assert expected == header(family, openmetrics=openmetrics)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (True, "1"),
        (5.0, "5"),
        (0.25, "0.25"),
        (2**64 - 1, "18446744073709551615"),
        (1_772_000_000.5, "1772000000.5"),
    ],
)
def test_number(value: float, expected: str) -> None:
    """Integers are written in full, without a point; others as short as is exact."""
    assert expected == number(value)


@given(st.floats(0, 1e18) | st.integers(0, 2**64 - 1))
def test_numbers_come_back(value: float) -> None:
    """Any value is read back unchanged."""
    assert value == type(value)(number(value))
