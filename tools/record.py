"""The record of the last release: its metrics, flags and configuration keys, and their stability.

``python -m tools.record docs`` makes the present ones the record, which is part of a release.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from pydantic.json_schema import JsonSchemaValue

from exporter import __version__
from exporter.cli import main as commands
from exporter.publish.families import FAMILIES
from exporter.publish.family import Family, Stability
from exporter.web.config.models import WebConfigFile
from tools.config_schema import schema
from tools.promises import Promise, Promises, renewed

METRICS: Final = "metrics.json"
SETTINGS: Final = "settings.json"

_FOR_TRIALS: Final = frozenset({"demo", "simulate"})
"""Commands that serve invented data; they and their flags are EXPERIMENTAL."""

_OMITTED: Final = "omitted"
"""What a flag or a key allows that need not be there."""


class Record(NamedTuple):
    """A release, and its promises by section."""

    version: str
    sections: Mapping[str, Promises]

    @classmethod
    def parsed(cls, text: str) -> "Record":
        """Return the record in the text of a file."""
        version, sections = json.loads(text).values()
        return cls(
            version,
            {
                section: {name: Promise.parsed(each) for name, each in promises.items()}
                for section, promises in sections.items()
            },
        )

    def text(self) -> str:
        """Return the text of the record's file."""
        sections = {
            section: {name: each.document() for name, each in sorted(promises.items())}
            for section, promises in self.sections.items()
        }
        return f"{json.dumps({'version': self.version, 'sections': sections}, indent=2)}\n"


def present() -> Mapping[str, Record]:
    """Return what the code promises, by name of the record's file."""
    settings = {
        "flags": dict(_flags()),
        "keys": dict(_Schema(schema()).keys()),
        "web keys": dict(_Schema(WebConfigFile.model_json_schema()).keys()),
    }
    metrics = {"metrics": {family.name: _metric(family) for family in FAMILIES}}
    return {METRICS: Record(__version__, metrics), SETTINGS: Record(__version__, settings)}


def _metric(family: Family) -> Promise:
    facts = {"type": str(family.type), "unit": family.unit, "labels": list(family.labels)}
    return Promise(family.stability, facts)


def _flags() -> Iterator[tuple[str, Promise]]:
    for name, command in commands.commands.items():
        stability = Stability.EXPERIMENTAL if name in _FOR_TRIALS else Stability.STABLE
        yield name, Promise(_unless_deprecated(stability, command))
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.envvar:
                fixed = {"variable": parameter.envvar}
                own = _unless_deprecated(stability, parameter)
                yield f"{name} {parameter.opts[0]}", Promise(own, fixed, _uses(parameter))


def _unless_deprecated(stability: Stability, declared: click.Command | click.Option) -> Stability:
    return Stability.DEPRECATED if declared.deprecated else stability


def _uses(flag: click.Option) -> frozenset[str]:
    """Return in which ways ``flag`` can be used."""
    values = flag.type.choices if isinstance(flag.type, click.Choice) else ["a value"]
    return frozenset(
        [
            *(["without a value"] if flag.is_flag else map(str, values)),
            *([] if flag.required else [_OMITTED]),
            *(["repeated"] if flag.multiple else []),
        ]
    )


class _Schema:
    """A JSON Schema, and the keys of the mappings that it describes."""

    def __init__(self, document: JsonSchemaValue) -> None:
        self._document = document

    def keys(self) -> Iterator[tuple[str, Promise]]:
        """Yield each key with its path."""
        yield from self._below(self._document, "")

    def _below(self, node: JsonSchemaValue, path: str) -> Iterator[tuple[str, Promise]]:
        for one in self._alternatives(node):
            for name, value in one.get("properties", {}).items():
                omitted = [] if name in one.get("required", ()) else [_OMITTED]
                yield f"{path}{name}", _key(value, [*self._values(value), *omitted])
                yield from self._below(value, f"{path}{name}.")
            if "items" in one:
                yield from self._below(one["items"], f"{path.removesuffix('.')}[].")

    def _values(self, node: JsonSchemaValue) -> Iterator[str]:
        """Yield the values that a schema accepts, or their types."""
        for one in self._alternatives(node):
            if "const" in one or "enum" in one:
                yield from (str(value) for value in one.get("enum", [one.get("const")]))
            elif "items" in one:
                yield from (f"list of {value}" for value in self._values(one["items"]))
            else:
                yield one.get("type", "any value")

    def _alternatives(self, node: JsonSchemaValue) -> Iterator[JsonSchemaValue]:
        reference = node.get("$ref", "").rpartition("/")[2]
        resolved = self._document["$defs"][reference] if reference else node
        choices = [*resolved.get("anyOf", ()), *resolved.get("oneOf", ())]
        if not choices:
            yield resolved
        for one in choices:
            yield from self._alternatives(one)


def _key(described: Mapping[str, Any], allows: Sequence[str]) -> Promise:
    stability = Stability.DEPRECATED if described.get("deprecated") else Stability.STABLE
    return Promise(stability, allows=frozenset(allows))


def main() -> None:
    """Make the present promises the record in the folder that the command line names."""
    for name, record in present().items():
        path = Path(sys.argv[1]) / name
        before = Record.parsed(path.read_text("utf-8")) if path.exists() else record
        sections = {
            section: renewed(before.sections.get(section, {}), promises, record.version)
            for section, promises in record.sections.items()
        }
        path.write_text(record._replace(sections=sections).text(), "utf-8")


if __name__ == "__main__":
    main()
