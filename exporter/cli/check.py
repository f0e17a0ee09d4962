"""``check``: reports what is wrong with a configuration."""

import sys
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from exporter import log
from exporter.check import (
    Checked,
    Finding,
    Report,
    category_warnings,
    check_online,
    organization_text,
)
from exporter.cli.options import config_file, option
from exporter.cli.output import echo, log_waits
from exporter.cli.web import web_config_file
from exporter.config import Config, ConfigError, HostReport, host_report, load, with_token_file
from exporter.web.config import load_web_config


@click.command(short_help="Check the configuration, and say how to fix it.")
@config_file
@web_config_file
@option(
    "--online",
    is_flag=True,
    help="Also test tokens, organizations, filters and queries against Sentry.",
)
@option(
    "--token.file",
    type=click.Path(path_type=Path),
    help="Use the token in this file for every organization, instead of the configured tokens.",
)
@option(
    "--output",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Format of the report.",
)
def check(
    config_file: Path,
    *,
    web_config_file: Path | None,
    online: bool,
    token_file: Path | None,
    output: str,
) -> None:
    """Report whether the configuration is valid, and how to fix what is not.

    All mistakes in the file are reported at once, each with its line. If there are none, the files
    and environment variables that it names are checked too.
    """
    log.configure("error", "logfmt")
    findings, config = _offline(config_file, token_file, online=online)
    if web_config_file is not None:
        findings += _web_findings(web_config_file)
    checked: Iterable[Checked] = ()
    if online and config is not None:
        log_waits()
        checked = check_online(config, time.time)
    if output == "json":
        report = Report.of(str(config_file), findings, checked, online=online)
        echo(report.json())
    else:
        report = _printed(str(config_file), findings, checked, online=online)
        _print_verdicts(report, config, web_config_file)
    sys.exit(0 if report.valid else 1)


def _offline(
    path: Path, token_file: Path | None, *, online: bool
) -> tuple[list[Finding], Config | None]:
    """Return what is wrong with the file and on this host, and the configuration to try online."""
    try:
        config = load(path)
    except ConfigError as error:
        return [Finding.of(problem, "error") for problem in error.problems], None
    if token_file is not None:
        config = with_token_file(config, token_file)
    host = host_report(config, time.time(), needed=online)
    warnings = [Finding.of(problem, "warning") for problem in (*config.warnings, *host.warnings)]
    errors = [Finding.of(problem, "error") for problem in host.problems]
    if not online:
        return [*warnings, *errors], config
    usable = _usable(config, host)
    left = _left_to_sentry(usable)
    return [*(one for one in warnings if one.path not in left), *errors], usable


def _web_findings(path: Path) -> list[Finding]:
    """Return what is wrong with the web configuration, and with the files that it names."""
    try:
        config = load_web_config(path)
    except ConfigError as error:
        return [Finding.of(problem, "error") for problem in error.problems]
    findings = [Finding.of(problem, "warning") for problem in config.warnings]
    expiry, now = config.expiry, time.time()
    if expiry is not None and (problem := expiry.problem(now)) is not None:
        findings.append(Finding.of(problem, "error" if expiry.has_passed(now) else "warning"))
    return findings


def _usable(config: Config, host: HostReport) -> Config:
    """Return ``config`` without organizations whose requests would fail for a reported reason."""
    usable = (each for each in config.organizations if each.name not in host.unusable)
    return replace(config, organizations=tuple(usable))


def _left_to_sentry(config: Config) -> Collection[str]:
    """Return the paths of warnings that `check_online` repeats unless Sentry has said more."""
    return {
        finding.path
        for organization in config.organizations
        for query in organization.queries
        for finding in category_warnings(config, organization, query)
    }


def _printed(
    path: str, findings: Sequence[Finding], checked: Iterable[Checked], *, online: bool
) -> Report:
    """Print the findings and the organizations as they arrive; return all of it."""
    for finding in findings:
        echo(finding)
    every = []
    for each in checked:
        echo(organization_text(*each) + "\n")
        every.append(each)
    return Report.of(path, findings, every, online=online)


def _print_verdicts(report: Report, config: Config | None, web_config_file: Path | None) -> None:
    """Print the last lines, one for each file."""
    web = str(web_config_file) if web_config_file else None
    own = [problem for problem in report.problems if problem.file != web]
    of_web = [problem for problem in report.problems if problem.file == web]
    echo(f"{report.config}: {_counts(own) or _valid(report, config)}")
    if web:
        echo(f"{web}: {_counts(of_web) or 'valid'}")


def _counts(problems: Sequence[Finding]) -> str:
    """Return how many errors and warnings there are, ``""`` if there is no error."""
    errors = sum(problem.severity == "error" for problem in problems)
    return f"errors: {errors}, warnings: {len(problems) - errors}" if errors else ""


def _valid(report: Report, config: Config | None) -> str:
    organizations = config.organizations if config else ()
    queries = sum(len(organization.queries) for organization in organizations)
    how = "valid, tested against Sentry" if report.online else "valid"
    return f"{how}; organizations: {len(organizations)}, queries: {queries}"
