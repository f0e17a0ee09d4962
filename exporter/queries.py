"""The queries of a configuration: their names, numbers, times and identities."""

from collections.abc import Iterator, Mapping

from exporter import buckets
from exporter.config import Config, Organization, Query
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
    asking: dict[tuple[str, str], set[QueryName]] = {}
    for organization, query in queries_of(config):
        # What the state file is searched for: with another notion of it, two queries would share
        # their buckets there.
        question = question_of(organization, query), organization.url
        asking.setdefault(question, set()).add((organization.name, query.name))
    return {name: frozenset(names - {name}) for names in asking.values() for name in names}


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
