"""README, the references and docs/cost.md, compared with the product."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import pytest

from exporter.app import Exporter
from exporter.cli import main
from exporter.cli.demo import demo_configuration
from exporter.publish.families import FAMILIES
from exporter.simulator import Simulator, demo_world
from tests.docs import split_cost
from tests.docs.cost import row
from tests.docs.markdown import README, blocks_of
from tests.reliability.tally import ROWS
from tests.support.clock import Clock
from tests.support.exporters import page_text, poll_due, unpaced
from tests.support.programs import REPOSITORY
from tools.markers import markers
from tools.reference import SECTIONS, with_reference

METRICS, REFERENCE, COST = (
    (REPOSITORY / "docs" / f"{name}.md").read_text("utf-8")
    for name in ("metrics", "reference", "cost")
)
BEGIN, END = markers("metrics")
EXCERPT_AT = datetime(2026, 3, 5, 9, 37, tzinfo=UTC).timestamp()


def flags() -> Iterator[tuple[str, str, str]]:
    """Yield each flag, its environment variable, and a command that has it."""
    for name, command in main.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.envvar:
                yield parameter.opts[0], str(parameter.envvar), name


def line_with(text: str, document: str = REFERENCE) -> str:
    """Return the only line of ``document`` that begins with ``text``."""
    (line,) = (line for line in document.splitlines() if line.startswith(text))
    return line


def test_reference_is_that_of_the_table() -> None:
    """The metrics reference is what ``python -m tools.reference docs/metrics.md`` writes."""
    assert with_reference(METRICS) == METRICS


def test_reference_has_every_family() -> None:
    """The sections of the reference have every family of the table."""
    assert [family for _, families in SECTIONS for family in families] == list(FAMILIES)


@pytest.mark.parametrize("document", ["", BEGIN, END + BEGIN, BEGIN + END + END, BEGIN * 2 + END])
def test_reference_needs_its_markers(document: str) -> None:
    """A document must contain each marker once, in order."""
    with pytest.raises(ValueError, match="each once"):
        with_reference(document)


def test_reliability_table() -> None:
    """README has a row for all that `make reliability` tries, and nothing of it has failed."""
    table = (
        README.read_text("utf-8").partition("<!-- reliability: begin -->")[2].partition("<!--")[0]
    )
    _, _, *rows = table.strip().splitlines()
    cells = [re.fullmatch(r"\| (.+) \| ([0-9,]+) \| 0 \|", row) for row in rows]

    assert [f"{row}: {how}" for row, how in ROWS.items()] == [cell and cell[1] for cell in cells]


@pytest.mark.slow
def test_excerpt_is_real() -> None:
    """Every line of README's excerpt is on the demo's page_text at `EXCERPT_AT`."""
    clock = Clock(EXCERPT_AT)
    with Simulator(demo_world(EXCERPT_AT), clock=clock, rate_limit=None) as sentry:
        exporter = Exporter(unpaced(demo_configuration(sentry.url)), clock=clock)
        poll_due(exporter, clock.now)
    (excerpt,) = (block for block in blocks_of(README) if block.language == "text")

    assert set() == set(excerpt.text.splitlines()) - set(page_text(exporter).splitlines())


def test_every_command_is_listed() -> None:
    """The reference has a row for each command."""
    for command in main.commands:
        assert line_with(f"| `{command}` |")


def test_every_flag_is_listed() -> None:
    """The reference has a row for each flag, with its environment variable and its commands."""
    for flag, variable, command in flags():
        assert f"`{command}`" in line_with(f"| `{flag}` | `{variable}` |")


@pytest.mark.slow
@pytest.mark.parametrize(("deleted", "hidden"), [(0, 0), (5, 0), (0, 5)])
def test_cost_of_splitting_is_as_counted(deleted: int, hidden: int) -> None:
    """The table about large organizations has the counted requests, which are within the bound."""
    projects = 1_000
    bound = 2 * projects * split_cost.ROWS / 10_000 + 3
    polls = split_cost.polled(projects, deleted, hidden)

    assert [2, 2, 25] == [one.hours for one in polls]
    # One request more for the list of projects.
    assert all(one.requests <= one.hours * bound + 1 for one in polls)
    assert all(one.longest_url < 8192 for one in polls)
    assert split_cost.row(projects, deleted, hidden, polls) in COST.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("projects", [12, 150])
def test_cost_is_as_counted(projects: int) -> None:
    """The table about small organizations has the requests that the simulated Sentry counts."""
    assert line_with(f"| {projects:,} |", COST) == row(projects)
