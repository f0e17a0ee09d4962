"""Reads YAML text into plain values, with the place of each.

Scalars are read as in YAML 1.2: ``on``, ``no``, ``1:30``, ``0x10`` and dates are text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

from exporter.config.errors import ConfigError, KeyPath, Place, Problem, dotted, masked
from exporter.files import read_file

MAX_SIZE: Final = 4 << 20
"""Bytes that a file may have. Reading as many values as are allowed takes far fewer."""

MAX_VALUES: Final = 100_000
"""How many values a file may have, including those that aliases repeat."""

_TAG: Final = "tag:yaml.org,2002:"
# PyYAML tries a resolver only on scalars that begin with one of its characters.
_DIGITS: Final = list("-0123456789")
_SCALARS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        f"{_TAG}null": lambda _: None,
        f"{_TAG}bool": lambda text: text.lower() == "true",
        f"{_TAG}int": int,
        f"{_TAG}float": float,
    }
)
_NEEDS_QUOTES: Final = re.compile(r"\balias\b|character '([@`%])' that cannot start")
"""Matches PyYAML's messages about text without quotes that it takes for something else."""


class Mark(NamedTuple):
    """A position in the file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its plain value, the position of each part, and problems of the YAML."""

    file: str
    value: Any
    marks: Mapping[KeyPath, Mark]
    problems: tuple[Problem, ...]

    def mark(self, path: KeyPath) -> Mark:
        """Return the position of ``path``, or of the nearest part around it that the file has."""
        return self.marks[path] if path in self.marks else self.mark(path[:-1])

    def at(self, path: KeyPath) -> Any:
        """Return the value at ``path``, None if the file has no such path."""
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
        """Return the place of ``path`` as problems show it.

        Positions in a list that the file does not have are left out: a single value may be written
        instead of a list of one.
        """
        named = tuple(
            part
            for depth, part in enumerate(path, start=1)
            if isinstance(part, str) or path[:depth] in self.marks
        )
        line, column = self.mark(path)
        return Place(dotted(named), line, self.file, column)


def read(path: Path) -> bytes:
    """Return the content of the file; raises `ConfigError` if it cannot be read."""
    try:
        content = read_file(path, MAX_SIZE)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    else:
        if len(content) <= MAX_SIZE:
            return content
        message = f"is larger than {MAX_SIZE >> 20} MiB"
    raise ConfigError([Problem("", None, message, str(path))])


def decoded(content: bytes, file: str) -> str:
    """Return the text of ``file``; raises `ConfigError` if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: the byte at offset {error.start} is invalid; save it as UTF-8"
    raise ConfigError([Problem("", None, message, file)])


def parse(text: str, file: str, needed: str = "it needs the key organizations") -> Document:
    """Return the parsed ``text``; raises `ConfigError` if it is not YAML, or empty.

    ``needed`` says what an empty file is missing.
    """
    line: int | None = None
    try:
        return _document(text, file, needed)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} is not allowed in YAML"
    except yaml.MarkedYAMLError as error:
        line, message = _line(error), _reason(error, text)
    except RecursionError:
        message = "is nested too deeply, or an alias refers to itself"
    except _TooManyValuesError:
        message = f"has more than {MAX_VALUES} values, including those that aliases repeat"
    raise ConfigError([Problem("", line, message, file)])


def _document(text: str, file: str, needed: str) -> Document:
    loader = _Loader(text)
    builder = _Builder(loader)
    root = loader.get_single_node()
    value = None if root is None else builder.build(root)
    if value is None:
        raise ConfigError([Problem("", None, f"the file is empty: {needed}", file)])
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
    if line is not None and _is_indented_by_tab(text.splitlines(), line):
        return "invalid YAML: tabs cannot be used for indentation; use spaces"
    parts = (error.context, error.problem)
    reason = ", ".join(part for part in parts if part)
    unquoted = _NEEDS_QUOTES.search(reason)
    hint = f"; text that begins with {unquoted[1] or '*'} needs quotes" if unquoted else ""
    return masked(f"invalid YAML: {reason}{hint}")


def _is_indented_by_tab(lines: list[str], line: int) -> bool:
    written = lines[line - 1] if line <= len(lines) else ""
    return "\t" in written[: len(written) - len(written.lstrip())]


class _TooManyValuesError(Exception):
    """More than `MAX_VALUES` values: aliases of aliases make a small file a huge document."""


class _Loader(yaml.SafeLoader):
    """YAML's core schema with merge keys, without tags."""

    # Empty, as PyYAML would copy those of YAML 1.1, to which on is a boolean and 1:30 a number.
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # declared so by the base class

    def fetch_tag(self) -> NoReturn:
        """Refuse the tag that begins here."""
        raise ScannerError(None, None, "tags such as !!str are not supported", self.get_mark())


# Numbers of more than 18 digits, which may need more than 63 bits, are read as text.
RESOLVERS: Final = tuple(
    (f"{_TAG}{name}", re.compile(pattern), first)
    for name, pattern, first in (
        ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
        ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
        ("int", r"-?(?:0|[1-9][0-9]{0,17})$", _DIGITS),
        ("float", r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?$", _DIGITS),
        ("merge", r"<<$", ["<"]),
    )
)
"""Which scalars are no text: for each type its tag, what it matches, and how it may begin."""

for _tag, _pattern, _first in RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)


class _Complaint(NamedTuple):
    """A mistake in any YAML file, whatever its keys mean."""

    path: KeyPath
    mark: Mark
    message: str


@dataclass(slots=True)
class _Builder:
    """Builds the value of one file from its nodes, and collects marks and complaints."""

    loader: _Loader
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    complaints: list[_Complaint] = field(default_factory=list)

    def build(self, root: yaml.Node) -> object:
        """Return the plain value of ``root``, and fill marks and complaints."""
        self._check_keys(root, (), set())
        return self._value(root, (), _mark_of(root))

    def _value(self, node: yaml.Node, path: KeyPath, mark: Mark) -> object:
        self.marks[path] = mark
        if len(self.marks) > MAX_VALUES:
            raise _TooManyValuesError
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._value(item, (*path, at), _mark_of(item)) for at, item in items]
        return _SCALARS.get(node.tag, str)(node.value)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        # This puts merged keys before the mapping's own, and the last of equal keys counts.
        self.loader.flatten_mapping(node)
        entries = {key.value: (key, value) for key, value in _text_keys(node)}
        mapping = {}
        for name, (key, value) in entries.items():
            mapping[name] = self._value(value, (*path, name), _mark_of(key))
            if mapping[name] is None:
                message = "has no value: give it one, or remove the key"
                self._complain((*path, name), key, message)
        return mapping

    def _check_keys(self, node: yaml.Node, path: KeyPath, seen: set[int]) -> None:
        # Before merge keys are resolved: afterwards, a key that overrides a merged one is there
        # twice, which is no mistake.
        if id(node) in seen:
            return
        # An alias is the same node again: nested aliases would take exponential time.
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._compare_keys(node, path)
        for part, child in _children(node):
            self._check_keys(child, (*path, part), seen)

    def _compare_keys(self, node: yaml.MappingNode, path: KeyPath) -> None:
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._complain(path, key, "a list or a mapping cannot be a key")
            elif key.value in first:
                line = _mark_of(first[key.value]).line
                message = f"duplicate key, first used on line {line}"
                self._complain((*path, key.value), key, message)
            else:
                first[key.value] = key

    def _complain(self, path: KeyPath, node: yaml.Node, message: str) -> None:
        self.complaints.append(_Complaint(path, _mark_of(node), message))


def _mark_of(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _text_keys(node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in _text_keys(node))
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
