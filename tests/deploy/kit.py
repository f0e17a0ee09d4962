"""Where the deployment files are, and the programs that judge them."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from exporter.cli import main
from tests.programs import find_program

REPOSITORY: Final = Path(__file__).parents[2]
DEPLOY: Final = REPOSITORY / "deploy"

_BESIDE_PYTHON: Final = str(Path(sys.executable).parent)


def find_tool(name: str, package: str) -> str:
    """Return the path of a program: that of the virtual environment, or else the system's."""
    return shutil.which(name, path=_BESIDE_PYTHON) or find_program(name, package)


def require_root() -> None:
    """Skip the test where it does not run as root; in CI, fail."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("not root, which this test needs")
    pytest.skip("not root, which this test needs")


def finished(*command: str | Path, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run a command and return what became of it; its ``python`` is that of the tests."""
    return subprocess.run(  # noqa: S603 - a test's own command
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{_BESIDE_PYTHON}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )


def output_of(*command: str | Path, folder: Path = REPOSITORY) -> str:
    """Return what a command prints; it must succeed."""
    ended = finished(*command, folder=folder)

    assert 0 == ended.returncode, f"{shlex.join(map(str, command))}\n{ended.stdout}"
    return ended.stdout


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a command line of the exporter; unknown flags are errors."""
    name, *rest = arguments
    with main.commands[name].make_context(name, list(rest)) as context:
        return context.params


def variables() -> set[str]:
    """Return the environment variables that the exporter heeds."""
    return {
        str(parameter.envvar)
        for command in main.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }


def read_yaml(path: Path) -> Any:
    """Return the one document in a file."""
    return yaml.safe_load(path.read_text("utf-8"))
