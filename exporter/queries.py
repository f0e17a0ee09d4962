"""The queries of a configuration: their names, numbers, times and identities."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from exporter import buckets
from exporter.collect.poll import POLL_INTERVAL
from exporter.config import QUOTAS_QUERY, Config, Organization, Query
from exporter.shard import stable_hash
from exporter.state import question_of

QueryName = tuple[str, str]
"""The name of a query: its organization's, and its own."""


def queries_of(config: Config) -> Iterator[tuple[Organization, Query]]:
    """Yield each query with its organization, in the order of the configuration."""
    for organization in config.organizations:
        for query in organization.queries:
            yield organization, query


def identities(config: Config) -> Mapping[QueryName, object]:
    """Return what has to be equal for a query to go on with its state after a reload.

    Of the organization, only slug and server are part of it, and how projects are labelled if the
    query has them. The quotas of an organization are like another query.
    """
    quotas = {
        (organization.name, QUOTAS_QUERY): (
            source_of_quotas(organization),
            organization.billing,
            organization.quotas,
        )
        for organization in config.organizations
        if organization.has_quotas
    }
    return quotas | {
        (organization.name, query.name): (
            organization.slug,
            organization.url,
            # What is shown keeps its labels until the next poll; project_info would have others.
            organization.project_label if _is_about_projects(query) else "",
            query,
        )
        for organization, query in queries_of(config)
    }


def source_of_quotas(organization: Organization) -> object:
    """Return what has to be equal for what was read to count for changed quotas too."""
    return (
        organization.slug,
        organization.url,
        organization.project_label,
        organization.teams,
    )


def servers_elsewhere(config: Config, organization: Organization) -> frozenset[str]:
    """Return the servers where other organizations of the configuration have the same slug."""
    others = (one for one in config.organizations if one.name != organization.name)
    return frozenset(one.url for one in others if one.slug == organization.slug)


def twins(config: Config) -> Mapping[QueryName, frozenset[QueryName]]:
    """Return for each query the others that ask the same.

    The queries of all shards are looked at, so that it does not depend on the shard.
    """
    asking: dict[tuple[str, str], set[QueryName]] = {}
    for organization, query in queries_of(config):
        # What the state file is searched for: with another notion of it, two queries would share
        # their buckets there.
        question = question_of(organization, query), organization.url
        asking.setdefault(question, set()).add((organization.name, query.name))
    return {name: frozenset(names - {name}) for names in asking.values() for name in names}


def offsets(config: Config, among: Collection[QueryName] | None = None) -> Mapping[QueryName, int]:
    """Return how many seconds past its slots each query is polled, or each one ``among`` them.

    That is the same whatever the shards.
    """
    intervals = {
        name: interval
        for name, interval in _poll_intervals(config)
        if among is None or name in among
    }
    return {
        name: buckets.spread(stable_hash(*name), interval, len(intervals))
        for name, interval in intervals.items()
    }


def first_project_queries(config: Config) -> Iterator[QueryName]:
    """Yield the first query of each organization that has to do with projects, or its quotas.

    The shard that polls it publishes the projects of the organization.
    """
    seen = set()
    for organization, query in queries_of(config):
        if _is_about_projects(query) and organization.name not in seen:
            seen.add(organization.name)
            yield organization.name, query.name
    for organization in config.organizations:
        if organization.has_quotas and organization.name not in seen:
            yield organization.name, QUOTAS_QUERY


def changes(before: Config, after: Config) -> Mapping[str, Sequence[str]]:
    """Return the names of what differs between two configurations, by what happened to it.

    An organization counts as changed by its own settings, not by its queries.
    """
    settings = [
        {one.name: one.model_copy(update={"queries": ()}) for one in config.organizations}
        for config in (before, after)
    ]
    queries = [
        {f"{organization.name}/{query.name}": query for organization, query in queries_of(config)}
        for config in (before, after)
    ]
    return {**_differences("organizations", *settings), **_differences("queries", *queries)}


def enumeration(names: Sequence[str], limit: int) -> str:
    """Return ``names``, but only the number of those beyond ``limit``."""
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return ", ".join([*names[:limit], *more])


def _differences(
    what: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Mapping[str, Sequence[str]]:
    differing = {
        f"{what}_added": [name for name in after if name not in before],
        f"{what}_removed": [name for name in before if name not in after],
        f"{what}_changed": [name for name in after if before.get(name, after[name]) != after[name]],
    }
    return {key: names for key, names in differing.items() if names}


def _poll_intervals(config: Config) -> Iterator[tuple[QueryName, int]]:
    """Yield how often each query is polled, and the quotas of each organization."""
    for organization, query in queries_of(config):
        yield (organization.name, query.name), query.poll_interval
    for organization in config.organizations:
        if organization.has_quotas:
            yield (organization.name, QUOTAS_QUERY), POLL_INTERVAL


def _is_about_projects(query: Query) -> bool:
    return "project" in query.group_by or bool(query.filter.project)
