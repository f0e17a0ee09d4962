"""What is made from one configuration, and what happens when it is replaced."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.clients import Clients
from exporter.collect.poll import (
    PollState,
    ProjectDirectory,
    QueryPoller,
    QuotaPoller,
    QuotaState,
)
from exporter.collect.publisher import RevocablePublisher
from exporter.config import QUOTAS_QUERY, Config, Organization
from exporter.queries import QueryName, source_of_quotas

Poller = QueryPoller | QuotaPoller


@dataclass(frozen=True, slots=True)
class Wiring:
    """What is made from one configuration, and is replaced with it.

    ``identities`` say which queries of the next configuration are the same as these.
    """

    config: Config
    publisher: RevocablePublisher
    clients: Clients = field(default_factory=Clients)
    directories: Mapping[str, ProjectDirectory] = field(default_factory=dict)
    pollers: Mapping[QueryName, Poller] = field(default_factory=dict)
    identities: Mapping[QueryName, object] = field(default_factory=dict)


def quota_state(
    before: Wiring, organization: Organization, identity: object, first_poll: float
) -> QuotaState:
    """Return the present state of the quotas of ``organization``, or a new one.

    What was read goes on to count for changed quotas, as far as it is about them.
    """
    name = organization.name, QUOTAS_QUERY
    poller = before.pollers.get(name)
    if not isinstance(poller, QuotaPoller):
        return QuotaState.begin(organization, first_poll)
    if before.identities[name] == identity:
        return poller.state
    (present,) = (one for one in before.config.organizations if one.name == organization.name)
    if source_of_quotas(present) == source_of_quotas(organization):
        return QuotaState.succeeding(poller.state, organization, first_poll)
    return QuotaState.begin(organization, first_poll)


def hand_over(before: Wiring, after: Wiring) -> None:
    """Let nothing that has another client than in ``after`` ask or change anything."""
    for poller in after.pollers.values():
        poller.take_over()
    for name, client in before.clients.by_organization.items():
        if after.clients.by_organization.get(name) is not client:
            before.directories[name].state.closed = True
            # Last: polls that are out must know already that nothing comes of them.
            client.close()
    _close_unused(before.clients, after.clients)


def _close_unused(before: Clients, after: Clients) -> None:
    """Close the idle connections of ``before`` that ``after`` does not use."""
    # Only now: a client that is closed begins no request that would open another one. Without this,
    # they stay open for as long as anything refers to the old clients, such as a poll that hangs.
    used = [session for _, session in after.tokens.values()]
    for _, session in before.tokens.values():
        if session not in used:
            session.close()


def resume(wiring: Wiring, ending: Iterable[PollState]) -> None:
    """Let ``wiring`` go on, of whose queries some were ``ending``."""
    for state in ending:
        state.closed = False
    wiring.publisher.enable()
    # After it is enabled: what was dropped before is published again.
    for directory in wiring.directories.values():
        directory.republish()
    for poller in wiring.pollers.values():
        poller.republish()
