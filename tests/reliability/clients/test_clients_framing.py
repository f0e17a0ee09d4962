"""Requests whose end two readers could see in different places, as they come through a proxy.

Each is followed by a request for a page that says so if it is answered.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest

from tests.reliability.clients.publications import Publisher, published
from tests.reliability.clients.wire import Answer, answers_in, exchange
from tests.support.logs import logged

GET: Final = b"GET /metrics HTTP/1.1\r\nHost: here\r\n"
HEAD: Final = b"HEAD /metrics HTTP/1.1\r\nHost: here\r\n"
POST: Final = b"POST /metrics HTTP/1.1\r\nHost: here\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
CHUNKS: Final = POST + CHUNKED + b"\r\n"
NEXT: Final = b"GET /-/healthy HTTP/1.1\r\nHost: here\r\n\r\n"
LENGTH: Final = b"Content-Length: %d\r\n" % len(NEXT)

REFUSED: Final = (400,)
"""The request is refused, and the connection closed: nothing after it is answered."""

EARLY: Final = {(405,), (200,)}
"""What can be answered to a request before its malformed body has come; it is closed too then."""

SHAPES: Final[dict[str, tuple[bytes, tuple[int, ...]]]] = {
    "length and chunks": (POST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n", REFUSED),
    "chunks and length": (GET + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n", REFUSED),
    "two lengths": (GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", REFUSED),
    "a length twice": (GET + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", (200, 200)),
    "a list of lengths": (GET + b"Content-Length: 5, 5\r\n\r\nhello", (200, 200)),
    "a list of two lengths": (GET + b"Content-Length: 5, 6\r\n\r\nhello", REFUSED),
    "a length with a sign": (GET + b"Content-Length: +5\r\n\r\nhello", REFUSED),
    "a negative length": (GET + b"Content-Length: -5\r\n\r\nhello", REFUSED),
    "a length in hexadecimal": (GET + b"Content-Length: 0x5\r\n\r\nhello", REFUSED),
    "a length with a space": (GET + b"Content-Length: 5 5\r\n\r\nhello", REFUSED),
    "an empty length": (GET + b"Content-Length:\r\n\r\nhello", REFUSED),
    "a length of 26 digits": (GET + b"Content-Length: " + b"9" * 26 + b"\r\n\r\nhello", REFUSED),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", REFUSED),
    "another encoding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", REFUSED),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", REFUSED),
    "two encodings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "chunked twice": (POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", REFUSED),
    "a chunk with an extension": (
        CHUNKS + b"5;a=b\r\nhello\r\n0;x\r\n\r\n",
        (405, 200),
    ),
    "an extension without an end": (
        CHUNKS + b"5;a\nGET\r\nhello\r\n0\r\n\r\n",
        REFUSED,
    ),
    "a large extension": (CHUNKS + b"5;" + b"a" * 70_000, REFUSED),
    "a trailer": (CHUNKS + b"0\r\nContent-Length: 5\r\n\r\n", (405, 200)),
    "a chunk without an end": (CHUNKS + b"5\r\nhelloX0\r\n\r\n", REFUSED),
    "chunks with bare line feeds": (CHUNKS + b"5\nhello\n0\n\n", REFUSED),
    "a negative chunk": (CHUNKS + b"-5\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a chunk of 2^64 bytes": (CHUNKS + b"10000000000000000\r\nhello", (405,)),
    "a chunk of 30 digits": (CHUNKS + b"" + b"f" * 30 + b"\r\nhello", REFUSED),
    "a folded length": (GET + b"X: a\r\n Content-Length: 5\r\n\r\n", (200, 200)),
    "a folded encoding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", (405, 200)),
    "a folded first header": (b"GET / HTTP/1.1\r\n Host: here\r\n\r\n", REFUSED),
    "bare line feeds": (b"GET /metrics HTTP/1.1\nHost: here\n\n", (200, 200)),
    "bare carriage returns": (b"GET /metrics HTTP/1.1\rHost: here\r\r", REFUSED),
    "a header with NUL": (GET + b"X: a\0b\r\n\r\n", REFUSED),
    "a header without a colon": (GET + b"Content-Length 5\r\n\r\nhello", REFUSED),
    "a header without a name": (GET + b": 5\r\n\r\n", REFUSED),
    "two hosts": (GET + b"Host: there\r\n\r\n", REFUSED),
    "no host": (b"GET /metrics HTTP/1.1\r\n\r\n", REFUSED),
    "an empty line before": (b"\r\n\r\n" + GET + b"\r\n", REFUSED),
    "a request as the body": (GET + LENGTH + b"\r\n" + NEXT, (200, 200)),
    "a request as the body of HEAD": (HEAD + LENGTH + b"\r\n" + NEXT, (200, 200)),
    "a body that is waited for": (
        POST + LENGTH + b"Expect: 100-continue\r\n\r\n" + NEXT,
        (405, 200),
    ),
    "a body that ends early": (POST + b"Content-Length: 1000\r\n\r\n", (405,)),
    "HTTP/0.9": (b"GET /metrics\r\n", REFUSED),
    "HTTP/1.0": (b"GET /metrics HTTP/1.0\r\n\r\n", (200,)),
    "HTTP/1.0 with chunks": (b"POST /metrics HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n", (405,)),
    "HTTP/1.0 that stays": (b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", (200,)),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (404, 400)),
    "an end": (GET + b"Connection: close\r\n\r\n", (200,)),
    "another protocol": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", (200, 200)),
    "a tunnel": (b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n", (404, 200)),
    "an absolute target": (b"GET http://there/metrics HTTP/1.1\r\nHost: here\r\n\r\n", (200, 200)),
    "bytes in the target": (b"GET /metrics\xff HTTP/1.1\r\nHost: here\r\n\r\n", REFUSED),
    "a target with an end": (b"GET /metrics HTTP/1.1 HTTP/1.1\r\nHost: here\r\n\r\n", REFUSED),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), REFUSED),
}
"""What comes before the next request, and the statuses that are answered to all of it."""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Publisher, int]]:
    """Serve a page, and give what publishes it and the port."""
    with published(20) as (publisher, server):
        yield publisher, server.addresses[0].port


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(
    served: tuple[Publisher, int],
    tried: Callable[[str, int], None],
    caplog: pytest.LogCaptureFixture,
    shape: str,
) -> None:
    """Every answer is complete, what is ambiguous is refused, and nothing else is answered."""
    publisher, port = served
    sent, statuses = SHAPES[shape]
    with logged() as lines:
        received = [exchange(port, sent + NEXT), exchange(port, *_bytes(sent), NEXT)]

    for one in received:
        answers = answers_in(one, ["HEAD"] if sent.startswith(b"HEAD") else [])
        actual = tuple(answer.status for answer in answers)
        assert statuses == actual or (statuses == REFUSED and actual in EARLY)
        assert [] == [each for each in answers[:-1] if each.closes]
        _check(publisher, answers)
    assert [] == lines
    assert [] == caplog.records
    tried("connections of clients", 2)


def _bytes(sent: bytes) -> Iterator[bytes]:
    """Yield what is sent byte by byte, and what is long in larger pieces."""
    step = 1 + len(sent) // 100
    for start in range(0, len(sent), step):
        yield sent[start : start + step]


def _check(publisher: Publisher, answers: Sequence[Answer]) -> None:
    """Raise AssertionError unless each page is one publication, and of the path that it is for."""
    for number, answer in enumerate(answers):
        if "vary" in answer.headers and answer.body:
            publisher.number_in(answer)
        elif answer.status == 200 and answer.body:
            assert number > 0
            assert b"healthy\n" == answer.body
