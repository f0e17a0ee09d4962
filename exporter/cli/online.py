"""``check --online``: tries what a configuration says, and tells how to mend what fails."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter import buckets
from exporter.app import clients
from exporter.collect.plan.core import drive
from exporter.collect.plan.resolved import missing_project, resolved, subject_of
from exporter.collect.plan.series import read_series
from exporter.config import Config, Organization, Query
from exporter.publish.self_metrics import OwnMetrics
from exporter.sentry.client import WAITS, SentryClient
from exporter.sentry.errors import ForbiddenError, SentryError, UnknownProjectError
from exporter.sentry.news import Deprecation
from exporter.sentry.projects import ProjectList
from exporter.sentry.token import redact


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what was found; ``failure`` says that something does not work."""

    text: str
    failure: bool = True

    def __str__(self) -> str:
        return self.text


def findings(config: Config, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield what does not work, and what will not for long, tried against the real servers.

    Where that takes long because Sentry requires pauses, the log says so at any level.
    """
    logging.getLogger(WAITS).setLevel(logging.INFO)
    by_organization = clients(config, OwnMetrics().meter, clock)
    for organization in config.organizations:
        client = by_organization[organization.name]
        yield from map(Finding, _failures(organization, client, clock()))
        for api, deprecation in client.deprecations.items():
            text = _warning(f"organization {organization.name}", api, deprecation)
            yield Finding(text, failure=False)


def _failures(organization: Organization, client: SentryClient, now: float) -> Iterator[str]:
    """Yield a line for everything about ``organization`` that does not work."""
    projects: ProjectList | None = None
    known = ""
    try:
        projects = client.projects()
    except SentryError as error:
        yield _line(f"organization {organization.name}", error)
        known = error.reason
        if error.lasting:
            return
    for query in organization.queries:
        where = f"organization {organization.name}, query {query.name}"
        chosen = resolved(query.filter.project, projects)
        if projects:
            for name in chosen.missing:
                yield _line(where, UnknownProjectError(missing_project(name, projects)))
        if chosen.ids or not query.filter.project:
            try:
                settled = now - organization.settle
                for text in _refused(query, chosen.ids, projects, client, settled):
                    yield _line(where, UnknownProjectError(text))
            except SentryError as error:
                if error.reason != known:
                    yield _line(where, error)


def _refused(
    query: Query,
    chosen: tuple[int, ...],
    projects: ProjectList | None,
    client: SentryClient,
    settled: float,
) -> Iterator[str]:
    """Ask for the latest finished bucket, in both ways that a poll would.

    Yields what is wrong with the projects of the filter that Sentry does not let the token read.
    """
    subject = subject_of(query, chosen)
    window = subject.bucket(buckets.latest_finished(settled, query.interval, 0))
    question = subject.question(window)
    refused: frozenset[int] = frozenset()
    try:
        for batch in subject.batches(question):
            client.ask(batch)
    except ForbiddenError:
        if not chosen:
            raise
        readings = drive(read_series(subject, question), client.ask_all)
        refused = refused.union(*(reading.refused for reading in readings.values()))
    for name in query.filter.project:
        if refused.intersection(resolved((name,), projects).ids):
            yield missing_project(name, projects)
    left = tuple(project for project in chosen if project not in refused)
    if subject.by_project and (left or not chosen):
        for batch in subject.batches(subject.project_question(window.start, left)):
            client.ask(batch)


def _warning(where: str, api: str, deprecation: Deprecation) -> str:
    instead = f", in favour of {deprecation.replacement}" if deprecation.replacement else ""
    return (
        f"{where}: Sentry deprecates {api} as of {deprecation.date}{instead};"
        " see whether there is a newer exporter (a warning)"
    )


def _line(where: str, error: SentryError) -> str:
    return redact(f"{where}: {error}" + (f" ({error.remedy})" if error.remedy else ""))
