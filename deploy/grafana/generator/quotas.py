"""The dashboard of the quotas of an organization: used, expected, lost, and what it costs."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator import quota_history, quota_money, quota_owners, quota_usage
from deploy.grafana.generator.expressions import Recorded
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.quota_series import Quotas
from deploy.grafana.generator.variables import (
    billed_organization,
    project_query,
    quota,
    targets,
)

_ORGANIZATION: Final = 'organization="$organization"'
_IDENTITY: Final = Identity(
    "sentry-stats-quotas",
    "Sentry stats: quotas and cost",
    "How much of each quota is used, when it runs out, what it costs, and who uses it.",
    _ORGANIZATION,
)
_QUOTAS: Final = Quotas(_ORGANIZATION, 'quota=~"$quota"')
_PINNED: Final = Quotas(_ORGANIZATION, 'quota=~"$quota"', pinned=True)
_PROJECTS: Final = Recorded(f'{_ORGANIZATION},query="$project_query"')


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (
        *targets(),
        billed_organization(),
        quota(_ORGANIZATION),
        project_query(_ORGANIZATION),
        *quota_owners.hidden(_QUOTAS),
    )
    rows = (
        Row("How much is used in $organization, and when is it gone?", _used()),
        Row("In events, bytes and time", quota_usage.amounts(_QUOTAS)),
        Row("Whose use is it?", _owners()),
        Row("What does it cost?", _cost()),
        Row("What was lost?", quota_owners.lost(_PROJECTS, _ORGANIZATION)),
        Row("The last periods, and the plan", _history()),
    )
    return assembled(_IDENTITY, variables, rows, "30d")


def _used() -> list[Panel]:
    return [
        *quota_usage.numbers(_QUOTAS),
        quota_usage.left(_QUOTAS),
        *quota_usage.courses(_QUOTAS, _PINNED),
    ]


def _owners() -> list[Panel]:
    return [
        *quota_owners.projects(_QUOTAS),
        *quota_owners.teams(_QUOTAS),
        *quota_owners.allocations(_QUOTAS),
    ]


def _cost() -> list[Panel]:
    return [
        quota_money.budgets(_QUOTAS),
        quota_money.costs(_QUOTAS),
        quota_money.course(_QUOTAS),
        *quota_money.owners(_QUOTAS),
    ]


def _history() -> list[Panel]:
    return [
        quota_history.past(_QUOTAS),
        quota_history.periods(_QUOTAS, _PINNED),
        quota_history.plan_up(_ORGANIZATION),
        quota_history.disagreement(_QUOTAS),
    ]
