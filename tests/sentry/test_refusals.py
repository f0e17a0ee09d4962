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
    SentryError,
    ServerError,
    StatusError,
    TooHeavyError,
    UnauthorizedError,
)
from exporter.sentry.refusals import explanation, presentable, redirect, refusal
from exporter.sentry.remedies import Cause
from exporter.sentry.token import Secret
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
        (407, "", StatusError),
        (410, "", StatusError),
        (422, "", StatusError),
        (101, "", StatusError),
        (204, "", StatusError),
        (418, "", StatusError),
    ],
)
def test_kind(status: int, detail: str, expected: type[SentryError]) -> None:
    """Each status is its own error, and the store's refusals are recognized by their words."""
    assert expected is type(refusal(status, detail))


def test_text() -> None:
    """An error says the status and the detail."""
    assert "403: no" == str(refusal(403, "no"))


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
        (
            b"\n <html><head><title>502 Bad\nGateway</title></head>x</html>",
            'a page titled "502 Bad Gateway"',
        ),
        (b"<html>nothing to see</html>", "a page without a title"),
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
    assert expected == presentable(explanation(body).text, Secret(TOKEN))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"detail": "Invalid token"}', "Invalid token"),
        (b'{"billingEmail": "ada@acme.example"}', ""),
        (b'{"billingEmail": "ada@acme.exam', ""),
        (b"<title>Bad Gateway</title>ada@acme.example", 'a page titled "Bad Gateway"'),
    ],
)
def test_what_may_hold_payment_data(body: bytes, expected: str) -> None:
    """Of an answer about a customer, only Sentry's own words are repeated."""
    explained = explanation(body, "https://sentry.io/api/0/customers/acme/")

    assert expected == explained.text
    assert "ada" not in repr(explained.document)


@pytest.mark.parametrize(
    "text",
    [
        "http://bob:" + "hush" * 1100 + "@host",
        "x " * 40 + "http://bob:" + "hush" * 1100 + "@host",
        "0123456789abcdef" * 4 + " sntryu_" + "x" * 3990 + " " + "0123456789abcdef" * 4,
        "/" * 1_000_000,
    ],
)
def test_detail_of_what_is_too_long(text: str) -> None:
    """A secret that ends behind the part that is looked at is not shown by its beginning."""
    line = presentable(text)

    assert [] == [part for part in ("hush", "bob", "0123456789abcdef") if part in line]


ASKED = "http://sentry.example.com:9000/api/0/organizations/acme/stats_v2/"


@pytest.mark.parametrize(
    ("location", "expected", "cause"),
    [
        ("https://user:pass@evil.example.com:8443/x?t=y", "https://evil.example.com:8443", None),
        ("", "the same address", Cause.REDIRECT_TO_ITSELF),
        (
            "/elsewhere/",
            "another path of http://sentry.example.com:9000",
            Cause.REDIRECT_TO_ANOTHER_PATH,
        ),
        (
            "/sentry/api/0/organizations/acme/stats_v2/?secret",
            "http://sentry.example.com:9000/sentry",
            Cause.REDIRECT_TO_URL,
        ),
        ("https://[::1", "an unreadable address", None),
        ("https://sentry.example.com/x/", "https://sentry.example.com", Cause.REDIRECT_TO_URL),
        (
            "/auth/login/acme/?next=secret",
            "a login page at http://sentry.example.com:9000",
            Cause.LOGIN_PAGE,
        ),
        (
            "https://globex.example.com/api/0/organizations/globex/stats_v2/?a=b",
            "the organization globex at https://globex.example.com",
            Cause.ANOTHER_ORGANIZATION,
        ),
    ],
)
def test_redirect(location: str, expected: str, cause: Cause | None) -> None:
    """Of a redirect's target, scheme, host, prefix and kind are shown, and nothing else."""
    error = redirect(302, ASKED, location, Secret(TOKEN))

    assert f"302 to {expected}" == str(error)
    assert cause is error.cause


def test_redirect_under_a_path() -> None:
    """The path that Sentry is served under belongs to the address that is advised."""
    asked = "http://example.com/sentry/api/0/organizations/acme/stats_v2/"
    error = redirect(301, asked, asked.replace("http:", "https:"), Secret(TOKEN))

    assert error.remedy.endswith(": https://example.com/sentry")


@given(st.integers(100, 999), st.binary(), st.text())
def test_arbitrary(status: int, body: bytes, location: str) -> None:
    """Whatever comes, there is one short line and an error."""
    explained = explanation(body)
    line = presentable(explained.text, Secret(TOKEN))
    target = str(redirect(status, ASKED, location, Secret(TOKEN)))

    assert line.isprintable()
    assert target.isprintable()
    assert len(line) <= 200
    assert isinstance(refusal(status, line, explained), SentryError)
