"""What the last release promised, compared with the product, and how promises are compared."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel, Field

from exporter.publish.families import FAMILIES
from exporter.publish.family import Family, Stability
from exporter.state.schema import MIGRATIONS
from tests.support.programs import REPOSITORY
from tools import record
from tools.promises import Promise, broken, renewed
from tools.record import Record, present

DOCS = REPOSITORY / "docs"
UPGRADING = (DOCS / "upgrading.md").read_text("utf-8")

STABLE = Promise(Stability.STABLE, {"type": "gauge", "labels": ["a"]}, frozenset({"x", "y"}))
DEPRECATED = replace(STABLE, stability=Stability.DEPRECATED)
RELEASED_DEPRECATED = replace(DEPRECATED, deprecated_since="1.3")
EXPERIMENTAL = replace(STABLE, stability=Stability.EXPERIMENTAL)


def breaches(before: Promise, after: Promise | None, version: str = "1.4.0") -> list[str]:
    """Return what breaks the promise ``before`` if ``version`` has ``after`` in its place."""
    return [*broken({"it": before}, {} if after is None else {"it": after}, version)]


@pytest.mark.parametrize("name", [record.METRICS, record.SETTINGS])
def test_no_promise_of_the_last_release_is_broken(name: str) -> None:
    """STABLE metrics, flags and keys of the last release are as they were, unless deprecated."""
    released, now = Record.parsed((DOCS / name).read_text("utf-8")), present()[name]

    assert released.sections.keys() == now.sections.keys()
    assert [] == [
        problem
        for section, promises in released.sections.items()
        for problem in broken(promises, now.sections[section], now.version)
    ]


@pytest.mark.parametrize("name", [record.METRICS, record.SETTINGS])
def test_record_is_read_as_it_was_written(name: str) -> None:
    """The text of a record says everything about it."""
    text = (DOCS / name).read_text("utf-8")

    assert text == Record.parsed(text).text()


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (None, "is missing"),
        (EXPERIMENTAL, "is EXPERIMENTAL now"),
        (replace(STABLE, fixed={"type": "gauge", "labels": ["a", "b"]}), "has another labels"),
        (replace(STABLE, fixed={"type": "counter", "labels": ["a"]}), "has another type"),
        (replace(STABLE, allows=frozenset({"x"})), "does not allow y"),
    ],
)
def test_stable_promise_is_broken(after: Promise | None, problem: str) -> None:
    """A STABLE promise is broken by its removal and by every other change, with the reason."""
    (only,) = breaches(STABLE, after)

    assert only.startswith(f"it was STABLE in the last release, and {problem}")


@pytest.mark.parametrize(
    "after", [STABLE, DEPRECATED, replace(STABLE, allows=frozenset({"x", "y", "z"}))]
)
def test_stable_promise_is_honoured(after: Promise) -> None:
    """What is STABLE may be deprecated, and may allow more."""
    assert breaches(STABLE, after) == []


@pytest.mark.parametrize("after", [None, replace(STABLE, fixed={"type": "counter"})])
@pytest.mark.parametrize(
    ("version", "is_broken"), [("1.3.0", True), ("1.3.9", True), ("1.4.0", False), ("2.0.0", False)]
)
def test_deprecated_promise_ends_with_the_next_minor_version(
    after: Promise | None,
    version: str,
    is_broken: bool,  # noqa: FBT001 - the parameter is the test
) -> None:
    """What a minor version has deprecated may be gone in the next one, and not before."""
    assert bool(breaches(RELEASED_DEPRECATED, after, version)) is is_broken


@pytest.mark.parametrize("after", [None, STABLE, replace(STABLE, fixed={})])
def test_experimental_promise_cannot_be_broken(after: Promise | None) -> None:
    """What is EXPERIMENTAL may change in every release."""
    assert breaches(EXPERIMENTAL, after) == []


def test_new_names_break_nothing() -> None:
    """A name that the last release did not have is no problem."""
    assert [*broken({}, {"it": STABLE}, "1.4.0")] == []


@pytest.mark.parametrize(
    ("before", "since"),
    [({}, "1.4"), ({"it": STABLE}, "1.4"), ({"it": RELEASED_DEPRECATED}, "1.3")],
)
def test_record_has_the_first_deprecating_version(
    before: Mapping[str, Promise], since: str
) -> None:
    """A record says since which minor version something is deprecated; later ones preserve it."""
    assert renewed(before, {"it": DEPRECATED}, "1.4.2")["it"].deprecated_since == since


def test_record_forgets_a_deprecation_that_was_taken_back() -> None:
    """What is STABLE again was deprecated since no version."""
    assert {"it": STABLE} == renewed({"it": RELEASED_DEPRECATED}, {"it": STABLE}, "1.4.2")


def test_tool_renews_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m tools.record`` replaces the record, and preserves since when things are so."""
    monkeypatch.setattr("sys.argv", ["record", str(tmp_path)])
    monkeypatch.setattr(record, "FAMILIES", (_deprecated(FAMILIES[0]), *FAMILIES[1:]))
    name = FAMILIES[0].name
    record.main()
    written = tmp_path / record.METRICS
    _edit(written, name, deprecated_since="0.0")

    record.main()

    assert Record.parsed(written.read_text("utf-8")).sections["metrics"][name] == Promise(
        Stability.DEPRECATED,
        {"type": "gauge", "unit": "events", "labels": list(FAMILIES[0].labels)},
        deprecated_since="0.0",
    )


@pytest.mark.parametrize(
    ("section", "name", "allows"),
    [
        ("flags", "serve --config.file", {"a value"}),
        ("flags", "serve --web.listen-address", {"a value", "omitted", "repeated"}),
        ("flags", "check --online", {"without a value", "omitted"}),
        ("flags", "check --output", {"text", "json", "omitted"}),
        ("keys", "organizations", {"list of object"}),
        ("keys", "organizations[].billing.period.start_day", {"integer", "omitted"}),
        ("keys", "organizations[].quotas[].price[].each", {"number", "string"}),
        ("web keys", "tls_server_config.min_version", {"TLS12", "TLS13", "omitted"}),
    ],
)
def test_record_says_what_is_allowed(section: str, name: str, allows: set[str]) -> None:
    """Of a flag or key, the record has whether it is needed, and its values or their types."""
    assert allows == present()[record.SETTINGS].sections[section][name].allows


def test_record_has_deprecated_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command or flag that click calls deprecated is DEPRECATED in the record."""
    flag = click.Option(["--old"], envvar="OLD", deprecated=True)
    command = click.Command("serve", params=[flag], deprecated=True)
    monkeypatch.setattr(record, "commands", click.Group(commands={"serve": command}))

    flags = present()[record.SETTINGS].sections["flags"]

    assert {"serve": "DEPRECATED", "serve --old": "DEPRECATED"} == {
        name: promise.stability for name, promise in flags.items()
    }


def test_record_has_deprecated_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that pydantic calls deprecated is DEPRECATED in the record."""

    class File(BaseModel):
        old: int = Field(0, deprecated=True)
        new: int = 0

    monkeypatch.setattr(record, "schema", File.model_json_schema)

    keys = present()[record.SETTINGS].sections["keys"]

    assert {"old": "DEPRECATED", "new": "STABLE"} == {
        name: promise.stability for name, promise in keys.items()
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_help_of_deprecated_family(family: Family) -> None:
    """HELP says so where a family is deprecated, and only there."""
    assert (family.stability is Stability.DEPRECATED) is family.help.startswith("Deprecated: ")


def test_guide_has_every_migration() -> None:
    """docs/upgrading.md has a row for each version of the state file that can be read."""
    for version in range(3, 3 + len(MIGRATIONS)):
        assert f"\n| {version} |" in UPGRADING
    assert f"\n| {3 + len(MIGRATIONS)} |" not in UPGRADING


def _deprecated(family: Family) -> Family:
    return replace(family, stability=Stability.DEPRECATED)


def _edit(path: Path, name: str, **facts: Any) -> None:
    document = json.loads(path.read_text("utf-8"))
    document["sections"]["metrics"][name] |= facts
    path.write_text(json.dumps(document), "utf-8")
