"""The file as it is written: its values, and for each of them the line it stands on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

from exporter.config.nodes import LARGEST, Builder, Loader, Mark, TooLargeError
from exporter.config.problems import ConfigError, KeyPath, Place, Problem, dotted, masked

_UNQUOTED: Final = re.compile(r"\balias\b|character '([@`%])' that cannot start")
"""In PyYAML's messages: a text without quotes that is taken for something else."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file taken apart: its plain value, where each part of it stands, what is wrong already."""

    file: str
    value: Any
    marks: Mapping[KeyPath, Mark]
    problems: tuple[Problem, ...]

    def mark(self, path: KeyPath) -> Mark:
        """Return where ``path`` stands, or the nearest thing around it that the file has."""
        return self.marks[path] if path in self.marks else self.mark(path[:-1])

    def at(self, path: KeyPath) -> Any:
        """Return the value at ``path``, None where the file has nothing there."""
        if path not in self.marks:
            return None
        value = self.value
        for part in path:
            value = value[part]
        return value

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return the problem at ``path``."""
        return self.place(path).problem(message)

    def place(self, path: KeyPath) -> Place:
        """Return where ``path`` stands, as problems say it.

        A position in a list that is none is left out: one value stands for a list of one.
        """
        named = tuple(
            part
            for depth, part in enumerate(path, start=1)
            if isinstance(part, str) or path[:depth] in self.marks
        )
        line, column = self.mark(path)
        return Place(dotted(named), line, self.file, column)


def read(path: Path) -> str:
    """Return the text of the file; raises `ConfigError` where there is none to be had."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: the byte at {error.start} does not belong; save it as UTF-8"
    raise ConfigError([Problem("", None, message, str(path))])


def parse(text: str, file: str) -> Document:
    """Take ``text`` apart; raises `ConfigError` where it is not YAML, or holds nothing."""
    line: int | None = None
    try:
        return _document(text, file)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} is not allowed in YAML"
    except yaml.MarkedYAMLError as error:
        line, message = _line(error), _reason(error, text)
    except RecursionError:
        message = "is nested too deeply, or an alias leads back to itself"
    except TooLargeError:
        message = f"holds more than {LARGEST} values, aliases included"
    raise ConfigError([Problem("", line, message, file)])


def _document(text: str, file: str) -> Document:
    loader = Loader(text)
    builder = Builder(loader)
    root = loader.get_single_node()
    value = None if root is None else builder.build(root)
    if value is None:
        message = "the file is empty: it needs the key organizations"
        raise ConfigError([Problem("", None, message, file)])
    problems = tuple(
        Problem(dotted(path), mark.line, message, file, mark.column)
        for path, mark, message in builder.complaints
    )
    return Document(file, value, builder.marks, problems)


def _line(error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else None


def _reason(error: yaml.MarkedYAMLError, text: str) -> str:
    line = _line(error)
    if line is not None and _indented_by_tab(text.splitlines(), line):
        return "not valid YAML: a tab is used for indentation, which takes spaces only"
    parts = (error.context, error.problem)
    reason = ", ".join(part for part in parts if part)
    unquoted = _UNQUOTED.search(reason)
    hint = f"; a text that begins with {unquoted[1] or '*'} needs quotes" if unquoted else ""
    return masked(f"not valid YAML: {reason}{hint}")


def _indented_by_tab(lines: list[str], line: int) -> bool:
    written = lines[line - 1] if line <= len(lines) else ""
    return "\t" in written[: len(written) - len(written.lstrip())]
