"""Checks of quotas across the file. Warnings are for a file without errors."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from exporter.config.errors import KeyPath, Problem, shown
from exporter.config.models import Organization
from exporter.config.quotas import QUOTAS_QUERY
from exporter.config.types import HOSTED, is_hosted
from exporter.config.yaml_file import Document
from exporter.loopback import is_loopback
from exporter.sentry.customer import CATEGORIES

_NOT_BILLED: Final = MappingProxyType(
    {
        "log_item": "log_byte",
        "trace_metric": "trace_metric_byte",
        "profile_chunk": "profile_duration",
        "profile_chunk_ui": "profile_duration_ui",
        "profile": "profile_duration",
        "transaction_processed": "transaction",
        "transaction_indexed": "transaction",
    }
)
"""Categories that Sentry counts and does not bill, and the one that is billed for the same."""


def quota_errors(
    document: Document, organization: KeyPath, queries: list[KeyPath], quotas: list[KeyPath]
) -> Iterator[Problem]:
    """Yield the errors about names that quotas use, in no order."""
    has_plan = document.at((*organization, "billing", "plan")) == "sentry"
    for query in queries if quotas or has_plan else ():
        if document.at((*query, "name")) == QUOTAS_QUERY:
            message = f"the name {QUOTAS_QUERY} is used for the polls of quotas; use another name"
            yield document.problem((*query, "name"), message)
    for quota in quotas if has_plan else ():
        name = document.at((*quota, "name"))
        is_part = any((*quota, key) in document.marks for key in ("project", "team"))
        if is_part and name in CATEGORIES:
            message = f"{shown(name)} is the name of a quota of the plan; use another name"
            yield document.problem((*quota, "name"), message)


def quota_warnings(
    document: Document, place: KeyPath, organization: Organization
) -> Iterator[Problem]:
    """Yield the warnings about the quotas of an organization, in no order."""
    yield from _no_effect(document, (*place, "billing"), organization)
    billed: dict[str, str] = {}
    for at, quota in enumerate(organization.quotas):
        path = (*place, "quotas", at)
        for name in quota.category:
            if quota.price and name in _NOT_BILLED:
                message = f"Sentry does not bill {name}, but {_NOT_BILLED[name]}"
                yield document.problem((*path, "price"), message)
        if quota.is_part:
            continue
        twice = next((name for name in quota.category if name in billed), None)
        if twice is None:
            billed |= dict.fromkeys(quota.category, quota.name)
            continue
        yield document.problem(
            (*path, "category"),
            f"the quota {billed[twice]} counts {twice} too, and only that quota is billed; "
            "to count a part of the events, add project or team",
        )


def _no_effect(
    document: Document, billing: KeyPath, organization: Organization
) -> Iterator[Problem]:
    """Warn of a plan that the server does not have, and of money that pays for nothing."""
    host = urlsplit(organization.url).hostname or ""
    if organization.billing.plan == "sentry" and not (is_hosted(host) or is_loopback(host)):
        message = f"only {HOSTED} has plans; remove this key, and set quotas"
        yield document.problem((*billing, "plan"), message)
    if billing in document.marks and not organization.has_quotas:
        message = f"it has no effect without quotas; add quotas or, at {HOSTED}, plan: sentry"
        yield document.problem(billing, message)
