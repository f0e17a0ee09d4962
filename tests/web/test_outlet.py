"""Large bodies on their way into the kernel."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from exporter.web.outlet import Outlet

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Return two connected sockets that do not block; the first is the outlet's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        yield ours, theirs


async def read(theirs: socket.socket, size: int) -> bytes:
    """Read so many bytes, in small parts."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < size:
        received += await loop.sock_recv(theirs, 50_000)
    return bytes(received)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"one", b"", b"two"],
        [bytes([number % 251]) * (number * 97 % 1000) for number in range(3000)],
        [bytes(range(256)) * 20_000, b"end"],
    ],
)
def test_sends_all(pair: Pair, chunks: list[bytes]) -> None:
    """All chunks arrive, in order, however many there are and however slowly they are read."""
    ours, theirs = pair
    whole = b"".join(chunks)

    async def talk() -> bytes:
        """Send, and read at the same time."""
        outlet = Outlet(ours)
        _, received = await asyncio.gather(outlet.send(chunks), read(theirs, len(whole)))
        outlet.close()
        return received

    assert whole == asyncio.run(talk())


def test_nobody_reads_any_more(pair: Pair) -> None:
    """A reader that has gone is the end of it, and no error."""
    ours, theirs = pair
    theirs.close()

    asyncio.run(Outlet(ours).send([bytes(10_000_000)]))


def test_closed_while_waiting(pair: Pair) -> None:
    """What waits for a reader returns when the outlet is closed."""
    ours, _ = pair

    async def close_early() -> None:
        """Close an outlet that is stuck."""
        outlet = Outlet(ours)
        sending = asyncio.ensure_future(outlet.send([bytes(10_000_000)]))
        await asyncio.sleep(0)
        outlet.close()
        await sending
        outlet.close()

    asyncio.run(close_early())

    assert -1 == ours.fileno()
