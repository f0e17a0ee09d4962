"""Servers that say nothing, or a byte now and then: each takes a second of the host's clock."""

from typing import Final

import pytest

from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, When, combinations
from tests.support.fault_proxy import Act, Exchange

TIMEOUT: Final = "1s"


def hangs(head: bytes = b"") -> Act:
    """Return what sends ``head``, and nothing more."""

    def act(exchange: Exchange) -> None:
        exchange.send(head, close=True)
        exchange.peer.hang()

    return act


def drips(head: bytes, data: bytes) -> Act:
    """Return what sends ``head``, and then a byte of ``data`` now and then."""

    def act(exchange: Exchange) -> None:
        exchange.send(head, close=True)
        exchange.peer.drip(data)

    return act


SILENCE: Final = {
    "no answer": Mode.of(hangs(), "timeout"),
    "no headers": Mode.of(hangs(b"HTTP/1.1 200 OK\r\n"), "timeout"),
    "no body": Mode.of(hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), "timeout"),
    "a byte of the status line a time": Mode.of(drips(b"", b"HTTP/1.1 200 OK\r\n"), "timeout"),
    "a byte of a header a time": Mode.of(drips(b"HTTP/1.1 200 OK\r\nX: ", b"x"), "timeout"),
    "a byte of the body a time": Mode.of(
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b'{"groups": [ '), "timeout"
    ),
}


SILENCE_NAMED: Final = ("no answer", "a byte of the body a time")


@pytest.mark.parametrize(("name", "when"), combinations(SILENCE, SILENCE_NAMED))
def test_silence(try_mode: Try, name: str, when: When) -> None:
    """A request ends when its time is over, and nobody else waits for it."""
    try_mode(SILENCE[name], when, timeout=TIMEOUT)
