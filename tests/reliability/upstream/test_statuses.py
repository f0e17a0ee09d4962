"""Answers that are not 200: each has its reason, and none changes a number."""

from typing import Final

import pytest

from tests.reliability.upstream.acts import refused, status
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, Position, When, combinations
from tests.support.scripted_server import ScriptedServer, reply, serve

ANYWHERE: Final = tuple(Position)
FILTERED: Final = (Position.MIDDLE, Position.LAST)
"""Where a question names projects, one of which could be what is forbidden."""

PAGE: Final = b"<!doctype html><title>Down for maintenance</title><p>We will be back."
OBJECT: Final = b'{"detail":{"code":"sso-required","message":"Must login via SSO","extra":{}}}'
STORE: Final = "Rate limit exceeded. Please try your query with a smaller date range."
TOO_OFTEN: Final = "You are attempting to use this endpoint too frequently. Limit is 20 requests."
NO_NUMBERS: Final = [
    f"X-Sentry-Rate-Limit-{name}: None"
    for name in ("Limit", "Remaining", "Reset", "ConcurrentLimit", "ConcurrentRemaining")
]

# A proxy that demands a password is what 407 means: it is not Sentry that answers.
STATUSES: Final = {
    "400": Mode.of(refused("400 Bad Request", "Invalid"), "bad_request"),
    "400 without a body": Mode.of(status("400 Bad Request"), "bad_request"),
    "401 with a text": Mode.of(refused("401 Unauthorized", "Invalid token"), "unauthorized"),
    "401 with an object": Mode.of(status("401 Unauthorized", OBJECT), "unauthorized"),
    "401 of a page": Mode.of(status("401 Unauthorized", PAGE), "unexpected_status"),
    "402": Mode.of(refused("402 Payment Required", "Pay"), "unexpected_status"),
    "403": Mode.of(
        refused("403 Forbidden", "You do not have permission."), "forbidden", split=FILTERED
    ),
    "403 of a page": Mode.of(status("403 Forbidden", PAGE), "unexpected_status"),
    "404": Mode.of(refused("404 Not Found", "The requested resource does not exist"), "not_found"),
    "404 without a body": Mode.of(status("404 Not Found"), "not_found"),
    "405": Mode.of(refused("405 Method Not Allowed", "No"), "unexpected_status"),
    "406": Mode.of(status("406 Not Acceptable"), "unexpected_status"),
    "407": Mode.of(status("407 Proxy Authentication Required"), "network"),
    "408": Mode.of(status("408 Request Timeout"), "server_error"),
    "409": Mode.of(status("409 Conflict"), "unexpected_status"),
    "410": Mode.of(refused("410 Gone", "This API no longer exists."), "unexpected_status"),
    "411": Mode.of(status("411 Length Required"), "unexpected_status"),
    "413": Mode.of(status("413 Content Too Large"), "unexpected_status"),
    "414": Mode.of(status("414 URI Too Long"), "unexpected_status"),
    "415": Mode.of(status("415 Unsupported Media Type"), "unexpected_status"),
    "416": Mode.of(status("416 Range Not Satisfiable"), "unexpected_status"),
    "418": Mode.of(status("418 I'm a Teapot"), "unexpected_status"),
    "421": Mode.of(status("421 Misdirected Request"), "unexpected_status"),
    "422": Mode.of(status("422 Unprocessable Content"), "unexpected_status"),
    "425": Mode.of(status("425 Too Early"), "unexpected_status"),
    "426": Mode.of(status("426 Upgrade Required", b"", "Upgrade: h2c"), "unexpected_status"),
    "428": Mode.of(status("428 Precondition Required"), "unexpected_status"),
    "431": Mode.of(status("431 Request Header Fields Too Large"), "unexpected_status"),
    "451": Mode.of(status("451 Unavailable For Legal Reasons"), "unexpected_status"),
    "499": Mode.of(status("499 Client Closed Request"), "unexpected_status"),
    "500": Mode.of(refused("500 Internal Server Error", "Internal Error"), "server_error"),
    "500 of a page": Mode.of(status("500 Internal Server Error", PAGE), "server_error"),
    "501": Mode.of(status("501 Not Implemented"), "server_error"),
    "502": Mode.of(status("502 Bad Gateway", PAGE), "server_error"),
    "503": Mode.of(status("503 Service Unavailable"), "server_error"),
    "503, come back in an hour": Mode.of(
        status("503 Service Unavailable", b"", "Retry-After: 3600"), "server_error"
    ),
    "504": Mode.of(status("504 Gateway Timeout"), "server_error"),
    "505": Mode.of(status("505 HTTP Version Not Supported"), "server_error"),
    "507": Mode.of(status("507 Insufficient Storage"), "server_error"),
    "508": Mode.of(status("508 Loop Detected"), "server_error"),
    "511": Mode.of(status("511 Network Authentication Required", PAGE), "server_error"),
    "521": Mode.of(status("521 Web Server Is Down"), "server_error"),
    "599": Mode.of(status("599 Network Connect Timeout"), "server_error"),
    "600": Mode.of(status("600 What"), "server_error"),
    "999": Mode.of(status("999 Request Denied"), "server_error"),
}

SUCCESSES: Final = {
    "201": Mode.of(status("201 Created", b"{}"), "unexpected_status"),
    "202": Mode.of(status("202 Accepted", b"{}"), "unexpected_status"),
    "203": Mode.of(status("203 Non-Authoritative Information", b"{}"), "unexpected_status"),
    "204": Mode.of(status("204 No Content"), "unexpected_status"),
    "205": Mode.of(status("205 Reset Content"), "unexpected_status"),
    "206": Mode.of(status("206 Partial Content", b"{"), "unexpected_status"),
    "207": Mode.of(status("207 Multi-Status", b"{}"), "unexpected_status"),
    "226": Mode.of(status("226 IM Used", b"{}"), "unexpected_status"),
}

# A 429 of the endpoint is asked again, five times at the most.
LIMITS: Final = {
    "429 of the endpoint": Mode.of(
        refused("429 Too Many Requests", TOO_OFTEN), "rate_limited", once=""
    ),
    "429 of the endpoint, numbers are None": Mode.of(
        status("429 Too Many Requests", b'{"detail":"too frequently"}', *NO_NUMBERS),
        "rate_limited",
        once="",
    ),
    "429 without a body": Mode.of(status("429 Too Many Requests"), "rate_limited", once=""),
    "429 of a page": Mode.of(status("429 Too Many Requests", PAGE), "rate_limited", once=""),
    "429, come back in a year": Mode.of(
        status("429 Too Many Requests", b"", "Retry-After: 31536000"), "rate_limited", once=""
    ),
    "429, come back yesterday": Mode.of(
        status("429 Too Many Requests", b"", "Retry-After: Sun, 01 Mar 2020 00:00:00 GMT"),
        "rate_limited",
        once="",
    ),
    "429, come back in -5 s": Mode.of(
        status("429 Too Many Requests", b"", "Retry-After: -5"), "rate_limited", once=""
    ),
    "429, come back nan": Mode.of(
        status("429 Too Many Requests", b"", "Retry-After: nan", "X-Sentry-Rate-Limit-Reset: inf"),
        "rate_limited",
        once="",
    ),
    "429 of the store": Mode.of(
        refused("429 Too Many Requests", STORE), "too_heavy", split=ANYWHERE
    ),
    "429 of the store, numbers are None": Mode.of(
        status("429 Too Many Requests", b'{"detail":"%s"}' % STORE.encode(), *NO_NUMBERS),
        "too_heavy",
        split=ANYWHERE,
    ),
    "504 of the store": Mode.of(
        refused("504 Gateway Timeout", "Query timeout. Please try again."),
        "too_heavy",
        split=ANYWHERE,
    ),
}


@pytest.mark.parametrize(("name", "when"), combinations(STATUSES))
def test_refusal(try_mode: Try, name: str, when: When) -> None:
    """A status of 400 or more fails the poll with its reason."""
    try_mode(STATUSES[name], when)


@pytest.mark.parametrize(("name", "when"), combinations(SUCCESSES))
def test_success(try_mode: Try, name: str, when: When) -> None:
    """Any 2xx but 200 is no answer: it may be a part, or nothing at all."""
    try_mode(SUCCESSES[name], when)


@pytest.mark.parametrize(("name", "when"), combinations(LIMITS))
def test_limit(try_mode: Try, name: str, when: When) -> None:
    """What is asked too often is asked again, and what is too much in smaller parts."""
    try_mode(LIMITS[name], when)


REDIRECTS: Final = {
    "300 to another host": ("300 Multiple Choices", "http://{elsewhere}/"),
    "301 to another host": ("301 Moved Permanently", "http://{elsewhere}/api/0/"),
    "302 to another host": ("302 Found", "http://{elsewhere}/auth/login/"),
    "303 to another host": ("303 See Other", "//{elsewhere}/api/0/organizations/stats/stats_v2/"),
    "307 to another host": ("307 Temporary Redirect", "http://user:pass@{elsewhere}/"),
    "308 to another host": ("308 Permanent Redirect", "http://{elsewhere}/api/0/"),
    "301 to HTTPS": ("301 Moved Permanently", "https://{elsewhere}/api/0/"),
    "302 to itself": ("302 Found", ""),
    "302 to a login page": ("302 Found", "/auth/login/"),
    "302 to another organization": ("302 Found", "/api/0/organizations/other/stats_v2/"),
    "302 to a file": ("302 Found", "file:///etc/passwd"),
    "302 to no address": ("302 Found", "http://[::1"),
    "304": ("304 Not Modified", ""),
    "305": ("305 Use Proxy", "http://{elsewhere}/"),
}
"""Status lines and addresses."""


@pytest.mark.parametrize(("name", "when"), combinations(REDIRECTS))
def test_redirect(try_mode: Try, name: str, when: When) -> None:
    """No redirect is followed: nobody else gets the token, or answers for Sentry."""
    line, address = REDIRECTS[name]
    with ScriptedServer(serve(reply(b"{}"))) as other:
        target = address.format(elsewhere=f"127.0.0.1:{other.port}")
        headers = [f"Location: {target}"] if target else []
        try_mode(Mode.of(status(line, b"", *headers), "redirect"), when)

        assert 0 == other.connections
