"""``check``: says whether a configuration is good."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from exporter import log
from exporter.cli.online import Finding, findings
from exporter.cli.options import config_file, option
from exporter.config import Config, ConfigError, HostReport, host_report, load


@click.command
@config_file
@option("--online", is_flag=True, help="Also try tokens, organizations, filters and queries.")
def check(config_file: Path, *, online: bool) -> None:
    """Say whether the configuration is good, and how to mend what is not.

    The files and variables that it names on this host are looked at too.
    """
    log.configure("error", "logfmt")
    try:
        config = load(config_file)
    except ConfigError as error:
        click.echo(str(error))
        sys.exit(1)
    host = host_report(config, time.time())
    for warning in (*config.warnings, *host.warnings):
        click.echo(f"{warning} (a warning)")
    found = [Finding(str(problem)) for problem in host.problems]
    if online:
        found += findings(_askable(config, host))
    for finding in found:
        click.echo(finding)
    if any(finding.failure for finding in found):
        sys.exit(1)
    queries = sum(len(organization.queries) for organization in config.organizations)
    how = "good, and works online" if online else "good"
    click.echo(
        f"{config_file}: {how}; organizations: {len(config.organizations)}, queries: {queries}"
    )


def _askable(config: Config, host: HostReport) -> Config:
    """Return ``config`` without organizations whose requests fail for a reason already told."""
    askable = (each for each in config.organizations if each.name not in host.unusable)
    return replace(config, organizations=tuple(askable))
