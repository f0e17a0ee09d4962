"""Bodies that are larger than they seem, or encoded in another way than they say."""

import gzip
import zlib
from typing import Final

import pytest

from tests.reliability.upstream.acts import body, bomb, encoded, endless
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, When, combinations

LIMIT: Final = "256KiB"
FOUR_GIB: Final = 1 << 32
ZEROS: Final = bytes(65536)
BOMB: Final = bomb(256 << 20)
CHUNK: Final = b"10000\r\n" + ZEROS + b"\r\n"

SIZES: Final = {
    "4 GiB": Mode.of(
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FOUR_GIB, ZEROS), "too_large"
    ),
    "a body without end": Mode.of(endless(b"HTTP/1.1 200 OK\r\n\r\n", ZEROS), "too_large"),
    "chunks without end": Mode.of(
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK), "too_large"
    ),
    "headers without end": Mode.of(endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "network"),
    "a header without end": Mode.of(endless(b"HTTP/1.1 200 OK\r\nX: ", ZEROS), "network"),
    "a status line without end": Mode.of(endless(b"HTTP/1.1 200 ", ZEROS), "network"),
    "a refusal without end": Mode.of(endless(b"HTTP/1.1 500 No\r\n\r\n", ZEROS), "server_error"),
    "a redirect without end": Mode.of(endless(b"HTTP/1.1 302 No\r\n\r\n", ZEROS), "redirect"),
    "a gzip bomb": Mode.of(body(BOMB, "Content-Encoding: gzip"), "too_large"),
    "a gzip bomb in a refusal": Mode.of(
        endless(b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n\r\n", BOMB), "server_error"
    ),
    "a gzip bomb of a gzip bomb": Mode.of(
        body(gzip.compress(BOMB), "Content-Encoding: gzip, gzip"), "too_large"
    ),
    "300 KiB of white space": Mode.of(body(b" " * 300_000), "too_large"),
    "300 KiB of commas": Mode.of(body(b"," * 300_000), "too_large"),
}

ENCODINGS: Final = {
    "gzip": Mode.of(encoded(gzip.compress, "gzip"), ""),
    "deflate": Mode.of(encoded(zlib.compress, "deflate"), ""),
    "gzip twice": Mode.of(
        encoded(lambda data: gzip.compress(gzip.compress(data)), "gzip, gzip"), ""
    ),
    "gzip in two parts": Mode.of(
        encoded(lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]), "gzip"), ""
    ),
    "identity": Mode.of(encoded(bytes, "identity"), ""),
    "plain that says gzip": Mode.of(encoded(bytes, "gzip"), "network"),
    "plain that says deflate": Mode.of(encoded(bytes, "deflate"), "network"),
    "gzip that says nothing": Mode.of(encoded(gzip.compress, "identity"), "bad_answer"),
    "gzip that says deflate": Mode.of(encoded(gzip.compress, "deflate"), "network"),
    "gzip that says br": Mode.of(encoded(gzip.compress, "br"), "bad_answer"),
    "gzip that says rot13": Mode.of(encoded(gzip.compress, "rot13"), "bad_answer"),
    "half of gzip": Mode.of(
        encoded(lambda data: gzip.compress(data)[: len(gzip.compress(data)) // 2], "gzip"),
        "bad_answer",
    ),
    "gzip without its sum": Mode.of(encoded(lambda data: gzip.compress(data)[:-8], "gzip"), ""),
    "gzip with a wrong sum": Mode.of(
        encoded(lambda data: gzip.compress(data)[:-8] + bytes(8), "gzip"), "network"
    ),
    "twenty encodings": Mode.of(encoded(bytes, ", ".join(["gzip"] * 20)), "network"),
}


SIZES_NAMED: Final = ("4 GiB", "a gzip bomb")


@pytest.mark.parametrize(("name", "when"), combinations(SIZES, SIZES_NAMED))
def test_size(try_mode: Try, name: str, when: When) -> None:
    """What is larger than allowed is not read to its end, whatever it says it is."""
    try_mode(SIZES[name], when, max_response_size=LIMIT)


ENCODINGS_NAMED: Final = ("half of gzip", "plain that says gzip")


@pytest.mark.parametrize(("name", "when"), combinations(ENCODINGS, ENCODINGS_NAMED))
def test_encoding(try_mode: Try, name: str, when: When) -> None:
    """What cannot be decoded as it says is no answer."""
    try_mode(ENCODINGS[name], when)
