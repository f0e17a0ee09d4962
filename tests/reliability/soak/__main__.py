"""``python -m tests.reliability.soak``: a soak of any length, with a report and a chart."""

import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from tests.reliability.soak.figures import Sample
from tests.reliability.soak.report import chart, report
from tests.reliability.soak.soak import soak
from tests.support.programs import REPOSITORY

_FOLDER: Final = REPOSITORY / "build" / "soak"
_DAY: Final = 24


@click.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(3), help="Simulated.")
@click.option("--seed", default=1, show_default=True, help="What the story is drawn from.")
@click.option(
    "--output",
    default=_FOLDER,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where report.md and soak.svg are written; by default build/soak.",
)
def main(days: int, seed: int, output: Path) -> None:
    """Run a soak; ends with 1 if anything is not as it has to be."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(days, seed, Path(folder), _show)
    (output / "report.md").write_text(report(result), "utf-8")
    chart(result, output / "soak.svg")
    click.echo(report(result))
    sys.exit(bool(result.problems))


def _show(sample: Sample) -> None:
    if sample.hours % _DAY == 0:
        memory = sample.resident / (1 << 20)
        click.echo(
            f"day {sample.hours / _DAY:g}: {memory:.1f} MiB, {sample.series} series", err=True
        )


if __name__ == "__main__":
    main()
