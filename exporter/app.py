"""The parts of a running exporter, wired together for one configuration."""

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from exporter import buckets
from exporter.collect.ledger.posting import FORGOTTEN_AFTER
from exporter.collect.poll.directory import ProjectDirectory, only_team
from exporter.collect.poll.loop import Poller
from exporter.collect.poll.query import QueryPoller
from exporter.collect.snapshot import ProjectInfo
from exporter.config import Config, Organization, Query
from exporter.config.teams import Teams
from exporter.publish.page import Page
from exporter.publish.self_metrics import OwnMetrics
from exporter.sentry.client import Meter, SentryClient, Upstream
from exporter.sentry.errors import TokenError
from exporter.sentry.limits import Allowance, limits_by_token
from exporter.sentry.projects import Project
from exporter.sentry.transport import open_session
from exporter.shard import WHOLE, Shard, stable_hash
from exporter.state import State

_Name = tuple[str, str]
"""What a query is called: the organization's name, and its own."""


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
        if state is not None:
            state.forget(clock() - FORGOTTEN_AFTER)
        self.page.publish(*(query.report for query in self.queries))
        self.poller = Poller(self.queries, clock=clock)

    def healthy(self) -> bool:
        """Tell whether the poll loop lives."""
        return self.poller.alive()

    def ready(self) -> bool:
        """Tell whether every query has been tried once, as the next scrape shows.

        Failures count: what they are is on the page, for whoever scrapes only what is ready. A
        shard that no query falls to is ready too, or it would hold up the pods behind it.
        """
        return all(report.polls for report in self.page.shown())


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
    keys = {organization.name: _token_key(organization) for organization in config.organizations}
    limits = limits_by_token(
        (
            keys[organization.name],
            Allowance(organization.max_concurrency, organization.requests_per_second),
        )
        for organization in config.organizations
    )
    sessions = {key: open_session(one.allowance.max_concurrency) for key, one in limits.items()}
    return {
        organization.name: SentryClient(
            _upstream(organization),
            sessions[keys[organization.name]],
            limits[keys[organization.name]],
            meter(organization.name),
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
    directories = _directories(config, share, by_organization, page, state)
    ordinals, offsets = _ordinals(config), _offsets(config)
    started = clock()

    def elsewhere(organization: Organization) -> frozenset[str]:
        others = (one for one in config.organizations if one.name != organization.name)
        return frozenset(one.url for one in others if one.slug == organization.slug)

    for organization, query in _queries(share):
        name = organization.name, query.name
        yield QueryPoller(
            organization,
            query,
            by_organization[organization.name],
            directories[organization.name],
            page,
            kept=state.restore(organization, query, ordinals[name], elsewhere(organization))
            if state
            else None,
            offset=offsets[name],
            first_poll=started + offsets[name],
        )


def _directories(
    config: Config,
    share: Config,
    by_organization: Mapping[str, SentryClient],
    page: Page,
    state: State | None,
) -> Mapping[str, ProjectDirectory]:
    """Return the directories of the organizations; of all shards, one shows the projects."""
    here = {(organization.name, query.name) for organization, query in _queries(share)}
    told_here = {name for name, _ in here.intersection(_tellers(config))}
    return {
        organization.name: ProjectDirectory(
            organization.name,
            by_organization[organization.name],
            page if organization.name in told_here else _Unheard(),
            organization.project_label,
            partial(_team, organization.teams),
            state.project_list(organization) if state else None,
        )
        for organization in share.organizations
    }


def _team(teams: Teams, project: Project) -> str:
    """Return who owns a project: the team that the configuration names, else its only one."""
    return teams.owner(project.slug, project.id) or only_team(project)


def _ordinals(config: Config) -> Mapping[_Name, int]:
    """Return what tells apart queries that ask the same, in the state too, whatever the shards."""
    asked: Counter[object] = Counter()
    ordinals = {}
    for organization, query in _queries(config):
        fields, group_by = frozenset(query.fields), frozenset(query.group_by)
        server = organization.slug, organization.url
        asks = server, group_by, query.filter, fields, query.interval
        ordinals[organization.name, query.name] = asked[asks]
        asked[asks] += 1
    return ordinals


def _offsets(config: Config) -> Mapping[_Name, int]:
    """Return how many seconds past its slots, and past the start, each query is polled.

    That is the same whatever the shards.
    """
    names = {(organization.name, query.name): query for organization, query in _queries(config)}
    return {
        name: buckets.spread(stable_hash(*name), query.poll_interval, len(names))
        for name, query in names.items()
    }


def _tellers(config: Config) -> Iterator[_Name]:
    """Yield, for each organization that has one, its first query that has to do with projects."""
    told = set()
    for organization, query in _queries(config):
        about_projects = "project" in query.group_by or query.filter.project
        if about_projects and organization.name not in told:
            told.add(organization.name)
            yield organization.name, query.name


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
        organization.name,
    )
