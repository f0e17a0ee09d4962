"""Listen addresses."""

import socket
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.address import Address, bind, bound_address, parse_address

HOSTS = st.one_of(
    st.just(""),
    st.from_regex(r"[a-z][a-z0-9.-]*", fullmatch=True),
    st.ip_addresses().map(str),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":10790", Address("", 10790)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:9", Address("::1", 9)),
        ("[::]:65535", Address("::", 65535)),
        ("[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
        ("localhost:80", Address("localhost", 80)),
    ],
)
def test_parse(text: str, expected: Address) -> None:
    """Every usual form of a listen address is accepted."""
    assert expected == parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10790",
        "localhost",
        "localhost:",
        ":65536",
        ":-1",
        ":1_0",
        ": 80",
        ":٣",
        ":999999",
        "::1:80",
        "[::1]",
        "[localhost]:80",
        "[127.0.0.1]:80",
        "[]:80",
        "http://localhost:80",
        "a b:80",
        ":80\n",
        "é:80",
    ],
)
def test_parse_refuses(text: str) -> None:
    """Anything else is refused, with the forms that are allowed."""
    with pytest.raises(ValueError, match=r"not a listen address: use ':10790'"):
        parse_address(text)


@given(HOSTS, st.integers(min_value=0, max_value=65535))
def test_written_and_read_again(host: str, port: int) -> None:
    """An address is written in the form in which it is parsed."""
    address = Address(host, port)

    assert address == parse_address(str(address))


def test_bind_picks_a_port() -> None:
    """Port 0 becomes a free port, on the requested host."""
    with closing(bind(parse_address("127.0.0.1:0"))) as listener:
        address = bound_address(listener)

    assert "127.0.0.1" == address.host
    assert address.port > 0


def test_bind_prefers_version_4() -> None:
    """Of a name with several addresses, the one that most clients use is bound."""
    with closing(bind(parse_address("localhost:0"))) as listener:
        assert "127.0.0.1" == bound_address(listener).host


def test_bind_every_interface() -> None:
    """An empty host accepts connections over IPv4, and over IPv6 if the system has it."""
    hosts = ["127.0.0.1"] + ["::1"] * socket.has_dualstack_ipv6()
    with closing(bind(parse_address(":0"))) as listener:
        port = bound_address(listener).port
        for host in hosts:
            socket.create_connection((host, port), timeout=5).close()


def test_bind_every_interface_without_version_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPv6, an empty host means every IPv4 interface."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with closing(bind(parse_address(":0"))) as listener:
        assert socket.AF_INET == listener.family


def test_bind_taken() -> None:
    """An address that is in use is an error that names it."""
    with closing(bind(parse_address("127.0.0.1:0"))) as listener:
        address = bound_address(listener)
        with pytest.raises(OSError, match=str(address.port)):
            bind(address)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "." * 3])
def test_bind_no_name(host: str) -> None:
    """A name that no resolver can be asked for is unknown, like any other that does not exist."""
    with pytest.raises(OSError, match="Name or service not known"):
        bind(parse_address(f"{host}:80"))
