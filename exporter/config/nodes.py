"""YAML's nodes into plain values, with the place of each.

Scalars are read as YAML 1.2 has them: ``on``, ``no``, ``1:30``, ``0x10`` and dates are text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.scanner import ScannerError

from exporter.config.problems import KeyPath

LARGEST: Final = 100_000
"""How many values a file may hold, those that aliases repeat included."""

_TAG: Final = "tag:yaml.org,2002:"
_DIGITS: Final = list("-0123456789")

_SCALARS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        f"{_TAG}null": lambda _: None,
        f"{_TAG}bool": lambda text: text.lower() == "true",
        f"{_TAG}int": int,
        f"{_TAG}float": float,
    }
)


class Mark(NamedTuple):
    """A place in the file, counted from 1."""

    line: int
    column: int


class Complaint(NamedTuple):
    """Something that is wrong whatever the file is about."""

    path: KeyPath
    mark: Mark
    message: str


class TooLargeError(Exception):
    """More than `LARGEST` values: aliases of aliases make a small file a huge document."""


class Loader(yaml.SafeLoader):
    """YAML's core schema with merge keys, without tags."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # declared so by the base class

    def fetch_tag(self) -> NoReturn:
        """Refuse the tag that begins here."""
        raise ScannerError(None, None, "tags such as !!str are not supported", self.get_mark())


for _name, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"-?(?:0|[1-9][0-9]{0,17})$", _DIGITS),
    ("float", r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?$", _DIGITS),
    ("merge", r"<<$", ["<"]),
):
    Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(_pattern), _first)


@dataclass(slots=True)
class Builder:
    """One walk over the nodes of one file."""

    loader: Loader
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def build(self, root: yaml.Node) -> object:
        """Return the plain value of ``root``; marks and complaints are filled on the way."""
        self._find_repeated_keys(root, (), set())
        return self._value(root, (), mark_of(root))

    def _value(self, node: yaml.Node, path: KeyPath, mark: Mark) -> object:
        self.marks[path] = mark
        if len(self.marks) > LARGEST:
            raise TooLargeError
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._value(item, (*path, at), mark_of(item)) for at, item in items]
        return _SCALARS.get(node.tag, str)(node.value)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        self.loader.flatten_mapping(node)
        entries = {key.value: (key, value) for key, value in _text_keys(node)}
        mapping = {}
        for name, (key, value) in entries.items():
            mapping[name] = self._value(value, (*path, name), mark_of(key))
            if mapping[name] is None:
                message = "has no value: give it one, or remove the key"
                self._complain((*path, name), key, message)
        return mapping

    def _find_repeated_keys(self, node: yaml.Node, path: KeyPath, seen: set[int]) -> None:
        """Look before merge keys are resolved, which makes keys stand twice for good reason."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._compare_keys(node, path)
        for part, child in _children(node):
            self._find_repeated_keys(child, (*path, part), seen)

    def _compare_keys(self, node: yaml.MappingNode, path: KeyPath) -> None:
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._complain(path, key, "a list or a mapping cannot be a key")
            elif key.value in first:
                line = mark_of(first[key.value]).line
                message = f"duplicate key, first used on line {line}"
                self._complain((*path, key.value), key, message)
            else:
                first[key.value] = key

    def _complain(self, path: KeyPath, node: yaml.Node, message: str) -> None:
        self.complaints.append(Complaint(path, mark_of(node), message))


def mark_of(node: yaml.Node) -> Mark:
    """Return where ``node`` begins."""
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _text_keys(node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in _text_keys(node))
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
