"""The commands."""

import click

from exporter import __version__
from exporter.cli.check import check
from exporter.cli.demo import demo
from exporter.cli.once import once
from exporter.cli.options import DEFAULT_ADDRESS
from exporter.cli.serve import serve
from exporter.cli.simulate import simulate

__all__ = ["DEFAULT_ADDRESS", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sentry-stats-exporter")
def main() -> None:
    """Prometheus exporter for Sentry's organization stats."""


for command in (serve, check, once, simulate, demo):
    main.add_command(command)
