"""What stands before every path, over real sockets: login, headers and the rate limit."""

import gzip
import socket
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter.web.app import make_app
from exporter.web.live import LiveWebConfig
from exporter.web.server import Server
from tests.support.certificates import hashed, write_web_config
from tests.support.clock import Clock
from tests.support.serving import FakeHealth, serving_app
from tests.support.statuses import healthy

HANG = 5.0
USERS = {"basic_auth_users": {"alice": hashed("right"), "zoë": hashed("pässwörd")}}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'",
    "Strict-Transport-Security": "max-age=3600",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "sameorigin",
    "X-XSS-Protection": "0",
}
PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/nothing")


class OnePage:
    """An exporter that publishes one line."""

    def chunks(self, *, compressed: bool, **_format: bool) -> list[bytes]:
        """Return the page."""
        return [gzip.compress(b"page\n") if compressed else b"page\n"]


APP = make_app(OnePage(), FakeHealth(), healthy)


@pytest.fixture
def served(tmp_path: Path) -> Callable[..., Any]:
    """Return a context manager that serves the paths of the exporter with some settings."""

    def serve(*sections: Any, **options: Any) -> Any:
        """Serve during the block."""
        web = LiveWebConfig(write_web_config(tmp_path, *sections))
        return serving_app(APP, web=web, **options)

    return serve


def answer(server: Server, path: str = "/metrics", **more: Any) -> requests.Response:
    """Return the answer to a request."""
    return requests.request(
        more.pop("method", "GET"), f"http://{server.addresses[0]}{path}", timeout=HANG, **more
    )


class TestLogin:
    """Who gets an answer."""

    @pytest.mark.parametrize("path", PATHS)
    def test_every_path_needs_it(self, served: Callable[..., Any], path: str) -> None:
        """Without a login every path answers 401, those for probes too, as with the toolkit."""
        with served(USERS) as server:
            refused = answer(server, path)

        assert (401, "Unauthorized\n") == (refused.status_code, refused.text)
        assert (
            'Basic realm="sentry-stats-exporter", charset="UTF-8"'
            == refused.headers["WWW-Authenticate"]
        )

    def test_right(self, served: Callable[..., Any]) -> None:
        """A right login gets the answer."""
        with served(USERS) as server:
            assert "page\n" == answer(server, auth=("alice", "right")).text

    def test_utf_8(self, served: Callable[..., Any]) -> None:
        """Names and passwords are UTF-8."""
        login = "zoë".encode(), "pässwörd".encode()
        with served(USERS) as server:
            assert 200 == answer(server, auth=login).status_code

    @pytest.mark.parametrize(
        "login",
        [
            b"alice:wrong",
            b"nobody:right",
            b"alice:",
            b"alice",
            b"alice:" + b"x" * 73,
            b"alice:right\0right",
            b"\xff\xfe:\xff",
        ],
    )
    def test_wrong(self, served: Callable[..., Any], login: bytes) -> None:
        """Anything else is a 401, and the same one."""
        header = {"Authorization": f"Basic {b64encode(login).decode()}"}
        with served(USERS) as server:
            wrong, missing = answer(server, headers=header), answer(server)

        assert (401, missing.text) == (wrong.status_code, wrong.text)
        assert set(missing.headers) == set(wrong.headers)

    def test_header_that_is_repeated(self, served: Callable[..., Any]) -> None:
        """Of two logins none counts: a proxy may have looked at the other one."""
        line = b"Authorization: Basic " + b64encode(b"alice:right") + b"\r\n"
        with served(USERS) as server:
            address = server.addresses[0]
            with socket.create_connection((address.host, address.port), timeout=HANG) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + line * 2 + b"\r\n")

                assert b"HTTP/1.1 401" == client.recv(12)

    def test_body_of_a_refused_request(self, served: Callable[..., Any]) -> None:
        """A request with a body is refused like one without."""
        with served(USERS) as server:
            assert 401 == answer(server, method="POST", data=b"x" * 1_000_000).status_code


class TestHeaders:
    """What every answer has."""

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("login", [None, ("alice", "right")])
    def test_on_every_path(
        self, served: Callable[..., Any], path: str, login: tuple[str, str] | None
    ) -> None:
        """Every answer has every header once, with the value of the file."""
        with served(USERS, {"http_server_config": {"headers": HEADERS}}) as server:
            headers = answer(server, path, auth=login).headers

        assert HEADERS == {name: headers[name] for name in HEADERS}

    def test_on_errors(self, served: Callable[..., Any]) -> None:
        """They are on refusals too, also on those of requests that cannot be parsed."""
        with served({"http_server_config": {"headers": HEADERS}}) as server:
            address = server.addresses[0]
            wrong_method = answer(server, method="POST")
            with socket.create_connection((address.host, address.port), timeout=HANG) as client:
                client.sendall(b"nonsense\r\n\r\n")
                malformed = client.recv(1 << 16)

        assert 405 == wrong_method.status_code
        assert HEADERS == {name: wrong_method.headers[name] for name in HEADERS}
        assert b"HTTP/1.1 400 Bad Request\r\n" == malformed[:26]
        assert all(
            f"{name.lower()}: {value}\r\n".encode() in malformed for name, value in HEADERS.items()
        )

    def test_empty_value(self, served: Callable[..., Any]) -> None:
        """A header with an empty value is not sent."""
        with served({"http_server_config": {"headers": {"X-Frame-Options": ""}}}) as server:
            assert "X-Frame-Options" not in answer(server).headers


class TestRateLimit:
    """How many requests are answered."""

    def test_burst_and_interval(self, served: Callable[..., Any]) -> None:
        """A burst is answered, then one request for each interval; the others get 429."""
        clock = Clock()
        limit = {"rate_limit": {"interval": "10s", "burst": 2}}
        with served(limit, clock=clock) as server:
            burst = [answer(server).status_code for _ in range(4)]
            clock.now += 10
            later = [answer(server).status_code for _ in range(2)]

        assert [200, 200, 429, 429, 200, 429] == burst + later

    def test_before_login(self, served: Callable[..., Any]) -> None:
        """Wrong logins count."""
        limit = {"rate_limit": {"interval": "1h", "burst": 1}}
        with served(limit, USERS) as server:
            wrong = answer(server).status_code
            right = answer(server, auth=("alice", "right"))

        assert (401, 429, "1") == (wrong, right.status_code, right.headers["Retry-After"])
