"""Prefixes: how they are written, and what is below them."""

from collections.abc import Callable

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from exporter.cli.web import route_prefix
from exporter.web.prefix import ExternalUrl, UnderPrefix, parse_external_url, parse_prefix
from exporter.web.server import Server

HANG = 5.0
BELOW_A = ExternalUrl("https", "example.com", "/a")
SEGMENTS = st.lists(st.from_regex(r"[A-Za-z0-9_~-]{1,8}", fullmatch=True), max_size=4)


async def path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path that the application sees."""
    await PlainTextResponse(scope["path"])(scope, receive, send)


class TestParsing:
    """What the flags accept."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://example.com", ("http", "example.com", "")),
            ("https://example.com/", ("https", "example.com", "")),
            ("https://example.com:8443/a/b/", ("https", "example.com:8443", "/a/b")),
            ("http://[::1]:9090/a", ("http", "[::1]:9090", "/a")),
            ("/a/", ("", "", "/a")),
            ("/", ("", "", "")),
        ],
    )
    def test_external_url(self, url: str, expected: tuple[str, str, str]) -> None:
        """An external URL has a scheme, a host and a prefix, or only the prefix."""
        assert expected == parse_external_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            *("", "example.com/a", "ftp://example.com", "http://", "http://user:pw@example.com/"),
            *("http://example.com/?a", "http://example.com/#a", "http://example.com/a b"),
            *("http://example.com/a/../b", "http://example.com/é", "'http://example.com'"),
        ],
    )
    def test_external_url_that_is_refused(self, url: str) -> None:
        """Anything else is refused."""
        with pytest.raises(ValueError, match=r"not an external URL|not a prefix"):
            parse_external_url(url)

    @given(SEGMENTS, st.booleans(), st.booleans())
    def test_prefix(self, segments: list[str], before: bool, after: bool) -> None:  # noqa: FBT001
        """Slashes before and after a prefix make no difference."""
        joined = "/".join(segments)
        written = f"{'/' * before}{joined}{'/' * after}"

        assert (f"/{joined}" if joined else "") == parse_prefix(written)

    @pytest.mark.parametrize("text", ["a//b", "a/../b", ".", "/a?b", "a#b", "a b", "ä", "a%2Fb"])
    def test_prefix_that_is_refused(self, text: str) -> None:
        """A prefix is a path as clients send it."""
        with pytest.raises(ValueError, match="not a prefix of paths"):
            parse_prefix(text)

    @pytest.mark.parametrize(
        ("external", "prefix", "expected"),
        [(None, None, ""), (BELOW_A, None, "/a"), (BELOW_A, "/b", "/b"), (BELOW_A, "", "")],
    )
    def test_default(self, external: ExternalUrl | None, prefix: str | None, expected: str) -> None:
        """The path of the external URL is the default: a proxy may have removed it."""
        assert expected == route_prefix(external, prefix)


class TestServing:
    """What is answered."""

    @pytest.mark.parametrize("prefix", ["/a", "/a/b"])
    @pytest.mark.parametrize("below", ["/", "/metrics", "/-/healthy", "//"])
    def test_below(self, serve: Callable[..., Server], prefix: str, below: str) -> None:
        """The application sees the path without the prefix."""
        address = serve(UnderPrefix(path, prefix)).addresses[0]

        assert below == requests.get(f"http://{address}{prefix}{below}", timeout=HANG).text

    @pytest.mark.parametrize("prefix", ["/a", "/a/b"])
    @pytest.mark.parametrize("behind", ["", "/proxy"])
    def test_at_the_edge(self, serve: Callable[..., Server], prefix: str, behind: str) -> None:
        """The root and the prefix itself lead to the status page, also behind another prefix."""
        app = UnderPrefix(path, prefix)
        address = serve(UnderPrefix(app, behind) if behind else app).addresses[0]
        urls = [f"http://{address}{behind}{edge}" for edge in ("/", prefix)]
        answers = [requests.get(url, timeout=HANG) for url in urls]

        assert [f"http://{address}{behind}{prefix}/"] * 2 == [answer.url for answer in answers]

    @pytest.mark.parametrize("outside", ["/metrics", "/ab", "/a.b/", "/A/"])
    def test_outside(self, serve: Callable[..., Server], outside: str) -> None:
        """Everything else is a 404."""
        address = serve(UnderPrefix(path, "/a")).addresses[0]
        answer = requests.get(f"http://{address}{outside}", timeout=HANG)

        assert (404, "Not Found\n") == (answer.status_code, answer.text)
