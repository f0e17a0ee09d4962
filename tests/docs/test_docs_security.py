"""docs/security.md: the tests that it names, and the statements that no other test has."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final
from unittest.mock import Mock

import pytest
from starlette.routing import Route

from exporter.web.app import Pages, make_app
from tests.support.programs import REPOSITORY
from tests.support.serving import FakeHealth
from tests.support.statuses import healthy
from tools.config_schema import schema

TEXT: Final = (REPOSITORY / "docs" / "security.md").read_text("utf-8")
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)+)`", TEXT)))

EXECUTING: Final = {
    *("subprocess", "multiprocessing", "pty", "pickle", "marshal", "shelve", "code", "runpy"),
}
"""Modules that start programs, or that execute what they read."""

CALLS: Final = {"eval", "exec", "os.system", "os.popen", "os.fork", "yaml.load", "yaml.full_load"}
"""Functions that do."""


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests of a file, as pytest writes them."""
    module = ast.parse((REPOSITORY / path).read_text("utf-8"))
    classes = {node.name: node.body for node in module.body if isinstance(node, ast.ClassDef)}
    bodies = {"": module.body, **{f"{name}::": body for name, body in classes.items()}}
    return frozenset(
        f"{path}::{prefix}{node.name}"
        for prefix, body in bodies.items()
        for node in body
        if isinstance(node, ast.FunctionDef)
    )


def rows() -> Iterator[list[str]]:
    """Yield the cells of each statement with tests."""
    for line in TEXT.splitlines():
        cells = line.strip("|").split(" | ")
        if line.startswith("| ") and "tests/" in line:
            yield cells


@pytest.mark.parametrize("name", NAMED)
def test_named_test_exists(name: str) -> None:
    """Each test that the page names exists."""
    assert name in names_in(name.partition("::")[0])


def test_every_statement_has_its_test() -> None:
    """Each row has a statement and tests, and every name of a test is read as one."""
    cells = list(rows())
    names = [name for row in cells for name in re.findall(r"`(tests/[^`]*)`", row[1])]

    assert 40 < len(cells)
    assert set(NAMED) == set(names)
    assert all(2 == len(row) for row in cells)


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level names of all imported modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def dangers(tree: ast.Module) -> set[str]:
    """Return what starts programs, or executes data, in a module."""
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return EXECUTING.intersection(imports(tree)) | CALLS.intersection(calls)


def test_nothing_is_executed() -> None:
    """No module of the exporter starts a program, or executes or unpickles what it reads."""
    found_in: Mapping[str, set[str]] = {
        str(path): dangers(ast.parse(path.read_text("utf-8")))
        for path in (REPOSITORY / "exporter").rglob("*.py")
    }

    assert 100 < len(found_in)
    assert {} == {path: names for path, names in found_in.items() if names}
    assert {"subprocess", "eval"} == dangers(ast.parse("import subprocess\neval('1')"))


def test_paths() -> None:
    """The page names every path of the exporter."""
    (statement,) = (row[0] for row in rows() if "reach anything but" in row[0])
    optional = {name: Mock() for name in ("parts", "config", "reload")}
    app = make_app(Mock(Pages), FakeHealth(), healthy, **optional)
    paths = [route.path for route in app.routes if isinstance(route, Route)]

    assert sorted(paths) == sorted(re.findall(r"`(/[^`]*)`", statement))
    assert len(paths) == len(app.routes)


def test_verification_cannot_be_switched_off() -> None:
    """No key of the configuration is about whether certificates are verified."""
    keys = set(re.findall(r'"(\w+)": \{', str(schema()).replace("'", '"')))

    assert "ca_file" in keys
    assert set() == {key for key in keys if re.search(r"verif|insecure|trust|skip", key)}
