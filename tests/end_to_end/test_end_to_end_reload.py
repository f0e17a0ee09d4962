"""A running daemon is given another configuration."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from exporter.config import loads
from exporter.simulator import DEMO_TOKENS
from tests.end_to_end.exposition import Samples, read_text, sample
from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, organization
from tests.support.programs import TIMEOUT, Program, running, wait_until

pytestmark = pytest.mark.slow

RELOAD = "sentry_stats_exporter_config_last_reload_success"
BAD = "organizations:\n- slug: Acme Inc\n  token_env: T\n  timeout: 5\n"

Configured = Callable[..., Path]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


class Daemon:
    """A running daemon, its configuration file, and its address."""

    def __init__(self, program: Program, path: Path) -> None:
        self.program = program
        self.path = path
        address = program.wait_for(r"event=listening .*address=(\S+)")
        self.url = f"http://{address}"
        program.wait_ready(f"{self.url}/-/ready")

    def page(self) -> Samples:
        """Return the samples of the page."""
        return read_text(self.get("/metrics").text)

    def get(self, path: str) -> requests.Response:
        """Return the answer at ``path``."""
        return requests.get(f"{self.url}{path}", timeout=TIMEOUT)

    def reload(self, method: str = "POST") -> requests.Response:
        """Reload by HTTP, and return the answer."""
        return requests.request(method, f"{self.url}/-/reload", timeout=TIMEOUT)

    def hang_up(self) -> None:
        """Send the signal that reloads."""
        self.program.process.send_signal(signal.SIGHUP)

    def queries(self) -> dict[str, float]:
        """Return for each query on the page whether its last poll succeeded."""
        labels = "organization", "query"
        return {
            "/".join(dict(each[1])[label] for label in labels): value
            for each, value in self.page().items()
            if each[0] == "sentry_stats_up"
        }

    def succeeded(self) -> float:
        """Return whether the last reload succeeded."""
        return self.page()[sample(f"{RELOAD}ful")]

    def wait_for(self, **queries: float) -> None:
        """Return once the page has exactly these queries of ``acme``, with these values."""
        expected = {f"acme/{name}": value for name, value in queries.items()}
        wait_until(lambda: expected == self.queries(), self.program.output)


@pytest.fixture
def daemon(configured: Configured, tmp_path: Path) -> Iterator[Daemon]:
    """Run the daemon with the simulated Sentry, until it is ready."""
    path = configured()
    state = ("--state.path", str(tmp_path / "state"))
    address = ("--web.listen-address", "127.0.0.1:0")
    command = [*COMMAND, "serve", "--config.file", str(path), *state, *address]
    with running(command, tmp_path / "serve.log") as program:
        yield Daemon(program, path)


def test_signal(daemon: Daemon, configured: Configured) -> None:
    """SIGHUP reloads: what is added is polled at once, what is removed leaves the page."""
    configured(organization(OUTCOMES, PROJECTS))
    daemon.hang_up()
    daemon.wait_for(outcomes=1, projects=1)
    configured(organization(PROJECTS))
    daemon.hang_up()
    daemon.wait_for(projects=1)

    assert "queries_removed=acme/outcomes" in daemon.program.output()
    assert daemon.program.process.poll() is None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_request(daemon: Daemon, configured: Configured, method: str) -> None:
    """Once a request is answered, the page and ``/config`` are about the new configuration."""
    configured(organization(OUTCOMES, PROJECTS, timeout="7s"))
    answer = daemon.reload(method)

    lines = answer.text.splitlines()
    assert (200, "configuration reloaded") == (answer.status_code, lines[0])
    assert all(line.startswith("warning: ") for line in lines[1:])
    assert {"acme/outcomes", "acme/projects"} == daemon.queries().keys()
    assert "timeout: 7s" in daemon.get("/config").text


def test_bad_file(daemon: Daemon) -> None:
    """A bad file is a 500 with all problems; the old configuration goes on, until it is mended."""
    good, before = daemon.path.read_bytes(), daemon.page()
    daemon.path.write_text(BAD, "utf-8")
    answer = daemon.reload()
    daemon.hang_up()
    wait_until(lambda: daemon.program.output().count('event="configuration not reloaded"') == 4)
    refused = daemon.succeeded()
    daemon.path.write_bytes(good)
    mended = daemon.reload()

    assert (500, 2) == (answer.status_code, len(answer.text.splitlines()))
    assert "organizations[0].slug: " in answer.text
    assert "organizations[0].timeout: " in answer.text
    assert 0 == refused
    assert 200 == mended.status_code
    assert 1 == daemon.succeeded()
    assert before.keys() == daemon.page().keys()


def test_interval(configured: Configured, tmp_path: Path) -> None:
    """With an interval, a changed file takes effect by itself."""
    path = configured()
    flags = ("--config.auto-reload-interval", "1s", "--web.listen-address", "127.0.0.1:0")
    command = [*COMMAND, "serve", "--config.file", str(path), *flags]
    with running(command, tmp_path / "serve.log") as program:
        daemon = Daemon(program, path)
        configured(organization(PROJECTS))
        daemon.wait_for(projects=1)


def test_configuration_is_shown(daemon: Daemon) -> None:
    """``/config`` shows the configuration in effect, without the token."""
    shown = daemon.get("/config")
    restored = loads(shown.text.replace("<secret>", DEMO_TOKENS["acme"]))

    assert "text/plain; charset=utf-8" == shown.headers["Content-Type"]
    assert DEMO_TOKENS["acme"] not in shown.text
    assert loads(daemon.path.read_text("utf-8")).organizations == restored.organizations
    assert "5m" == yaml.safe_load(shown.text)["organizations"][0]["settle"]
    assert (
        str(len(shown.content))
        == requests.head(shown.url, timeout=TIMEOUT).headers["Content-Length"]
    )
