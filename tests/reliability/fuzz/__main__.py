"""Fuzzes each target for some time, guided by coverage, and prints how many inputs ran.

What reaches code that the corpus does not reach is collected in ``build/fuzz/``, and goes into the
corpus with ``--merge``. An input that breaks a rule is left there too.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Final

import click

from tests.reliability.fuzz.targets import CORPUS, MAX_LENGTH, TARGETS, corpus

BUILD: Final = Path("build/fuzz")
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units: +([0-9]+)", re.MULTILINE)
_ALWAYS: Final = (f"-max_len={MAX_LENGTH}", "-timeout=20", "-rss_limit_mb=2048")


@click.command()
@click.option("--seconds", default=60, show_default=True, help="How long each target runs.")
@click.option("--seed", default=1, show_default=True, help="For the choice of mutations.")
@click.option("--merge", is_flag=True, help="Put what reaches new code into the corpus, minimised.")
@click.argument("names", nargs=-1, metavar="[TARGET]...", type=click.Choice(list(TARGETS)))
def main(names: Sequence[str], *, seconds: int, seed: int, merge: bool) -> None:
    """Fuzz every TARGET, all by default."""
    click.echo("| target | inputs | corpus | broken rules |\n|---|--:|--:|--:|")
    broken = 0
    for name in names or TARGETS:
        number, failed = _fuzzed(name, seconds, seed)
        broken += failed
        if merge:
            _merge(name)
        click.echo(f"| {name} | {number:,} | {len(corpus(name)):,} | {int(failed)} |")
    sys.exit(bool(broken))


def _fuzzed(name: str, seconds: int, seed: int) -> tuple[int, bool]:
    """Return how many inputs a target has read, and whether one of them broke a rule."""
    reached = BUILD / name
    reached.mkdir(parents=True, exist_ok=True)
    words = BUILD / f"{name}.dict"
    words.write_text("".join(f"{_quoted(word)}\n" for word in TARGETS[name].words), "ascii")
    log = BUILD / f"{name}.log"
    flags = (
        *(f"-max_total_time={seconds}", f"-seed={seed}", f"-dict={words}", "-print_final_stats=1"),
        f"-artifact_prefix={BUILD / name}-",
    )
    code = _run(name, log, *_ALWAYS, *flags, reached, CORPUS / name)
    text = log.read_text("utf-8", "replace")
    if code:
        click.echo(f"{name} broke a rule, see {log}", err=True)
    executed = _EXECUTED.search(text)
    return int(executed[1]) if executed else 0, bool(code)


def _merge(name: str) -> None:
    """Replace the corpus by the smallest inputs that reach what it and what was collected reach."""
    with TemporaryDirectory(dir=BUILD) as folder:
        log = BUILD / f"{name}.merge.log"
        code = _run(name, log, *_ALWAYS, "-merge=1", folder, CORPUS / name, BUILD / name)
        inputs = [path.read_bytes() for path in Path(folder).iterdir()]
        if code or not inputs:
            click.echo(f"cannot merge {name}, see {log}", err=True)
            return
        rmtree(CORPUS / name)
        (CORPUS / name).mkdir()
        for number, content in enumerate(sorted(inputs, key=lambda one: (len(one), one))):
            (CORPUS / name / f"{number:03d}.bin").write_bytes(content)


def _run(name: str, log: Path, *arguments: str | Path) -> int:
    command = [sys.executable, "-m", "tests.reliability.fuzz.instrumented", name, *arguments]
    with log.open("wb") as output:
        return subprocess.run(command, stdout=output, stderr=output, check=False).returncode  # noqa: S603


def _quoted(word: str) -> str:
    r"""Return a word as libFuzzer's dictionaries have it, such as ``"\x0d\x0a"``."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"'


if __name__ == "__main__":
    main()
