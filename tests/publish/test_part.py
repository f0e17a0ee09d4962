"""Parts of the page: each line in exactly one of them, in the form of a page."""

import gzip
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.snapshot import ProjectInfo
from exporter.publish.blocks import Blocks
from exporter.publish.families import FAMILIES
from exporter.publish.family import Key
from exporter.publish.page import Page
from exporter.publish.part import EXPORTER, Range, outermost, part_of, range_of
from exporter.publish.self_metrics import SelfMetrics
from tests.publish.reports import report, series, view

LARGE = view(bucket={series(reason=f"reason-{number}"): number for number in range(2_000)})
"""Of each family, more than one chunk."""

NAMES = st.text("ab.-0", min_size=1, max_size=3)
KEYS = st.one_of(st.just(()), st.tuples(NAMES), st.tuples(NAMES, NAMES))


@pytest.fixture(scope="module")
def page() -> Page:
    """Return a page with three organizations, one of which has a name that begins another's."""
    own = SelfMetrics()
    for organization in ("acme", "acme-eu", "globex"):
        own.meter(organization)
    shown = Page(own)
    for organization in ("acme", "acme-eu", "globex"):
        shown.publish_projects(organization, [ProjectInfo("web", 1, "python")])
        shown.publish(report("outcomes", organization), report("projects", organization))
    shown.publish(report("projects", "acme-eu", view=LARGE))
    return shown


def lines_of(shown: Page, names: Collection[str] = (), *, openmetrics: bool = False) -> list[str]:
    """Return the lines of a page or of some parts, but for what the process does meanwhile."""
    chunks = (
        shown.part(names, openmetrics=openmetrics, compressed=False)
        if names
        else shown.chunks(openmetrics=openmetrics, compressed=False)
    )
    lines = b"".join(chunks).decode().splitlines()
    return [line for line in lines if "process_" not in line and "python_" not in line]


def samples_of(lines: Collection[str]) -> Counter[str]:
    """Return how often each sample is there."""
    return Counter(line for line in lines if not line.startswith("#"))


def listed(name: str, keys: Collection[Key]) -> list[Key]:
    """Return the keys of the part that is called ``name``."""
    return [key for key in sorted(keys) if range_of(name).first <= key < range_of(name).end]


@pytest.mark.parametrize(
    "names",
    [
        ["/", "acme", "acme-eu", "globex"],
        ["/", "acme", "acme-eu/", "acme-eu/outcomes", "acme-eu/projects", "globex"],
    ],
)
def test_parts_are_the_page(page: Page, names: list[str]) -> None:
    """Each sample of the page is in exactly one part, and each part has no others."""
    parts = [samples_of(lines_of(page, [name])) for name in names]

    assert all(parts)
    assert samples_of(lines_of(page)) == sum(parts, Counter[str]())


@pytest.mark.parametrize("openmetrics", [False, True])
def test_all_parts_at_once(page: Page, openmetrics: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """All parts in one request are the page, line by line."""
    names = ["globex", "acme", "/", "acme-eu"]

    assert lines_of(page, openmetrics=openmetrics) == lines_of(page, names, openmetrics=openmetrics)


def test_part_of_a_part(page: Page) -> None:
    """What is named twice is there once."""
    names = ["acme/projects", "acme", "acme/", "acme"]

    assert lines_of(page, ["acme"]) == lines_of(page, names)


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("name", ["/", "acme", "acme-eu", "acme-eu/projects", "globex/"])
def test_compressed(page: Page, name: str, openmetrics: bool) -> None:  # noqa: FBT001 - the parameter is the test
    """A compressed part is the plain one."""
    packed = b"".join(page.part([name], openmetrics=openmetrics, compressed=True))
    plain = b"".join(page.part([name], openmetrics=openmetrics, compressed=False))

    assert (
        plain.split(b"# HELP process_")[0] == gzip.decompress(packed).split(b"# HELP process_")[0]
    )
    assert int.from_bytes(packed[-4:], "little") == len(gzip.decompress(packed))


@pytest.mark.parametrize("name", ["/", "acme", "acme/outcomes", "acme/"])
def test_end_of_openmetrics(page: Page, name: str) -> None:
    """A part ends as a page does."""
    for openmetrics in (False, True):
        text = b"".join(page.part([name], openmetrics=openmetrics, compressed=False))

        assert openmetrics is text.endswith(b"\n# EOF\n")
        assert openmetrics == text.count(b"# EOF")


def test_process(page: Page) -> None:
    """What is about the process belongs to the exporter's own part."""
    parts = [
        b"".join(page.part([name], openmetrics=False, compressed=False)) for name in ("/", "acme")
    ]

    assert [True, False] == [b"\nprocess_cpu_seconds_total " in text for text in parts]


@pytest.mark.parametrize(
    "name", ["", "acm", "acme0", "acme/project", "acme/projects/", "/acme", "-"]
)
def test_no_such_part(page: Page, name: str) -> None:
    """A part that does not exist is an error with its name, also beside others."""
    with pytest.raises(KeyError) as error:
        page.part(["acme", name], openmetrics=False, compressed=False)

    assert (name,) == error.value.args


def test_sizes(page: Page) -> None:
    """The sizes by key are those of the lines."""
    sizes = page.sizes()
    own = sum(size for key, size in sizes.items() if key[:1] == ("acme-eu",))

    assert {(), ("acme",), ("acme", "outcomes"), ("acme", "projects")} <= sizes.keys()
    assert own == sum(
        len(line) + 1 for line in lines_of(page, ["acme-eu"]) if not line.startswith("#")
    )


def test_chunks_inside_of_a_part_are_not_copied(page: Page) -> None:
    """What is in the middle of a part are the bytes of the page."""
    compressed = page.part(["acme-eu"], openmetrics=False, compressed=True)
    of_page = {id(chunk) for chunk in page.chunks(openmetrics=False, compressed=True)}

    assert any(id(chunk) in of_page for chunk in compressed[1:])


@given(st.sets(KEYS, max_size=20))
def test_ranges(keys: set[Key]) -> None:
    """The names that each key has by itself divide all keys; an organization has those of its own.

    No name of an organization is taken for the beginning of another one.
    """
    names = {"/".join(key) if len(key) > 1 else f"{''.join(key)}/" for key in keys}
    organizations = {key[0] for key in keys if key}

    assert sorted(keys) == sorted(key for name in names for key in listed(name, keys))
    for organization in organizations:
        assert [key for key in sorted(keys) if key[:1] == (organization,)] == (
            listed(organization, keys)
        )


@given(st.lists(KEYS.filter(bool), max_size=8))
def test_outermost(keys: list[Key]) -> None:
    """Of ranges that contain each other, the largest are left, in order and without overlap."""
    ranges = [range_of("/".join(key)) for key in keys]
    outer = [*outermost(ranges)]

    assert outer == sorted(outer)
    assert all(one.end <= other.first for one, other in pairwise(outer))
    assert all(any(o.first <= one.first and one.end <= o.end for o in outer) for one in ranges)
    assert set(outer) <= set(ranges)


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """Let chunks be so small that a few blocks fill them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.publish.blocks._CHUNK", 500)
        yield


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.integers(1, 900), max_size=30), KEYS, KEYS)
def test_any_blocks(sizes: Mapping[Key, int], one: Key, other: Key) -> None:
    """Whatever the chunks are, a part has the blocks of its keys in order."""
    lines = {key: repr(key).encode().ljust(size) + b"\n" for key, size in sizes.items()}
    blocks = Blocks().changed(lines)
    first, end = sorted([one, other])

    part = part_of({FAMILIES[0]: blocks}, [b"# head\n"], [Range(first, end)], to_compress=True)

    expected = b"".join(lines[key] for key in sorted(lines) if first <= key < end)
    assert (b"# head\n" if expected else b"") + expected == b"".join(part.texts)
    assert gzip.decompress(b"".join(part.gzipped(b""))) == b"".join(part.texts)


def test_name_of_the_exporter() -> None:
    """The part of the exporter has the lines without an organization, and no others."""
    assert [()] == listed(EXPORTER, [(), ("a",), ("a", "b")])
