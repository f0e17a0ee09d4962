"""The commands: each of them there, and none burdened with what the others need."""

import gc
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.cli.options import logging_options

NAMES = {"serve", "check", "once", "simulate", "demo"}


def imported_by(*arguments: str) -> set[str]:
    """Return the modules that a command line imports."""
    command = (sys.executable, "-X", "importtime", "-m", "exporter", *arguments)
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - the exporter's own command

    return {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}


def test_every_command_is_there() -> None:
    """A command goes by its own name."""
    assert {name: name for name in NAMES} == {
        name: command.name for name, command in main.commands.items()
    }
    assert len(NAMES) == len(main.commands)


def test_other_names_are_no_commands() -> None:
    """A module beside the commands is not taken for one; a near name is suggested."""
    ended = CliRunner().invoke(main, ["serving"])

    assert 2 == ended.exit_code
    assert "No such command 'serving'. Did you mean 'serve'?" in ended.stderr


@pytest.mark.parametrize("written", ["warn", "warning"])
def test_both_spellings_of_warn_are_one_level(written: str) -> None:
    """``--log.level`` takes Prometheus's spelling and Python's, and passes on the former."""

    @click.command
    @logging_options
    def shows(log_level: str, log_format: str) -> None:
        click.echo(f"{log_level} {log_format}")

    ended = CliRunner().invoke(shows, ["--log.level", written])

    assert "warn logfmt\n" == ended.stdout


@pytest.mark.parametrize("command", ["serve", "once", "demo"])
def test_help_names_both_spellings_of_warn(command: str) -> None:
    """The choice shows ``warn``, and the help says that ``warning`` is accepted too."""
    shown = " ".join(CliRunner().invoke(main, [command, "--help"]).stdout.split())

    assert "[debug|info|warn|error]" in shown
    assert "warning is accepted for warn" in shown


def test_other_levels_are_refused() -> None:
    """Any other level is an error that names the levels there are."""
    ended = CliRunner().invoke(main, ["serve", "--config.file", "f", "--log.level", "loud"])

    assert 2 == ended.exit_code
    assert "'loud' is not one of 'debug', 'info', 'warn', 'error', 'warning'" in ended.stderr


def test_garbage_is_looked_for_afterwards() -> None:
    """Importing commands leaves the collector at work."""
    for name in NAMES:
        assert name in main.commands

    assert gc.isenabled()


def test_serve_imports_nothing_for_show() -> None:
    """The daemon starts without the simulated Sentry, which is for other commands."""
    imported = imported_by("serve", "--help")

    assert "exporter.app" in imported
    assert set() == {module for module in imported if module.startswith("exporter.simulator")}


def test_version_imports_no_command() -> None:
    """What no command is asked for needs none of their modules."""
    imported = imported_by("--version")

    assert set() == {module for module in imported if module.startswith("exporter.app")}
