"""``simulate``: the simulated Sentry alone."""

import signal
import threading
import time

import click

from exporter import log
from exporter.cli.ending import end, end_on_signals
from exporter.cli.options import listen_address, option
from exporter.simulator import DEMO_TOKENS, SCENARIOS, Scenario, Simulator, demo_world
from exporter.web.address import Address

scenario = option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="steady",
    show_default=True,
    help="What is about to happen.",
)


@click.command
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
@scenario
@option("--seed", type=int, default=1, show_default=True, help="Another one, other numbers.")
def simulate(address: Address, projects: int, scenario: Scenario, seed: int) -> None:
    """Serve a simulated Sentry, with two organizations and a believable past."""
    end_on_signals()
    log.configure("info", "logfmt")
    world = demo_world(time.time(), projects=projects, scenario=scenario, seed=seed)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        simulator = Simulator(world, host=address.host, port=address.port)
    except OSError as error:
        end(f"cannot listen on {address}: {error.strerror}", 2)
    with simulator as sentry:
        click.echo(f"Simulated Sentry on {sentry.url}")
        for organization in ("acme", "globex"):
            click.echo(f"  organization {organization}, token {DEMO_TOKENS[organization]}")
        stopped.wait()
