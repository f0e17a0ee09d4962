"""The source trees that are measured: this one, and on request an earlier revision."""

import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_CLOCKED: Final = Path(__file__).with_name("clocked.py")


@dataclass(frozen=True, slots=True)
class Tree:
    """A source tree, the interpreter that runs it, and where its bytecode is written."""

    folder: Path
    python: str
    bytecode: Path

    def command(self, *arguments: str, clock: Path | None = None) -> Sequence[str]:
        """Return the command line of the exporter, under the simulated ``clock`` if given."""
        module = ("-m", "exporter") if clock is None else (str(_CLOCKED), str(clock))
        return [self.python, "-P", *module, *arguments]

    def environment(self) -> Mapping[str, str]:
        """Return an environment in which this tree is imported, with bytecode as installed."""
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        paths = {"PYTHONPATH": str(self.folder), "PYTHONPYCACHEPREFIX": str(self.bytecode)}
        return {**inherited, **paths}


@contextmanager
def measured(base: str | None = None, repository: Path = ROOT) -> Iterator[Sequence[Tree]]:
    """Give the tree of ``repository``, and that of the revision ``base`` if one is named.

    Raises LookupError if git has no such revision.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = Tree(repository, sys.executable, scratch / "bytecode")
        yield [ours] if base is None else [ours, _checked_out(base, repository, scratch / "base")]


def _checked_out(revision: str, repository: Path, folder: Path) -> Tree:
    """Return the tree of ``revision``, extracted below ``folder``."""
    command = ["git", "archive", "--format=tar", revision]
    archive = subprocess.run(command, cwd=repository, capture_output=True, check=False)  # noqa: S603 - git
    if archive.returncode:
        raise LookupError(archive.stderr.decode().strip())
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder / "tree", filter="data")
    missing = dependencies(folder / "tree") - dependencies(repository)
    python = _environment(folder / "venv", folder / "tree") if missing else sys.executable
    return Tree(folder / "tree", python, folder / "bytecode")


def dependencies(tree: Path) -> frozenset[str]:
    """Return the requirements of a tree."""
    project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]
    return frozenset(project["dependencies"])


def _environment(folder: Path, tree: Path) -> str:
    """Make a virtual environment with the requirements of ``tree``; return its interpreter."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = tree / "requirements" / "runtime.txt"
    locked = ["--require-hashes", "--requirement", str(lock)]
    wanted = locked if lock.is_file() else sorted(dependencies(tree))
    subprocess.run([*install, *wanted], check=True)  # noqa: S603 - pip
    return python
