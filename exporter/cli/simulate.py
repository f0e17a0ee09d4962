"""``simulate``: the simulated Sentry without the exporter."""

import threading
import time

import click

from exporter import log, signals
from exporter.cli.exit import end_without_listening
from exporter.cli.options import flag_or_variable, listen_address, option
from exporter.simulator import (
    DEMO_TOKENS,
    SCENARIOS,
    Scenario,
    Simulator,
    demo_world,
    scenario_faults,
)
from exporter.web.address import Address

_LISTEN_FLAG = "--listen-address"

scenario = option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="steady",
    show_default=True,
    help="What happens in the simulated organizations from now on.",
)


@click.command
@option(
    _LISTEN_FLAG,
    "address",
    type=listen_address(9000),
    default="127.0.0.1:9000",
    show_default=True,
    help="Address to serve on.",
)
@option(
    "--projects",
    type=click.IntRange(1, 20_000),
    default=150,
    show_default=True,
    help="Number of projects in the larger organization.",
)
@scenario
@option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Seed of the random numbers; the same seed gives the same data.",
)
def simulate(address: Address, projects: int, scenario: Scenario, seed: int) -> None:
    """Serve a simulated Sentry: two organizations with realistic data."""
    log.configure("info", "logfmt")
    now = time.time()
    world = demo_world(now, projects=projects, scenario=scenario, seed=seed)
    faults = scenario_faults(scenario, now)
    stopped = threading.Event()
    try:
        simulator = Simulator(world, host=address.host, port=address.port, faults=faults)
    except OSError as error:
        end_without_listening(address, error, flag_or_variable(_LISTEN_FLAG))
    with signals.stopping(stopped.set), simulator as sentry:
        click.echo(f"Simulated Sentry on {sentry.url}")
        for organization in ("acme", "globex"):
            click.echo(f"  organization {organization}, token {DEMO_TOKENS[organization]}")
        stopped.wait()
