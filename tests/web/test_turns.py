"""Large answers in turns, over an event loop that is watched."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message

from exporter.web.turns import SLICE, LargeInTurns

LARGE = b"".join(bytes([number]) * SLICE for number in range(5)) + b"end"
SCOPE = {"type": "http"}
SMALL = b"x" * SLICE


async def crowd(app: LargeInTurns, count: int) -> Sequence[int]:
    """Ask ``count`` times at once, and return how many bodies were sent in each turn of the loop.

    A turn in which nothing was sent is not among them.
    """
    sent: dict[int, int] = {}
    turn = 0

    async def count_bodies(message: Message) -> None:
        """Count a body for this turn."""
        if message.get("body"):
            sent[turn] = sent.get(turn, 0) + 1

    answers = [asyncio.create_task(app(SCOPE, receive, count_bodies)) for _ in range(count)]
    while not all(answer.done() for answer in answers):
        await asyncio.sleep(0)
        turn += 1
    return list(sent.values())


async def receive() -> Message:
    """Never be called."""
    raise AssertionError


async def bodies(app: ASGIApp) -> Sequence[Any]:
    """Return the bodies of one answer."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        """Take a message."""
        messages.append(message)

    await app(SCOPE, receive, send)
    assert [*[True] * (len(messages) - 2), False] == [
        message.get("more_body", False) for message in messages[1:]
    ]
    return [message["body"] for message in messages[1:]]


class TestLargeInTurns:
    """What a crowd of clients can send in one turn."""

    def test_crowd(self) -> None:
        """However many ask for a large answer, a turn of the event loop sends one slice."""
        sent = asyncio.run(crowd(LargeInTurns(Response(LARGE)), 100))

        assert [1] * 100 * 6 == sent

    def test_everyone_has_turns(self) -> None:
        """The last of a crowd gets its first slice before the first gets its last."""
        order: list[int] = []

        async def answer(number: int, app: ASGIApp) -> None:
            """Note each body with the number of its answer."""

            async def send(message: Message) -> None:
                """Note a body."""
                if message.get("body"):
                    order.append(number)

            await app(SCOPE, receive, send)

        async def answers() -> None:
            """Ask many times at once."""
            app = LargeInTurns(Response(LARGE))
            await asyncio.gather(*(answer(number, app) for number in range(20)))

        asyncio.run(answers())

        assert list(range(20)) * 6 == order

    def test_small_answers_wait_for_nobody(self) -> None:
        """Answers of up to a slice are all sent at once."""
        assert [100] == asyncio.run(crowd(LargeInTurns(Response(SMALL)), 100))

    @pytest.mark.parametrize("body", [b"", SMALL])
    def test_small_answers_are_unchanged(self, body: bytes) -> None:
        """Answers of up to a slice are passed on as they are."""
        assert [body] == asyncio.run(bodies(LargeInTurns(Response(body))))

    def test_large_answers_are_complete(self) -> None:
        """A large answer is the same in its slices, none of which is a copy."""
        parts = asyncio.run(bodies(LargeInTurns(Response(LARGE))))

        assert [SLICE] * 5 + [3, 0] == list(map(len, parts))
        assert LARGE == b"".join(parts)
        assert all(part.obj is LARGE for part in parts[:-1])

    def test_an_answer_that_is_cancelled(self) -> None:
        """An answer that is cancelled while it waits takes nobody's turn."""

        async def cancelled() -> int:
            """Cancel all answers but one while they wait, and return the bodies of that one."""
            app = LargeInTurns(Response(LARGE))
            waiting = [asyncio.create_task(bodies(app)) for _ in range(8)]
            await asyncio.sleep(0)
            for task in waiting[:-1]:
                task.cancel()
            return len(await waiting[-1])

        assert 7 == asyncio.run(cancelled())
