"""``/sd`` and the parts of the page, over real sockets."""

import asyncio
import socket
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from exporter.collect.snapshot import ProjectInfo
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.threads import start_thread
from exporter.web import parts
from exporter.web.app import make_app
from exporter.web.live import LiveWebConfig
from exporter.web.parts import MAX_SIZE, VMAGENT_LIMIT, SizeLog
from exporter.web.prefix import ExternalUrl
from exporter.web.server import Server
from tests.publish.reports import report
from tests.support.certificates import Authority, tls_section, write_web_config
from tests.support.certificates import get as get_securely
from tests.support.programs import TIMEOUT
from tests.support.serving import FakeHealth
from tests.support.statuses import healthy

Serve = Callable[..., Server]
Key = tuple[str, ...]

SIZES: dict[Key, int] = {
    (): 900,
    ("acme",): 100,
    ("acme", "outcomes"): 10,
    ("acme", "projects"): 20,
    ("globex",): 100,
}
LARGE = SIZES | {("acme", "projects"): MAX_SIZE}


class FakePage:
    """A page of which parts say what was asked for."""

    def __init__(self, sizes: Mapping[Key, int] = SIZES) -> None:
        self.known = sizes

    def sizes(self) -> Mapping[Key, int]:
        """Return the given sizes."""
        return self.known

    def chunks(self, **_format: bool) -> Sequence[bytes]:
        """Return the page."""
        return [b"everything\n"]

    def part(self, names: Collection[str], **_format: bool) -> Sequence[bytes]:
        """Return the names; none is called ``missing``."""
        if "missing" in names:
            raise KeyError("missing")
        return [f"{name}\n".encode() for name in names]


@pytest.fixture
def address(serve: Serve) -> Callable[..., str]:
    """Return a function that serves a page, and returns its address."""

    def start(page: FakePage | None = None, prefix: str = "", **options: Any) -> str:
        shown = page or FakePage()
        external = options.pop("external", None)
        app = make_app(shown, FakeHealth(), healthy, prefix, parts=shown, external=external)
        return str(serve(app, **options).addresses[0])

    return start


def get(url: str, **options: Any) -> requests.Response:
    """Return the answer to a request, which is not compressed."""
    headers = {"Accept-Encoding": "identity", **options.pop("headers", {})}
    return requests.get(url, headers=headers, timeout=TIMEOUT, **options)


def target(address: str, part: str, path: str = "/metrics", scheme: str = "http") -> object:
    """Return an element of the list."""
    return {
        "targets": [address],
        "labels": {
            "__scheme__": scheme,
            "__metrics_path__": path,
            "__param_organization": part,
            "part": part,
        },
    }


class TestTargets:
    """What ``/sd`` lists."""

    def test_organizations(self, address: Callable[..., str]) -> None:
        """The parts are the exporter itself and each organization, at the address in use."""
        own = address()
        answer = get(f"http://{own}/sd")

        assert (200, "application/json") == (answer.status_code, answer.headers["Content-Type"])
        assert [target(own, name) for name in ("/", "acme", "globex")] == answer.json()

    def test_large_organization(self, address: Callable[..., str]) -> None:
        """An organization that is too large is listed by query, and stays so when it shrinks."""
        page = FakePage(LARGE)
        own = address(page)
        names = ["/", "acme/", "acme/outcomes", "acme/projects", "globex"]

        assert [target(own, name) for name in names] == get(f"http://{own}/sd").json()
        page.known = SIZES
        assert [target(own, name) for name in names] == get(f"http://{own}/sd").json()

    def test_many_at_once(self, serve: Serve) -> None:
        """Requests that come while the parts are looked at get the same list."""
        arrived, looks = threading.Barrier(5, timeout=TIMEOUT), list[int]()

        class SlowPage(FakePage):
            """Has an answer once all requests have come."""

            def sizes(self) -> Mapping[Key, int]:
                """Return the given sizes, late."""
                looks.append(len(looks))
                arrived.wait()
                return super().sizes()

        page = SlowPage()
        app = make_app(page, FakeHealth(), healthy, parts=page)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            """Answer once the request has been counted."""
            asyncio.get_running_loop().call_soon(start_thread, arrived.wait)
            await app(scope, receive, send)

        own = serve(counted).addresses[0]
        with ThreadPoolExecutor(4) as clients:
            lists = list(clients.map(get, [f"http://{own}/sd"] * 4))

        assert [0] == looks
        assert [200] * 4 == [answer.status_code for answer in lists]

    def test_host_header(self, address: Callable[..., str]) -> None:
        """A proxy may pass on the host that the client has asked; its port is that of HTTP."""
        answer = get(f"http://{address()}/sd", headers={"Host": "stats.example.com"})

        assert target("stats.example.com:80", "/") == answer.json()[0]

    def test_prefix(self, address: Callable[..., str]) -> None:
        """The path has the prefix of the exporter's paths."""
        own = address(prefix="/stats")

        assert target(own, "/", "/stats/metrics") == get(f"http://{own}/stats/sd").json()[0]

    @pytest.mark.parametrize(
        ("external", "expected"),
        [
            (("https", "example.com", "/a"), ("example.com:443", "/a/metrics", "https")),
            (("https", "example.com:8443", ""), ("example.com:8443", "/metrics", "https")),
            (("http", "[::1]", "/a"), ("[::1]:80", "/a/metrics", "http")),
        ],
    )
    def test_external_url(
        self,
        address: Callable[..., str],
        external: tuple[str, str, str],
        expected: tuple[str, str, str],
    ) -> None:
        """Clients are sent to the external URL, even if a proxy has removed its path."""
        answer = get(f"http://{address(external=ExternalUrl(*external))}/sd")

        host, path, scheme = expected
        assert target(host, "/", path, scheme) == answer.json()[0]

    def test_external_path(self, address: Callable[..., str]) -> None:
        """If the external URL is only a path, the host is the one that was asked."""
        own = address(external=ExternalUrl("", "", "/a"))

        assert target(own, "/", "/a/metrics") == get(f"http://{own}/sd").json()[0]

    def test_tls(self, serve: Serve, tmp_path: Path) -> None:
        """With TLS, the scheme of the targets is https."""
        authority = Authority(tmp_path)
        page = FakePage()
        app = make_app(page, FakeHealth(), healthy, parts=page)
        web = LiveWebConfig(write_web_config(tmp_path, tls_section(authority.issue())))
        server = serve(app, web=web)

        answer = get_securely(server, authority, "/sd").json()

        assert target(str(server.addresses[0]), "/", scheme="https") == answer[0]

    @pytest.mark.parametrize("host", [[], ["Host: a b"], ["Host: <script>"], ["Host: x:y"]])
    def test_bad_host(self, address: Callable[..., str], host: list[str]) -> None:
        """Without the host that was asked, there is no address to list."""
        name, _, port = address().rpartition(":")
        head = "\r\n".join(["GET /sd HTTP/1.0", *host, "", ""])
        with socket.create_connection((name, int(port)), timeout=5) as client:
            client.sendall(head.encode())
            answer = b"".join(iter(lambda: client.recv(1 << 16), b""))

        assert b"400 Bad Request" in answer
        assert b"Bad Request: the Host header is missing" in answer

    def test_only_with_parts(self, serve: Serve) -> None:
        """An application without parts has no list, and ignores the parameter."""
        app = make_app(FakePage(), FakeHealth(), healthy)
        own = serve(app).addresses[0]

        assert 404 == get(f"http://{own}/sd").status_code
        assert "everything\n" == get(f"http://{own}/metrics?organization=acme").text


class TestParts:
    """What ``/metrics`` answers."""

    @pytest.mark.parametrize(
        ("query", "body"),
        [
            ("", "everything\n"),
            ("?", "everything\n"),
            ("?other=1", "everything\n"),
            ("?organization=acme", "acme\n"),
            ("?organization=acme&organization=a%2Fb", "acme\na/b\n"),
            ("?organization=b&organization=a&organization=b", "b\na\n"),
            ("?organization=/", "/\n"),
            ("?organization=", "\n"),
        ],
    )
    def test_parameter(self, address: Callable[..., str], query: str, body: str) -> None:
        """The parameter names the parts; without it, all of the page is sent."""
        answer = get(f"http://{address()}/metrics{query}")

        assert (200, body) == (answer.status_code, answer.text)

    def test_missing(self, address: Callable[..., str]) -> None:
        """A part that does not exist is a 404 that names it, and what lists the others."""
        answer = get(f"http://{address()}/metrics?organization=acme&organization=missing")

        assert 404 == answer.status_code
        assert "Not Found: no part 'missing' of the page; /sd lists those that there are\n" == (
            answer.text
        )


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize(
    ("path", "name"), [("", "the entire page"), ("?organization=acme", "acme")]
)
def test_size_of_a_scrape(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, encoding: str, path: str, name: str
) -> None:
    """What counts is the size before compression, of the page or of the part that is scraped."""
    page = Page(SelfMetrics())
    page.publish_projects("acme", [ProjectInfo("web", 1, "python")])
    page.publish(report())
    app = make_app(page, FakeHealth(), healthy, parts=page)
    url = f"http://{serve(app).addresses[0]}/metrics{path}"
    monkeypatch.setattr(parts, "VMAGENT_LIMIT", 0)
    headers = {"User-Agent": "vm_promscrape", "Accept-Encoding": encoding}

    with structlog.testing.capture_logs() as records:
        text = requests.get(url, headers=headers, timeout=TIMEOUT).content

    assert [(name, len(text))] == [
        (record["part"], record["bytes"]) for record in records if "vmagent" in record["event"]
    ]


def logged(agent: str, *sizes: int) -> list[Any]:
    """Return what is logged if a client asks for pages of these sizes, one after the other."""
    log = SizeLog()

    async def ask() -> None:
        """Send the pages."""
        for size in sizes:
            log.note(Headers({"User-Agent": agent}), ["acme"], size)

    with structlog.testing.capture_logs() as records:
        asyncio.run(ask())
    return list(records)


def test_vmagent_is_warned() -> None:
    """The log says once what vmagent drops, from which size on, and what to do."""
    (record,) = logged(parts._VMAGENT, VMAGENT_LIMIT, VMAGENT_LIMIT + 1, VMAGENT_LIMIT + 2)  # noqa: SLF001 - vmagent's name

    assert "warning" == record["log_level"]
    assert ("acme", VMAGENT_LIMIT + 1) == (record["part"], record["bytes"])
    assert "max_scrape_size" in record["remedy"]


def test_others_are_not_warned() -> None:
    """Prometheus has no such limit."""
    assert [] == logged("Prometheus/3.15.0", 2 * VMAGENT_LIMIT)
