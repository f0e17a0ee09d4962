"""Answers that hold more than Sentry sends: refused while they are read."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from exporter.buckets import Window
from exporter.sentry.answer import SeriesAnswer
from exporter.sentry.client import SentryClient, Upstream
from exporter.sentry.customer import CustomerPlan
from exporter.sentry.errors import TooLargeError
from exporter.sentry.limits import Allowance, TokenLimits
from exporter.sentry.question import ROW_LIMIT
from exporter.sentry.transport import open_session
from tests.sentry.fakes import HOUR, START, FakeToken, RecordingMeter, body, group, question
from tests.support.scripted_server import Peer, ScriptedServer, reply, serve

DAY = Window(START, START + 24 * HOUR, HOUR)
MEGABYTE = 1 << 20
MEMORY = 32 * MEGABYTE
"""How much memory a refused answer may take; each of these would take 300 MB and more."""

GROUP = b'{"by":{"category":"c%d","outcome":"a"},"totals":{"sum(quantity)":1},"series":{"x":[]}}'
HEAD = b'{"intervals":[],"groups":['
MANY = {
    "groups": HEAD + b",".join(GROUP % number for number in range(200_000)),
    "objects": HEAD + b"{}," * 10_000_000,
    "values": HEAD + b'{"series":{"sum(quantity)":[' + b"0," * 16_000_000,
    "bytes": HEAD + b'{"by":{"category":"' + b"x" * 40_000_000,
    "lists": HEAD + b"[]," * 10_000_000,
}


@pytest.fixture
def asked() -> Iterator[Callable[[str], SentryClient]]:
    """Return a function that makes the client of a server."""
    with open_session(2) as session:

        def client(url: str) -> SentryClient:
            """Return the client of the server at ``url``."""
            limits = TokenLimits(Allowance(2, 1e6))
            upstream = Upstream("acme", url, FakeToken())
            return SentryClient(upstream, session, limits, RecordingMeter())

        yield client


@pytest.mark.parametrize("sent", MANY.values(), ids=MANY)
@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "gzip"])
def test_refused(asked: Callable[[str], SentryClient], sent: bytes, *, is_compressed: bool) -> None:
    """What Sentry cannot have sent is refused before it takes memory."""
    answer = reply(sent)
    if is_compressed:
        answer = reply(gzip.compress(sent, 1), "200 OK", "Content-Encoding: gzip")

    with ScriptedServer(serve(answer)) as server:
        tracemalloc.start()
        with pytest.raises(TooLargeError, match="more than 10000 groups") as refusal:
            asked(server.url).ask(question(window=DAY))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert MEMORY > peak
    assert "does not answer as Sentry does" in refusal.value.remedy


def test_endless(asked: Callable[[str], SentryClient]) -> None:
    """Nor is the end of such an answer waited for."""

    def run(peer: Peer) -> None:
        peer.receive()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + HEAD)
        while True:
            peer.send(GROUP * 1000)

    with ScriptedServer(run) as server, pytest.raises(TooLargeError):
        asked(server.url).ask(question())


def test_projects(asked: Callable[[str], SentryClient]) -> None:
    """A list of more projects than a list can hold is refused too, in one answer or by pages."""
    sent = reply(b"[" + b'{"id":"1","slug":"a"},' * 300_000)

    with (
        ScriptedServer(serve(sent), serve(sent)) as server,
        pytest.raises(TooLargeError, match="more than 250000 objects"),
    ):
        asked(server.url).projects()


def test_plan(asked: Callable[[str], SentryClient]) -> None:
    """So is a plan that holds more than any."""
    sent = reply(b"[" + b"{}," * 60_000)

    with ScriptedServer(serve(sent)) as server, pytest.raises(TooLargeError):
        asked(server.url).look_up("customers", f"{server.url}/", CustomerPlan, str)


def test_all_that_sentry_sends(asked: Callable[[str], SentryClient]) -> None:
    """As many groups as the store has rows are taken, with values in all of their buckets."""
    labels = ({"category": f"some_category_{n}", "outcome": "rate_limited"} for n in range(10_000))
    sent = body(*(group(by, *range(10, 34)) for by in labels), window=DAY)

    with ScriptedServer(serve(reply(sent))) as server:
        answer = asked(server.url).ask(question(window=DAY))

    assert isinstance(answer, SeriesAnswer)
    assert ROW_LIMIT == len(answer.groups)
