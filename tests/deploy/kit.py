"""The deployment files, and the command lines in them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from exporter.cli import main
from tests.support.programs import REPOSITORY

DEPLOY: Final = REPOSITORY / "deploy"


def require_root() -> None:
    """Skip the test if it does not run as root; fail it in CI."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("not root, which this test needs")
    pytest.skip("not root, which this test needs")


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a command line of the exporter; unknown flags are errors."""
    name, *options = arguments
    with main.commands[name].make_context(name, list(options)) as context:
        return context.params


def variables() -> set[str]:
    """Return the environment variables that the exporter reads."""
    return {
        str(parameter.envvar)
        for command in main.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }


def read_yaml(path: Path) -> Any:
    """Return the one document in a file."""
    return yaml.safe_load(path.read_text("utf-8"))
