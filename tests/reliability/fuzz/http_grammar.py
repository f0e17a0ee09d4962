"""A generator of requests: valid ones, ones that are nearly valid, and ones that hide another.

The same random numbers make the same requests.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

HOST: Final = "Host: here"
HIDDEN: Final = b"GET /-/healthy HTTP/1.1\r\nHost: here\r\n\r\n"
"""What the bodies of requests hold: no request of its own, and so it never has an answer."""

HIDDEN_ANSWER: Final = b"healthy\n"

STATUSES: Final[Mapping[tuple[str, str], int]] = MappingProxyType(
    {
        ("GET", "/metrics"): 200,
        ("HEAD", "/metrics"): 200,
        ("POST", "/metrics"): 405,
        ("GET", "/metrics?x=%00&y[]=%ff"): 200,
        ("GET", "http://other.example:80/metrics"): 200,
        ("GET", "/metrics/"): 404,
        ("GET", "//metrics"): 404,
        ("GET", "/metrics%00"): 404,
        ("GET", "/%ff%0d%0aSet-Cookie:%20a=b"): 404,
        ("GET", "/../../etc/passwd"): 404,
        ("GET", "/{0}%7B%25s"): 404,
        ("GET", "/" + "a" * 5000): 404,
        ("GET", "/config"): 200,
        ("DELETE", "/config"): 405,
        ("GET", "/-/ready"): 200,
        ("GET", "/-/reload"): 405,
        ("OPTIONS", "*"): 405,
        ("PURGE", "/"): 405,
        ("CONNECT", "here:80"): 404,
    }
)
"""Requests that HTTP allows, and what is answered to each."""

_HEADERS: Final = (
    *(
        "Accept: */*",
        "Accept: application/openmetrics-text;version=1.0.0",
        "Accept:",
        "Accept: ;q=é",
    ),
    *("Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0, *;q=0.1", "Accept-Encoding: \t,,"),
    *("User-Agent: Prometheus/3.0", "X-Empty:", "Cookie: a=b; c", "Range: bytes=0-5"),
    *("If-None-Match: *", "If-Modified-Since: yesterday", "Upgrade: h2c", "Upgrade: websocket"),
    *("Authorization: Basic !", "Origin: null", "Forwarded: for=_x", "X-Forwarded-Prefix: /../"),
    *("Expect: 100-continue", "TE: trailers", "Trailer: X", "X-Long: " + "x" * 3000),
)
_METHODS: Final = (
    *(
        "get",
        "GETT",
        "G@T",
        "",
        "\x00GET",
        "GET\t",
        "PRI",
        "X" * 300,
        "GÉT",
        "TRACE",
        "HEAD",
        "POST",
    ),
)
_TARGETS: Final = (
    *(
        "",
        " ",
        "metrics",
        "/metrics /x",
        "/met\trics",
        "/\x00",
        "/é",
        "http://",
        "https:///metrics",
    ),
    *("http://[::1", "/" + "%" * 9, "/metrics#x", "\\metrics", "/" + "a" * 70_000, "*", "?", "//"),
)
_VERSIONS: Final = (
    *(
        "HTTP/1.0",
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/9.9",
        "http/1.1",
        "HTTP/1.1 ",
        "HTTP/1.10",
    ),
    *("HTTP/11", "HTTP/-1.1", "ICY", "", "HTTP/1,1", "HTTP/1.1\x00"),
)
_LINES: Final = (
    *(
        "Host:",
        "Host: a\r\nHost: b",
        "Host: a, b",
        "Host: [::1",
        ": no name",
        "No colon",
        "Name : x",
    ),
    *(
        " folded",
        "\tfolded",
        "X: \x00",
        "X: \x7f",
        "X: a\rb",
        "É: x",
        "X\x00: y",
        "X: a\n\tb",
        "(X): y",
    ),
    *(
        "Content-Length: 5",
        "Content-Length: 99999999999999999999",
        "Connection: close, , keep-alive",
    ),
    *("Expect: 100-continue\r\nContent-Length: 3", "Transfer-Encoding: chunked"),
)
_LENGTHS: Final = (
    *(
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5;5",
        "5, 6",
        "5.0",
        "\u0665",
        "5\x0b",
        "5_0",
        "1e1",
        "",
        "5\r\n 0",
        "'5'",
    ),
)
_CODINGS: Final = (
    *("xchunked", "chunked, identity", "identity", "gzip, chunked", "chunked, chunked", "cow", ""),
    *("\x0bchunked", "chunked\x00", "chunked;q=1", '"chunked"', "chunked\r\n , gzip", "chunk"),
)
_SIZES: Final = (
    *(
        "0x5",
        "-5",
        "+5",
        "5_0",
        "",
        " ",
        "zz",
        "5 5",
        "5\t\x00",
        "fffffffffffffffffffff",
    ),
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client sends, in ``pieces``, and what it may be answered.

    ``statuses`` are those of all answers; None where the requests are not valid, and then there are
    ``most`` answers at the most. ``heads`` says which answers have no body. ``stays_open`` says
    that another request may follow.
    """

    pieces: Sequence[bytes]
    most: int
    statuses: Sequence[int] | None = None
    heads: Sequence[bool] = ()
    stays_open: bool = False


class Grammar:
    """Makes exchanges from random numbers."""

    def __init__(self, seed: int) -> None:
        self._picker = random.Random(seed)
        self._hidden = (
            self._two_framings,
            self._bad_length,
            self._bad_coding,
            self._bad_chunk,
            partial(self._body_of, "GET"),
            partial(self._body_of, "POST"),
        )

    def exchange(self) -> Exchange:
        """Return the next exchange."""
        kind = self._picker.randrange(8)
        if kind < 3:
            return self._valid()
        if kind < 6:
            return self._pieces(self._nearly(), 2)
        return self._picker.choice(self._hidden)()

    def _valid(self) -> Exchange:
        """Return requests one after another, without waiting for answers."""
        requests = self._picker.choices(list(STATUSES), k=self._picker.choice((1, 1, 2, 4)))
        # What follows CONNECT is no request: the client waits for the answer.
        methods = [method for method, _ in requests]
        if "CONNECT" in methods:
            requests = requests[: methods.index("CONNECT") + 1]
        texts = [self._request(*one) for one in requests]
        closes = self._likely(0.3)
        if closes:
            texts[-1] = texts[-1].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
        exchange = self._pieces("".join(texts), len(requests))
        return Exchange(
            exchange.pieces,
            len(requests),
            [STATUSES[one] for one in requests],
            [method == "HEAD" for method, _ in requests],
            stays_open=not closes,
        )

    def _request(self, method: str, target: str) -> str:
        lines = [HOST, *self._some(_HEADERS)]
        body = ""
        if any(line.startswith("Expect") for line in lines) or self._likely(0.2):
            body = HIDDEN.decode()
            framing = f"Content-Length: {len(body)}"
            if self._likely(0.5):
                body, framing = self._chunked(body), "Transfer-Encoding: chunked"
            lines.append(framing)
        self._picker.shuffle(lines)
        return (
            f"{method} {target} HTTP/1.1\r\n"
            + "".join(f"{one}\r\n" for one in lines)
            + f"\r\n{body}"
        )

    def _nearly(self) -> str:
        """Return a request of which one part or two are not as they should be."""
        method, target, version, space, end = "GET", "/metrics", "HTTP/1.1", " ", "\r\n"
        lines = [HOST, *self._some(_HEADERS)]
        for _ in range(self._picker.choice((1, 1, 2))):
            match self._picker.randrange(7):
                case 0:
                    method = self._picker.choice(_METHODS)
                case 1:
                    target = self._picker.choice(_TARGETS)
                case 2:
                    version = self._picker.choice(_VERSIONS)
                case 3:
                    space = self._picker.choice(("\t", "  ", "", "\x0b", "\r", "\xa0"))
                case 4:
                    end = self._picker.choice(("\n", "\r", "\r\r\n", "\n\n", "\r\n\r\n"))
                case 5:
                    lines = [f"X-{number}: x" for number in range(self._picker.choice((100, 9000)))]
                case _:
                    lines.insert(self._picker.randint(0, len(lines)), self._picker.choice(_LINES))
        head = end.join([space.join([method, target, version]), *lines])
        return f"{head}{end}{end}{self._picker.choice(('', '', HIDDEN.decode()[:7]))}"

    def _two_framings(self) -> Exchange:
        """Return a request whose body ends elsewhere for whoever goes by the other header."""
        body = f"0\r\n\r\n{HIDDEN.decode()}"
        lengths = [f"Content-Length: {number}" for number in (0, 5, len(body))]
        framings = [self._picker.choice(lengths), "Transfer-Encoding: chunked"]
        if self._likely(0.3):
            framings = self._picker.sample(lengths, 2)
        self._picker.shuffle(framings)
        return self._framed("\r\n".join(framings), body)

    def _bad_length(self) -> Exchange:
        return self._framed(f"Content-Length: {self._picker.choice(_LENGTHS)}", HIDDEN.decode())

    def _bad_coding(self) -> Exchange:
        coding = self._picker.choice(_CODINGS)
        return self._framed(f"Transfer-Encoding: {coding}", f"0\r\n\r\n{HIDDEN.decode()}")

    def _bad_chunk(self) -> Exchange:
        size, end = self._picker.choice(_SIZES), self._picker.choice(("\r\n", "\n", "\r", ""))
        if self._likely(0.5):
            size, end = "5", self._picker.choice(("\n", "\r", ""))
        body = f"{size}{end}abcde{end}0\r\n\r\n{HIDDEN.decode()}"
        return self._framed("Transfer-Encoding: chunked", body)

    def _body_of(self, method: str) -> Exchange:
        body = HIDDEN.decode() * self._picker.choice((1, 3))
        return self._framed(f"Content-Length: {len(body)}", body, method)

    def _framed(self, framing: str, body: str, method: str = "POST") -> Exchange:
        text = f"{method} /metrics HTTP/1.1\r\n{HOST}\r\n{framing}\r\n\r\n{body}"
        return self._pieces(text, 1)

    def _pieces(self, text: str, most: int) -> Exchange:
        """Return ``text`` as an exchange, in some pieces."""
        data = text.encode("utf-8", "surrogateescape")
        cuts = sorted(
            self._picker.randint(0, len(data)) for _ in range(self._picker.choice((0, 0, 1, 3)))
        )
        ends = zip([0, *cuts], [*cuts, len(data)], strict=True)
        return Exchange([data[start:end] for start, end in ends], most)

    def _chunked(self, body: str) -> str:
        at = self._picker.randint(1, len(body) - 1)
        parts = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (body[:at], body[at:]))
        return f"{parts}0\r\n{self._picker.choice(('', 'X-Trailer: x' + chr(13) + chr(10)))}\r\n"

    def _likely(self, probability: float) -> bool:
        return self._picker.random() < probability

    def _some(self, lines: Sequence[str]) -> list[str]:
        return self._picker.sample(lines, self._picker.choice((0, 0, 1, 3)))
