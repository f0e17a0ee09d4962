"""``demo``: a simulated Sentry and an exporter, with the queries that README shows."""

import time
from collections.abc import Sequence

import click

from exporter import log, signals
from exporter.cli.exit import stop_now
from exporter.cli.options import DEFAULT_PORT, LISTEN_FLAG, listen_address, logging_options, option
from exporter.cli.run import listen, serve_until_stopped
from exporter.cli.simulate import scenario
from exporter.config import Config, loads
from exporter.shard import UNSHARDED
from exporter.simulator import DEMO_TOKENS, Scenario, Simulator, demo_world, scenario_faults
from exporter.web.address import Address

# 18 a second make the first polls fast, and stay below the limit of 20 that is simulated.
_CONFIGURATION = """
defaults:
  url: {url}
  requests_per_second: 18
organizations:
  - slug: acme
    token: {acme}
    billing: &billing {{plan: sentry}}
    quotas:
      - {{name: payments-team, category: error, team: payments, limit: 250_000}}
    queries: &queries
      - name: outcomes
        groupBy: [category, outcome, reason]
        poll_interval: 5m
      - name: projects
        groupBy: [project, category, outcome, reason]
        poll_interval: 15m
  - slug: globex
    token: {globex}
    billing: *billing
    queries: *queries
"""


@click.command
@option(
    LISTEN_FLAG,
    type=listen_address(DEFAULT_PORT),
    multiple=True,
    default=("127.0.0.1:10790",),
    show_default=True,
    help="Address to serve the metrics on; can be given several times.",
)
@scenario
@logging_options()
def demo(
    web_listen_address: Sequence[Address], scenario: Scenario, log_level: str, log_format: str
) -> None:
    """Run a simulated Sentry and an exporter; needs no configuration."""
    log.configure(log_level, log_format)
    now = time.time()
    world, faults = demo_world(now, scenario=scenario), scenario_faults(scenario, now)
    with signals.stopping(stop_now), Simulator(world, faults=faults) as sentry:
        click.echo(f"Simulated Sentry: {sentry.url}")
        configuration = demo_configuration(sentry.url)
        sockets = listen(web_listen_address)
        serve_until_stopped(configuration, sockets, None, UNSHARDED, _announce)
    stop_now()


def demo_configuration(url: str) -> Config:
    """Return a configuration for the simulated Sentry at ``url``."""
    text = _CONFIGURATION.format(url=url, acme=DEMO_TOKENS["acme"], globex=DEMO_TOKENS["globex"])
    return loads(text, "demo")


def _announce(addresses: Sequence[Address]) -> None:
    for address in addresses:
        click.echo(f"Exporter:         http://{address}/")
        click.echo(f"Metrics:          http://{address}/metrics")
    click.echo("Ctrl-C stops both.")
