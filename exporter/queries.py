"""The queries of a configuration: their names, numbers, times and identities."""

from collections.abc import Iterator, Mapping

from exporter import buckets
from exporter.config import Config, Organization, Query
from exporter.shard import stable_hash

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
    query has them.
    """
    return {
        (organization.name, query.name): (
            organization.slug,
            organization.url,
            # What is shown keeps its labels until the next poll; project_info would have others.
            organization.project_label if _is_about_projects(query) else "",
            query,
        )
        for organization, query in queries_of(config)
    }


def servers_elsewhere(config: Config, organization: Organization) -> frozenset[str]:
    """Return the servers where other organizations of the configuration have the same slug."""
    others = (one for one in config.organizations if one.name != organization.name)
    return frozenset(one.url for one in others if one.slug == organization.slug)


def twins(config: Config) -> Mapping[QueryName, frozenset[QueryName]]:
    """Return for each query the others that ask the same.

    The queries of all shards are looked at, so that it does not depend on the shard.
    """
    asking: dict[object, set[QueryName]] = {}
    for organization, query in queries_of(config):
        asking.setdefault(_question(organization, query), set()).add(
            (organization.name, query.name)
        )
    return {name: frozenset(names - {name}) for names in asking.values() for name in names}


def _question(organization: Organization, query: Query) -> object:
    """Return what is the same for queries with the same buckets in the state file.

    The order of values makes no difference there.
    """
    chosen = query.filter
    several = query.fields, query.group_by, chosen.category, chosen.outcome, chosen.project
    server = organization.slug, organization.url
    return server, *map(frozenset, several), chosen.reason, query.interval


def offsets(config: Config) -> Mapping[QueryName, int]:
    """Return how many seconds past its slots, and past the start, each query is polled.

    That is the same whatever the shards.
    """
    names = {(organization.name, query.name): query for organization, query in queries_of(config)}
    return {
        name: buckets.spread(stable_hash(*name), query.poll_interval, len(names))
        for name, query in names.items()
    }


def first_project_queries(config: Config) -> Iterator[QueryName]:
    """Yield the first query of each organization that has to do with projects.

    The shard that polls it publishes the projects of the organization.
    """
    seen = set()
    for organization, query in queries_of(config):
        if _is_about_projects(query) and organization.name not in seen:
            seen.add(organization.name)
            yield organization.name, query.name


def _is_about_projects(query: Query) -> bool:
    return "project" in query.group_by or bool(query.filter.project)
