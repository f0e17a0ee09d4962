"""``check --online``: tries what a configuration says, and tells how to mend what fails."""

import difflib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter import buckets
from exporter.buckets import Window
from exporter.collect.subject import subject_of
from exporter.config import Config, Organization, Query
from exporter.daemon import clients
from exporter.publish.own import OwnMetrics
from exporter.sentry.client import SentryClient
from exporter.sentry.errors import SentryError
from exporter.sentry.news import Deprecation
from exporter.sentry.projects import ProjectList
from exporter.token import redact


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what was found; ``failure`` says that something does not work."""

    text: str
    failure: bool = True

    def __str__(self) -> str:
        return self.text


def findings(config: Config, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield what does not work, and what will not for long, tried against the real servers."""
    by_organization = clients(config, OwnMetrics().meter, clock)
    for organization in config.organizations:
        client = by_organization[organization.slug]
        yield from map(Finding, _failures(organization, client, clock()))
        for api, deprecation in client.deprecations.items():
            text = _warning(f"organization {organization.slug}", api, deprecation)
            yield Finding(text, failure=False)


def _failures(organization: Organization, client: SentryClient, now: float) -> Iterator[str]:
    """Yield a line for everything about ``organization`` that does not work."""
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


def _warning(where: str, api: str, deprecation: Deprecation) -> str:
    instead = f", in favour of {deprecation.replacement}" if deprecation.replacement else ""
    return (
        f"{where}: Sentry deprecates {api} as of {deprecation.date}{instead};"
        " see whether there is a newer exporter (a warning)"
    )


def _line(where: str, error: SentryError) -> str:
    return redact(f"{where}: {error}" + (f" ({error.remedy})" if error.remedy else ""))
