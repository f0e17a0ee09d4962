"""Pages of the projects list, and the way from one to the next."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sentry.errors import BadAnswerError
from exporter.sentry.projects import Project, ProjectList, next_cursor, parse_page

WEB = Project(1, "web", "python", accessible=True)
PREVIOUS = (
    '<https://sentry.io/p/?&cursor=100:0:1>; rel="previous"; results="true"; cursor="100:0:1"'
)
NEXT = '<https://sentry.io/p/?&cursor=100:1:0>; rel="next"; results="true"; cursor="100:1:0"'


class TestPage:
    """Parsing one page."""

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ({"id": "1", "slug": "web", "platform": "python", "hasAccess": True}, WEB),
            ({"id": 1, "slug": "web", "platform": "python", "name": 7}, WEB),
            ({"id": "1", "slug": "web", "platform": None}, Project(1, "web", "", accessible=True)),
            ({"id": "1", "slug": "web"}, Project(1, "web", "", accessible=True)),
            (
                {"id": "2", "slug": "api", "platform": "", "hasAccess": False},
                Project(2, "api", "", accessible=False),
            ),
        ],
    )
    def test_item(self, item: dict[str, object], expected: Project) -> None:
        """Ids are strings or numbers, a platform may be missing, access is assumed."""
        assert [expected] == parse_page(json.dumps([item]).encode())

    @pytest.mark.parametrize(
        ("item", "path"),
        [
            ({"slug": "web"}, "[1].id"),
            ({"id": "web", "slug": "web"}, "[1].id"),
            ({"id": "1"}, "[1].slug"),
            ({"id": "1", "slug": ""}, "[1].slug"),
            ({"id": "1", "slug": "x" * 16_385}, "[1].slug"),
            ({"id": "1", "slug": "web", "platform": "x" * 16_385}, "[1].platform"),
            ({"id": "1", "slug": "web", "teams": [{"slug": "x" * 16_385}]}, "[1].teams[0].slug"),
            ({"id": "1", "slug": "web", "platform": 3}, "[1].platform"),
            ({"id": "1", "slug": "web", "hasAccess": "yes"}, "[1].hasAccess"),
            ("web", "[1]"),
        ],
    )
    def test_wrong_item(self, item: object, path: str) -> None:
        """An item of another shape is refused, with its place."""
        with pytest.raises(BadAnswerError) as caught:
            parse_page(json.dumps([{"id": "1", "slug": "web"}, item]).encode())

        assert path == caught.value.path

    def test_no_list(self) -> None:
        """What is no list is refused."""
        with pytest.raises(BadAnswerError, match=r"^\$: "):
            parse_page(b'{"detail": "hello"}')

    @given(st.binary())
    def test_arbitrary_bytes(self, body: bytes) -> None:
        """Bytes are a page or a `BadAnswerError`."""
        try:
            parse_page(body)
        except BadAnswerError as error:
            path = error.path
        else:
            path = "$"

        assert path


class TestNextCursor:
    """Reading the ``Link`` header."""

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (f"{PREVIOUS}, {NEXT}", "100:1:0"),
            (f"{NEXT},{PREVIOUS}", "100:1:0"),
            (f"{PREVIOUS}, {NEXT.replace('true', 'false')}", None),
            (PREVIOUS, None),
            ("", None),
            ("garbage", None),
            ('<x>; cursor="a, b; c=d"; results="true"; rel="next"', "a, b; c=d"),
            ("<x>;rel=next;results=true;cursor=100:1:0", "100:1:0"),
            ('<x> ; Rel = "next" ; RESULTS = "true" ; cursor = "7"', "7"),
            ('<x?a=1,b;c=2>; rel="next"; results="true"; cursor="7"; title="<, >"', "7"),
        ],
    )
    def test_header(self, header: str, expected: str | None) -> None:
        """Only the next page's cursor is taken, in whatever order the attributes stand."""
        assert expected == next_cursor(header)

    @pytest.mark.parametrize("cursor", ["", '; cursor=""', '; cursor="unfinished'])
    def test_without_cursor(self, cursor: str) -> None:
        """A next page that cannot be asked for is no end of the list."""
        with pytest.raises(BadAnswerError, match="Link"):
            next_cursor(f'<x>; rel="next"; results="true"{cursor}')

    @pytest.mark.parametrize("piece", ["<", "<>", "; a", ' ; a="', "<>;  ", ";" + " " * 99])
    def test_repetition(self, piece: str) -> None:
        """A header made to be read over and over again is read once."""
        assert None is next_cursor(piece * (65536 // len(piece)))

    @given(st.text())
    def test_arbitrary(self, header: str) -> None:
        """A header without the word next names no next page."""
        assert None is next_cursor(header.replace("next", ""))


class TestProjectList:
    """Looking projects up."""

    def test_by_id_and_slug(self) -> None:
        """A project is listed by its id and by its slug."""
        projects = ProjectList.of([WEB])

        assert {1: WEB} == projects.by_id
        assert {"web": WEB} == projects.by_slug

    def test_twice(self) -> None:
        """A project that comes on two pages is there once, as it came last."""
        renamed = Project(1, "website", "python", accessible=True)

        projects = ProjectList.of([WEB, renamed])

        assert {1: renamed} == projects.by_id
        assert {"website": renamed} == projects.by_slug
