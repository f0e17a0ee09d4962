"""Every section runs at tiny sizes; what the clocks say is not tested."""

import re
from collections.abc import Iterator, Sequence

import pytest
from click.testing import CliRunner

from bench import __main__ as command
from bench.sizes import FULL, QUICK, Sizes
from bench.table import Row
from bench.trees import Tree, measured

TINY = Sizes(
    scrapes={1_000: 1, 10_000: 1},
    crowd=100,
    rounds=1,
    seconds=0.01,
    clients=8,
    beside_clients=2,
    disturbed=100,
    disturbances=1,
    answer=100,
    answers=1,
    memory={100: 1, 1_000: 1},
    lookback=20,
    state=1_000,
    hours=1,
    later=1,
    restarts=1,
    queries=20,
    due=1,
    publications=1,
    organizations=12,
    projects=20,
    polls=1,
    starts=1,
)


@pytest.fixture(scope="module")
def trees() -> Iterator[Sequence[Tree]]:
    """Return this tree, whose bytecode, libraries' included, is written once for all sections."""
    with measured() as trees:
        yield trees


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "scrapes",
            [
                "one scrape, 1,000 series, text",
                "one scrape, 1,000 series, gzip",
                "one scrape, 10,000 series, text",
                "one scrape, 10,000 series, gzip",
                "scrape time over bytes, 10,000 / 1,000 series, text",
                "scrape time over bytes, 10,000 / 1,000 series, gzip",
            ],
        ),
        (
            "disturbance",
            [
                "a scrape during a poll, minus after it; p99, 100 series, text",
                "a scrape during a poll, minus after it; p99, 100 series, gzip",
            ],
        ),
        (
            "clients",
            [
                "a scrape beside 8 slow clients, 100 series, gzip; slowest",
                "a scrape beside 8 slow clients, 100 series, gzip",
            ],
        ),
        (
            "answers",
            [
                "first answer of 100 rows to published, over json.loads",
                "next answer of 100 rows to published, over json.loads",
            ],
        ),
        (
            "memory",
            [
                "memory at 1,000 series",
                "memory, 1,000 / 100 series",
                "a poll's CPU, 1,000 / 100 series",
                "memory at 20 series in all of 24 hours",
            ],
        ),
        (
            "state",
            [
                "CPU with state / without, 1 hours of 1,000 series at once",
                "CPU with state / without, one hour of 1,000 series",
                "memory of serve with 1 hours of 1,000 series",
                "state file of 1 hours of 1,000 series",
                "CPU of a restart with 1 hours of 1,000 series",
            ],
        ),
        (
            "publication",
            [
                "CPU of publishing one of 20 queries again",
                "CPU of each of 12 polls at once, over each of 10",
            ],
        ),
        (
            "roundtrips",
            [
                "first poll of 20 projects, 4 requests",
                "next poll of 20 projects, 3 requests",
            ],
        ),
        (
            "compression",
            [
                f"{what}, {series} series, zstd {level}"
                for series in ("1,000", "10,000")
                for level in (1, 3, 9)
                for what in ("size", "to unpack", "to compress")
            ],
        ),
        (
            "starting",
            [
                "start to first page with data, minus upstream",
                "imports of serve, minus the bare interpreter",
            ],
        ),
    ],
)
def test_a_section_measures_both_sides(
    section: str, expected: list[str], trees: Sequence[Tree]
) -> None:
    """Each row has measurements of ours and of what they are compared with."""
    rows = measured_rows(section, trees)

    assert expected == [row.work for row in rows]
    assert all(row.ours.median > 0 and row.against.median > 0 for row in rows)


def test_an_earlier_revision_is_measured_beside(trees: Sequence[Tree]) -> None:
    """Each row of a section that measures processes has the same row of the other tree."""
    rows = list(command.COMPARED["crowd"](TINY, [*trees, *trees]))
    expected = ["8 scrapers at once, 100 series, text", "8 scrapers at once, 100 series, gzip"]

    assert expected == [row.work for row in rows]
    assert expected == [row.base.work for row in rows if row.base]
    assert all(row.ours.median > 0 and row.against.median > 0 for row in rows)


def test_the_command_prints_the_sections_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One section is one table, and says how long it took."""
    monkeypatch.setattr(command, "QUICK", TINY)
    said = CliRunner().invoke(command.main, ["--quick", "answers"])

    assert 0 == said.exit_code
    assert re.search(
        r"\nwork +runs .+\nfirst answer .+\nnext answer .+\n\(answers: \d+ s\)\n", said.output
    )


@pytest.mark.parametrize("sizes", [FULL, QUICK])
def test_each_size_is_ten_times_the_one_before(sizes: Sizes) -> None:
    """Growth is measured for ten times as much."""
    for grown in (sizes.scrapes, sizes.memory):
        series = list(grown)

        assert [10 * one for one in series[:-1]] == series[1:]


def test_a_base_that_git_does_not_know_is_refused() -> None:
    """The error names the option, and nothing is measured."""
    said = CliRunner().invoke(command.main, ["--base", "nowhere", "answers"])

    assert 2 == said.exit_code
    assert "--base" in said.output


def measured_rows(section: str, trees: Sequence[Tree]) -> list[Row]:
    """Return the rows of a section about this tree."""
    if section in command.ALONE:
        return list(command.ALONE[section](TINY))
    return list(command.COMPARED[section](TINY, trees))
