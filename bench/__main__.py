"""Takes the measurements, and prints each table as soon as it is there."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

import click

from bench import (
    answers,
    clients,
    compression,
    disturbance,
    memory,
    publication,
    roundtrips,
    scrapes,
    starting,
    state,
)
from bench.sizes import FULL, QUICK, Sizes
from bench.table import Row, table
from bench.trees import Tree, measured

COMPARED: Final[Mapping[str, Callable[[Sizes, Sequence[Tree]], Iterable[Row]]]] = {
    "scrapes": scrapes.measure,
    "crowd": scrapes.measure_crowd,
    "disturbance": disturbance.measure,
    "clients": clients.measure,
    "state": state.measure,
    "publication": publication.measure,
    "starting": starting.measure,
}
"""Sections that measure processes from the outside, which works for an earlier revision too."""

ALONE: Final[Mapping[str, Callable[[Sizes], Iterable[Row]]]] = {
    "answers": answers.measure,
    "memory": memory.measure,
    "roundtrips": roundtrips.measure,
    "compression": compression.measure,
}
"""Sections that measure parts inside of this revision."""


@click.command()
@click.option("--quick", is_flag=True, help="Small sizes, for a look in about a minute.")
@click.option("--base", metavar="REV", help="Measure this revision too, in turns with this tree.")
@click.argument("sections", nargs=-1, type=click.Choice((*COMPARED, *ALONE)))
def main(sections: Sequence[str], *, quick: bool, base: str | None) -> None:
    """Measure, and print the results; SECTIONS are those of the table, all by default."""
    # Ending by an exception also ends the processes that are measured.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sizes = QUICK if quick else FULL
    if quick:
        click.echo("Small sizes: the targets are meant for the full ones.\n")
    with ExitStack() as stack:
        try:
            trees = stack.enter_context(measured(base))
        except LookupError as error:
            raise click.BadParameter(str(error), param_hint="--base") from error
        for name in sections or (*COMPARED, *ALONE):
            began = time.perf_counter()
            click.echo(_section(name, sizes, trees))
            click.echo(f"({name}: {time.perf_counter() - began:.0f} s)\n")


def _section(name: str, sizes: Sizes, trees: Sequence[Tree]) -> str:
    """Return the table of a section."""
    with_base = len(trees) > 1
    if name in COMPARED:
        return table(COMPARED[name](sizes, trees), with_base=with_base)
    note = "\nNot compared: this section measures parts inside of the process." if with_base else ""
    return table(ALONE[name](sizes)) + note


if __name__ == "__main__":
    main()
