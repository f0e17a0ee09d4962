"""``check``: says whether a configuration is good."""

import sys
from pathlib import Path

import click

from exporter import log
from exporter.cli.options import config_file, option
from exporter.config import ConfigError, load
from exporter.online import findings


@click.command
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
    if any(finding.failure for finding in found):
        sys.exit(1)
    queries = sum(len(organization.queries) for organization in config.organizations)
    how = "good, and works online" if online else "good"
    click.echo(
        f"{config_file}: {how}; organizations: {len(config.organizations)}, queries: {queries}"
    )
