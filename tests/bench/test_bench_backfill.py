"""The figures of a backfill, at a small size."""

import re

from click.testing import CliRunner

from bench.backfill import main


def test_figures() -> None:
    """Requests are those planned, also where the hours of all projects have to be split."""
    ended = CliRunner().invoke(main, ["--days", "1", "--projects", "700", "--rows", "20"])
    made, planned = re.findall(r"^requests: (\d+), planned (\d+)$", ended.output, re.MULTILINE)[0]
    hours, days = (
        int(re.findall(rf"^scale/{name}: (\d+) buckets", ended.output, re.MULTILINE)[0])
        for name in ("projects", r"quotas \(by project\)")
    )

    assert 0 == ended.exit_code
    assert planned == made
    # Three batches for each hour, whose 14,000 rows are more than an answer has, and the totals;
    # one for the hours of quotas, and one for each day that no query has, and its totals.
    assert 3 * hours + 2 + 1 + days + 1 == int(planned)
    assert re.search(
        r"^writing: [\d,]{9,} samples, \d\.\d\d GB, memory \d+ MB$", ended.output, re.MULTILINE
    )
    assert re.search(
        r"^writing: \d+\.\d\d s of CPU for a million samples$", ended.output, re.MULTILINE
    )
