"""The commands."""

import os
from typing import Any

import click

from exporter import __version__, log
from exporter.cli.backfill import backfill
from exporter.cli.check import check
from exporter.cli.demo import demo
from exporter.cli.exit import end
from exporter.cli.once import once
from exporter.cli.options import DEFAULT_ADDRESS, json_asked
from exporter.cli.serve import serve
from exporter.cli.simulate import simulate

__all__ = ["DEFAULT_ADDRESS", "main"]


class _Commands(click.Group):
    """Reports misuse as a record of the log where that is to be JSON."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; see the parent class."""
        ctx.obj = json_asked(args, os.environ)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the parent class."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if not ctx.obj:
                raise
            log.configure("info", "json")
            end([error.format_message()], error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sentry-stats-exporter")
def main() -> None:
    """Prometheus exporter for Sentry's organization stats."""


for command in (serve, check, once, backfill, simulate, demo):
    main.add_command(command)
