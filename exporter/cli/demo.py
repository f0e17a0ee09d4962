"""``demo``: simulated Sentry and exporter together, with the queries that README shows."""

import time
from collections.abc import Sequence

import click

from exporter import log
from exporter.cli.ending import end_on_signals
from exporter.cli.options import listen_address, logging_options, option
from exporter.cli.serving import serve_until_stopped
from exporter.cli.simulate import scenario
from exporter.config import Config, loads
from exporter.shard import WHOLE
from exporter.simulator import DEMO_TOKENS, Scenario, Simulator, demo_world
from exporter.web.address import Address

_CONFIGURATION = """
defaults:
  url: {url}
  requests_per_second: 18
organizations:
  - slug: acme
    token: {acme}
    queries: &queries
      - name: outcomes
        groupBy: [category, outcome, reason]
        poll_interval: 5m
      - name: projects
        groupBy: [project, category, outcome, reason]
        poll_interval: 15m
  - slug: globex
    token: {globex}
    queries: *queries
"""


@click.command
@option(
    "--web.listen-address",
    type=listen_address,
    multiple=True,
    default=("127.0.0.1:10790",),
    show_default=True,
    help="Where to serve the metrics.",
)
@scenario
@logging_options
def demo(
    web_listen_address: Sequence[Address], scenario: Scenario, log_level: str, log_format: str
) -> None:
    """Run simulated Sentry and exporter together, with nothing to configure."""
    end_on_signals()
    log.configure(log_level, log_format)
    with Simulator(demo_world(time.time(), scenario=scenario)) as sentry:
        click.echo(f"Simulated Sentry: {sentry.url}")
        configuration = demo_configuration(sentry.url)
        serve_until_stopped(configuration, web_listen_address, None, WHOLE, _announce)


def demo_configuration(url: str) -> Config:
    """Return a configuration for the simulated Sentry at ``url``."""
    text = _CONFIGURATION.format(url=url, acme=DEMO_TOKENS["acme"], globex=DEMO_TOKENS["globex"])
    return loads(text, "demo")


def _announce(addresses: Sequence[Address]) -> None:
    for address in addresses:
        click.echo(f"Exporter:         http://{address}/")
        click.echo(f"Metrics:          http://{address}/metrics")
    click.echo("Ctrl-C ends both.")
