"""``check --online``: tries what a configuration says, and tells how to mend what fails."""

import difflib
import time
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

from exporter import buckets
from exporter.buckets import Window
from exporter.collect.subject import subject_of
from exporter.config import Config, Organization, Query
from exporter.daemon import clients
from exporter.publish.own import OwnMetrics
from exporter.sentry.client import SentryClient
from exporter.sentry.errors import SentryError
from exporter.sentry.projects import ProjectList

_TOKEN: Final = "an internal integration with the permission Organization: Read"  # noqa: S105 - words

_MENDING: Final = MappingProxyType(
    {
        "unauthorized": f"Sentry does not know the token; use the one of {_TOKEN}",
        "forbidden": (
            f"the token lacks org:read, or its owner is no member; use the one of {_TOKEN},"
            " and filter only by active projects that it can read"
        ),
        "not_found": "see that slug is right (Settings > General), and that url is its region's",
        "redirect": "name the organization's own address under url, and its current slug",
        "network": "see that url is right, and that this host can reach it",
        "tls": "name the authority that signed the certificate under ca_file, or use http in url",
        "timeout": "see that url is right, or allow a longer timeout",
        "bad_request": "Sentry does not take the query as it stands; an older server knows less",
        "too_large": "allow a larger max_response_size, or filter",
        "bad_answer": "see that url is a Sentry's, without anything in between that answers itself",
        "rate_limited": "others use up the token's limit; lower requests_per_second, or wait",
        "too_heavy": "Sentry's store is busy; try again later, or filter",
        "server_error": "Sentry has trouble of its own; try again later",
        "unexpected_status": "see that url is a Sentry's, and not a proxy's that wants something",
        "unknown_project": "name it as in Settings > Projects, or by its id",
    }
)
"""What somebody can do about a failure, by its reason."""


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
    advice = _MENDING.get(error.reason)
    return f"{where}: {error}" + (f" ({advice})" if advice else "")
