"""The parts of a running exporter, wired together for one configuration."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

from exporter.collect.directory import ProjectDirectory
from exporter.collect.ledger import Kept, Ledger
from exporter.collect.poller import Poller
from exporter.collect.query import QueryPoller
from exporter.config import Config, Filter, Organization, Query
from exporter.publish.own import OwnMetrics
from exporter.publish.page import Page
from exporter.sentry.client import Meter, SentryClient, Upstream
from exporter.sentry.errors import TokenError
from exporter.sentry.limits import Allowance, limits_by_token
from exporter.sentry.transport import open_session
from exporter.state import State


class Exporter:
    """Everything between a configuration and the page that is scraped.

    ``clock`` gives seconds since the epoch. With ``state``, counters go on where they were.
    """

    def __init__(
        self, config: Config, *, clock: Callable[[], float] = time.time, state: State | None = None
    ) -> None:
        own = OwnMetrics()
        own.configuration_read(clock())
        self.page = Page(own)
        self.queries = tuple(_query_pollers(config, self.page, own, clock, state))
        self.poller = Poller(self.queries, clock=clock)

    def healthy(self) -> bool:
        """Tell whether the poll loop lives."""
        return self.poller.alive()

    def ready(self) -> bool:
        """Tell whether every query has been tried once and one has data."""
        reports = [query.report for query in self.queries]
        tried = all(report.polls for report in reports)
        return tried and any(report.view is not None for report in reports)


def clients(
    config: Config,
    meter: Callable[[str], Meter],
    clock: Callable[[], float] = time.time,
) -> dict[str, SentryClient]:
    """Return a client for each organization; those with the same token share its limits.

    ``meter`` gives what counts an organization's requests.
    """
    keys = {organization.slug: _token_key(organization) for organization in config.organizations}
    limits = limits_by_token(
        (
            keys[organization.slug],
            Allowance(organization.max_concurrency, organization.requests_per_second),
        )
        for organization in config.organizations
    )
    sessions = {key: open_session(one.allowance.max_concurrency) for key, one in limits.items()}
    return {
        organization.slug: SentryClient(
            _upstream(organization),
            sessions[keys[organization.slug]],
            limits[keys[organization.slug]],
            meter(organization.slug),
            now=clock,
        )
        for organization in config.organizations
    }


def _query_pollers(
    config: Config, page: Page, own: OwnMetrics, clock: Callable[[], float], state: State | None
) -> Iterator[QueryPoller]:
    by_organization = clients(config, own.meter, clock)
    for organization in config.organizations:
        client = by_organization[organization.slug]
        directory = ProjectDirectory(organization.slug, client, page, organization.project_label)
        for query, kept in _kept(organization, state):
            poller = QueryPoller(organization, query, client, directory, page, kept=kept)
            page.publish(poller.report)
            yield poller


def _kept(organization: Organization, state: State | None) -> Iterator[tuple[Query, Kept]]:
    """Yield each query with what is kept of it; those that ask the same are told apart."""
    asked: Counter[tuple[frozenset[str], Filter, frozenset[str], int]] = Counter()
    for query in organization.queries:
        asks = frozenset(query.group_by), query.filter, frozenset(query.fields), query.interval
        yield query, state.restore(organization, query, asked[asks]) if state else Kept(Ledger())
        asked[asks] += 1


def _token_key(organization: Organization) -> object:
    """Return what stands for the organization's token: the token itself where it can be had."""
    try:
        return organization.token.read()
    except TokenError:
        return organization.token


def _upstream(organization: Organization) -> Upstream:
    return Upstream(
        organization.slug,
        organization.url,
        organization.token,
        organization.ca_file,
        organization.timeout,
        organization.max_response_size,
    )
