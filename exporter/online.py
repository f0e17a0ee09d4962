"""``check --online``: tries what a configuration says, and tells how to mend what fails."""

import difflib
import time
from collections.abc import Callable, Iterator

from exporter import buckets
from exporter.buckets import Window
from exporter.collect.subject import subject_of
from exporter.config import Config, Organization, Query
from exporter.daemon import clients
from exporter.publish.own import OwnMetrics
from exporter.sentry.client import SentryClient
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import ProjectList
from exporter.token import redact


def findings(config: Config, clock: Callable[[], float] = time.time) -> Iterator[str]:
    """Yield a line for everything that does not work, tried against the real servers."""
    by_organization = clients(config, OwnMetrics().meter, clock)
    for organization in config.organizations:
        client = by_organization[organization.slug]
        yield from _organization_findings(organization, client, clock())


def _organization_findings(
    organization: Organization, client: SentryClient, now: float
) -> Iterator[str]:
    projects: ProjectList | None = None
    known = ""
    try:
        projects = client.projects()
    except SentryError as error:
        yield _line(f"organization {organization.slug}", error)
        known = error.reason
        if error.lasting:
            return
    for query in organization.queries:
        where = f"organization {organization.slug}, query {query.name}"
        wrong = [_unreadable(name, projects) for name in query.filter.project if projects]
        yield from (f"{where}: {text}" for text in wrong if text)
        if not any(wrong) and (projects or not query.filter.project):
            try:
                _try(query, projects, client, now - organization.settle)
            except SentryError as error:
                if error.reason != known:
                    yield _line(where, error)


def _unreadable(name: str, projects: ProjectList) -> str:
    """Return what is wrong with a project that a query filters by, nothing if it can be read."""
    if not name.isdigit() and name not in projects.by_slug:
        near = difflib.get_close_matches(name, projects.by_slug, n=3)
        hint = f" (near it: {', '.join(near)})" if near else ""
        return f"filter.project names {name!r}, which is no slug of the organization{hint}"
    project = int(name) if name.isdigit() else projects.by_slug[name].id
    if project not in projects.accessible:
        return f"filter.project {name} is no active project that the token can read"
    return ""


def _try(query: Query, projects: ProjectList | None, client: SentryClient, settled: float) -> None:
    """Ask for the latest finished bucket, in both ways that a poll would."""
    subject = subject_of(query, projects)
    start = buckets.latest_finished(settled, query.interval, 0)
    client.ask(subject.question(Window(start, start + query.interval, query.interval)))
    if subject.by_project:
        client.ask(subject.project_question(start))


def _line(where: str, error: SentryError) -> str:
    return redact(f"{where}: {error}" + (f" ({error.remedy})" if error.remedy else ""))
