"""What answers that are not 200 say and mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sentry.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    SentryError,
    ServerError,
    StatusError,
    TooHeavyError,
    UnauthorizedError,
)
from exporter.sentry.refusals import body_text, presentable, redirect_host, refusal
from exporter.token import Secret
from tests.sentry.fakes import TOKEN

TOO_OFTEN = (
    "You are attempting to use this endpoint too frequently. Limit is 20 requests in 1 seconds"
)
STORE = "Rate limit exceeded. Please try your query with a smaller date range or fewer projects."
STATEMENT = "Query timeout. Please try with a smaller date range or fewer conditions."


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        (400, "Invalid field", BadRequestError),
        (401, "Invalid token", UnauthorizedError),
        (403, "", ForbiddenError),
        (404, "", NotFoundError),
        (408, "", ServerError),
        (500, "Internal Error", ServerError),
        (502, "Bad Gateway", ServerError),
        (504, "Gateway Timeout", ServerError),
        (599, "", ServerError),
        (999, "", ServerError),
        (429, TOO_OFTEN, RateLimitError),
        (429, "", RateLimitError),
        (429, STORE, TooHeavyError),
        (429, STATEMENT, TooHeavyError),
        (504, "Query timeout. Please try again.", TooHeavyError),
        (301, "example.com", RedirectError),
        (304, "the same host", RedirectError),
        (101, "", StatusError),
        (204, "", StatusError),
        (418, "", StatusError),
    ],
)
def test_kind(status: int, detail: str, expected: type[SentryError]) -> None:
    """Each status is its own error, and the store's refusals are told by their words."""
    assert expected is type(refusal(status, detail))


def test_text() -> None:
    """An error says the status and the detail."""
    assert "403: no" == str(refusal(403, "no"))
    assert "302 to example.com" == str(refusal(302, "example.com"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"detail": "Invalid token"}', "Invalid token"),
        (
            b'{"detail": {"code": "sso-required", "message": "Log in", "extra": {"a": 1}}}',
            "sso-required: Log in",
        ),
        (b'{"detail": "Internal Error", "errorId": "0f"}', "Internal Error"),
        (json.dumps({"detail": f"\n{STORE}\n"}).encode(), STORE),
        (b'{"field": ["is missing"]}', '{"field": ["is missing"]}'),
        (b"Route not found", "Route not found"),
        (b"\n <html><head><title>502 Bad\nGateway</title></head>x</html>", "502 Bad Gateway"),
        (b"<html>nothing to see</html>", ""),
        (b"", ""),
        (b"[" * 9999, "[" * 200),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"a\x00b\x1b[31mc\r\nd \xe2\x80\xaee", "ab[31mc d e"),
        (b"x" * 9999, "x" * 200),
        (f'{{"detail": "Invalid {TOKEN}!"}}'.encode(), "Invalid <secret>!"),
        (f"{TOKEN[:9]}\x07{TOKEN[9:]}".encode(), "<secret>"),
        (("x" * 190 + TOKEN).encode(), "x" * 190 + "<secret>"),
    ],
)
def test_detail(body: bytes, expected: str) -> None:
    """A body becomes one short line without control characters or tokens."""
    assert expected == presentable(body_text(body), Secret(TOKEN))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://user:pass@evil.example.com:8443/x?token=y", "evil.example.com"),
        ("/login/", "the same host"),
        ("", "the same host"),
        ("https://[::1", "an unreadable address"),
    ],
)
def test_redirect_host(location: str, expected: str) -> None:
    """Of a redirect only the host is told."""
    assert expected == redirect_host(location)


@given(st.integers(100, 999), st.binary(), st.text())
def test_arbitrary(status: int, body: bytes, location: str) -> None:
    """Whatever comes, there is one short line and an error."""
    line = presentable(body_text(body) + redirect_host(location), Secret(TOKEN))

    assert line.isprintable()
    assert len(line) <= 200
    assert isinstance(refusal(status, line), SentryError)
