"""A reader who follows a document: writes its files, types its commands, one after the other."""

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

from tests.docs.markdown import TREE, Block
from tests.programs import PATIENCE, Program, running

ANY_PORT: Final = "127.0.0.1:0"

_NOT_COPIED: Final = shutil.ignore_patterns(".*", "__pycache__", "tests")
_SHIMS: Final = {
    "python": f'exec {sys.executable} "$@"',
    "sentry-stats-exporter": f'exec {sys.executable} -m exporter "$@"',
}


@dataclass(frozen=True, slots=True)
class Lasting:
    """A command that runs until it is ended.

    ``address`` is what documents call it by; its first output that matches ``listening`` has the
    one it really got. ``ready`` is the path that tells when it can be used.
    """

    command: str
    address: str
    listening: str
    ready: str


LASTING: Final = (
    Lasting("make demo", "127.0.0.1:10790", r"http://(\S+)/metrics", "/-/ready"),
    Lasting("sentry-stats-exporter serve", "127.0.0.1:10790", r"address=(\S+)", "/-/ready"),
    Lasting(
        "sentry-stats-exporter simulate",
        "127.0.0.1:9000",
        r"http://(\S+)",
        "/simulator/totals?organization=acme&start=2026-03-05&end=2026-03-06",
    ),
)


class Reader:
    """Somebody with a copy of the tree, and a terminal; a context manager that ends what runs on.

    ``replacements`` says what to write in place of what the documents say.
    """

    def __init__(self, directory: Path, replacements: Mapping[str, str]) -> None:
        self.clone = directory / "clone"
        self._directory = directory
        self._replacements = dict(replacements)
        self._terminals = ExitStack()
        self._opened = 0
        self._environment = _environment(directory, self.clone / ".venv")
        shutil.copytree(TREE, self.clone, ignore=_NOT_COPIED)
        _make_environment(self.clone / ".venv")

    def follow(self, block: Block) -> None:
        """Do what a block says: write the file that its note names, or type its commands."""
        if block.language == "sh":
            for command in _commands(block.text):
                self._type(command)
        elif block.note.startswith("file: "):
            path = self.clone / block.note.removeprefix("file: ")
            path.write_text(self._in_place(block.text), "utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._terminals.close()

    def _type(self, command: str) -> None:
        for lasting in LASTING:
            if command.startswith(lasting.command):
                self._start(command, lasting)
                return
        with self._terminal("bash", "-euo", "pipefail", "-c", self._in_place(command)) as program:
            status = program.process.wait(PATIENCE)
            assert status == 0, f"{command}\n{program.output()}"

    def _start(self, command: str, lasting: Lasting) -> None:
        self._replacements[lasting.address] = ANY_PORT
        words = shlex.split(self._in_place(command))
        program = self._terminals.enter_context(self._terminal(*words))
        address = program.wait_for(lasting.listening)
        program.wait_ready(f"http://{address}{lasting.ready}")
        self._replacements[lasting.address] = address

    def _terminal(self, *words: str) -> AbstractContextManager[Program]:
        self._opened += 1
        log = self._directory / f"terminal-{self._opened}.log"
        return running(["env", f"--chdir={self.clone}", *words], log, self._environment)

    def _in_place(self, text: str) -> str:
        for said, meant in self._replacements.items():
            text = text.replace(said, meant)
        return text


def _commands(text: str) -> Sequence[str]:
    """Return the commands of a block; a line that ends in a backslash goes on."""
    return [line for line in re.split(r"(?<!\\)\n", text) if line]


def _environment(home: Path, virtual: Path) -> dict[str, str]:
    """Return what lets the commands find each other, any free port, and nothing on the network."""
    places = (home / "sentry-stats-exporter" / "bin", virtual / "bin", Path(sys.executable).parent)
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
    """Make what make takes for a virtual environment that it has filled."""
    programs = virtual / "bin"
    programs.mkdir(parents=True)
    for name, command in _SHIMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{command}\n", "utf-8")
        (programs / name).chmod(0o755)
    for stamp in (".runtime", ".dev"):
        (virtual / stamp).touch()
