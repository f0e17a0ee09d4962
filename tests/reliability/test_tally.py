"""The table of what the tests of reliability have tried."""

from pathlib import Path

import pytest

from tests.reliability.tally import ROWS, examples_of


def test_it_has_a_row_for_what_was_tried(pytester: pytest.Pytester) -> None:
    """The numbers of all tests are added up, and tests that failed are counted."""
    pytester.makeconftest(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.conftest import pytest_terminal_summary
        from tests.reliability.conftest import tried
        """
    )
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_one(tried, number):
            tried("faults of the host", 500 * number)
            assert number != 2
        """
    )
    output = pytester.runpytest_subprocess("--numprocesses", "2").stdout.str()

    assert f"| faults of the host: {ROWS['faults of the host']} | 3,000 | 1 |" in output


def test_it_counts_the_examples_of_properties(pytester: pytest.Pytester) -> None:
    """A property counts by the examples that it has tried, whether it passes or not."""
    pytester.makeconftest(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.conftest import pytest_runtest_makereport, pytest_terminal_summary
        """
    )
    pytester.makepyfile(
        """
        from hypothesis import given, settings, strategies as st
        @given(st.integers())
        @settings(max_examples=37)
        def test_one(number):
            pass
        """
    )
    output = pytester.runpytest_subprocess().stdout.str()

    assert f"| random inputs: {ROWS['random inputs']} | 37 | 0 |" in output


def test_a_test_without_examples(request: pytest.FixtureRequest) -> None:
    """Any other test has none."""
    assert 0 == examples_of(request.node)
