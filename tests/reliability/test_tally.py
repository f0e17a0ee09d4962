"""The table of what the tests of reliability have tried."""

from pathlib import Path

import pytest

from tests.reliability.tally import ROWS


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

    assert f"| faults of the host, {ROWS['faults of the host']} | 3,000 | 1 |" in output
