"""How the tests of reliability count what they try."""

from collections.abc import Callable

import pytest

from tests.reliability.tally import PROPERTY, ROWS


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Return a function that notes how often the test has tried what a row of the table names."""

    def note(row: str, number: int) -> None:
        assert row in ROWS
        record_property(PROPERTY, (row, number))

    return note
