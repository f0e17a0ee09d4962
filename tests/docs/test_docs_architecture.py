"""docs/architecture.md, compared with the tree, and the words that its glossary replaces."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tests.support.programs import REPOSITORY

DOCUMENT: Final = REPOSITORY / "docs" / "architecture.md"
TEXT: Final = DOCUMENT.read_text("utf-8")

SEARCHED: Final = (
    *("README.md", "Makefile", "config.example.yaml", "pyproject.toml", ".ci"),
    *("docs", "deploy", "exporter", "bench", "tools", "tests"),
)
"""Files and folders in which replaced words are searched."""

NOT_SEARCHED: Final = {Path(__file__).resolve(), REPOSITORY / "tests" / "data"}
"""This file, which has the words, and what Sentry itself wrote."""
SUFFIXES: Final = {
    *(".md", ".py", ".json", ".yaml", ".yml", ".tmpl", ".service", ".toml"),
    "",
}

REPLACED: Final = {
    # Identifiers that had a better name.
    "birth, born": r"(?i)(?<![a-z])(?:birth|born)(?![a-z])",
    "Book": r"\bBooks?\b|(?i:\bbooks?\b)",
    "enter": r"\b_?Entered\w*|\bdef _?enter\b|\._?enter\(",
    "fallen": r"(?i)(?<![a-z])fallen(?![a-z])",
    "Found": r"(?<!Not )(?<!302 )\bFound\b",
    "found": r"(?<!not )\bfound(?: =|\[|\.\w|:|,)|\bfor found in\b|\blambda found\b",
    "glance": r"(?i)(?<![a-z])glance",
    "harvest": r"(?i)harvest",
    "heed": r"(?i)(?<![a-z])heed",
    "keeper, kept": r"(?i)(?<![a-z])(?:keeper|kept)(?![a-z])",
    "KeepError": r"\bKeepError\b|\bkeep_from\b",
    "LONGEST_, MOST_": r"(?<![A-Z])(?:LONGEST|MOST)_",
    "patience": r"(?i)(?<![a-z])patience",
    "reckon": r"(?i)(?<![a-z])reckon",
    "rest": r"(?<![a-z])(?:the|their|its|a)[ _]rest(?![a-z])|\*rest\b|\brest(?: =|\[|>)",
    "rise": r"\b(?:[Rr]ises?|[Rr]isen|[Rr]ising|rose)\b|\bRISE_",
    "Subject": r"\bSubject\b",
    "tellers": r"(?i)(?<![a-z])tellers?(?![a-z])",
    "told": r"(?i)(?<![a-z])told(?![a-z])",
    "Unheard, Asks": r"\b_?Unheard\b|\b(?:class|import) Asks\b|[:\[] ?Asks\b",
    "whole": (
        r"(?i)(?<![a-z])wholes?(?![a-z])"
        r"(?![ _](?:milliseconds|seconds|numbers?|hours|days)\b)"
    ),
    # Phrases that had a usual word.
    "Tell whether": r"\bTells? whether\b",
    "hour that runs": r"(?i)\b(?:hour|bucket)s? that runs?\b",
    "project 0": r"(?i)\bprojects? 0\b",
}
"""A regular expression for each word that the glossary replaces, in the sense that it replaces."""


def names() -> Iterator[str]:
    """Yield every name of a module, package or path in the document."""
    yield from re.findall(r"`((?:exporter|tools|deploy)(?:\.\w+)*|[\w./]+/)`", TEXT)


def modules() -> set[str]:
    """Return the modules and packages that the document names."""
    return {name for name in names() if not name.endswith("/")}


def packages() -> set[str]:
    """Return the packages of the exporter."""
    return {
        ".".join(path.parent.relative_to(REPOSITORY).parts)
        for path in (REPOSITORY / "exporter").rglob("__init__.py")
    }


@cache
def order() -> Mapping[str, int]:
    """Return the line of each package and module in the document's order of imports."""
    section = TEXT.partition("## Order of imports")[2].partition("## ")[0]
    lines = re.findall(r"^(\d+)\. (.+)$", section, re.MULTILINE)
    return {name: int(number) for number, line in lines for name in re.findall(r"`(.+?)`", line)}


def place_of(module: str) -> str:
    """Return the longest name in the order of imports that contains ``module``, or nothing."""
    parts = module.split(".")
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in order()), "")


def imports() -> Iterator[tuple[str, str]]:
    """Yield the imports between the places of the order, as importing and imported place."""
    for path in (REPOSITORY / "exporter").rglob("*.py"):
        importing = place_of(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    imported = place_of(f"{node.module}.{name.name}")
                    if importing and imported and importing != imported:
                        yield importing, imported


CLOCKS: Final = {
    *("time.time", "time.monotonic", "time.perf_counter", "time.process_time"),
    *("datetime.now", "datetime.utcnow", "date.today"),
}

IMPURE: Final = {
    *("asyncio", "datetime", "io", "os", "pathlib", "queue", "random", "requests", "socket"),
    *("sqlite3", "subprocess", "tempfile", "threading", "time", "urllib3"),
}
"""Modules with clocks, sockets, files or threads."""


def item(title: str) -> set[str]:
    """Return the modules that the item of a list with this title names."""
    text = TEXT.partition(f"- **{title}.**")[2].partition("\n- **")[0]
    return set(re.findall(r"`(exporter[\w.]*)`", text))


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield the name and the syntax tree of each module of the exporter."""
    for path in (REPOSITORY / "exporter").rglob("*.py"):
        name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        yield name, ast.parse(path.read_text("utf-8"))


def is_in(module: str, places: set[str]) -> set[str]:
    """Return those of ``places`` that are ``module`` or contain it."""
    return {place for place in places if f"{module}.".startswith(f"{place}.")}


def names_clock(tree: ast.Module) -> bool:
    """Return whether a module names a clock, as ``time.time`` or imported from ``time``."""
    imported = any(
        isinstance(node, ast.ImportFrom) and node.module == "time" for node in ast.walk(tree)
    )
    return imported or any(
        isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCKS for node in ast.walk(tree)
    )


def imported_modules(tree: ast.Module) -> set[str]:
    """Return the top-level names of the modules that a module imports."""
    nodes = list(ast.walk(tree))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    parts = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | parts}


@cache
def files() -> Sequence[Path]:
    """Return the files in which words are searched."""
    places = [REPOSITORY / name for name in SEARCHED]
    every = [path for place in places for path in (place, *sorted(place.rglob("*")))]
    return [
        path
        for path in every
        if path.is_file()
        and path.suffix in SUFFIXES
        and not {"__pycache__", *NOT_SEARCHED}.intersection([*path.parts, path, *path.parents])
    ]


@cache
def text_of(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text("utf-8", "replace")


def replaced(path: Path, word: str) -> Iterator[str]:
    """Yield the lines of ``path`` that contain ``word`` in the sense that is replaced."""
    if not re.search(REPLACED[word], text_of(path)):
        return
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if re.search(REPLACED[word], line):
            yield f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_module_exists(name: str) -> None:
    """Each module that the document names exists."""
    assert find_spec(name)


@pytest.mark.parametrize("name", sorted(set(names()) - modules()))
def test_folder_exists(name: str) -> None:
    """Each folder that the document names exists."""
    assert (REPOSITORY / name).is_dir()


def test_every_package_is_named() -> None:
    """The document names each package of the exporter."""
    assert set() == packages() - modules()


def test_every_package_has_its_place() -> None:
    """The order of imports has each package, or the packages and modules in it."""
    places = set(order())

    assert places <= modules()
    assert {"exporter", "exporter.collect"} == packages() - places


def test_imports_follow_the_order() -> None:
    """A package imports only what is above it in the order of imports."""
    places, edges = order(), set(imports())

    assert edges
    assert set() == {pair for pair in edges if places[pair[0]] <= places[pair[1]]}


def test_clocks_are_in_the_named_modules() -> None:
    """Each module with a clock is named or in a named package, and each of those has a clock."""
    clocks, named = {name for name, tree in sources() if names_clock(tree)}, item("Few clocks")

    assert set() == {name for name in clocks if not is_in(name, named)}
    assert set() == named.difference(*(is_in(name, named) for name in clocks))


def test_core_is_pure() -> None:
    """The pure packages import nothing that has a clock, a socket, a file or a thread."""
    pure = item("Pure core")

    assert pure
    assert {} == {
        name: impure
        for name, tree in sources()
        if is_in(name, pure) and (impure := imported_modules(tree) & IMPURE)
    }


@pytest.mark.parametrize("word", REPLACED)
def test_replaced_word_is_not_used(word: str) -> None:
    """No file contains a word that the glossary replaces."""
    assert [] == [line for path in files() for line in replaced(path, word)]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("birth, born", "born_at = now"),
        ("Book", "books: Mapping[int, Book]"),
        ("enter", "self._enter(change)"),
        ("Found", "found: Mapping[int, Found]"),
        ("found", "for found in _BLOCK.finditer(text):"),
        ("keeper, kept", "class Kept(NamedTuple):"),
        ("LONGEST_, MOST_", "_LONGEST_PAUSE = 300"),
        ("rest", "first, *rest = values"),
        ("rest", "def test_the_rest_is_published() -> None:"),
        ("rise", "counters rise two minutes later"),
        ("told", "told = sums(rows)"),
        ("whole", "an answer is proven whole"),
    ],
)
def test_search_matches_replaced_word(word: str, text: str) -> None:
    """The search matches a word in the sense that is replaced."""
    assert re.search(REPLACED[word], text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("Book", "docs/runbooks.md"),
        ("enter", "def __enter__(self) -> Self:"),
        ("Found", "404 Not Found"),
        ("found", "reason = 'not_found'"),
        ("rest", "restart = 1"),
        ("rise", "sentry_stats:threshold:rise_factor"),
        ("told", "untold"),
        ("whole", "Date is in whole seconds"),
    ],
)
def test_search_spares_other_words(word: str, text: str) -> None:
    """The search does not match other words that contain the replaced one."""
    assert not re.search(REPLACED[word], text)
