"""The parts of a running exporter, wired together for one configuration."""

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from exporter import buckets
from exporter.collect.directory import ProjectDirectory
from exporter.collect.poller import Poller
from exporter.collect.query import QueryPoller
from exporter.collect.report import ProjectInfo
from exporter.config import Config, Organization, Query
from exporter.publish.own import OwnMetrics
from exporter.publish.page import Page
from exporter.sentry.client import Meter, SentryClient, Upstream
from exporter.sentry.errors import TokenError
from exporter.sentry.limits import Allowance, limits_by_token
from exporter.sentry.transport import open_session
from exporter.shard import WHOLE, Shard, stable_hash
from exporter.state import State

_Name = tuple[str, str]
"""What a query is called: the organization's slug, and its own name."""


class Exporter:
    """Everything between a configuration and the page that is scraped.

    ``clock`` gives seconds since the epoch. With ``state``, counters go on where they were. Of
    the configured queries, those of ``shard`` are polled.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = time.time,
        state: State | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        own = OwnMetrics(shard)
        own.configuration_read(clock())
        self.page = Page(own)
        self.queries = tuple(_query_pollers(config, shard, self.page, own, clock, state))
        self.page.publish(*(query.report for query in self.queries))
        self.poller = Poller(self.queries, clock=clock)

    def healthy(self) -> bool:
        """Tell whether the poll loop lives."""
        return self.poller.alive()

    def ready(self) -> bool:
        """Tell whether every query has been tried once and one has data.

        A shard that no query falls to is ready, or it would hold up the pods behind it.
        """
        reports = [query.report for query in self.queries]
        tried = all(report.polls for report in reports)
        return tried and (not reports or any(report.view is not None for report in reports))


def tune_interpreter() -> None:
    """Prepare the process for large ledgers and for scrapes while they are being filled.

    Ledgers are many small values that stay and hold no cycles, so garbage is looked for less
    often; and a poll that computes lets go of the interpreter sooner than it would by default.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    sys.setswitchinterval(0.0002)


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


class _Unheard:
    """Takes what another shard publishes already."""

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Leave ``projects`` to the other shard."""


def _query_pollers(
    config: Config,
    shard: Shard,
    page: Page,
    own: OwnMetrics,
    clock: Callable[[], float],
    state: State | None,
) -> Iterator[QueryPoller]:
    share = shard.share(config)
    by_organization = clients(share, own.meter, clock)
    directories = _directories(config, share, by_organization, page)
    ordinals, offsets = _ordinals(config), _offsets(config)
    started = clock()
    for organization, query in _queries(share):
        name = organization.slug, query.name
        yield QueryPoller(
            organization,
            query,
            by_organization[organization.slug],
            directories[organization.slug],
            page,
            kept=state.restore(organization, query, ordinals[name]) if state else None,
            offset=offsets[name],
            first_poll=started + offsets[name],
        )


def _directories(
    config: Config, share: Config, by_organization: Mapping[str, SentryClient], page: Page
) -> Mapping[str, ProjectDirectory]:
    """Return the directories of the organizations; of all shards, one shows the projects."""
    here = {(organization.slug, query.name) for organization, query in _queries(share)}
    told_here = {slug for slug, _ in here.intersection(_tellers(config))}
    return {
        organization.slug: ProjectDirectory(
            organization.slug,
            by_organization[organization.slug],
            page if organization.slug in told_here else _Unheard(),
            organization.project_label,
        )
        for organization in share.organizations
    }


def _ordinals(config: Config) -> Mapping[_Name, int]:
    """Return what tells apart queries that ask the same, in the state too, whatever the shards."""
    asked: Counter[object] = Counter()
    ordinals = {}
    for organization, query in _queries(config):
        fields, group_by = frozenset(query.fields), frozenset(query.group_by)
        asks = organization.slug, group_by, query.filter, fields, query.interval
        ordinals[organization.slug, query.name] = asked[asks]
        asked[asks] += 1
    return ordinals


def _offsets(config: Config) -> Mapping[_Name, int]:
    """Return how many seconds past its slots, and past the start, each query is polled.

    That is the same whatever the shards.
    """
    names = {(organization.slug, query.name): query for organization, query in _queries(config)}
    return {
        name: buckets.spread(stable_hash(*name), query.poll_interval, len(names))
        for name, query in names.items()
    }


def _tellers(config: Config) -> Iterator[_Name]:
    """Yield, for each organization that has one, its first query that has to do with projects."""
    told = set()
    for organization, query in _queries(config):
        about_projects = "project" in query.group_by or query.filter.project
        if about_projects and organization.slug not in told:
            told.add(organization.slug)
            yield organization.slug, query.name


def _queries(config: Config) -> Iterator[tuple[Organization, Query]]:
    for organization in config.organizations:
        for query in organization.queries:
            yield organization, query


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
