"""The systemd unit and the configuration beside it."""

import re
import sys
from pathlib import Path
from typing import Final

from exporter.config import load
from tests.deploy.kit import DEPLOY, output_of, parsed
from tests.programs import find_program

UNIT: Final = DEPLOY / "systemd" / "sentry-stats-exporter.service"
CONFIGURATION: Final = DEPLOY / "systemd" / "config.yaml"
PROGRAM: Final = "/opt/sentry-stats-exporter/bin/sentry-stats-exporter"

_MOST_EXPOSED: Final = "19"
"""In tenths, as systemd-analyze has it: below 2.0."""


def setting(name: str) -> str:
    """Return the value of a setting that the unit has once."""
    code = UNIT.read_text("utf-8").replace("\\\n", " ")
    (value,) = re.findall(rf"^{name}=(.*)$", code, flags=re.MULTILINE)
    return str(value)


def test_verify(tmp_path: Path) -> None:
    """Systemd understands the unit, with some program in the place of the installed one."""
    code = UNIT.read_text("utf-8")
    placed = tmp_path / UNIT.name
    placed.write_text(code.replace(PROGRAM, sys.executable), "utf-8")
    said = output_of(find_program("systemd-analyze", "systemd"), "verify", "--man=no", placed)

    assert PROGRAM in code
    assert not said


def test_exposure() -> None:
    """Systemd rates the exposure of the service under 2.0."""
    program = find_program("systemd-analyze", "systemd")
    said = output_of(
        program, "security", "--offline=true", f"--threshold={_MOST_EXPOSED}", "--no-pager", UNIT
    )

    assert "Overall exposure level for sentry-stats-exporter.service" in said


def test_command() -> None:
    """The unit's command line is one that the exporter understands; its state is systemd's own."""
    program, *arguments = setting("ExecStart").split()
    parameters = parsed(arguments)

    assert PROGRAM == program
    assert Path("${STATE_DIRECTORY}") == parameters["state_path"].parent
    assert Path("/etc/sentry-stats-exporter/config.yaml") == parameters["config_file"]


def test_configuration() -> None:
    """The configuration is good, and finds the token where systemd shows the credential."""
    config = load(CONFIGURATION)
    credential, _, source = setting("LoadCredential").partition(":")
    shown = f"/run/credentials/{UNIT.name}/{credential}"

    assert f"token_file: {shown}\n" in CONFIGURATION.read_text("utf-8")
    assert Path("/etc/sentry-stats-exporter") == Path(source).parent
    assert () == tuple(config.warnings)
