"""Commands that must wait for Sentry log it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.simulator import Fault, Simulator
from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.support.clock import Clock

STORE = b'{"detail": "Rate limit exceeded. Please try your query with a smaller date range."}'


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


@pytest.mark.parametrize("command", [("once",), ("check", "--online")], ids=lambda one: one[0])
def test_a_wait_is_logged(
    configured: Callable[..., Path], sentry: Simulator, command: tuple[str, ...]
) -> None:
    """Standard error has the organization, the reason and the duration of a wait."""
    sentry.faults.add(Fault("status", status=429, body=STORE))
    path = configured()
    with subprocess.Popen(  # noqa: S603 - the product's own command
        [*COMMAND, *command, "--config.file", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Sentry requires" in line)
        process.kill()

    assert "organization=acme" in line
    assert "reason=too_heavy seconds=30 at_most=420" in line
