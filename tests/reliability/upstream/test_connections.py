"""Connections that break, and what is sent on them that is no HTTP, or not as it says."""

from typing import Final

import pytest

from tests.reliability.upstream.acts import (
    OK,
    after_head,
    chunked,
    endless,
    interim,
    raw,
    reset,
    reset_after,
    with_headers,
)
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, When, combinations

ENDED: Final = "Content-Length: {size}\r\n"
LONG: Final = "x" * 70_000

# A connection that the server has closed just when it is used again is opened again, once.
BROKEN: Final = {
    "reset before the headers": Mode.of(reset, "network", once=""),
    "reset in the headers": Mode.of(raw(b"HTTP/1.1 200 OK\r\nContent-"), "bad_answer"),
    "reset after the headers": Mode.of(reset_after("Content-Length: 9\r\n"), "network"),
    "reset in the body": Mode.of(reset_after("Content-Length: 99999\r\n", 0.5), "network"),
    "closed without an answer": Mode.of(raw(b""), "network", once=""),
    "closed after the status line": Mode.of(raw(OK.encode()), "bad_answer"),
    "closed after the headers": Mode.of(
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), "network"
    ),
    "cut body": Mode.of(after_head("Content-Length: 999999\r\n"), "network"),
    "cut body without a length": Mode.of(
        raw(b'HTTP/1.1 200 OK\r\n\r\n{"groups":[{"by"'), "bad_answer"
    ),
    "length of one byte": Mode.of(after_head("Content-Length: 1\r\n"), "bad_answer"),
    "length of no byte": Mode.of(after_head("Content-Length: 0\r\n"), "bad_answer"),
    "length of 10^22 bytes": Mode.of(after_head(f"Content-Length: {10**22}\r\n"), "network"),
    "two lengths": Mode.of(after_head("Content-Length: 5\r\nContent-Length: 6\r\n"), "network"),
    "a negative length": Mode.of(after_head("Content-Length: -5\r\n"), ""),
    "a length in words": Mode.of(after_head("Content-Length: five\r\n"), ""),
    "no length": Mode.of(after_head(""), ""),
    "HTTP/1.0": Mode.of(after_head("Connection: close\r\n"), ""),
}

CHUNKED: Final = {
    "chunks": Mode.of(chunked(b"{size}\r\n{body}\r\n0\r\n\r\n"), ""),
    "chunks with a trailer": Mode.of(chunked(b"{size};a=b\r\n{body}\r\n0\r\nX: y\r\n\r\n"), ""),
    "chunks and a length": Mode.of(
        chunked(
            b"{size}\r\n{body}\r\n0\r\n\r\n",
            head="Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        ),
        "",
    ),
    "a size that is no number": Mode.of(chunked(b"zz\r\n{body}\r\n0\r\n\r\n"), "network"),
    "a negative size": Mode.of(chunked(b"-5\r\n{body}\r\n0\r\n\r\n"), "network"),
    "no size": Mode.of(chunked(b"\r\n{body}\r\n0\r\n\r\n"), "network"),
    "a size of 2^96": Mode.of(chunked(b"f" * 24, b"\r\n{body}"), "network"),
    "a size beyond the end": Mode.of(chunked(b"fffff\r\n{body}"), "network"),
    "no last chunk": Mode.of(chunked(b"{size}\r\n{body}\r\n"), "network"),
    "a size with a long extension": Mode.of(
        chunked(b"{size};", LONG.encode(), b"\r\n{body}\r\n0\r\n\r\n"), "network"
    ),
    "another transfer encoding": Mode.of(
        chunked(b"{body}", head="Transfer-Encoding: smoke\r\n"), ""
    ),
}

NO_HTTP: Final = {
    "HTTP/0.9": Mode.of(raw(b"hello\r\n"), "network"),
    "SSH": Mode.of(raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "network"),
    "SMTP": Mode.of(raw(b"220 mail.example ESMTP\r\n"), "network"),
    "HTTP/2": Mode.of(raw(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80"), "network"),
    "HTTP/3 in its first line": Mode.of(raw(b"HTTP/3.0 200 OK\r\n\r\n"), "network"),
    "an alert of TLS": Mode.of(raw(b"\x15\x03\x01\0\2\2\x28"), "network"),
    "zeros": Mode.of(raw(bytes(1000)), "network"),
    "a status in words": Mode.of(raw(b"HTTP/1.1 OK 200\r\n\r\n"), "network"),
    "status 000": Mode.of(raw(b"HTTP/1.1 000 Zero\r\n\r\n"), "network"),
    "status 99": Mode.of(raw(b"HTTP/1.1 99 Less\r\n\r\n"), "network"),
    "status 1000": Mode.of(raw(b"HTTP/1.1 1000 More\r\n\r\n"), "network"),
    "status -200": Mode.of(raw(b"HTTP/1.1 -200 Less\r\n\r\n"), "network"),
    "a long status line": Mode.of(raw(f"HTTP/1.1 200 {LONG}\r\n\r\n".encode()), "network"),
    "the answer of a request before": Mode.of(
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" * 2, close=False), "bad_answer"
    ),
}

HEADERS: Final = {
    "a long header": Mode.of(after_head(f"X: {LONG}\r\n{ENDED}"), "network"),
    "200 headers": Mode.of(after_head("X: y\r\n" * 200 + ENDED), "network"),
    "50 cookies": Mode.of(with_headers(*["Set-Cookie: a=b; Domain=127.0.0.1"] * 50), ""),
    "a folded header": Mode.of(after_head(f"X: a\r\n b\r\n{ENDED}"), ""),
    "a header with NUL": Mode.of(after_head(f"X: a\0b\r\n{ENDED}"), ""),
    "lines that end in LF": Mode.of(after_head(ENDED.replace("\r", "")), ""),
    # Headers after the line are lost, such as the length: the body ends with the connection.
    "a header without a colon": Mode.of(after_head(f"nonsense\r\n{ENDED}"), ""),
    "no type": Mode.of(after_head(ENDED), "", projects=""),
    "another type": Mode.of(with_headers("Content-Type: image/png"), ""),
    "an interim answer before": Mode.of(
        interim(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"), ""
    ),
    "interim answers without end": Mode.of(
        endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), "unexpected_status"
    ),
    "only an interim answer": Mode.of(raw(b"HTTP/1.1 102 Processing\r\n\r\n"), "network", once=""),
    "another protocol": Mode.of(
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), "unexpected_status"
    ),
}


BROKEN_NAMED: Final = (
    "reset before the headers",
    "reset after the headers",
    "cut body",
    "length of one byte",
    "length of 10^22 bytes",
)


@pytest.mark.parametrize(("name", "when"), combinations(BROKEN, BROKEN_NAMED))
def test_broken(try_mode: Try, name: str, when: When) -> None:
    """What has not arrived completely is no answer."""
    try_mode(BROKEN[name], when)


CHUNKED_NAMED: Final = ("a size that is no number",)


@pytest.mark.parametrize(("name", "when"), combinations(CHUNKED, CHUNKED_NAMED))
def test_chunked(try_mode: Try, name: str, when: When) -> None:
    """Nor is what has chunks that do not fit together."""
    try_mode(CHUNKED[name], when)


NO_HTTP_NAMED: Final = ("HTTP/0.9",)


@pytest.mark.parametrize(("name", "when"), combinations(NO_HTTP, NO_HTTP_NAMED))
def test_no_http(try_mode: Try, name: str, when: When) -> None:
    """Nor is what is no HTTP."""
    try_mode(NO_HTTP[name], when)


HEADERS_NAMED: Final = ("a long header", "an interim answer before")


@pytest.mark.parametrize(("name", "when"), combinations(HEADERS, HEADERS_NAMED))
def test_headers(try_mode: Try, name: str, when: When) -> None:
    """Headers that nobody needs may be anything, within limits."""
    try_mode(HEADERS[name], when)
