"""Takes the measurements, and prints each table as soon as it is there."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import click

from bench import answers, disturbance, memory, roundtrips, scrapes, starting
from bench.sizes import FULL, QUICK, Sizes
from bench.table import Row, table
from exporter import log

SECTIONS: Final[Mapping[str, Callable[[Sizes], Iterable[Row]]]] = {
    "scrapes": scrapes.measure,
    "crowd": scrapes.measure_crowd,
    "disturbance": disturbance.measure,
    "answers": answers.measure,
    "memory": memory.measure,
    "roundtrips": roundtrips.measure,
    "starting": starting.measure,
}


@click.command()
@click.option("--quick", is_flag=True, help="Small sizes, for a look in under a minute.")
@click.argument("sections", nargs=-1, type=click.Choice(tuple(SECTIONS)))
def main(sections: Sequence[str], *, quick: bool) -> None:
    """Measure, and print what came of it; SECTIONS are those of the table, all by default."""
    log.configure("error", "logfmt")
    sizes = QUICK if quick else FULL
    if quick:
        click.echo("Small sizes: the targets are meant for the full ones.\n")
    for name in sections or SECTIONS:
        began = time.perf_counter()
        click.echo(table(SECTIONS[name](sizes)))
        click.echo(f"({name}: {time.perf_counter() - began:.0f} s)\n")


if __name__ == "__main__":
    main()
