"""What is done in place of an answer, down to single bytes."""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tests.support.fault_proxy import Act, Endpoint, Exchange, endpoint_of
from tests.support.scripted_server import reply

OK: Final = "HTTP/1.1 200 OK\r\n"


def status(line: str, body: bytes = b"", *headers: str) -> Act:
    """Return what answers with a status line, by default without a body."""

    def act(exchange: Exchange) -> None:
        exchange.send(reply(body, line, *headers))

    return act


def refused(line: str, text: str) -> Act:
    """Return what answers as Sentry explains a refusal."""
    return status(line, b'{"detail":"%s"}' % text.encode(), "Content-Type: application/json")


def raw(data: bytes, *, close: bool = True) -> Act:
    """Return what sends ``data`` instead of an answer."""

    def act(exchange: Exchange) -> None:
        exchange.send(data, close=close)

    return act


def after_head(head: str, *, close: bool = True) -> Act:
    """Return what sends the body of the answer after another head, which lacks its end."""

    def act(exchange: Exchange) -> None:
        body = exchange.answer.body
        lines = f"{OK}{_own(exchange)}{head}\r\n".replace("{size}", f"{len(body)}")
        exchange.send(lines.encode() + body, close=close)

    return act


def _own(exchange: Exchange) -> str:
    """Return the headers that the answer has, of which a projects list needs one."""
    return "".join(f"{name}: {text}\r\n" for name, text in exchange.answer.headers)


def with_headers(*headers: str) -> Act:
    """Return what sends the answer with more headers."""

    def act(exchange: Exchange) -> None:
        exchange.send(exchange.bytes(None, *headers))

    return act


def body(data: bytes, *headers: str) -> Act:
    """Return what answers 200 with another body."""
    return status("200 OK", data, *headers)


def encoded(how: Callable[[bytes], bytes], encoding: str) -> Act:
    """Return what sends the answer's body encoded in a way, and says that it is ``encoding``."""

    def act(exchange: Exchange) -> None:
        data = how(exchange.answer.body)
        exchange.send(exchange.bytes(data, f"Content-Encoding: {encoding}"))

    return act


def edited(how: Callable[[bytes], bytes]) -> Act:
    """Return what sends another body in place of the answer's."""

    def act(exchange: Exchange) -> None:
        exchange.send(exchange.bytes(how(exchange.answer.body)))

    return act


def chunked(*chunks: bytes, head: str = "Transfer-Encoding: chunked\r\n") -> Act:
    """Return what sends the body between chunks of bytes as they are."""

    def act(exchange: Exchange) -> None:
        data = exchange.answer.body
        parts = b"".join(chunks).replace(b"{body}", data).replace(b"{size}", b"%x" % len(data))
        exchange.send(f"{OK}{_own(exchange)}{head}\r\n".encode() + parts, close=True)

    return act


def reset(exchange: Exchange) -> None:
    """Reset the connection before the headers."""
    exchange.reset()


def reset_after(head: str, share: float = 0) -> Act:
    """Return what resets the connection after the headers, and a share of the body."""

    def act(exchange: Exchange) -> None:
        data = exchange.answer.body
        exchange.send(f"{OK}{head}\r\n".encode() + data[: int(len(data) * share)])
        # The client would lose what it has not read yet.
        exchange.peer.linger(0.05)
        exchange.reset()

    return act


def endless(head: bytes, data: bytes) -> Act:
    """Return what sends ``data`` after a head until the client has enough."""

    def act(exchange: Exchange) -> None:
        exchange.send(head)
        exchange.closing = True
        exchange.pour(data)

    return act


def bomb(size: int) -> bytes:
    """Return zeros that take a thousandth of their size."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join([*(packed.compress(zeros) for _ in range(size >> 20)), packed.flush()])


Place = Mapping[Endpoint, tuple[str | int, ...]]
"""Where something is in the answers of each endpoint."""


class Text(str):
    """JSON as it is to be sent."""

    __slots__ = ()


def put(place: Place, value: object) -> Act:
    """Return what puts ``value`` at a place of the answer."""
    return change(place, lambda inner, key: inner.__setitem__(key, value))


def drop(place: Place) -> Act:
    """Return what removes the value at a place of the answer."""
    return change(place, lambda inner, key: inner.__delitem__(key))


def change(place: Place, how: Callable[[Any, Any], None]) -> Act:
    """Return what changes the answer: ``how`` gets what holds the place, and its last key."""

    def act(exchange: Exchange) -> None:
        document = exchange.document()
        path = place[endpoint_of(exchange.request.path)]
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        how(inner, path[-1])
        exchange.send(exchange.bytes(dumped(document)))

    return act


def dumped(document: object) -> bytes:
    """Return a document as bytes, `Text` in it as it is."""
    texts: list[Text] = []

    def named(value: object) -> object:
        if isinstance(value, Text):
            texts.append(value)
            return f"@@{len(texts) - 1}@@"
        if isinstance(value, dict):
            return {key: named(one) for key, one in value.items()}
        return [named(one) for one in value] if isinstance(value, list) else value

    data = json.dumps(named(document)).encode()
    for number, text in enumerate(texts):
        data = data.replace(b'"@@%d@@"' % number, text.encode("utf-8", "surrogateescape"))
    return data


def interim(data: bytes) -> Act:
    """Return what sends ``data`` before the answer."""

    def act(exchange: Exchange) -> None:
        exchange.send(data + exchange.bytes())

    return act


def edited_document(how: Callable[[Any], object]) -> Act:
    """Return what sends the answer after ``how`` has changed its document."""

    def act(exchange: Exchange) -> None:
        document = exchange.document()
        how(document)
        exchange.send(exchange.bytes(dumped(document)))

    return act


def linked(how: Callable[[str], str]) -> Act:
    """Return what sends a page with another ``Link`` header; without any where that is empty."""

    def act(exchange: Exchange) -> None:
        headers = dict(exchange.answer.headers)
        link = how(headers.pop("Link", ""))
        headers |= {"Link": link} if link else {}
        exchange.answer = replace(exchange.answer, headers=tuple(headers.items()))
        exchange.send(exchange.bytes())

    return act


def without_date(exchange: Exchange) -> None:
    """Send the answer without its date."""
    exchange.send(exchange.bytes().replace(exchange.date.encode() + b"\r\n", b"", 1))
