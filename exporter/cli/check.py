"""``check``: reports what is wrong with a configuration."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from exporter import log
from exporter.cli.online import Finding, findings
from exporter.cli.options import config_file, option
from exporter.config import Config, ConfigError, HostReport, host_report, load


@click.command(short_help="Check the configuration, and say how to fix it.")
@config_file
@option(
    "--online",
    is_flag=True,
    help="Also test tokens, organizations, filters and queries against Sentry.",
)
def check(config_file: Path, *, online: bool) -> None:
    """Report whether the configuration is valid, and how to fix what is not.

    All mistakes in the file are reported at once, each with its line. Files and variables that it
    names are checked once it is valid.
    """
    log.configure("error", "logfmt")
    try:
        config = load(config_file)
    except ConfigError as error:
        click.echo(str(error))
        sys.exit(1)
    host = host_report(config, time.time())
    for warning in (*config.warnings, *host.warnings):
        click.echo(f"warning: {warning}")
    results = [Finding(str(problem)) for problem in host.problems]
    if online:
        results += findings(_usable(config, host))
    for finding in results:
        click.echo(finding)
    if any(finding.failure for finding in results):
        sys.exit(1)
    queries = sum(len(organization.queries) for organization in config.organizations)
    how = "valid, tested against Sentry" if online else "valid"
    click.echo(
        f"{config_file}: {how}; organizations: {len(config.organizations)}, queries: {queries}"
    )


def _usable(config: Config, host: HostReport) -> Config:
    """Return ``config`` without organizations whose requests would fail for a reported reason."""
    usable = (each for each in config.organizations if each.name not in host.unusable)
    return replace(config, organizations=tuple(usable))
