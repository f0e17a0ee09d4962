"""The clients of a configuration, and what organizations with the same token share."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests

from exporter.config import Config, Organization
from exporter.sentry.api import Meter
from exporter.sentry.client import SentryClient, Upstream
from exporter.sentry.errors import TokenError
from exporter.sentry.limits import Allowance, TokenLimits, limits_by_token
from exporter.sentry.transport import open_session


@dataclass(frozen=True, slots=True)
class Clients:
    """A client for each organization, and what they share by token."""

    by_organization: Mapping[str, SentryClient] = field(default_factory=dict)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    tokens: Mapping[object, tuple[TokenLimits, requests.Session]] = field(default_factory=dict)


def clients_for(
    config: Config,
    meter: Callable[[str], Meter],
    clock: Callable[[], float] = time.time,
    before: Clients | None = None,
) -> Clients:
    """Return a client for each organization; those with the same token share its limits.

    ``meter`` returns what counts an organization's requests. What has not changed since ``before``
    is used again, so that pauses that Sentry requires go on, and connections stay open. Where one
    of the organizations with a token has changed, all of them get new clients: requests of its old
    client may hang, and hold the places that the token has for requests.
    """
    before = before or Clients()
    keys = {one.name: _token_key(one) for one in config.organizations}
    upstreams = {one.name: _upstream(one) for one in config.organizations}
    changed = {
        keys[name]
        for name, upstream in upstreams.items()
        if before.upstreams.get(name, upstream) != upstream
    }
    tokens = {
        key: _reused(before.tokens.get(key), limits, changed=key in changed)
        for key, limits in limits_by_token(
            (keys[one.name], Allowance(one.max_concurrency, one.requests_per_second))
            for one in config.organizations
        ).items()
    }
    made = {}
    for name, upstream in upstreams.items():
        limits, session = token = tokens[keys[name]]
        # By identity: `_reused` returns the same pair unless something has changed.
        if before.upstreams.get(name) == upstream and before.tokens.get(keys[name]) is token:
            made[name] = before.by_organization[name]
        else:
            made[name] = SentryClient(upstream, session, limits, meter(name), now=clock)
    return Clients(made, upstreams, tokens)


def _reused(
    before: tuple[TokenLimits, requests.Session] | None, limits: TokenLimits, *, changed: bool
) -> tuple[TokenLimits, requests.Session]:
    """Return ``before``, or what goes on with its pauses if allowance or users have ``changed``."""
    allowance = limits.allowance
    if before is not None:
        if before[0].allowance == allowance and not changed:
            before[0].shared = limits.shared
            return before
        # A new session too, since the size of a session's connection pool is fixed.
        shared, limits = limits.shared, before[0].with_allowance(allowance)
        limits.shared = shared
    return limits, open_session(allowance.max_concurrency)


def _token_key(organization: Organization) -> object:
    """Return what stands for the organization's token: the token itself if it can be read."""
    try:
        return organization.token.read()
    except TokenError:
        # Where it comes from: those who share an unreadable file share its token later.
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
