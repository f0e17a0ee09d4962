"""The daemon over TLS with logins: crowds, rotation, Prometheus, sockets of systemd."""

import http.client
import os
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
import requests

from exporter.simulator import Simulator, demo_world
from exporter.web.accept import MAX_ACCEPTED, Acceptor
from exporter.web.connection import Connection
from tests.end_to_end.stage import COMMAND, run
from tests.support.certificates import Authority, hashed, tls_section, write_web_config
from tests.support.configuration import document
from tests.support.crowd import KINDS, running_crowd
from tests.support.programs import TIMEOUT, Program, running, wait_until
from tests.support.prometheus import prometheus, scraping

pytestmark = pytest.mark.slow

USERS = {"basic_auth_users": {"prometheus": hashed("right")}}
LOGIN = ("prometheus", "right")
LISTENING = r'event=listening address="?(127\S+:\d+)'
RELOAD = "sentry_stats_exporter_web_config_last_reload_successful"
CROWD = 1000
SCRAPES = 50
BOUND = 1.0
"""Seconds by which nine of ten scrapes may be delayed: ten times the target, for busy machines."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return the authority of the server's certificate."""
    return Authority(tmp_path)


@pytest.fixture
def web_config(tmp_path: Path, authority: Authority) -> Path:
    """Return a web configuration with TLS and a user."""
    return write_web_config(tmp_path, tls_section(authority.issue()), USERS)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """Return a configuration for a simulated Sentry."""
    with Simulator(demo_world(time.time(), projects=2)) as sentry:
        path = tmp_path / "config.yaml"
        path.write_text(document(sentry.url), "utf-8")
        yield path


@pytest.fixture
def serving(tmp_path: Path, config: Path) -> Callable[..., Any]:
    """Return a context manager that runs ``serve``."""

    @contextmanager
    def serve(*flags: str | Path) -> Iterator[tuple[Program, int]]:
        """Run it during the block; the value is the program and its port."""
        command = [*COMMAND, "serve", "--config.file", str(config), *map(str, flags)]
        address = ("--web.listen-address", "127.0.0.1:0")
        with running([*command, *address], tmp_path / "serve.log") as program:
            yield program, int(program.wait_for(LISTENING).rpartition(":")[2])

    return serve


class Scraper:
    """A client that scrapes over TLS with a login, and measures the time."""

    def __init__(self, port: int, authority: Authority, login: tuple[str, str] = LOGIN) -> None:
        self._context = ssl.create_default_context(cafile=authority.path)
        self._port = port
        encoded = b64encode(":".join(login).encode()).decode()
        self._headers = {"Authorization": f"Basic {encoded}"}
        self._client = self._connection()
        self.page = b""

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=TIMEOUT, context=self._context
        )

    def scrape(self, *, anew: bool) -> float:
        """Return how long a scrape took, which must succeed, on a new connection or the old."""
        began = time.perf_counter()
        if anew:
            self._client.close()
            self._client = self._connection()
        self._client.request("GET", "/metrics", headers=self._headers)
        answer = self._client.getresponse()
        self.page = answer.read()

        assert 200 == answer.status
        return time.perf_counter() - began

    def shows(self, line: str) -> bool:
        """Return whether a scrape has a line."""
        self.scrape(anew=True)
        return line.encode() in self.page.splitlines()

    def serial(self) -> str:
        """Return the number of the certificate of the open connection."""
        channel = self._client.sock
        assert isinstance(channel, ssl.SSLSocket)
        return str((channel.getpeercert() or {})["serialNumber"])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def descriptors(program: Program) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))  # noqa: PTH208


def scraped(
    scraper: Scraper, ended: Callable[[], bool] = lambda: True
) -> tuple[Sequence[float], Sequence[float]]:
    """Return how long many scrapes took on an open and on a new connection."""
    opened: list[float] = []
    anew: list[float] = []
    while not ended() or len(opened) < SCRAPES:
        opened.append(scraper.scrape(anew=False))
        anew.append(scraper.scrape(anew=True))
    return opened, anew


def delay(times: Sequence[Sequence[float]], alone: Sequence[Sequence[float]]) -> float:
    """Return by how much nine of ten scrapes took longer than ``alone``, at most.

    A busy machine may stall any process for a second: the longest of all scrapes says little.
    """
    return max(quantiles(one, n=10)[-1] for one in times) - max(
        quantiles(one, n=10)[-1] for one in alone
    )


def shown(times: Sequence[float]) -> str:
    """Return the longest of ``times`` in milliseconds."""
    return f"{max(times) * 1000:.0f}"


class TestCrowd:
    """A thousand clients that take their time."""

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_no_scrape_waits(
        self,
        kind: str,
        serving: Callable[..., Any],
        web_config: Path,
        authority: Authority,
    ) -> None:
        """They delay no scrape, and hold no more descriptors than documented.

        No scrape fails while they connect either. How long it takes then depends on the processor:
        a thousand handshakes are a second of work.
        """
        with serving("--web.config.file", web_config) as (program, port):
            scraper = Scraper(port, authority)
            alone = scraped(scraper)
            before = descriptors(program)
            with running_crowd(kind, port, CROWD) as connected:
                connecting = scraped(scraper, connected)
                held = descriptors(program) - before
                crowded = scraped(scraper)
            scraper.close()

        print(  # noqa: T201 - figures for the documents
            f"{kind}: longest scrape on an open connection {shown(crowded[0])} ms "
            f"(alone: {shown(alone[0])}), on a new one {shown(crowded[1])} ms "
            f"(alone: {shown(alone[1])}); while they connect, as fast as they can, "
            f"{shown([*connecting[0], *connecting[1]])} ms; {held} descriptors more"
        )

        assert delay(crowded, alone) < BOUND
        assert held <= Connection.max_connections + Acceptor.max_handshakes + MAX_ACCEPTED


class TestRotation:
    """New certificates while scrapes go on."""

    def test_no_scrape_fails(
        self,
        serving: Callable[..., Any],
        tmp_path: Path,
        web_config: Path,
        authority: Authority,
    ) -> None:
        """Certificates and keys are replaced again and again, each after the other, in place."""
        with serving("--web.config.file", web_config) as (program, port):
            scraper = Scraper(port, authority)
            serials = set()
            for number in range(60):
                if number % 3 == 0:
                    aside = authority.issue(name=f"aside{number}")
                    (tmp_path / "server.crt").write_bytes(aside.certificate.read_bytes())
                elif number % 3 == 1:
                    (tmp_path / "server.key").write_bytes(aside.key.read_bytes())
                scraper.scrape(anew=False)
                scraper.scrape(anew=True)
                serials.add(scraper.serial())
            scraper.close()
            output = program.output()

        assert 21 == len(serials)
        assert "level=error" not in output

    def test_bad_file_keeps_the_old_one(
        self, serving: Callable[..., Any], web_config: Path, authority: Authority
    ) -> None:
        """With a bad file scrapes go on; each of its errors is logged, and a gauge shows it."""
        with serving("--web.config.file", web_config) as (program, port):
            scraper = Scraper(port, authority)
            shown_before = scraper.shows(f"{RELOAD} 1")
            web_config.write_text("tls_server_config: {cert_fil: a}\nbasic_auth_users: 1\n")
            program.wait_for(r"web configuration not reloaded.* error=.*(got a value)")
            wait_until(lambda: scraper.shows(f"{RELOAD} 0"), program.output)
            scraper.close()
            lines = program.output().splitlines()

        errors = [line for line in lines if "web configuration not reloaded" in line]
        texts = ("unknown key", "missing one of cert", "missing one of key", "got a value")

        assert shown_before
        assert len(texts) == len(errors)
        assert all(any(text in line for line in errors) for text in texts)


class TestLogins:
    """Logins under load."""

    def test_wrong_logins_do_not_delay_a_right_one(
        self, serving: Callable[..., Any], tmp_path: Path, authority: Authority
    ) -> None:
        """While wrong logins come as fast as they can, a scrape with a known login goes on."""
        users = {"basic_auth_users": {"prometheus": hashed("right", cost=10)}}
        web = write_web_config(tmp_path, tls_section(authority.issue()), users)
        ended = threading.Event()
        codes = set()

        def guess(number: int, port: int) -> None:
            """Try one password after the other."""
            with requests.Session() as session:
                session.trust_env, session.verify = False, str(authority.path)
                for attempt in iter(int, 1):
                    login = ("prometheus", f"{number}-{attempt}-{time.monotonic_ns()}")
                    url = f"https://127.0.0.1:{port}/metrics"
                    codes.add(session.get(url, auth=login, timeout=TIMEOUT).status_code)
                    if ended.is_set():
                        return

        with serving("--web.config.file", web) as (_, port), ExitStack() as threads:
            scraper = Scraper(port, authority)
            alone = scraped(scraper)
            for number in range(30):
                thread = threading.Thread(target=guess, args=(number, port))
                thread.start()
                threads.callback(thread.join)
            threads.callback(ended.set)
            crowded = scraped(scraper, lambda: codes >= {401, 503})
            scraper.close()

        print(  # noqa: T201 - figures for the documents
            f"longest scrape during wrong logins: {shown([*crowded[0], *crowded[1]])} ms, "
            f"without: {shown([*alone[0], *alone[1]])}"
        )

        assert delay(crowded, alone) < BOUND
        assert {401, 503} == codes


class TestPrograms:
    """Other programs, and how the daemon is started."""

    @pytest.mark.programs
    @pytest.mark.parametrize("clients", [False, True], ids=["login", "login-and-certificate"])
    def test_prometheus(
        self,
        serving: Callable[..., Any],
        tmp_path: Path,
        authority: Authority,
        *,
        clients: bool,
    ) -> None:
        """Prometheus scrapes over TLS, with a login and with a client certificate."""
        settings: dict[str, Any] = {}
        tls = {"ca_file": str(authority.path)}
        if clients:
            pair = authority.issue("prometheus.example", name="client")
            tls |= {"cert_file": str(pair.certificate), "key_file": str(pair.key)}
            settings = {
                "client_auth_type": "RequireAndVerifyClientCert",
                "client_ca_file": authority.path.name,
                "client_allowed_sans": ["prometheus.example"],
            }
        web = write_web_config(tmp_path, tls_section(authority.issue(), **settings), USERS)
        with serving("--web.config.file", web, "--web.route-prefix", "/stats") as (_, port):
            configuration = dict(scraping(f"127.0.0.1:{port}"))
            configuration["scrape_configs"][0] |= {
                "scheme": "https",
                "metrics_path": "/stats/metrics",
                "basic_auth": dict(zip(("username", "password"), LOGIN, strict=True)),
                "tls_config": tls,
            }
            (tmp_path / "prometheus").mkdir()
            with prometheus(tmp_path / "prometheus", configuration=configuration) as server:
                up = f'up{{instance="127.0.0.1:{port}"}} == 1'
                wait_until(lambda: bool(server.instant(up)), server.program.output)

                assert server.instant("sentry_stats_up")

    def test_prefix(self, serving: Callable[..., Any]) -> None:
        """All paths are below the path of the external URL; the others lead to it, or nowhere."""
        with serving("--web.external-url", "https://proxy.example/a/b/") as (_, port):
            url = f"http://127.0.0.1:{port}"
            paths = ("/", "/a/b", "/a/b/-/healthy", "/-/healthy", "/a/bc", "/a/b/metrics")
            answers = [requests.get(f"{url}{path}", timeout=TIMEOUT) for path in paths]

        assert [200, 200, 200, 404, 404, 200] == [answer.status_code for answer in answers]
        assert [f"{url}/a/b/"] * 2 == [answer.url for answer in answers[:2]]

    def test_sockets_of_systemd(self, config: Path, tmp_path: Path) -> None:
        """Sockets that are passed are served, and the listen address is not."""
        with (
            socket.create_server(("127.0.0.1", 0)) as first,
            socket.create_server(("::1", 0), family=socket.AF_INET6) as second,
        ):
            passed = " ".join(f"{at}<&{each.fileno()}" for at, each in ((3, first), (4, second)))
            start = f'exec {passed}; LISTEN_FDS=2 LISTEN_PID=$$ exec "$@"'
            command = [*COMMAND, "serve", "--config.file", str(config), "--web.systemd-socket"]
            with running(
                ["bash", "-c", start, "bash", *command],
                tmp_path / "log",
                pass_fds=(first.fileno(), second.fileno()),
            ) as program:
                ports = [each.getsockname()[1] for each in (first, second)]
                program.wait_for(rf"listening address=\[::1\]:({ports[1]})")
                urls = (f"http://127.0.0.1:{ports[0]}", f"http://[::1]:{ports[1]}")
                texts = [requests.get(f"{url}/-/healthy", timeout=TIMEOUT).text for url in urls]

        assert ["healthy\n"] * 2 == texts
        assert ":10790" not in program.output()

    def test_no_sockets_of_systemd(self, config: Path) -> None:
        """Without any passed socket, the daemon says so and ends."""
        ended = run("serve", "--config.file", config, "--web.systemd-socket")

        assert 2 == ended.returncode
        assert "--web.systemd-socket: the service manager has passed no sockets" in ended.stderr

    def test_bad_web_configuration(self, config: Path, tmp_path: Path) -> None:
        """With a bad web configuration, the daemon says what is wrong and ends."""
        web = tmp_path / "web.yaml"
        web.write_text("tls_server_config: {}\n")
        ended = run("serve", "--config.file", config, "--web.config.file", web)

        assert 2 == ended.returncode
        assert f"{web}:1: tls_server_config: missing one of cert or cert_file" in ended.stderr
