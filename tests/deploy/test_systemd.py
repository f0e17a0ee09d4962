"""The systemd unit and its configuration."""

import re
import sys
from pathlib import Path
from typing import Final

from exporter.config import load
from tests.deploy.kit import DEPLOY, parsed
from tests.support.programs import find_program, output_of

UNIT: Final = DEPLOY / "systemd" / "sentry-stats-exporter.service"
CONFIGURATION: Final = DEPLOY / "systemd" / "config.yaml"
PROGRAM: Final = "/opt/sentry-stats-exporter/bin/sentry-stats-exporter"

_MAX_EXPOSURE: Final = "19"
"""In tenths, as systemd-analyze expects it: below 2.0."""


def setting(name: str) -> str:
    """Return the value of a setting, which the unit has once."""
    code = UNIT.read_text("utf-8").replace("\\\n", " ")
    (value,) = re.findall(rf"^{name}=(.*)$", code, flags=re.MULTILINE)
    return str(value)


def test_verify(tmp_path: Path) -> None:
    """Systemd accepts the unit, with another program in place of the installed one."""
    code = UNIT.read_text("utf-8")
    placed = tmp_path / UNIT.name
    placed.write_text(code.replace(PROGRAM, sys.executable), "utf-8")
    output = output_of(find_program("systemd-analyze", "systemd"), "verify", "--man=no", placed)

    assert PROGRAM in code
    assert not output


def test_exposure() -> None:
    """Systemd rates the exposure of the service below 2.0."""
    program = find_program("systemd-analyze", "systemd")
    output = output_of(
        program, "security", "--offline=true", f"--threshold={_MAX_EXPOSURE}", "--no-pager", UNIT
    )

    assert "Overall exposure level for sentry-stats-exporter.service" in output


def test_command() -> None:
    """The exporter accepts the unit's command line; its state is in systemd's directory."""
    program, *arguments = setting("ExecStart").split()
    parameters = parsed(arguments)

    assert PROGRAM == program
    assert Path("${STATE_DIRECTORY}") == parameters["state_path"].parent
    assert Path("/etc/sentry-stats-exporter/config.yaml") == parameters["config_file"]


def test_configuration() -> None:
    """The configuration is valid, and reads the token from systemd's credential."""
    config = load(CONFIGURATION)
    credential, _, source = setting("LoadCredential").partition(":")
    shown = f"/run/credentials/{UNIT.name}/{credential}"

    assert f"token_file: {shown}\n" in CONFIGURATION.read_text("utf-8")
    assert Path("/etc/sentry-stats-exporter") == Path(source).parent
    assert () == tuple(config.warnings)


def test_ready_when_it_says_so() -> None:
    """Systemd waits for the exporter's messages, and restarts it if they stop."""
    assert ("notify", "60s") == (setting("Type"), setting("WatchdogSec"))


def test_reload() -> None:
    """A reload sends the signal that makes the daemon reload."""
    assert "kill -HUP $MAINPID" == setting("ExecReload")
