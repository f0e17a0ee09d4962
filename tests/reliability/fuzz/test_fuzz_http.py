"""The exporter's own HTTP face, in a real process, against requests from a grammar."""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from exporter.simulator import Simulator, demo_world
from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.reliability.fuzz.http_answers import Answer, CutError, answers_in
from tests.reliability.fuzz.http_grammar import HIDDEN_ANSWER, Exchange, Grammar
from tests.support.certificates import Authority, hashed, tls_section, write_web_config
from tests.support.configuration import document
from tests.support.programs import TIMEOUT, Program, running

EXCHANGES = 2000
EXCHANGES_WITH_TLS = 150
CLIENTS = 8
"""How many send at the same time."""

QUIET = 0.05
"""Seconds without a byte after which a server that owes no answer is taken to wait for more."""

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: here\r\n%s\r\n"
LOGIN = b"Authorization: Basic YWxpY2U6c2VjcmV0\r\n"
"""That of alice, whose password is secret."""

Connect = Callable[[], socket.socket]


@contextmanager
def served(folder: Path, *flags: str | Path) -> Iterator[tuple[Program, tuple[str, int]]]:
    """Run the daemon with data of a simulated Sentry; the value has its address."""
    clock = clock_for_commands()
    with Simulator(demo_world(clock.now, projects=2), clock=clock, rate_limit=None) as sentry:
        path = folder / "config.yaml"
        path.write_text(document(sentry.url), "utf-8")
        listen = ("--config.file", str(path), "--web.listen-address", "127.0.0.1:0")
        command = (*COMMAND, "serve", *listen, *map(str, flags))
        with running(command, folder / "log") as program:
            host, _, port = program.wait_for(r"event=listening address=(\S+)").rpartition(":")
            program.wait_for("event=.first poll succeeded")
            yield program, (host, int(port))


def received_from(client: socket.socket, exchange: Exchange) -> tuple[bytes, bool]:
    """Send an exchange; return what came back, and whether the server has closed the connection."""
    for piece in exchange.pieces:
        try:
            client.sendall(piece)
        except OSError:
            # It has answered, and closed, before all was sent.
            break
    received = b""
    while True:
        client.settimeout(QUIET if is_enough(received, exchange) else TIMEOUT)
        try:
            piece = client.recv(1 << 16)
        except TimeoutError:
            assert is_enough(received, exchange), f"no answer to {exchange}"
            return received, False
        except OSError:
            return received, True
        if not piece:
            return received, True
        received += piece


def is_enough(received: bytes, exchange: Exchange) -> bool:
    """Return whether nothing more need come: all answers are complete and, if known, there.

    An end that is known to come is never early enough.
    """
    try:
        answers = answers_in(received, exchange.heads if exchange.statuses else None)
    except CutError:
        return False
    if exchange.statuses is None:
        return True
    return exchange.stays_open and len(answers) == len(exchange.statuses)


def check(connect: Connect, login: bytes, exchange: Exchange) -> None:
    """Make an exchange, then a scrape on the same connection if it is open, and on a new one."""
    with connect() as client:
        received, ended = received_from(client, exchange)
        answers = answers_in(received, exchange.heads if exchange.statuses else None)

        assert len(answers) <= exchange.most, exchange
        assert all(HIDDEN_ANSWER != answer.body for answer in answers), exchange
        assert 500 not in {answer.status for answer in answers}, exchange
        assert all(answer.closes for answer in answers if answer.status == 400), exchange
        if exchange.statuses is not None and not login:
            assert list(exchange.statuses) == [answer.status for answer in answers], exchange
            assert exchange.stays_open is not ended, exchange
        if exchange.stays_open and not ended:
            assert 200 == scraped(client, login).status, exchange
    with connect() as client:
        assert 200 == scraped(client, login).status, exchange


def scraped(client: socket.socket, login: bytes) -> Answer:
    """Return the answer to a scrape."""
    scrape = Exchange([SCRAPE % login], 1, [200], [False], stays_open=True)
    received, _ = received_from(client, scrape)
    (answer,) = answers_in(received)

    assert b"sentry_stats_up" in answer.body
    return answer


def exchanges(seed: int, number: int) -> Sequence[Exchange]:
    """Return exchanges, the same ones for the same ``seed``."""
    grammar = Grammar(seed)
    return list(islice(iter(grammar.exchange, None), number))


def all_checked(one: Callable[[Exchange], None], all_: Sequence[Exchange]) -> int:
    """Check exchanges, some at the same time; return their number."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return len(list(pool.map(one, all_)))


def test_grammar(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """Each answer is HTTP, no hidden request is answered, and the next scrape gets the page."""
    with served(tmp_path) as (program, address):
        connect = partial(socket.create_connection, address, TIMEOUT)
        number = all_checked(partial(check, connect, b""), exchanges(15, EXCHANGES))

        assert "Traceback" not in program.output()
        assert "level=error" not in program.output()
    tried("random inputs", number)


@pytest.mark.parametrize("encrypted", [True, False])
def test_grammar_with_tls(
    encrypted: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    tried: Callable[[str, int], None],
) -> None:
    """That holds with TLS and a login too, and for clients that send the same without TLS."""
    authority = Authority(tmp_path)
    users = {"basic_auth_users": {"alice": hashed("secret")}}
    path = write_web_config(tmp_path, tls_section(authority.issue()), users)
    context = ssl.create_default_context(cafile=authority.path)
    with served(tmp_path, "--web.config.file", path) as (program, address):

        def connect() -> socket.socket:
            plain = socket.create_connection(address, TIMEOUT)
            return context.wrap_socket(plain, server_hostname="127.0.0.1")

        one = partial(check, connect, LOGIN) if encrypted else partial(check_plain, address)
        number = all_checked(one, exchanges(16, EXCHANGES_WITH_TLS))
        with connect() as client:
            assert 200 == scraped(client, LOGIN).status

        assert "Traceback" not in program.output()
        assert "level=error" not in program.output()
    tried("random inputs", number)


def check_plain(address: tuple[str, int], exchange: Exchange) -> None:
    """Send an exchange without TLS to a port with TLS: it is closed, and may be answered 400."""
    with socket.create_connection(address, TIMEOUT) as client:
        for piece in exchange.pieces:
            try:
                client.sendall(piece)
            except OSError:
                break
        client.settimeout(TIMEOUT)
        try:
            received = client.recv(1 << 16)
        except OSError:
            received = b""

    assert not received or received.startswith(b"HTTP/1.0 400 ")
