"""Every section runs at tiny sizes; what its clocks say is nobody's business here."""

import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bench import __main__ as command
from bench.sizes import FULL, QUICK, Sizes

TINY = Sizes(
    scrapes={1_000: 1},
    crowd=100,
    rounds=1,
    seconds=0.01,
    disturbed=100,
    disturbances=1,
    answer=100,
    answers=1,
    memory={100: 1, 1_000: 1},
    lookback=20,
    projects=20,
    polls=1,
    starts=1,
)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("scrapes", ["one scrape, 1,000 series, text", "one scrape, 1,000 series, gzip"]),
        (
            "crowd",
            [
                "8 scrapers at once, 100 series, text",
                "8 scrapers at once, 100 series, gzip",
            ],
        ),
        (
            "disturbance",
            [
                "a scrape during a poll, minus at rest; p99, 100 series, text",
                "a scrape during a poll, minus at rest; p99, 100 series, gzip",
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
            "roundtrips",
            [
                "first poll of 20 projects, 4 requests",
                "next poll of 20 projects, 3 requests",
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
def test_a_section_measures_both_sides(section: str, expected: list[str]) -> None:
    """Each row has measurements of ours and of what they are held against."""
    rows = list(command.SECTIONS[section](TINY))

    assert expected == [row.work for row in rows]
    assert all(row.ours.median > 0 and row.against.median > 0 for row in rows)


def test_growth_is_told_for_each_pair_of_sizes() -> None:
    """Scrapes of two sizes are also held against each other."""
    works = [
        row.work
        for row in command.SECTIONS["scrapes"](replace(TINY, scrapes={1_000: 1, 10_000: 1}))
    ]

    assert [
        "scrape time over bytes, 10,000 / 1,000 series, text",
        "scrape time over bytes, 10,000 / 1,000 series, gzip",
    ] == works[-2:]


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
    """What grows is told for ten times as much."""
    for grown in (sizes.scrapes, sizes.memory):
        series = list(grown)

        assert [10 * one for one in series[:-1]] == series[1:]
