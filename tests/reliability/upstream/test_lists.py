"""Lists of projects whose pages do not end, repeat themselves, or are very long."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.reliability.upstream.acts import edited_document, linked
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, Position, When, combinations

NEXT: Final = 'rel="next"; results="true"'


def listed(act: Any, reason: str, **more: Any) -> Mode:
    """Return a mode that changes the pages of the list."""
    return Mode.of(act, reason, only=("lists",), **more)


def again(cursor: str) -> Callable[[str], str]:
    """Return what leads to the page of a cursor."""
    return lambda _: f'<https://sentry.io/?cursor={cursor}>; {NEXT}; cursor="{cursor}"'


# One page more is only read twice.
LINKS: Final = {
    "the next page is the first": listed(linked(again("4:0:0")), "bad_answer", once=""),
    "the next page is this one": listed(linked(again("4:1:0")), "bad_answer", once=""),
    "no cursor": listed(linked(lambda _: f"<https://sentry.io/>; {NEXT}"), "bad_answer"),
    "an empty cursor": listed(linked(again("")), "bad_answer"),
    "another host": listed(linked(lambda link: link.replace("sentry.io", "evil.example")), ""),
    "no host": listed(linked(lambda link: link.replace("https://sentry.io", "")), ""),
    "bare values": listed(linked(lambda link: link.replace('"', "")), ""),
    "more parameters": listed(linked(lambda link: link.replace(";", '; title="a, b";')), ""),
}

PAGES: Final = {
    "a project twice": listed(edited_document(lambda page: page.append(page[0])), ""),
    "projects in another order": listed(edited_document(lambda page: page.reverse()), ""),
    "a null project": listed(edited_document(lambda page: page.append(None)), "bad_answer"),
    "ids as numbers": listed(
        edited_document(lambda page: [one.update(id=int(one["id"])) for one in page]), ""
    ),
    "an id with a sign": listed(
        edited_document(lambda page: page[0].update(id="+300")), "bad_answer"
    ),
    "an empty id": listed(edited_document(lambda page: page[0].update(id="")), "bad_answer"),
    "an id of 2^64": listed(edited_document(lambda page: page[0].update(id=2**64)), "bad_answer"),
    "an empty slug": listed(edited_document(lambda page: page[0].update(slug="")), "bad_answer"),
    "no platform": listed(edited_document(lambda page: page[0].pop("platform")), ""),
    "no teams": listed(edited_document(lambda page: page[0].pop("teams")), ""),
    "access in words": listed(
        edited_document(lambda page: page[0].update(hasAccess="yes")), "bad_answer"
    ),
    "access to none": listed(
        edited_document(lambda page: [one.update(hasAccess=False) for one in page]), ""
    ),
    "100 kB in unknown keys": listed(
        edited_document(lambda page: page[0].update(options={"a": "x" * 100_000})), ""
    ),
}


LINKS_NAMED: Final = ("the next page is the first", "another host")


@pytest.mark.parametrize(
    ("name", "when"), combinations(LINKS, LINKS_NAMED, [Position.FIRST, Position.MIDDLE])
)
def test_link(try_mode: Try, name: str, when: When) -> None:
    """Of the header only the cursor is used, and each of them once."""
    try_mode(LINKS[name], when)


PAGES_NAMED: Final = ("a project twice",)


@pytest.mark.parametrize(("name", "when"), combinations(PAGES, PAGES_NAMED))
def test_page(try_mode: Try, name: str, when: When) -> None:
    """A project has an id and a slug, and may be there twice."""
    try_mode(PAGES[name], when)
