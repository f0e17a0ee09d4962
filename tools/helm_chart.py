"""What the Helm chart has from elsewhere: rules, dashboards, templates, schema and README.

``python -m tools.helm_chart`` writes all of it into the folder of the chart. Copies instead of
links, because some programs that deploy charts from Git leave links out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from exporter import __version__
from tools.config_schema import schema as config_schema
from tools.markers import with_marked

REPOSITORY: Final = Path(__file__).parents[1]
CHART: Final = REPOSITORY / "deploy" / "helm" / "sentry-stats-exporter"
COPIED: Final = {
    "files/rules": "deploy/prometheus/rules/*.yml",
    "files/dashboards": "deploy/grafana/dashboards/*.json",
}
"""The folders of the chart with copies, and what they are copies of."""

_THRESHOLDS: Final = CHART.parents[1] / "prometheus" / "rules" / "thresholds.yml"
MESSAGES: Final = "files/messages"
"""The folder of the chart with the texts of messages."""

_TEMPLATES: Final = REPOSITORY / "deploy" / "alertmanager" / "templates" / "sentry_stats.tmpl"
_PREFIX: Final = "sentry_stats."
_DEFINITION: Final = re.compile(
    r'^\{\{ define "(?P<name>[\w.]+)" -\}\}\n(?P<body>.*?)^\{\{- end \}\}$(?=\n\n|\n\Z)',
    re.DOTALL | re.MULTILINE,
)
_USED: Final = re.compile(r'template "([\w.]+)"')
_COMMENT: Final = re.compile(r"\s*# ?(.*)")


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its place, such as ``image.tag``, its comment and its default."""

    place: tuple[str, ...]
    comment: str
    default: object


def values(text: str) -> Iterator[Value]:
    """Yield the values of ``values.yaml`` that have a comment, in its order."""
    lines = text.splitlines()
    yield from _values(yaml.compose(text), yaml.safe_load(text), lines, ())


def values_table(text: str) -> str:
    """Return the table of the values, without those that only contain others."""
    described = list(values(text))
    containing = {one.place[:length] for one in described for length in range(len(one.place))}
    rows = (
        f"| `{'.'.join(one.place)}` | `{json.dumps(one.default)}` | {one.comment} |"
        for one in described
        if one.place not in containing
    )
    return "\n".join(("| value | default | meaning |", "|---|---|---|", *rows))


def thresholds(text: str) -> Mapping[str, list[tuple[Mapping[str, str], str]]]:
    """Return the labels and the default of each rule for a threshold, by the threshold's name."""
    named: dict[str, list[tuple[Mapping[str, str], str]]] = {}
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            default = rule["expr"].removeprefix("vector(").removesuffix(")")
            name = rule["record"].rpartition(":")[2]
            named.setdefault(name, []).append((rule.get("labels", {}), default))
    return named


def thresholds_table(text: str) -> str:
    """Return the table of the thresholds, with their defaults."""
    rows = (
        f"| `{name}` | {', '.join(_default(labels, value) for labels, value in defaults)} |"
        for name, defaults in thresholds(text).items()
    )
    return "\n".join(("| threshold | default |", "|---|---|", *rows))


def messages(text: str) -> Mapping[str, str]:
    """Return each text that receivers use, with the definitions that it needs, by its name.

    An AlertmanagerConfig cannot bring a file with templates, but each of its texts can define some.
    """
    bodies = {match["name"]: match["body"] for match in _DEFINITION.finditer(text)}
    parts = {used for name, body in bodies.items() for used in _USED.findall(body)}
    return {
        name.removeprefix(_PREFIX): "".join(
            f'{{{{- define "{used}" -}}}}\n{bodies[used]}{{{{- end }}}}\n'
            for used in sorted(_closure(name, bodies))
        )
        + f'{{{{- template "{name}" . }}}}'
        for name in bodies.keys() - parts
    }


def with_tables(document: str) -> str:
    """Return the README of the chart with its tables between their markers."""
    tables = {
        "values": values_table((CHART / "values.yaml").read_text("utf-8")),
        "thresholds": thresholds_table(_THRESHOLDS.read_text("utf-8")),
    }
    for name, table in tables.items():
        document = with_marked(document, name, f"{table}\n")
    return document


def with_configuration(document: str) -> str:
    """Return the schema of the values, with the schema of the configuration and all descriptions.

    Definitions of the configuration begin with a capital letter, those of the chart do not.
    """
    schema = json.loads(document)
    configuration = config_schema()
    ours = {name: one for name, one in schema["$defs"].items() if name[0].islower()}
    ours["threshold"] |= _threshold_limits(thresholds(_THRESHOLDS.read_text("utf-8")))
    schema["$defs"] = ours | configuration.pop("$defs")
    configuration.pop("$schema")
    schema["properties"]["config"] = configuration
    for value in values((CHART / "values.yaml").read_text("utf-8")):
        if value.place[0] != "config" or len(value.place) == 1:
            _property(schema, value.place)["description"] = value.comment
    return f"{json.dumps(schema, indent=2)}\n"


def with_version(document: str) -> str:
    """Return ``Chart.yaml`` with the version of the exporter."""
    return re.sub(r"(?m)^((?:appV|v)ersion): .*$", rf"\1: {__version__}", document)


def written() -> Mapping[Path, str]:
    """Return the text of each file of the chart that is made from others."""
    copies = {
        CHART / folder / source.name: source.read_text("utf-8")
        for folder, pattern in COPIED.items()
        for source in REPOSITORY.glob(pattern)
    }
    made = {
        "Chart.yaml": with_version,
        "README.md": with_tables,
        "values.schema.json": with_configuration,
    }
    texts = {
        CHART / MESSAGES / f"{name}.tmpl": text
        for name, text in messages(_TEMPLATES.read_text("utf-8")).items()
    }
    return (
        copies
        | texts
        | {CHART / name: make((CHART / name).read_text("utf-8")) for name, make in made.items()}
    )


def _values(
    node: yaml.Node | None, value: Any, lines: list[str], place: tuple[str, ...]
) -> Iterator[Value]:
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return
    for key, child in node.value:
        below = (*place, key.value)
        if comment := _comment_above(lines, key.start_mark.line):
            yield Value(below, comment, value[key.value])
        yield from _values(child, value[key.value], lines, below)


def _comment_above(lines: list[str], number: int) -> str:
    """Return the comment that ends directly above a line."""
    lines_above: list[str] = []
    while number and (match := _COMMENT.fullmatch(lines[number - 1])):
        lines_above.insert(0, match[1])
        number -= 1
    return " ".join(lines_above)


def _closure(name: str, bodies: Mapping[str, str]) -> set[str]:
    """Return a template and all that it uses, at any depth."""
    used = {name}
    for one in _USED.findall(bodies[name]):
        used |= _closure(one, bodies)
    return used


def _default(labels: Mapping[str, str], value: str) -> str:
    return f"{value} ({', '.join(labels.values())})" if labels else value


def _threshold_limits(
    named: Mapping[str, list[tuple[Mapping[str, str], str]]],
) -> Mapping[str, object]:
    """Return the names in a schema, and which of them are nothing without a label outcome."""
    by_outcome = [
        name for name, rules in named.items() if all("outcome" in one for one, _ in rules)
    ]
    return {
        "properties": {
            "name": {"enum": list(named)},
            "value": {"type": "number"},
            "labels": {"$ref": "#/$defs/thresholdLabels"},
        },
        "if": {"properties": {"name": {"enum": by_outcome}}},
        "then": {
            "required": ["labels"],
            "properties": {"labels": {"required": ["outcome"]}},
        },
    }


def _property(schema: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    for name in place:
        schema = schema["properties"][name]
    return schema


def main() -> None:
    """Write the files, and delete copies of what is no longer there."""
    files = written()
    for folder in (*COPIED, MESSAGES):
        (CHART / folder).mkdir(parents=True, exist_ok=True)
        for copy in set((CHART / folder).iterdir()) - set(files):
            copy.unlink()
    for path, text in files.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
