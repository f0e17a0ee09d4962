"""``check --online``: tries what a configuration names, and says how to repair what fails."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter import buckets
from exporter.clients import clients_for
from exporter.collect.plan.core import drive
from exporter.collect.plan.resolved import ResolvedQuery, choose_projects, missing_project, resolve
from exporter.collect.plan.series import read_series
from exporter.config import Config, Organization, Query
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.api import WAITS
from exporter.sentry.client import SentryClient
from exporter.sentry.deprecation import Deprecation
from exporter.sentry.errors import ForbiddenError, SentryError, UnknownProjectError
from exporter.sentry.projects import ProjectList
from exporter.sentry.question import Question
from exporter.sentry.token import redact


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``failure`` is set where something does not work."""

    text: str
    failure: bool = True

    def __str__(self) -> str:
        return self.text


def findings(config: Config, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield what does not work with the real servers, and what is about to stop working.

    The log shows the pauses that Sentry requires, at any level.
    """
    logging.getLogger(WAITS).setLevel(logging.INFO)
    by_organization = clients_for(config, SelfMetrics().meter, clock).by_organization
    for organization in config.organizations:
        client = by_organization[organization.name]
        yield from map(Finding, _failures(organization, client, clock()))
        for api, deprecation in client.deprecations.items():
            text = _warning(f"organization {organization.name}", api, deprecation)
            yield Finding(text, failure=False)


def _failures(organization: Organization, client: SentryClient, now: float) -> Iterator[str]:
    """Yield a line for everything about ``organization`` that does not work."""
    projects: ProjectList | None = None
    reported = ""
    try:
        projects = client.projects()
    except SentryError as error:
        yield _line(f"organization {organization.name}", error)
        reported = error.reason
        if error.lasting:
            return
    for query in organization.queries:
        where = f"organization {organization.name}, query {query.name}"
        try:
            for text in _unknown_projects(query, projects, client, now - organization.settle):
                yield _line(where, UnknownProjectError(text))
        except SentryError as error:
            # What fails for the organization fails for each of its queries.
            if error.reason != reported:
                yield _line(where, error)


def _unknown_projects(
    query: Query, projects: ProjectList | None, client: SentryClient, settled: float
) -> Iterator[str]:
    """Ask for the latest finished bucket, in both ways that a poll would.

    Yield what is wrong with the projects of the filter: missing from the list, or not to be read
    with the token. Raise `SentryError` where the query fails.
    """
    chosen = choose_projects(query.filter.project, projects)
    if projects:
        for name in chosen.missing:
            yield missing_project(name, projects)
    if query.filter.project and not chosen.ids:
        return
    asked = resolve(query, chosen.ids)
    window = asked.bucket(buckets.latest_finished(settled, query.interval, 0))
    refused = _refused(asked, asked.question(window), client)
    for name in query.filter.project:
        if refused.intersection(choose_projects((name,), projects).ids):
            yield missing_project(name, projects)
    readable = tuple(project for project in chosen.ids if project not in refused)
    # An empty ``readable`` would ask for all projects, which is right only without a filter.
    if asked.by_project and (readable or not chosen.ids):
        for batch in asked.batches(asked.project_question(window.start, readable)):
            client.ask(batch)


def _refused(asked: ResolvedQuery, question: Question, client: SentryClient) -> frozenset[int]:
    """Return the projects of ``asked`` that Sentry does not let the token read."""
    try:
        for batch in asked.batches(question):
            client.ask(batch)
    except ForbiddenError:
        if not asked.project:
            raise
    else:
        return frozenset()
    # The answer does not say which project was refused: a poll finds out by splitting.
    readings = drive(read_series(asked, question), client.ask_all)
    return frozenset[int]().union(*(reading.refused for reading in readings.values()))


def _warning(where: str, api: str, deprecation: Deprecation) -> str:
    instead = f", in favour of {deprecation.replacement}" if deprecation.replacement else ""
    return (
        f"warning: {where}: Sentry deprecates {api} as of {deprecation.date}{instead};"
        " check whether there is a newer exporter"
    )


def _line(where: str, error: SentryError) -> str:
    return redact(f"{where}: {error}" + (f" ({error.remedy})" if error.remedy else ""))
