"""The dashboard of all organizations: what came in, what was dropped, and why."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import SUBMITTED, Gauges, known, once, series, top_steps
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import YES, Figure, Target, data_table
from deploy.grafana.generator.quota_series import Quotas
from deploy.grafana.generator.quota_usage import summary
from deploy.grafana.generator.variables import category, query, targets
from deploy.grafana.generator.volumes import (
    RANGE,
    by_outcome,
    categories,
    columns,
    month,
    now,
    numbers,
    reasons,
    top,
)
from exporter.publish.families import BUCKET_END, COMPLETE

_IDENTITY: Final = Identity(
    "sentry-stats-overview",
    "Sentry stats: overview",
    "What all organizations sent to Sentry, what was dropped, and why.",
)
_BY: Final = "organization"
_QUERY: Final = 'query="$query"'
_ALL: Final = Gauges(_QUERY)
_SOURCE: Final = Gauges(_QUERY, 'category="$category"')
_QUOTAS: Final = Quotas(key=("organization", "quota"))
_QUOTA_LINK: Final = "var-organization=${__data.fields.organization:percentencode}"
_DRILL_DOWN: Final = (
    "/d/sentry-stats-organization?${datasource:queryparam}&var-organization=${__value.raw:percentencode}"
    "&${query:queryparam}&${category:queryparam}&${__url_time_range}"
)


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (*targets(), query(), category(_QUERY))
    rows = (
        Row("$category in all organizations", [*numbers(_SOURCE), *now(_SOURCE)]),
        Row("Which organizations?", [_organizations(), _submitted()]),
        Row("What was dropped, and why?", [by_outcome(_SOURCE), *reasons(_SOURCE)]),
        Row("Quotas, and the last 30 days", [summary(_QUOTAS, _QUOTA_LINK), month(_SOURCE)]),
        Row("All categories", categories(_ALL)),
    )
    return assembled(_IDENTITY, variables, rows, "24h")


def _organizations() -> Panel:
    ended = known(once(series(BUCKET_END, _QUERY), _BY))
    complete = f"min by ({_BY}) ({series(COMPLETE, _QUERY)})"
    return data_table(
        Figure(
            "What did each organization send and lose, and is its data fresh and complete?",
            f"{RANGE} Also the end of the bucket that the gauges show, and whether this bucket is "
            "proven complete. Click a name to open its dashboard.",
            (
                *columns(_SOURCE, _BY),
                Target(ended, "Latest bucket ended", "dateTimeFromNow"),
                Target(complete, "Complete", "none", (YES,)),
            ),
            width=24,
            links={_BY: _DRILL_DOWN},
            sort="Dropped",
        )
    )


def _submitted() -> Panel:
    return top(
        _BY,
        "Which organizations sent the most?",
        "What the ten largest submitted.",
        lambda measure: top_steps(_SOURCE, measure, SUBMITTED, _BY),
        width=24,
    )
