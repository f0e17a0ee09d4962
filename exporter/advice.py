"""``check --online``: tries what a configuration says, and tells how to mend what fails."""

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
        "tls": "name the authority that signed the server's certificate under ca_file",
        "timeout": "see that url is right, or allow a longer timeout",
        "bad_request": "Sentry does not take the query as it stands; an older server knows less",
        "too_large": "allow a larger max_response_size, or filter",
        "bad_answer": "see that url is a Sentry's, without anything in between that answers itself",
        "rate_limited": "others use up the token's limit; lower requests_per_second, or wait",
        "too_heavy": "Sentry's store is busy; try again later, or filter",
        "server_error": "Sentry has trouble of its own; try again later",
        "unexpected_status": "see that url is a Sentry's, and not a proxy's that wants something",
        "unknown_project": "name it as in Settings > Projects, or by its id",
        "token": "put a token there; token_env and token_file are read again for every request",
    }
)
"""What somebody can do about a failure, by its reason."""


def findings(config: Config, clock: Callable[[], float] = time.time) -> Iterator[str]:
    """Yield a line for everything that does not work, tried against the real servers."""
    for organization in config.organizations:
        client = clients(config, OwnMetrics().meter, clock)[organization.slug]
        yield from _organization_findings(organization, client, clock())


def _organization_findings(
    organization: Organization, client: SentryClient, now: float
) -> Iterator[str]:
    try:
        projects = client.projects()
    except SentryError as error:
        yield _line(f"organization {organization.slug}", error)
        return
    for query in organization.queries:
        where = f"organization {organization.slug}, query {query.name}"
        unreadable = list(_unreadable(query, projects))
        yield from (f"{where}: {text}" for text in unreadable)
        if not unreadable:
            try:
                _try(query, projects, client, now - organization.settle)
            except SentryError as error:
                yield _line(where, error)


def _unreadable(query: Query, projects: ProjectList) -> Iterator[str]:
    """Yield what is wrong with the ids that a query filters by; slugs show when it is tried."""
    for name in query.filter.project:
        if name.isdigit() and int(name) not in projects.accessible:
            yield f"filter.project {name} is no active project that the token can read"


def _try(query: Query, projects: ProjectList, client: SentryClient, settled: float) -> None:
    """Ask for the latest finished bucket, in both ways that a poll would."""
    subject = subject_of(query, projects)
    start = buckets.latest_finished(settled, query.interval, 0)
    client.ask(subject.question(Window(start, start + query.interval, query.interval)))
    if subject.by_project:
        client.ask(subject.project_question(start))


def _line(where: str, error: SentryError) -> str:
    advice = _MENDING.get(error.reason)
    return f"{where}: {error}" + (f" ({advice})" if advice else "")
