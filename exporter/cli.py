"""The commands."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import structlog

from exporter import __version__, log
from exporter.collect.query import QueryPoller
from exporter.config import Config, ConfigError, load
from exporter.daemon import Exporter, tune_interpreter
from exporter.demo import demo_configuration
from exporter.online import findings
from exporter.shard import WHOLE, Shard, ShardError, chosen_shard
from exporter.simulator import DEMO_TOKENS, SCENARIOS, Scenario, Simulator, demo_world
from exporter.state import State, StateError
from exporter.web.address import Address, bind, parse_address
from exporter.web.app import make_app
from exporter.web.landing import Landing
from exporter.web.server import Server

DEFAULT_ADDRESS = ":10790"

MOST_SHARDS = 1000

_PATIENCE = 0.5
"""Seconds that polls are given to end once the server has stopped."""

_ENVIRONMENT = "SENTRY_STATS_EXPORTER_"

_LANDING = Landing(
    "sentry-stats-exporter",
    __version__,
    "Event counts of Sentry organizations, polled from stats_v2 and published for Prometheus.",
)

_log = structlog.get_logger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


def option(flag: str, parameter: str = "", **settings: Any) -> Callable[[F], F]:
    """Return a click option whose environment variable is named as the flag is."""
    name = flag.removeprefix("--").replace(".", "_").replace("-", "_")
    return click.option(
        flag, parameter or name, envvar=_ENVIRONMENT + name.upper(), show_envvar=True, **settings
    )


def listen_address(text: str) -> Address:
    """Return the address that a flag names."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


config_file = option(
    "--config.file",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="The configuration, in YAML.",
)
listen_addresses = option(
    "--web.listen-address",
    type=listen_address,
    multiple=True,
    default=(DEFAULT_ADDRESS,),
    show_default=True,
    help="Where to serve; may be given several times.",
)


def logging_options(command: F) -> F:
    """Add the flags about logging to ``command``, and see that they are heeded."""
    for flag, values, default, text in (
        ("--log.format", tuple(log.FORMATS), "logfmt", "How log lines look."),
        ("--log.level", tuple(log.LEVELS), "info", "The least that is logged."),
    ):
        choice = click.Choice(values)
        command = option(flag, type=choice, default=default, show_default=True, help=text)(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sentry-stats-exporter")
def main() -> None:
    """Prometheus exporter for Sentry's organization stats."""


@main.command()
@config_file
@listen_addresses
@option(
    "--state.path",
    type=click.Path(path_type=Path, readable=False),
    help="An SQLite file; with it, counters go on after a restart.",
)
@option(
    "--shard",
    metavar="N|auto",
    help="Poll only this share of the queries, the first is 0; auto: a StatefulSet's pod knows.",
)
@option(
    "--total-shards",
    metavar="M",
    type=click.IntRange(1, MOST_SHARDS),
    help="How many exporters share the queries.",
)
@logging_options
def serve(
    config_file: Path,
    web_listen_address: Sequence[Address],
    state_path: Path | None,
    shard: str | None,
    total_shards: int | None,
    log_level: str,
    log_format: str,
) -> None:
    """Poll Sentry and serve the metrics, until SIGTERM or SIGINT."""
    _end_on_signals()
    log.configure(log_level, log_format)
    try:
        own = chosen_shard(shard, total_shards, socket.gethostname())
        config = load(config_file)
        state = None if state_path is None else State(state_path)
    except (ShardError, ConfigError, StateError) as error:
        _end(str(error), 2)
    for warning in config.warnings:
        _log.warning("configuration", warning=str(warning))
    _serve(config, web_listen_address, state, own)
    if state is not None:
        state.close()


@main.command()
@config_file
@option("--online", is_flag=True, help="Also try tokens, organizations, filters and queries.")
def check(config_file: Path, *, online: bool) -> None:
    """Say whether the configuration is good, and how to mend what is not."""
    log.configure("error", "logfmt")
    try:
        config = load(config_file)
    except ConfigError as error:
        click.echo(str(error))
        sys.exit(1)
    for warning in config.warnings:
        click.echo(f"{warning} (a warning)")
    found = list(findings(config)) if online else []
    for finding in found:
        click.echo(finding)
    if found:
        sys.exit(1)
    queries = sum(len(organization.queries) for organization in config.organizations)
    how = "good, and works online" if online else "good"
    click.echo(
        f"{config_file}: {how}; organizations: {len(config.organizations)}, queries: {queries}"
    )


@main.command()
@config_file
@logging_options
def once(config_file: Path, log_level: str, log_format: str) -> None:
    """Poll every query once, and print the metrics."""
    log.configure(log_level, log_format)
    try:
        config = load(config_file)
    except ConfigError as error:
        _end(str(error), 1)
    exporter = Exporter(config)
    polls = [
        threading.Thread(target=_poll_out, args=(query,), daemon=True) for query in exporter.queries
    ]
    for poll in polls:
        poll.start()
    for poll in polls:
        poll.join()
    page = b"".join(exporter.page.chunks(openmetrics=False, compressed=False))
    click.echo(page, nl=False)
    if not all(query.report.up for query in exporter.queries):
        sys.exit(1)


@main.command()
@option(
    "--listen-address",
    "address",
    type=listen_address,
    default="127.0.0.1:9000",
    show_default=True,
    help="Where to serve.",
)
@option(
    "--projects",
    type=click.IntRange(1, 20_000),
    default=150,
    show_default=True,
    help="How many projects the larger organization has.",
)
@option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="steady",
    show_default=True,
    help="What is about to happen.",
)
@option("--seed", type=int, default=1, show_default=True, help="Another one, other numbers.")
def simulate(address: Address, projects: int, scenario: Scenario, seed: int) -> None:
    """Serve a simulated Sentry, with two organizations and a believable past."""
    _end_on_signals()
    log.configure("info", "logfmt")
    world = demo_world(time.time(), projects=projects, scenario=scenario, seed=seed)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        simulator = Simulator(world, host=address.host, port=address.port)
    except OSError as error:
        _end(f"cannot listen on {address}: {error.strerror}", 2)
    with simulator as sentry:
        click.echo(f"Simulated Sentry on {sentry.url}")
        for organization in ("acme", "globex"):
            click.echo(f"  organization {organization}, token {DEMO_TOKENS[organization]}")
        stopped.wait()


@main.command()
@option(
    "--web.listen-address",
    type=listen_address,
    multiple=True,
    default=("127.0.0.1:10790",),
    show_default=True,
    help="Where to serve the metrics.",
)
@option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="steady",
    show_default=True,
    help="What is about to happen.",
)
@logging_options
def demo(
    web_listen_address: Sequence[Address], scenario: Scenario, log_level: str, log_format: str
) -> None:
    """Run simulated Sentry and exporter together, with nothing to configure."""
    _end_on_signals()
    log.configure(log_level, log_format)
    with Simulator(demo_world(time.time(), scenario=scenario)) as sentry:
        click.echo(f"Simulated Sentry: {sentry.url}")
        _serve(demo_configuration(sentry.url), web_listen_address, None, WHOLE, announce=_announce)


def _serve(
    config: Config,
    addresses: Sequence[Address],
    state: State | None,
    shard: Shard,
    announce: Callable[[Sequence[Address]], None] | None = None,
) -> None:
    """Serve until told to stop."""
    sockets = []
    for address in addresses:
        try:
            sockets.append(bind(address))
        except OSError as error:
            _end(f"cannot listen on {address}: {error.strerror}", 2)
    tune_interpreter()
    try:
        exporter = Exporter(config, state=state, shard=shard)
    except StateError as error:
        _end(str(error), 2)
    server = Server(make_app(exporter.page, exporter, _LANDING), sockets)
    threading.Thread(target=exporter.poller.run, name="poller", daemon=True).start()
    (announce or _log_addresses)(server.addresses)
    server.run()
    exporter.poller.stop(patience=_PATIENCE)
    _log.info("stopped")


def _end_on_signals() -> None:
    """Let SIGINT and SIGTERM end the process with exit 0 from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


def _announce(addresses: Sequence[Address]) -> None:
    for address in addresses:
        click.echo(f"Exporter:         http://{address}/")
        click.echo(f"Metrics:          http://{address}/metrics")
    click.echo("Ctrl-C ends both.")


def _log_addresses(addresses: Sequence[Address]) -> None:
    for address in addresses:
        _log.info("listening", address=str(address), version=__version__)


def _poll_out(query: QueryPoller) -> None:
    """Poll until nothing of the lookback is left unread."""
    while True:
        now = time.time()
        report = query.poll(now)
        if not report.up or report.next_poll > now:
            return


def _end(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)
