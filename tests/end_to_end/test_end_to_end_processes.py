"""The commands as processes: output, termination, and exit status."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from click.testing import Result

from exporter.cli.demo import demo_configuration
from exporter.simulator import DEMO_TOKENS, DIMENSIONS, Fault, Simulator, demo_world
from exporter.web.address import Address, bind
from tests.end_to_end.exposition import Samples, data, nonzero, read_text, sample
from tests.end_to_end.stage import COMMAND, clock_for_commands, run, truths
from tests.end_to_end.truth import Rows, Truth
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, organization
from tests.support.programs import TIMEOUT, Program, running, wait_until

PROMPTLY = 2.0
"""Seconds within which a process must end."""

BUCKET = "sentry_stats_bucket_"
ANYWHERE = ("--web.listen-address", "127.0.0.1:0")
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Configured = Callable[..., Path]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Program]:
    """Run the demo until it has printed everything."""
    with running([*COMMAND, "demo", *ANYWHERE], tmp_path / "demo.log") as program:
        program.wait_for(r"(Ctrl-C stops both\.)")
        yield program


@pytest.fixture
def hang(sentry: Simulator) -> None:
    """Let the simulated Sentry accept requests without answering."""
    sentry.faults.add(Fault("hang"))


@pytest.fixture
def serve(configured: Configured, tmp_path: Path) -> Iterator[Program]:
    """Run the daemon with the simulated Sentry."""
    command = [*COMMAND, "serve", "--config.file", str(configured()), *ANYWHERE]
    with running(command, tmp_path / "serve.log") as program:
        yield program


def exit_status(program: Program, number: signal.Signals) -> int:
    """Send a signal, and return the exit status if the program ends promptly."""
    program.process.send_signal(number)
    return program.process.wait(PROMPTLY)


def address_of(program: Program) -> str:
    """Return the URL of the daemon, once it has logged it."""
    address = program.wait_for(r"event=listening .*address=(\S+)")
    return f"http://{address}"


def metrics_of(demo: Program) -> Samples:
    """Return the demo's page once every query has been polled."""
    url = demo.wait_for(r"Metrics: +(\S+)")
    wait_until(lambda: all_up(read_text(requests.get(url, timeout=TIMEOUT).text)), demo.output)
    return read_text(requests.get(url, timeout=TIMEOUT).text)


def all_up(samples: Samples) -> bool:
    """Return whether the last poll of each query succeeded."""
    return all(value for (name, _), value in samples.items() if name == "sentry_stats_up")


def stored_totals(sentry: str, organization: str, start: float) -> Rows:
    """Return the sums of an hour from the endpoint of the simulated Sentry."""
    query = {"organization": organization, "start": str(start), "end": str(start + 3600)}
    answer = requests.get(f"{sentry}/simulator/totals", params=query, timeout=TIMEOUT).json()
    return {tuple(map(group["by"].get, DIMENSIONS)): group["value"] for group in answer["groups"]}


def shown_bucket(samples: Samples, truth: Truth) -> tuple[float, Samples]:
    """Return the start of a query's finished bucket, and its values without zeros."""
    labels = {"organization": truth.organization.slug, "query": truth.query.name}
    shown = {
        each: value
        for each, value in nonzero(data(samples, prefix=BUCKET)).items()
        if labels.items() <= dict(each[1]).items()
    }
    return samples[sample("sentry_stats_bucket_start_timestamp_seconds", **labels)], shown


def test_demo_shows_the_last_hour_of_both_organizations(demo: Program) -> None:
    """The values of the demo equal those of its simulated Sentry.

    Rows may arrive during the test: a value is between the sums before and after it.
    """
    began = demo.started
    samples = metrics_of(demo)
    sentry = demo.wait_for(r"Simulated Sentry: (\S+)")
    world = demo_world(began)

    for truth in truths(world, demo_configuration(sentry)):
        start, shown = shown_bucket(samples, truth)
        after = truth.labelled(BUCKET, stored_totals(sentry, truth.organization.slug, start))
        before = truth.stored(BUCKET, start, at=began)
        assert after.keys() >= shown.keys()
        assert all(before.get(e, 0) <= shown.get(e, 0) <= after[e] for e in after)


@pytest.mark.parametrize("number", SIGNALS)
def test_demo_ends_on_a_signal(demo: Program, number: signal.Signals) -> None:
    """A signal ends the demo with status 0."""
    assert 0 == exit_status(demo, number)
    assert "Traceback" not in demo.output()


@pytest.mark.parametrize("number", SIGNALS)
def test_serve_ends_on_a_signal(serve: Program, number: signal.Signals) -> None:
    """A signal ends the daemon with status 0."""
    serve.wait_ready(f"{address_of(serve)}/-/ready")

    assert 0 == exit_status(serve, number)
    assert "Traceback" not in serve.output()


@pytest.mark.usefixtures("hang")
@pytest.mark.parametrize("number", SIGNALS)
def test_serve_ends_during_a_poll(
    sentry: Simulator, serve: Program, number: signal.Signals
) -> None:
    """A Sentry that hangs does not delay the end of the daemon."""
    serve.wait_ready(f"{address_of(serve)}/-/healthy")
    wait_until(lambda: bool(sentry.requests), serve.output)

    assert 0 == exit_status(serve, number)
    assert "Traceback" not in serve.output()


def test_serve_takes_its_flags_from_the_environment(configured: Configured, tmp_path: Path) -> None:
    """Every flag can be given as an environment variable."""
    environment = {
        "SENTRY_STATS_EXPORTER_CONFIG_FILE": str(configured()),
        "SENTRY_STATS_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
    }
    with running([*COMMAND, "serve"], tmp_path / "serve.log", environment) as program:
        program.wait_ready(f"{address_of(program)}/-/healthy")

        assert 0 == exit_status(program, signal.SIGTERM)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--config.file", "none.yaml"),
        ("--config.file", "config.yaml", "--web.listen-address", "nonsense"),
        ("--config.file", "config.yaml", "--log.level", "loud"),
        ("--config.file", "config.yaml", "--no.such.flag"),
        ("--config.file", "config.yaml", "--state.path", "none/state"),
        ("--config.file", "bad.yaml"),
    ],
    ids=" ".join,
)
def test_serve_refuses_invalid_flags_and_files(
    command: Callable[..., Result],
    configured: Configured,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
) -> None:
    """An invalid flag or file ends the daemon with status 2 and a message."""
    monkeypatch.chdir(configured().parent)
    Path("bad.yaml").write_text("organizations: []\n", "utf-8")
    result = command("serve", *flags)

    assert 2 == result.exit_code
    assert result.output


@pytest.mark.parametrize(
    ("name", "flag", "variable"),
    [
        ("serve", "--web.listen-address", "SENTRY_STATS_EXPORTER_WEB_LISTEN_ADDRESS"),
        ("demo", "--web.listen-address", "SENTRY_STATS_EXPORTER_WEB_LISTEN_ADDRESS"),
        ("simulate", "--listen-address", "SENTRY_STATS_EXPORTER_LISTEN_ADDRESS"),
    ],
)
def test_an_address_in_use_is_refused(
    configured: Configured, name: str, flag: str, variable: str
) -> None:
    """An address in use ends with status 2; it is named, and so are flag and variable."""
    file = ("--config.file", configured()) if name == "serve" else ()
    with bind(Address("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        finished = run(name, *file, flag, address)

    assert 2 == finished.returncode
    assert finished.stderr.endswith(
        f"cannot listen on {address}: Address already in use; "
        f"set another address with {flag} or {variable}\n"
    )


def test_once_prints_what_succeeded(configured: Configured) -> None:
    """If a query fails, the values of the others are printed, and the status is 1."""
    wrong = {**OUTCOMES, "name": "wrong", "filter": {"project": "nobody"}}
    finished = run("once", "--config.file", configured(organization(OUTCOMES, wrong)))
    samples = read_text(finished.stdout)

    assert 1 == finished.returncode
    assert data(samples, query="outcomes")
    assert 0 == samples[sample("sentry_stats_up", organization="acme", query="wrong")]
    assert "reason=unknown_project" in finished.stderr


def test_once_does_not_print_the_token(configured: Configured) -> None:
    """The token is neither printed nor logged."""
    wrong = {**organization(slug="acme"), "slug": "nobody"}
    path = configured(organization(), wrong)
    finished = run("once", "--config.file", path, "--log.level", "debug")

    assert 1 == finished.returncode
    assert DEMO_TOKENS["acme"] not in finished.stdout + finished.stderr


def test_once_refuses_an_invalid_file(tmp_path: Path) -> None:
    """An invalid file ends with status 1, and nothing on standard output."""
    finished = run("once", "--config.file", tmp_path / "none.yaml")

    assert (1, "") == (finished.returncode, finished.stdout)
    assert "cannot be read" in finished.stderr


def test_simulate_serves_until_a_signal(tmp_path: Path) -> None:
    """The simulated Sentry answers, and ends with status 0."""
    command = [*COMMAND, "simulate", "--listen-address", "127.0.0.1:0", "--projects", "3"]
    with running(command, tmp_path / "simulate.log") as program:
        url = program.wait_for(r"Simulated Sentry on (\S+)")
        token = program.wait_for(r"organization globex, token (\S+)")
        answer = requests.get(
            f"{url}/api/0/organizations/globex/projects/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
        )

        assert 3 == len(answer.json())
        assert 0 == exit_status(program, signal.SIGINT)
