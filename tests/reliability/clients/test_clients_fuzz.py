"""Methods, paths, queries, headers and bodies from a fuzzer, pipelined and cut into pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability.clients.publications import Publisher, published
from tests.reliability.clients.wire import Answer, answers_in, exchange
from tests.support.logs import logged

EXAMPLES: Final = 200

VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
SPACED: Final = VISIBLE + " \t"
TOKEN: Final = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PATHS: Final = ("/metrics", "/", "/-/healthy", "/-/ready", "/-/reload", "/config", "/metrics/", "*")
NAMES: Final = ("Accept", "Accept-Encoding", "Cookie", "Authorization", "Range", "TE", "Origin")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get")
STATUSES: Final = {200, 400, 404, 405, 503}


@dataclass(frozen=True)
class Sent:
    """A request that is well formed."""

    method: str
    text: bytes


def text_of(alphabet: str, length: int) -> st.SearchStrategy[str]:
    """Return texts of these characters; drawn as bytes, which takes a fraction of the time."""
    letters = st.binary(min_size=1, max_size=length)
    return letters.map(lambda drawn: "".join(alphabet[byte % len(alphabet)] for byte in drawn))


def _with_body(body: bytes, chunk: int) -> tuple[bytes, bytes]:
    """Return the header about a body, and the body, in chunks of a size or of none in one."""
    if not chunk:
        return b"Content-Length: %d\r\n" % len(body), body
    chunks = (body[start : start + chunk] for start in range(0, len(body), chunk))
    lines = b"".join(b"%x;x=y\r\n%b\r\n" % (len(one), one) for one in chunks)
    return b"Transfer-Encoding: chunked\r\n", lines + b"0\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """Return a request that RFC 9112 allows, for whatever path."""
    method = draw(st.sampled_from(METHODS) | text_of(TOKEN, 10))
    path = draw(st.sampled_from(PATHS) | text_of(VISIBLE, 60).map("/{}".format))
    query = draw(st.just("") | text_of(VISIBLE, 60).map("?{}".format))
    values = text_of(SPACED, 40).map(str.strip)
    names = st.sampled_from(NAMES) | text_of(TOKEN, 20).map("X-{}".format)
    headers = draw(st.lists(st.tuples(names, values), max_size=4))
    about, body = b"", b""
    if draw(st.booleans()):
        about, body = _with_body(draw(st.binary(max_size=300)), draw(st.integers(0, 50)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"{method} {path}{query} HTTP/1.1\r\nHost: here\r\n{lines}".encode("ascii")
    return Sent(method, head + about + b"\r\n" + body)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Return requests of which some bytes were changed, inserted or left out."""
    text = bytearray(draw(requests()).text + draw(requests()).text)
    for _ in range(draw(st.integers(1, 5))):
        position = draw(st.integers(0, len(text) - 1))
        length = draw(st.integers(0, 4))
        text[position : position + length] = draw(
            st.sampled_from([b"\r", b"\n", b"\0", b":", b" ", b"\xff", b"\r\n\r\n"])
            | st.binary(max_size=6)
        )
        text += b" " * (not text)
    return bytes(text)


def pieces(draw: st.DataObject, text: bytes) -> list[bytes]:
    """Return ``text`` in pieces."""
    cuts = draw.draw(st.lists(st.integers(0, len(text)), max_size=4))
    edges = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Publisher, int]]:
    """Serve a page, and give what publishes it and the port."""
    with published(20) as (publisher, server):
        yield publisher, server.addresses[0].port


def _check(publisher: Publisher, answer: Answer) -> None:
    """Raise AssertionError unless what is answered is complete in itself."""
    assert answer.status in STATUSES
    if answer.status == 200 and answer.body and "vary" in answer.headers:
        publisher.number_in(answer)


def test_requests(
    served: tuple[Publisher, int],
    tried: Callable[[str, int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each of some pipelined requests is answered, in order, and completely."""
    publisher, port = served
    examples = 0

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(requests(), min_size=1, max_size=5), st.data())
    def try_requests(sent: list[Sent], data: st.DataObject) -> None:
        nonlocal examples
        examples += 1
        text = b"".join(one.text for one in sent)
        answers = answers_in(exchange(port, *pieces(data, text)), (one.method for one in sent))

        assert len(sent) == len(answers)
        for answer in answers:
            _check(publisher, answer)

    with logged() as lines:
        try_requests()

    assert [] == lines
    assert [] == caplog.records
    tried("random inputs", examples)


def test_spoiled(
    served: tuple[Publisher, int],
    tried: Callable[[str, int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever comes, what is answered is complete, and the next client gets the page."""
    publisher, port = served
    examples = 0

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(spoiled())
    def try_bytes(sent: bytes) -> None:
        nonlocal examples
        examples += 1
        # Where the method is spoiled, nobody knows whether an answer has a body.
        if b"HEAD" not in sent:
            for answer in answers_in(exchange(port, sent)):
                _check(publisher, answer)

    with logged() as lines:
        try_bytes()
        (answer,) = answers_in(exchange(port, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"))

    assert publisher.number_in(answer) > 0
    assert [] == lines
    assert [] == caplog.records
    tried("random inputs", examples)
