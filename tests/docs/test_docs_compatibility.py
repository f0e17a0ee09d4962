"""docs/compatibility.md: each line of its tables says how it is known."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.programs import REPOSITORY

TEXT: Final = (REPOSITORY / "docs" / "compatibility.md").read_text("utf-8")
READ: Final = "read in"
"""How a cell says that something was not tested."""

ROWS: Final = [
    line
    for line in TEXT.splitlines()
    if re.match(r"\| (?!server|scraper|Grafana \| works)", line) and line.count("|") == 4
]
NAMES: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@cache
def functions(path: Path) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_there_are_rows() -> None:
    """The tables are recognized: servers, scrapers and Grafana."""
    assert {"sentry.io, any region", "GlitchTip", "Prometheus 2.42", "10 to 12"} <= {
        row.split("|")[1].strip() for row in ROWS
    }


@pytest.mark.parametrize("row", ROWS)
def test_row_is_tested_or_read(row: str) -> None:
    """The last cell of a row names a test, or says that something was read in the source."""
    last = row.split("|")[-2]

    assert "::test_" in last or READ in last


@pytest.mark.parametrize(("file", "name"), NAMES)
def test_test_exists(file: str, name: str) -> None:
    """Each test that is named exists."""
    assert name in functions(REPOSITORY / file)
