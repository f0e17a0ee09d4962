"""What a client gets on a connection, taken apart by the rules of HTTP/1.1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STATUSES: Final = frozenset({200, 302, 400, 401, 403, 404, 405, 429, 500, 503})
"""What the exporter answers; a 500 is a failed reload, or a fault."""

CONTINUE: Final = 100
"""The status that asks for the body of a request, and has nothing itself."""

REDIRECT: Final = 302

_VERSION: Final = b"HTTP/1.1"
_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server says that it will close the connection."""
        return self.headers.get("connection") == "close"


class CutError(AssertionError):
    """The last answer is not complete."""


def answers_in(received: bytes, heads: Sequence[bool] | None = None) -> Sequence[Answer]:
    """Return the answers in ``received``; raise AssertionError unless they are HTTP and complete.

    ``heads`` says which of them are answers to HEAD, and have no body. Without it, those are taken
    for such ones after which the next answer begins, or nothing follows.
    """
    answers: list[Answer] = []
    while received:
        at = len(answers)
        head = None if heads is None else at < len(heads) and heads[at]
        answer, received = _first(received, is_head=head)
        assert not answers or not answers[-1].closes, "an answer after the last one"
        if answer.status != CONTINUE:
            answers.append(answer)
    return answers


def _first(received: bytes, *, is_head: bool | None) -> tuple[Answer, bytes]:
    head, end, after = received.partition(_END_OF_HEAD)
    if not end:
        raise CutError(f"the head of an answer is cut: {head[:80]!r}")
    line, *fields = head.split(b"\r\n")
    version, status, _phrase = line.split(b" ", 2)
    assert version == _VERSION
    headers = _headers(fields)
    if int(status) == CONTINUE:
        return Answer(CONTINUE, headers, b""), after
    assert int(status) in STATUSES, line
    assert "transfer-encoding" not in headers
    assert "content-type" in headers or int(status) == REDIRECT
    assert headers["content-length"].isdecimal()
    length = int(headers["content-length"])
    looks_like_head = not after or after.startswith(_VERSION + b" ")
    if looks_like_head if is_head is None else is_head:
        length = 0
    if len(after) < length:
        raise CutError("the body of an answer is cut")
    return Answer(int(status), headers, after[:length]), after[length:]


def _headers(fields: Sequence[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.decode("ascii").partition(": ")
        assert colon
        assert value.isprintable()
        assert name.lower() not in headers, f"{name} is there twice"
        headers[name.lower()] = value
    return headers
