"""Single requests about an organization: who it is, and whether its plan can be read.

Nothing depends on their answers, so none of them is a failure.
"""

from functools import partial
from typing import Final
from urllib.parse import quote

import msgspec

from exporter.check.quotas import readable_plan
from exporter.check.report import Identity, Plan
from exporter.collect.quota.account import is_on_sentry_io, plan_url
from exporter.config import Organization
from exporter.sentry.client import SentryClient
from exporter.sentry.customer import CUSTOMERS, CustomerDocument, plan_of
from exporter.sentry.errors import NotFoundError, SentryError
from exporter.sentry.refusals import presentable
from exporter.sentry.token import redact

_NO_PLANS: Final = "only sentry.io has plans"


class _Details(msgspec.Struct):
    id: str
    slug: str
    name: str


def identity(organization: Organization, client: SentryClient) -> Identity | None:
    """Return the organization that Sentry answers about, None if it does not say."""
    slug = quote(organization.slug, safe="")
    url = f"{organization.url}/api/0/organizations/{slug}/?detailed=0"
    try:
        return client.look_up("organization", url, _Details, _identity)
    except SentryError:
        return None


def _identity(details: _Details) -> Identity:
    return Identity(*map(presentable, (details.id, details.slug, details.name)))


def plan(organization: Organization, client: SentryClient, now: float) -> Plan:
    """Return whether the organization's plan can be read, and what it would configure."""
    try:
        url, use = plan_url(organization), partial(plan_of, now=now)
        return readable_plan(
            organization, client.look_up(CUSTOMERS, url, CustomerDocument, use), now
        )
    except SentryError as error:
        # A server of one's own does not have the path; at sentry.io, a 404 says something else.
        has_none = isinstance(error, NotFoundError) and not is_on_sentry_io(organization)
        return Plan(readable=False, reason=_NO_PLANS if has_none else redact(str(error)))
