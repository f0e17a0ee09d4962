"""The paths and their answers, over real sockets."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import requests
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.config import Config, as_yaml, loads
from exporter.web.app import Health, Pages, make_app
from exporter.web.server import Server
from exporter.web.turns import SLICE
from tests.support.serving import FakeHealth, serving_app
from tests.support.statuses import healthy

Serve = Callable[..., Server]

HANG = 20.0
"""Seconds after which a test fails because something hangs."""

# The library leaves these two without annotations.
generate_openmetrics: Callable[[CollectorRegistry], bytes] = exposition.generate_latest
parse_openmetrics: Callable[[str], Iterator[Metric]] = parser.text_string_to_metric_families


def registry() -> CollectorRegistry:
    """Return a registry with one gauge."""
    made = CollectorRegistry()
    Gauge("answer", "The answer.", ["question"], registry=made).labels("life").set(42)
    return made


@dataclass
class FakePages:
    """Pages as the publisher would render them, split into small chunks."""

    text: bytes = field(default_factory=lambda: generate_latest(registry()))
    openmetrics: bytes = field(default_factory=lambda: generate_openmetrics(registry()))

    def chunks(self, *, openmetrics: bool, compressed: bool) -> Sequence[bytes]:
        """Return one of the pages, in chunks of ten bytes and an empty one."""
        body = self.openmetrics if openmetrics else self.text
        body = gzip.compress(body) if compressed else body
        return [body[start : start + 10] for start in range(0, len(body), 10)] + [b""]


class BrokenPages:
    """A publisher with a bug."""

    def chunks(self, **_format: bool) -> Sequence[bytes]:
        """Fail with a message that must not be sent to clients."""
        raise RuntimeError("internal detail")


class TornPages(list[bytes]):
    """A body that breaks off after its first chunk."""

    def chunks(self, **_format: bool) -> Sequence[bytes]:
        """Return itself."""
        return self

    def __iter__(self) -> Iterator[bytes]:
        """Yield all chunks the first time, when lengths are added up; fail the second time."""
        yield self.pop(0)
        if not self:
            raise RuntimeError("internal detail")
        yield self[0]


@pytest.fixture
def ask(serve: Serve) -> Callable[..., requests.Response]:
    """Return a function that sends one request to a fresh server."""

    def send(
        path: str,
        method: str = "GET",
        *,
        pages: Pages | None = None,
        health: Health | None = None,
        headers: dict[str, str | None] | None = None,
        **options: Any,
    ) -> requests.Response:
        """Send and return the answer."""
        app = make_app(pages or FakePages(), health or FakeHealth(), healthy, **options)
        server = serve(app)
        url = f"http://{server.addresses[0]}{path}"
        plain: dict[str, Any] = {"Accept-Encoding": "identity"} | (headers or {})
        return requests.request(method, url, headers=plain, timeout=5, allow_redirects=False)

    return send


@pytest.fixture
def ask_raw(serve: Serve) -> Callable[[str], bytes]:
    """Return a function that sends a request line to a fresh server, and returns every byte."""

    def send(line: str) -> bytes:
        """Send and return the answer."""
        address = serve(make_app(FakePages(), FakeHealth(), healthy)).addresses[0]
        received = b""
        with socket.create_connection((address.host, address.port), timeout=5) as client:
            client.sendall(f"{line} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
            while chunk := client.recv(1 << 16):
                received += chunk
        return received

    return send


Ask = Callable[..., requests.Response]


class TestMetrics:
    """``/metrics``."""

    def test_text(self, ask: Ask) -> None:
        """Without an ``Accept`` header the client gets the text format."""
        response = ask("/metrics")
        families = {family.name: family for family in parse_text(response.text)}

        assert 200 == response.status_code
        assert "text/plain; version=0.0.4; charset=utf-8" == response.headers["Content-Type"]
        assert str(len(FakePages().text)) == response.headers["Content-Length"]
        assert 42 == families["answer"].samples[0].value

    @pytest.mark.parametrize("version", ["1.0.0", "0.0.1"])
    def test_openmetrics(self, ask: Ask, version: str) -> None:
        """A client that asks for OpenMetrics gets the requested version."""
        wanted = f"application/openmetrics-text;version={version}"
        response = ask("/metrics", headers={"Accept": wanted})
        families = {family.name: family for family in parse_openmetrics(response.text)}
        expected = f"application/openmetrics-text; version={version}; charset=utf-8"

        assert expected == response.headers["Content-Type"]
        assert 42 == families["answer"].samples[0].value

    def test_gzip(self, ask: Ask) -> None:
        """A client that accepts gzip gets it, and unpacks the same bytes."""
        response = ask("/metrics", headers={"Accept-Encoding": "gzip"})

        assert "gzip" == response.headers["Content-Encoding"]
        assert str(len(gzip.compress(FakePages().text))) == response.headers["Content-Length"]
        assert FakePages().text == response.content

    def test_no_gzip(self, ask: Ask) -> None:
        """A client that refuses gzip gets plain bytes."""
        assert (
            "Content-Encoding"
            not in ask("/metrics", headers={"Accept-Encoding": "gzip;q=0"}).headers
        )

    @pytest.mark.parametrize("accept_encoding", ["gzip", "identity"])
    def test_varies(self, ask: Ask, accept_encoding: str) -> None:
        """``Vary`` names the headers that the answer depends on."""
        response = ask("/metrics", headers={"Accept-Encoding": accept_encoding})

        assert "Accept, Accept-Encoding" == response.headers["Vary"]

    def test_head_equals_get(self, ask: Ask) -> None:
        """HEAD has the headers of GET and no body."""
        head, get = ask("/metrics", "HEAD"), ask("/metrics")
        del head.headers["Date"], get.headers["Date"]

        assert get.headers == head.headers
        assert b"" == head.content

    def test_empty_page(self, ask: Ask) -> None:
        """An empty page is a valid answer."""
        response = ask("/metrics", pages=FakePages(text=b""))

        assert 200 == response.status_code
        assert b"" == response.content

    def test_large_chunks_are_not_copied(self) -> None:
        """A large chunk is sent in slices that are views of the page's own memory."""
        page = bytes(3 * SLICE + 5)
        _, body = asyncio.run(answered(ChunkedPage([page])))

        assert [SLICE, SLICE, SLICE, 5] == [len(each) for each in body]
        assert all(isinstance(each, memoryview) and each.obj is page for each in body)

    def test_small_chunks_are_joined(self) -> None:
        """Small chunks are sent together, as many as a slice holds."""
        page = [bytes([number]) * (SLICE // 4) for number in range(10)]
        _, body = asyncio.run(answered(ChunkedPage(page)))

        assert [SLICE, SLICE, SLICE // 2] == [len(each) for each in body]
        assert b"".join(page) == b"".join(body)

    @given(st.lists(st.integers(0, 3 * 10), max_size=12))
    def test_slices(self, sizes: list[int]) -> None:
        """Whatever the chunks, their bytes are sent in order, in slices that are not too large."""
        page = [bytes([number]) * size for number, size in enumerate(sizes)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exporter.web.turns.SLICE", 10)
            _, body = asyncio.run(answered(ChunkedPage(page)))

        assert b"".join(page) == b"".join(body)
        assert all(0 < len(each) <= 10 for each in body)

    def test_repeated_accept_headers_are_one_list(self) -> None:
        """Repeated ``Accept`` headers count as one list."""
        accept = [(b"accept", b"text/plain;q=0.1"), (b"accept", b"application/openmetrics-text")]
        start, _ = asyncio.run(answered(ChunkedPage([]), accept))

        assert dict(start["headers"])[b"content-type"].startswith(b"application/openmetrics-text")


@dataclass(frozen=True)
class ChunkedPage:
    """The same page for everyone."""

    page: Sequence[bytes]

    def chunks(self, **_format: bool) -> Sequence[bytes]:
        """Return the page."""
        return self.page


async def answered(
    pages: Pages, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[Any, Sequence[bytes | memoryview]]:
    """Return the messages on ``GET /metrics``: the start of the answer, and the body's parts."""
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        """Return that there is nothing more."""
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        """Collect the message."""
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": list(headers)}
    await make_app(pages, FakeHealth(), healthy)(scope, receive, send)
    start, *parts, last = sent
    assert {"type": "http.response.body"} == last
    assert all(part["more_body"] for part in parts)
    return start, [part["body"] for part in parts]


class TestProbes:
    """``/-/healthy`` and ``/-/ready``."""

    @pytest.mark.parametrize(
        ("path", "health", "status", "text"),
        [
            ("/-/healthy", FakeHealth(), 200, "healthy\n"),
            ("/-/healthy", FakeHealth(untried="b"), 200, "healthy\n"),
            ("/-/healthy", FakeHealth(dead="it hangs"), 503, "not healthy: it hangs\n"),
            ("/-/ready", FakeHealth(), 200, "ready\n"),
            ("/-/ready", FakeHealth(untried="b"), 503, "not ready: b\n"),
        ],
    )
    def test_answer(self, ask: Ask, path: str, health: Health, status: int, text: str) -> None:
        """A probe answers 200, or 503 with what is missing, in one line."""
        response = ask(path, health=health)

        assert (status, text) == (response.status_code, response.text)
        assert "text/plain; charset=utf-8" == response.headers["Content-Type"]


class TestReload:
    """``/-/reload``."""

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_success(self, ask: Ask, method: str) -> None:
        """A reload that succeeds is answered with a line."""
        response = ask("/-/reload", method, reload=partial(done, []))

        assert (200, "configuration reloaded\n") == (response.status_code, response.text)

    def test_warnings(self, ask: Ask) -> None:
        """A reload that succeeds with warnings is answered with them, one in each line."""
        response = ask("/-/reload", "POST", reload=partial(done, [], ["one", "two"]))

        assert 200 == response.status_code
        assert "configuration reloaded\nwarning: one\nwarning: two\n" == response.text

    def test_failure(self, ask: Ask) -> None:
        """A reload that fails is a 500 with all problems, one in each line."""
        response = ask("/-/reload", "POST", reload=partial(done, ["one", "two"]))

        assert (500, "one\ntwo\n") == (response.status_code, response.text)
        assert "text/plain; charset=utf-8" == response.headers["Content-Type"]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
    def test_wrong_method(self, ask: Ask, method: str) -> None:
        """Any other method is 405, and reloads nothing."""
        response = ask("/-/reload", method, reload=lambda: pytest.fail("reloaded"))

        assert 405 == response.status_code
        assert "POST, PUT" == response.headers["Allow"]

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://evil.example"},
            {"Origin": "https://127.0.0.1", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "null"},
        ],
    )
    def test_page_of_another_site(self, ask: Ask, headers: dict[str, str]) -> None:
        """A browser cannot reload for the page of another site."""
        send = partial(ask, "/-/reload", "POST", reload=lambda: pytest.fail("reloaded"))
        response = send(headers=headers)

        assert 403 == response.status_code
        assert "another site" in response.text

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://public.example"},
            {"Origin": "http://here:10790", "Host": "here:10790"},
        ],
    )
    def test_page_of_the_same_site(self, ask: Ask, headers: dict[str, str]) -> None:
        """A browser can reload otherwise, also behind a proxy that changes the host."""
        response = ask("/-/reload", "POST", reload=partial(done, []), headers=headers)

        assert 200 == response.status_code

    def test_nothing_to_reload(self, ask: Ask) -> None:
        """Without a configuration file, the path does not exist."""
        assert 404 == ask("/-/reload", "POST").status_code


def done(
    problems: Sequence[str], warnings: Sequence[str] = ()
) -> Future[tuple[Sequence[str], Sequence[str]]]:
    """Return a reload that has ended."""
    future: Future[tuple[Sequence[str], Sequence[str]]] = Future()
    future.set_result((problems, warnings))
    return future


ORGANIZATIONS = "organizations: [{slug: %s, token_env: TOKEN}]"


class TestConfig:
    """``/config``."""

    @pytest.fixture
    def rendered(self, monkeypatch: pytest.MonkeyPatch) -> list[Config]:
        """Return the configurations that are rendered, one after the other."""
        rendered: list[Config] = []

        def render(config: Config) -> str:
            """Render, after noting what."""
            rendered.append(config)
            return as_yaml(config)

        monkeypatch.setattr("exporter.web.app.as_yaml", render)
        return rendered

    def test_shown(self, ask: Ask) -> None:
        """The configuration is plain text in UTF-8."""
        config = loads(ORGANIZATIONS % "acme")
        response = ask("/config", config=lambda: config)

        assert (200, as_yaml(config)) == (response.status_code, response.text)
        assert "text/plain; charset=utf-8" == response.headers["Content-Type"]

    def test_head(self, ask: Ask) -> None:
        """HEAD has the length, and no body."""
        config = loads(ORGANIZATIONS % "a")
        response = ask("/config", "HEAD", config=lambda: config)

        assert (200, b"") == (response.status_code, response.content)
        assert str(len(as_yaml(config))) == response.headers["Content-Length"]

    def test_wrong_method(self, ask: Ask) -> None:
        """Any other method is 405."""
        response = ask("/config", "POST", config=lambda: loads(ORGANIZATIONS % "a"))

        assert (405, "GET, HEAD") == (response.status_code, response.headers["Allow"])

    def test_rendered_once(self, serve: Serve, rendered: list[Config]) -> None:
        """A configuration is rendered with its first request only, and the next one anew."""
        first, second = (loads(ORGANIZATIONS % name) for name in ("first", "second"))
        current = [first]
        app = make_app(FakePages(), FakeHealth(), healthy, config=lambda: current[0])
        url = f"http://{serve(app).addresses[0]}/config"
        before = {requests.get(url, timeout=HANG).text for _ in range(5)}
        current[0] = second
        after = {requests.get(url, timeout=HANG).text for _ in range(5)}

        assert ({as_yaml(first)}, {as_yaml(second)}) == (before, after)
        assert [first, second] == rendered

    def test_many_at_once(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the text is rendered, once for all who ask, other paths are answered."""
        began, go_on = threading.Event(), threading.Event()
        rendered: list[Config] = []

        def render(config: Config) -> str:
            """Render slowly."""
            rendered.append(config)
            began.set()
            go_on.wait(HANG)
            return "Zürich"

        monkeypatch.setattr("exporter.web.app.as_yaml", render)
        config = loads(ORGANIZATIONS % "a")
        app = make_app(FakePages(), FakeHealth(), healthy, config=lambda: config)
        url = f"http://{serve(app).addresses[0]}"
        with ThreadPoolExecutor(20) as run:
            answers = [run.submit(requests.get, f"{url}/config", timeout=HANG) for _ in range(20)]
            assert began.wait(HANG)
            scrapes = [requests.get(f"{url}/metrics", timeout=HANG).status_code for _ in range(5)]
            go_on.set()

        assert [200] * 5 == scrapes
        assert {"Zürich"} == {answer.result().text for answer in answers}
        assert [config] == rendered

    def test_failure_is_not_remembered(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """A configuration that could not be rendered is rendered with the next request."""
        config = loads(ORGANIZATIONS % "a")
        app = make_app(FakePages(), FakeHealth(), healthy, config=lambda: config)
        url = f"http://{serve(app).addresses[0]}/config"
        with monkeypatch.context() as patch, structlog.testing.capture_logs():
            patch.setattr("exporter.web.app.as_yaml", lambda _: 1 / 0)
            failed = requests.get(url, timeout=HANG)

        assert 500 == failed.status_code
        assert as_yaml(config) == requests.get(url, timeout=HANG).text


class TestHome:
    """``/``."""

    def test_page(self, ask: Ask) -> None:
        """The status page is HTML with a strict content security policy."""
        response = ask("/")

        assert 200 == response.status_code
        assert "acme/outcomes" in response.text
        assert "text/html; charset=utf-8" == response.headers["Content-Type"]
        assert "nosniff" == response.headers["X-Content-Type-Options"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


class TestRefusals:
    """What does not exist, is not allowed, or is broken."""

    @pytest.mark.parametrize(
        "path", ["/metrics/", "/metric", "//", "/-/healthy/", "/favicon.ico", "/Metrics", "/-/"]
    )
    def test_unknown_path(self, ask: Ask, path: str) -> None:
        """An unknown path is 404, and nothing redirects."""
        response = ask(path)

        assert (404, "Not Found\n") == (response.status_code, response.text)

    @pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
    def test_wrong_method(self, ask: Ask, path: str, method: str) -> None:
        """A wrong method is 405, with the methods that are allowed."""
        response = ask(path, method)

        assert (405, "Method Not Allowed\n") == (response.status_code, response.text)
        assert "GET, HEAD" == response.headers["Allow"]

    @pytest.mark.parametrize("authority", ["http://host:10790", "HTTPS://[::1]", "http://other"])
    @pytest.mark.parametrize(
        ("path", "status"),
        [("/metrics", 200), ("/metrics?a=b", 200), ("/", 200), ("", 200), ("/%2D/ready", 200)],
    )
    def test_absolute_form(
        self, ask_raw: Callable[[str], bytes], authority: str, path: str, status: int
    ) -> None:
        """A target with scheme and authority is answered like one without."""
        answer = ask_raw(f"GET {authority}{path}")

        assert f"HTTP/1.1 {status} ".encode() == answer[:13]

    def test_absolute_form_is_refused_alike(self, ask_raw: Callable[[str], bytes]) -> None:
        """In this form, too, unknown paths and wrong methods are refused."""
        missing, wrong = ask_raw("GET http://host/nowhere"), ask_raw("POST http://host/metrics")

        assert missing.startswith(b"HTTP/1.1 404 ")
        assert wrong.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nallow: get, head\r\n" in wrong.lower()

    def test_options_of_the_server(self, ask_raw: Callable[[str], bytes]) -> None:
        """``OPTIONS *`` is answered with the methods that are allowed."""
        answer = ask_raw("OPTIONS *")

        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nallow: get, head\r\n" in answer.lower()

    @pytest.mark.parametrize("target", ["*", "host:80", "metrics", "ftp://host/metrics"])
    def test_other_targets_do_not_exist(self, ask_raw: Callable[[str], bytes], target: str) -> None:
        """Any other target is 404."""
        assert ask_raw(f"GET {target}").startswith(b"HTTP/1.1 404 ")

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/", 200), ("/-/healthy", 200), ("/-/ready", 200), ("/nowhere", 404)],
    )
    def test_head(self, ask: Ask, path: str, status: int) -> None:
        """HEAD works on every path."""
        response = ask(path, "HEAD")

        assert (status, b"") == (response.status_code, response.content)
        assert int(response.headers["Content-Length"]) > 0

    def test_failure_is_one_line(self, ask: Ask) -> None:
        """A bug is a 500 without details; the details are logged once."""
        with structlog.testing.capture_logs() as records:
            response = ask("/metrics", pages=BrokenPages())

        assert (500, "Internal Server Error\n") == (response.status_code, response.text)
        assert [("answering a request failed", "/metrics")] == [
            (it["event"], it["path"]) for it in records
        ]
        assert records[0]["exc_info"]

    def test_repeated_failure(self) -> None:
        """A bug that anybody can cause again and again is one line of the log."""
        app = make_app(BrokenPages(), FakeHealth(), healthy)
        with structlog.testing.capture_logs() as records, serving_app(app) as server:
            url = f"http://{server.addresses[0]}/metrics"
            statuses = {requests.get(url, timeout=HANG).status_code for _ in range(20)}

        assert {500} == statuses
        assert 1 == len(records)

    def test_failure_after_the_headers(self, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
        """A client can see that an answer breaks off; nothing is sent after it."""
        with (
            structlog.testing.capture_logs() as records,
            pytest.raises(requests.exceptions.ChunkedEncodingError),
        ):
            ask("/metrics", pages=TornPages([b"first", b"second"]))

        assert ["answering a request failed"] == [record["event"] for record in records]
        assert [] == [record for record in caplog.records if record.exc_info]

    def test_server_does_not_name_itself(self, ask: Ask) -> None:
        """No header names the server's software."""
        assert "Server" not in ask("/").headers
