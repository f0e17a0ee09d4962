"""The figures of a backfill, at a small size."""

import re

from click.testing import CliRunner

from bench.backfill import main


def test_figures() -> None:
    """Requests are those planned, also where the hours of all projects have to be split."""
    ended = CliRunner().invoke(main, ["--days", "1", "--projects", "700", "--rows", "20"])
    made, planned = re.findall(r"^requests: (\d+), planned (\d+)$", ended.output, re.MULTILINE)[0]
    hours = int(re.findall(r"^scale/projects: (\d+) buckets", ended.output, re.MULTILINE)[0])

    assert 0 == ended.exit_code
    assert planned == made
    # Three batches for each hour, whose 14,000 rows are more than an answer has, and the totals.
    assert 3 * hours + 2 == int(planned)
    assert re.search(
        r"^writing: [\d,]{9,} samples, \d\.\d\d GB, memory \d+ MB$", ended.output, re.MULTILINE
    )
    assert re.search(
        r"^writing: \d+\.\d\d s of CPU for a million samples$", ended.output, re.MULTILINE
    )
