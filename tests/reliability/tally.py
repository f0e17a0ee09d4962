"""What the tests of reliability have tried, and how often: the rows of README's table."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import pytest

PROPERTY: Final = "reliability"
"""The name of the user property of a test that has a row and a number."""

ROWS: Final = {
    "faults of Sentry and the network": "in one request, for an hour, or for ever",
    "faults of the host": "disk, clock, files, signals, memory and threads",
    "connections of clients": "idle, slow, half-closed or malformed",
    "random inputs": "for parsers, plans, pages and the web server, without the fuzzers' corpus",
    "hours of soak": "simulated, with faults, reloads, restarts and renames",
}
"""What is tried, and how."""


_EXAMPLES: Final = re.compile(r"([0-9]+) passing, ([0-9]+) failing")


def examples_of(item: pytest.Item) -> int:
    """Return how many examples hypothesis has tried in a test, without those it had to discard."""
    statistics = getattr(item, "hypothesis_statistics", "")
    return sum(int(number) for pair in _EXAMPLES.findall(statistics) for number in pair)


def table(reports: Iterable[pytest.TestReport]) -> Sequence[str]:
    """Return the table as Markdown: how often each was tried, and in how many tests it failed."""
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, (tuple, list)):
                row, number = str(value[0]), int(value[1])
                tried[row] += number
                failed[row] += report.failed
    if not tried:
        return []
    lines = [
        f"| {row}: {how} | {tried[row]:,} | {failed[row]:,} |"
        for row, how in ROWS.items()
        if row in tried
    ]
    return ["| what | tried | failed |", "|---|--:|--:|", *lines]
