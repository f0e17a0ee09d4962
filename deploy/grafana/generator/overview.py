"""The dashboard of all organizations: what came in, what was dropped, and why."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.generator.expressions import SUBMITTED, chosen, each_step, known, series
from deploy.grafana.generator.frame import Identity, Row, assembled
from deploy.grafana.generator.panels import YES, Figure, Target, bars, data_table
from deploy.grafana.generator.variables import choice, datasource
from deploy.grafana.generator.volumes import (
    EVENTS,
    by_category,
    by_outcome,
    by_reason,
    columns,
    discarded_by_reason,
    numbers,
)
from exporter.publish.families import BUCKET, BUCKET_END, COMPLETE

_IDENTITY: Final = Identity(
    "sentry-stats-overview",
    "Sentry stats: overview",
    "What all organizations sent to Sentry, what was dropped, and why.",
)
_BY: Final = "organization"
_QUERY: Final = 'query="$query"'
_SCOPE: Final = f'{_QUERY},category="$category"'
_DRILL_DOWN: Final = (
    "/d/sentry-stats-organization?${datasource:queryparam}&var-organization=${__value.raw:percentencode}"
    "&${query:queryparam}&${category:queryparam}&${__url_time_range}"
)


def built() -> Dashboard:
    """Return the dashboard."""
    variables = (
        datasource(),
        choice("query", "Query", series(BUCKET["events"], "")),
        choice("category", "Category", series(BUCKET["events"], _QUERY)),
    )
    rows = (
        Row(
            "$category",
            [*numbers(_SCOPE), by_outcome(_SCOPE), by_reason(_SCOPE), discarded_by_reason(_SCOPE)],
        ),
        Row("$category, by organization", [_organizations(), _submitted()]),
        Row("All categories", by_category(_QUERY)),
    )
    return assembled(_IDENTITY, variables, rows, "24h")


def _organizations() -> Panel:
    ended = known(f"max by ({_BY}) ({series(BUCKET_END, _QUERY)})")
    complete = f"min by ({_BY}) ({series(COMPLETE, _QUERY)})"
    return data_table(
        Figure(
            "Organizations",
            "The numbers above for each organization, the end of the bucket that its gauges show, "
            "and whether that bucket is proven complete. Click a name to open its dashboard.",
            (
                *columns(_SCOPE, _BY),
                Target(ended, "Latest bucket ended", "dateTimeFromNow"),
                Target(complete, "Complete", "none", (YES,)),
            ),
            width=24,
            height=7,
            links={_BY: _DRILL_DOWN},
        )
    )


def _submitted() -> Panel:
    increases = each_step(chosen(EVENTS, _SCOPE, SUBMITTED), _BY)
    return bars(
        Figure(
            "Submitted, by organization",
            "Submitted events of each organization, per hour.",
            (Target(increases, "{{organization}}"),),
            width=24,
        )
    )
