"""The commands."""

import errno
import json
import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.cli.exit import end_without_listening
from exporter.cli.options import duration_of, logging_options
from exporter.web.address import Address

NAMES = {"serve", "check", "once", "backfill", "simulate", "demo"}


def test_every_command_is_there() -> None:
    """Every command is registered under its own name."""
    assert {name: name for name in NAMES} == {
        name: command.name for name, command in main.commands.items()
    }
    assert len(NAMES) == len(main.commands)


def test_other_names_are_no_commands() -> None:
    """Another name is not a command; a similar one is suggested."""
    ended = CliRunner().invoke(main, ["serving"])

    assert 2 == ended.exit_code
    assert "No such command 'serving'. Did you mean 'serve'?" in ended.stderr


@pytest.mark.parametrize("written", ["warn", "warning"])
def test_both_spellings_of_warn_are_one_level(written: str) -> None:
    """``--log.level`` accepts Prometheus's spelling and Python's, and passes on the former."""

    @click.command
    @logging_options()
    def shows(log_level: str, log_format: str) -> None:
        click.echo(f"{log_level} {log_format}")

    ended = CliRunner().invoke(shows, ["--log.level", written])

    assert "warn logfmt\n" == ended.stdout


@pytest.mark.parametrize("command", ["serve", "once", "demo"])
def test_help_names_both_spellings_of_warn(command: str) -> None:
    """The help lists ``warn``, and says that ``warning`` is accepted too."""
    shown = " ".join(CliRunner().invoke(main, [command, "--help"]).stdout.split())

    assert "[debug|info|warn|error]" in shown
    assert "warning means the same as warn" in shown


def test_other_levels_are_refused() -> None:
    """Any other level is an error that lists the levels."""
    ended = CliRunner().invoke(main, ["serve", "--config.file", "f", "--log.level", "loud"])

    assert 2 == ended.exit_code
    assert "'loud' is not one of 'debug', 'info', 'warn', 'error', 'warning'" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--log.format", "json"], {}),
        (["--log.format=json"], {}),
        (["--log.format", "logfmt", "--log.format", "json"], {}),
        ([], {"SENTRY_STATS_EXPORTER_LOG_FORMAT": "json"}),
    ],
)
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["--no.such.flag"], "No such option"),
        (["--log.level", "loud"], "'loud' is not one of"),
        ([], "Missing option '--config.file'"),
    ],
)
def test_misuse_is_a_record_where_the_log_is_json(
    arguments: list[str], environment: dict[str, str], wrong: list[str], expected: str
) -> None:
    """Programs that read the log can read why it is the only line in it."""
    ended = CliRunner().invoke(main, ["serve", *wrong, *arguments], env=environment)
    record = json.loads(ended.stderr)

    assert 2 == ended.exit_code
    assert ("cannot start", "error") == (record["event"], record["level"])
    assert expected in record["error"]


@pytest.mark.parametrize("arguments", [[], ["--log.format", "json", "--log.format", "logfmt"]])
def test_misuse_is_text_otherwise(arguments: list[str]) -> None:
    """People see how the command is used."""
    ended = CliRunner().invoke(main, ["serve", "--no.such.flag", *arguments])

    assert 2 == ended.exit_code
    assert ended.stderr.startswith("Usage: ")


def test_each_mistake_is_a_record_where_the_log_is_json(tmp_path: Path) -> None:
    """The mistakes of a configuration are one record each."""
    path = tmp_path / "config.yaml"
    path.write_text("organizations:\n  - slug: acme\n    tokken: a\n    urrl: b\n", "utf-8")
    flags = ["--config.file", str(path), "--log.format", "json"]
    ended = CliRunner().invoke(main, ["serve", *flags])
    records = [json.loads(line) for line in ended.stderr.splitlines()]

    assert 2 == ended.exit_code
    assert ["cannot start"] * 3 == [record["event"] for record in records]
    assert [f"{path}:{line}" for line in (2, 3, 4)] == [
        record["error"].partition(": ")[0] for record in records
    ]


@pytest.mark.parametrize(
    ("command", "flag", "example"),
    [
        ("serve", "--web.listen-address", "'127.0.0.1:10790'"),
        ("demo", "--web.listen-address", "'127.0.0.1:10790'"),
        ("simulate", "--listen-address", "'127.0.0.1:9000'"),
    ],
)
def test_examples_of_addresses_have_the_port_of_the_command(
    command: str, flag: str, example: str
) -> None:
    """The error about an address has examples with the command's own port."""
    ended = CliRunner().invoke(main, [command, flag, "9090"])

    assert 2 == ended.exit_code
    assert example in ended.stderr


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OSError(errno.EADDRINUSE, "in use (while attempting)"),
            "Address already in use",
        ),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_once(
    error: OSError, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the address, the system's words, and what helps."""
    with pytest.raises(SystemExit, match="2"):
        end_without_listening(Address("host", 80), error, "--flag")

    message = f"cannot listen on host:80: {reason}; set another address with --flag\n"
    assert message == capsys.readouterr().err


@pytest.mark.parametrize("text", ["30", "0s", "2d", "soon", "", "1.5m"])
def test_intervals_that_are_none(text: str) -> None:
    """What is not a duration within the bounds is refused, with what is allowed."""
    flags = ["--config.file", "f", "--config.auto-reload-interval", text]
    ended = CliRunner().invoke(main, ["serve", *flags])

    assert 2 == ended.exit_code
    assert f"{text!r} is not a duration from 1s to 1d: a whole number and its unit" in ended.stderr


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("5m", 300), ("1d", 86400)])
def test_durations(text: str, seconds: int) -> None:
    """A duration is read as seconds."""
    assert seconds == duration_of("1s", "1d")(text)


def test_warning_in_the_environment(tmp_path: Path) -> None:
    """The environment variable takes both spellings too."""
    path = tmp_path / "config.yaml"
    variable = {"SENTRY_STATS_EXPORTER_LOG_LEVEL": "warning"}
    ended = CliRunner().invoke(main, ["once", "--config.file", str(path)], env=variable)

    assert 1 == ended.exit_code
    assert "cannot be read" in ended.stderr
