"""Statuses as the status page shows them: exporters that are well, failing, or have nothing yet."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any, Final

from exporter.categories import Unit
from exporter.collect.ledger import Bucket
from exporter.collect.ledger.columns import Column, SeriesTable
from exporter.collect.series import Series
from exporter.collect.snapshot import Poll, Report, View
from exporter.config import Organization, Query
from exporter.quota.model import Period, Quota
from exporter.quota.view import BudgetView, Source
from exporter.sentry.api_status import ApiStatus, RateLimit
from exporter.sentry.deprecation import Deprecation
from exporter.sentry.question import QUANTITY
from exporter.shard import UNSHARDED, Shard
from exporter.status import ExporterStatus, OrganizationStatus, QueryStatus, TokenStatus
from tests.support.quotas import account, quota
from tests.support.rows import HOUR, NOON

NOW: Final = NOON + 754
"""When every status here is taken."""

LAST_POLL: Final = NOON + 300
_DAY: Final = 24 * HOUR

_SIZES: Final = {
    ("error", "accepted", "none"): 41_000,
    ("error", "filtered", "browser-extensions"): 2_900,
    ("error", "rate_limited", "key_quota"): 1_700,
    ("error", "client_discard", "sample_rate"): 3_100,
    ("transaction", "accepted", "none"): 96_000,
    ("transaction", "invalid", "too_large"): 400,
    ("attachment", "accepted", "none"): 73_000_000,
    ("profile_duration", "accepted", "none"): 9_400_000,
}
"""Values of an average hour by category, outcome and reason."""


@cache
def history(hours: int = 25) -> Mapping[int, Bucket]:
    """Return buckets of which the newest is running, with the ups and downs of a day."""
    table = SeriesTable().extended({Series(QUANTITY, *key): {0: 0} for key in _SIZES})
    buckets = {}
    for start in range(NOON - (hours - 1) * HOUR, NOON + HOUR, HOUR):
        wave = 1 + 0.5 * math.sin((start % 86400) / 86400 * 2 * math.pi - 2)
        share = wave * (0.2 if start == NOON else 1)
        rows = {
            Series(QUANTITY, *key): {0: int(size * share * (1 + 0.08 * math.sin(start + size)))}
            for key, size in _SIZES.items()
        }
        buckets[start] = Bucket(Column.of(table, rows), finished=start < NOON)
    return buckets


def polls(failed: int = 0, count: int = 20, **failure: str) -> tuple[Poll, ...]:
    """Return the last polls, an hour apart, of which the last ones ``failed``."""
    why = {"reason": "unauthorized", "error": "HTTP 401: Invalid token", "remedy": "", **failure}
    return tuple(
        Poll(
            LAST_POLL - (count - 1 - number) * HOUR,
            0.31 + number % 3 / 10,
            1,
            **(why if number >= count - failed else {}),
        )
        for number in range(count)
    )


def query(name: str = "outcomes", **settings: Any) -> Query:
    """Return the settings of a query as the configuration has them."""
    group_by = ["category", "outcome", "reason"]
    written = {"name": name, "groupBy": group_by, "poll_interval": "5m", **settings}
    return Query.model_validate(written)


def view(**settings: Any) -> View:
    """Return data of the last finished hour."""
    values = {"start": NOON - HOUR, "interval": HOUR, "complete": True, "bucket": {}}
    return View(**{**values, "running": None, "counters": None, **settings})


def query_status(
    name: str = "outcomes", organization: str = "acme", written: Query | None = None, **report: Any
) -> QueryStatus:
    """Return the status of a query that is well, unless ``report`` says otherwise."""
    values: dict[str, Any] = {
        "up": True,
        "last_success": LAST_POLL,
        "next_poll": LAST_POLL + HOUR,
        "polls": 20,
        "duration": 0.41,
        "requests": 1,
        "view": view(),
        "last_polls": polls(),
        "history": history(),
    }
    shown = Report(organization, name, **{**values, **report})
    return QueryStatus(written or query(name), shown, 78 if shown.view else 0, 3 * HOUR)


def failing_query(name: str = "outcomes", organization: str = "acme", **report: Any) -> QueryStatus:
    """Return the status of a query whose last three polls have failed."""
    why: dict[str, Any] = {
        "error": 'HTTP 401: {"detail":"Invalid token"} '
        f"[https://sentry.example/api/0/organizations/{organization}/stats_v2/]",
        "remedy": "Sentry does not know this token: create a new one, or correct its file",
    }
    values: dict[str, Any] = {
        "up": False,
        "last_success": LAST_POLL - 3 * HOUR,
        "next_poll": NOW + 46,
        "failures": {"unauthorized": 3},
        "last_polls": polls(3, **why),
        "failed_polls": 3,
        "failing_since": LAST_POLL - 2 * HOUR,
    }
    return query_status(name, organization, **{**values, **report})


def waiting_query(name: str = "outcomes", organization: str = "acme") -> QueryStatus:
    """Return the status of a query before its first poll."""
    nothing: dict[str, Any] = {"last_success": 0, "polls": 0, "requests": 0, "duration": 0}
    nothing |= {"up": False, "next_poll": NOW + 4, "view": None, "last_polls": (), "history": {}}
    return query_status(name, organization, **nothing)


def organization(
    queries: Sequence[QueryStatus], name: str = "acme", **settings: Any
) -> OrganizationStatus:
    """Return the status of an organization with ``queries``."""
    written = {"slug": name, "url": "https://sentry.example", "token_file": "/run/secrets/token"}
    values: dict[str, Any] = {
        "token": TokenStatus("token_file /run/secrets/token", "internal integration token"),
        "api": ApiStatus(0.4, RateLimit(40, 37)),
        "listed": 12,
        "hidden": 0,
    }
    read = Organization.model_validate(written)
    return OrganizationStatus(read, queries=queries, **{**values, **settings})


def exporter(*organizations: OrganizationStatus, **settings: Any) -> ExporterStatus:
    """Return the status of an exporter that has run for two days."""
    values: dict[str, Any] = {
        "version": "1.2.3",
        "now": NOW,
        "started": NOW - 2 * 86400 - 8040,
        "configured": NOW - 5 * HOUR,
        "reload_successful": True,
        "reload_problems": (),
        "has_state": True,
        "shard": UNSHARDED,
    }
    return ExporterStatus(organizations=organizations, **{**values, **settings})


def projects(organization: str = "acme") -> QueryStatus:
    """Return the status of a query by project that is well."""
    written = query(
        "projects",
        groupBy=["project", "category", "outcome", "reason"],
        filter={"category": ["error", "transaction"], "project": ["web", "checkout"]},
        poll_interval="15m",
    )
    return replace(query_status("projects", organization, written, requests=26), series=459)


def healthy() -> ExporterStatus:
    """Return the status of an exporter that is well."""
    return exporter(
        organization([query_status(), projects()]),
        organization([query_status(organization="globex"), projects("globex")], "globex"),
    )


def quotas(**settings: Any) -> Report:
    """Return the report of quotas that were read an hour ago, unless ``settings`` say otherwise."""
    values: dict[str, Any] = {"up": True, "last_success": LAST_POLL, "polls": 3}
    values |= {"quotas": account(), "last_polls": polls(count=3)}
    return Report("acme", "quotas", **{**values, **settings})


def with_quotas() -> ExporterStatus:
    """Return the status of an organization with quotas in every unit, and of one that fails."""
    logs = Quota("logs", ("log_byte",), Unit.BYTES, 5 * 10**9)
    hours = Quota("profiling", ("profile_duration",), Unit.SECONDS, 36_000, team="payments")
    free = Quota("replays", ("replay",), Unit.EVENTS)
    past, coming = {"week": NOW - 3 * _DAY}, {"week": NOW + 2.5 * _DAY}
    unspent: dict[str, Any] = {"exhaustion": {}, "submitted": 0}
    views = (
        quota(exhaustion=past),
        quota(
            quota=logs,
            used=4_200_000_000,
            submitted=4_200_000_000,
            projected={"week": 6e9},
            exhaustion=coming,
            source=Source.FILE,
        ),
        quota(quota=hours, used=18_000_000, projected={"week": 3e4}, **unspent),
        quota(quota=free, costs={}, projected={}, **unspent),
    )
    period = Period(NOW - 12 * _DAY - NOW % _DAY, NOW + 18 * _DAY - NOW % _DAY)
    spent = BudgetView("", Decimal(3), Decimal(1), {"week": Decimal(3)}, coming)
    failed = polls(1, 3, error="HTTP 403: forbidden", remedy="use another token")
    failing: dict[str, Any] = {"last_polls": failed, "failed_polls": 1, "failing_since": NOW - 60}
    down = account(quota(exhaustion=past), plan_up=False, period=period, budgets=())
    return exporter(
        organization(
            [query_status()], quotas=quotas(quotas=account(*views, period=period, budgets=(spent,)))
        ),
        organization(
            [query_status(organization="globex")],
            "globex",
            quotas=quotas(quotas=down, **failing),
        ),
    )


def failing() -> ExporterStatus:
    """Return the status of an exporter whose token is refused, and of one that is withdrawn."""
    gone: dict[str, Any] = {
        "view": None,
        "last_success": NOW - 5 * HOUR,
        "failing_since": NOW - 4 * HOUR,
        "failed_polls": 41,
    }
    flaw = TokenStatus(
        "token_file /run/secrets/token", flaw="token_file /run/secrets/token is empty"
    )
    announced = ApiStatus(deprecations=(Deprecation("stats_v2", "2027-01-31", "/api/1/stats/"),))
    return exporter(
        organization([failing_query(), failing_query("projects", **gone)], token=flaw),
        organization([query_status(organization="globex")], "globex", api=announced),
        reload_successful=False,
        reload_problems=(
            "exporter.yaml:7: organizations[0].queries[1].interval: expected 1h or 1d, got 90s",
            "exporter.yaml:9: organizations[0].queries[1]: unknown key gruopBy",
        ),
    )


def incomplete() -> ExporterStatus:
    """Return the status of an exporter with a bucket that could not be proven complete."""
    cut = {start: replace(one, proven=start < NOON - HOUR) for start, one in history().items()}
    return exporter(
        organization(
            [
                query_status(),
                query_status("projects", view=view(complete=False), history=cut, missing=("shop",)),
            ],
            hidden=3,
            api=ApiStatus(-421.0, RateLimit(40, 37)),
        )
    )


def empty() -> ExporterStatus:
    """Return the status of an exporter that has not polled yet."""
    waiting = organization([waiting_query(), waiting_query("projects")])
    return exporter(
        replace(waiting, api=ApiStatus(), listed=None, hidden=None),
        started=NOW - 1,
        configured=NOW - 1,
        has_state=False,
    )


def without_queries() -> ExporterStatus:
    """Return the status of a shard to which no query belongs."""
    return exporter(shard=Shard(2, 3))


def mixed() -> ExporterStatus:
    """Return the status of an exporter of which most is well."""
    return exporter(
        organization([query_status(), projects()]),
        organization([failing_query(organization="globex"), projects("globex")], "globex"),
    )


def hostile() -> ExporterStatus:
    """Return a status with texts that want to be something else, or have no end."""
    markup = "</td><script>alert(1)</script><!-- \" ' & {{ 7 * 7 }} "
    backwards = "\u202eesrever\u202d "
    error = markup + backwards + "x" * 10_000
    table = SeriesTable().extended({Series(QUANTITY, markup, markup, markup): {0: 0}})
    buckets = {
        start: Bucket(Column.of(table, {Series(QUANTITY, markup, markup, markup): {0: 2**62}}))
        for start in range(NOON - 5 * HOUR, NOON, HOUR)
    }
    flaw = TokenStatus("token_file /a'\"><b>", flaw=markup)
    filtered = query(filter={"project": ["web"], "reason": markup.strip()})
    failed = polls(20, 20, error=error, remedy=error, reason="internal")
    report: dict[str, Any] = {"last_polls": failed, "failed_polls": 20}
    report |= {"history": buckets, "missing": (markup, "x" * 300), "up": False}
    announced = ApiStatus(deprecations=(Deprecation("stats_v2", markup, error),))
    return exporter(
        organization([query_status(written=filtered, **report)], token=flaw, api=announced)
    )


def thousand(**settings: Any) -> ExporterStatus:
    """Return the status of a thousand queries, of which one in ten fails."""
    return exporter(*(_many(f"organization-{number}") for number in range(50)), **settings)


def _many(name: str) -> OrganizationStatus:
    return organization(list(_some(name)), name)


def _some(name: str) -> Iterable[QueryStatus]:
    for number in range(20):
        make = failing_query if number % 10 == 7 else query_status
        yield make(f"query-{number}", name)


SCENES: Final[Mapping[str, Callable[[], ExporterStatus]]] = {
    "healthy": healthy,
    "failing": failing,
    "incomplete": incomplete,
    "empty": empty,
    "thousand": thousand,
    "shard without queries": without_queries,
    "quotas": with_quotas,
    "hostile": hostile,
}
"""A status for each state in which the page must look right."""
