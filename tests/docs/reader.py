"""A reader who follows a document: writes its files and types its commands, in order."""

import os
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.docs.markdown import Block
from tests.support.programs import REPOSITORY, Program, running

ANY_PORT: Final = "127.0.0.1:0"

_COMMAND_TIMEOUT: Final = 300
"""Seconds; a command may make an environment and install packages."""

_NOT_COPIED: Final = shutil.ignore_patterns(".*", "__pycache__", "tests")
_SHIMS: Final = {
    "python": f'exec {sys.executable} "$@"',
    "sentry-stats-exporter": f'exec {sys.executable} -m exporter "$@"',
}


@dataclass(frozen=True, slots=True)
class Server:
    """A command that runs until it is stopped.

    ``address`` is its address in the documents. The first output that matches ``listening`` has
    the address that it listens on. ``ready`` is the path to poll until it can be used.
    """

    command: str
    address: str
    listening: str
    ready: str


SERVERS: Final = (
    Server("make demo", "127.0.0.1:10790", r"http://(\S+)/metrics", "/-/ready"),
    Server(
        ".venv/bin/sentry-stats-exporter demo",
        "127.0.0.1:10791",
        r"http://(\S+)/metrics",
        "/-/ready",
    ),
    Server("sentry-stats-exporter serve", "127.0.0.1:10790", r"address=(\S+)", "/-/ready"),
    Server(
        "sentry-stats-exporter simulate",
        "127.0.0.1:9000",
        r"http://(\S+)",
        "/simulator/totals?organization=acme&start=2026-03-05&end=2026-03-06",
    ),
)


class Reader:
    """A reader with a copy of the tree; a context manager that stops the servers at its end.

    ``replacements`` maps texts of the documents to the texts that the reader types instead.
    """

    def __init__(self, directory: Path, replacements: Mapping[str, str]) -> None:
        self.clone = directory / "clone"
        self._directory = directory
        self._replacements = dict(replacements)
        self._terminals = ExitStack()
        self._logs = 0
        self._environment = _environment(directory, self.clone / ".venv")
        shutil.copytree(REPOSITORY, self.clone, ignore=_NOT_COPIED)
        _make_environment(self.clone / ".venv")

    def follow(self, block: Block) -> None:
        """Follow a block: write the file that its note names, or type its commands."""
        if block.language == "sh":
            for command in _commands(block.text):
                self._type(command)
        elif block.note.startswith("file: "):
            path = self.clone / block.note.removeprefix("file: ")
            path.write_text(self._replaced(block.text), "utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._terminals.close()

    def _type(self, command: str) -> None:
        for server in SERVERS:
            if command.startswith(server.command):
                self._start(command, server)
                return
        with self._terminal("bash", "-euo", "pipefail", "-c", self._replaced(command)) as program:
            status = program.process.wait(_COMMAND_TIMEOUT)
            assert status == 0, f"{command}\n{program.output()}"

    def _start(self, command: str, server: Server) -> None:
        self._replacements[server.address] = ANY_PORT
        words = shlex.split(self._replaced(command))
        program = self._terminals.enter_context(self._terminal(*words))
        address = program.wait_for(server.listening)
        program.wait_ready(f"http://{address}{server.ready}")
        self._replacements[server.address] = address

    def _terminal(self, *words: str) -> AbstractContextManager[Program]:
        self._logs += 1
        log = self._directory / f"terminal-{self._logs}.log"
        return running(["env", f"--chdir={self.clone}", *words], log, self._environment)

    def _replaced(self, text: str) -> str:
        for documented, typed in self._replacements.items():
            text = text.replace(documented, typed)
        return text


def _commands(text: str) -> Sequence[str]:
    """Return the commands of a block; a backslash at the end of a line continues it."""
    return [line for line in re.split(r"(?<!\\)\n", text) if line]


def _environment(home: Path, virtual: Path) -> dict[str, str]:
    """Return variables for the programs' paths, free ports, and pip without network."""
    places = (home / "sentry-stats-venv" / "bin", virtual / "bin", Path(sys.executable).parent)
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "SENTRY_STATS_EXPORTER_WEB_LISTEN_ADDRESS": ANY_PORT,
        "SENTRY_STATS_EXPORTER_LISTEN_ADDRESS": ANY_PORT,
    }


def _make_environment(virtual: Path) -> None:
    """Create what make accepts as its complete virtual environment."""
    programs = virtual / "bin"
    programs.mkdir(parents=True)
    for name, command in _SHIMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{command}\n", "utf-8")
        (programs / name).chmod(0o755)
    for stamp in (".runtime", ".dev"):
        (virtual / stamp).touch()
