"""Real programs beside the tests: where to find them, and how to run one for a while."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import requests

TIMEOUT: Final = 60.0
"""Seconds before something that does not happen counts as a failure."""

REPOSITORY: Final = Path(__file__).parents[2]

_FIRST_PAUSE: Final = 0.01
_MAX_PAUSE: Final = 0.1
"""Seconds between two looks at a condition, growing: a look may be a request that costs time."""

_PATH: Final = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""Where programs are looked for: in the virtual environment of the tests, then in the system."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program; without it the test fails in CI and is skipped elsewhere."""
    path = shutil.which(name, path=_PATH)
    if path is not None:
        return path
    missing = f"{name} is not installed; on Debian: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def finished(*command: str | Path, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run a command and return its result; its ``python`` is the tests' own."""
    return subprocess.run(  # noqa: S603 - a test's own command
        command,
        cwd=folder,
        env={**os.environ, "PATH": _PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )


def output_of(*command: str | Path, folder: Path = REPOSITORY) -> str:
    """Return the output of a command, which must succeed."""
    ended = finished(*command, folder=folder)

    assert 0 == ended.returncode, f"{shlex.join(map(str, command))}\n{ended.stdout}"
    return ended.stdout


def wait_until(
    happened: Callable[[], bool], explain: Callable[[], str] = str, timeout: float = TIMEOUT
) -> None:
    """Return once ``happened``; raises AssertionError with an explanation if it never does."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while not happened():
        assert time.monotonic() < deadline, f"nothing happened for {timeout:g} s\n{explain()}"
        # Another process, or another thread's socket, has no clock that could be turned.
        time.sleep(pause)
        pause = min(pause * 1.2, _MAX_PAUSE)


@dataclass(frozen=True, slots=True)
class Program:
    """A running program, the file that everything it says goes to, and when it was started."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float

    def output(self) -> str:
        """Return what it has said so far."""
        return self.log.read_text("utf-8", errors="replace")

    def wait_for(self, pattern: str) -> str:
        """Return the first group of ``pattern`` once its output matches."""
        self._wait_until(lambda: re.search(pattern, self.output()) is not None)
        return str(re.findall(pattern, self.output())[0])

    def wait_ready(self, url: str) -> None:
        """Return once ``url`` answers 200."""
        self._wait_until(lambda: _answers(url))

    def _wait_until(self, happened: Callable[[], bool]) -> None:
        def happened_or_ended() -> bool:
            ended = self.process.poll()
            assert ended is None or happened(), f"ended with {ended}\n{self.output()}"
            return happened()

        wait_until(happened_or_ended, self.output)


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[Program]:
    """Run ``command`` until the end of the block; its output goes to ``log``."""
    started = time.time()
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a test's own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            pass_fds=pass_fds,
        ) as process,
    ):
        try:
            yield Program(process, log, started)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=TIMEOUT).ok
    except requests.ConnectionError:
        return False
