"""Panels of volumes that several dashboards share, each for a source.

Nothing is added across queries, categories or units. A panel of one category has a target for each
unit, of which the one with data is shown.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.expressions import (
    ACCEPTED,
    ALL,
    DISCARDED,
    DROPPED,
    FILTERED,
    MEASURES,
    SUBMITTED,
    WEEK,
    Choice,
    Source,
    latest,
    running,
    share,
    steps,
    top_steps,
)
from deploy.grafana.generator.panels import (
    LOSS,
    Figure,
    Target,
    bars,
    data_table,
    days,
    hours,
    measured,
    measured_columns,
    number,
    ranking,
)

VOLUMES: Final[Sequence[tuple[str, str, Choice]]] = (
    (
        "Submitted",
        "Everything that clients had to send, including what SDKs held back after a 429.",
        SUBMITTED,
    ),
    ("Accepted", "What Sentry accepted.", ACCEPTED),
    ("Filtered", "Dropped by inbound filters and sampling rules of your own.", FILTERED),
    ("Dropped", "What Sentry refused, and what SDKs held back after a 429.", DROPPED),
    (
        "Discarded by clients",
        "What SDKs dropped for other reasons. It is not part of submitted.",
        DISCARDED,
    ),
)

_LATE: Final = "What Sentry adds more than an hour later is missing."

RANGE: Final = f"Finished buckets that start in the time range. {_LATE}"
"""The hours that a panel counts."""

STEP: Final = (
    "Each bar stands at the hour that it counts, in UTC, and is drawn when that hour has finished. "
    f"{_LATE}"
)
"""How a chart of hours is read."""


def columns(source: Source, *by: str) -> tuple[Target, ...]:
    """Return the columns of a table of volumes, with a row for each value of ``by``."""
    return (*_volumes(source, by), *_now(source, by), share_dropped(source, *by))


def _volumes(source: Source, by: tuple[str, ...]) -> tuple[Target, ...]:
    return measured_columns(
        [(title, partial(_positive_sum, source, choice, by)) for title, _, choice in VOLUMES]
    )


def _now(source: Source, by: tuple[str, ...]) -> tuple[Target, ...]:
    """Return the columns that have data after the first poll."""
    return measured_columns(
        [
            ("Last hour", lambda measure: f"{latest(source, measure, SUBMITTED, *by)} > 0"),
            ("This hour so far", lambda measure: f"{running(source, measure, SUBMITTED, *by)} > 0"),
        ]
    )


def _positive_sum(source: Source, choice: Choice, by: tuple[str, ...], measure: str) -> str:
    return f"{source.over_range(measure, choice, by)} > 0"


def share_dropped(source: Source, *by: str) -> Target:
    """Return the column of the share that was dropped, in whatever unit."""
    return Target(_share(source, by), "Share dropped", "percentunit", thresholds=LOSS)


def _share(source: Source, by: tuple[str, ...]) -> str:
    return " or ".join(
        share(
            source.over_range(each.name, DROPPED, by), source.over_range(each.name, SUBMITTED, by)
        )
        for each in MEASURES
    )


def numbers(source: Source) -> Sequence[Panel]:
    """Return the volumes over the time range, one number per panel."""
    volumes = [
        number(
            Figure(
                title,
                f"{what} {RANGE}",
                measured(partial(_positive_sum, source, choice, ())),
                width=4,
                height=4,
                empty="0",
            )
        )
        for title, what, choice in VOLUMES
    ]
    dropped = Figure(
        "Share dropped",
        f"Dropped as a share of submitted. {RANGE}",
        (Target(_share(source, ())),),
        "percentunit",
        width=4,
        height=4,
        thresholds=LOSS,
        empty="0 %",
    )
    return [*volumes, number(dropped)]


def by_outcome(source: Source) -> Panel:
    """Return the hours by outcome."""
    return bars(
        Figure(
            "What became of it, by hour?",
            f"By Sentry's outcome. {STEP}",
            measured(lambda measure: steps(source, measure, ALL, "outcome"), "{{outcome}}"),
        )
    )


def now(source: Source) -> Sequence[Panel]:
    """Return the latest finished and the running bucket, which have data after the first poll."""
    finished = Figure(
        "What happened in the last finished hour?",
        "The latest finished bucket, by outcome.",
        _ranked(lambda measure: latest(source, measure, ALL, "outcome"), "{{outcome}}"),
        width=8,
    )
    current = Figure(
        "What is happening in this hour?",
        "The running bucket so far, by outcome: these values still grow, and begin at 0 each hour.",
        _ranked(lambda measure: running(source, measure, ALL, "outcome"), "{{outcome}}"),
        width=8,
    )
    reasons = Figure(
        "What is being dropped right now, and why?",
        "The running bucket so far: what Sentry refused, and what SDKs held back after a 429, by "
        "reason.",
        _ranked(
            lambda measure: running(source, measure, DROPPED, "outcome", "reason"),
            "{{outcome}}: {{reason}}",
        ),
        width=8,
        empty="Nothing",
    )
    return [ranking(current), ranking(reasons), ranking(finished)]


def _ranked(build: Callable[[str], str], legend: str) -> tuple[Target, ...]:
    return measured(lambda measure: f"sort_desc({build(measure)} > 0)", legend)


def reasons(source: Source) -> Sequence[Panel]:
    """Return what was not accepted, by reason: dropped, filtered, and discarded by clients."""
    kinds = (
        (
            "What was dropped, and why?",
            "What Sentry refused, by reason. `ratelimit_backoff` is held back by SDKs after a 429.",
            DROPPED,
            ("outcome", "reason"),
            "{{outcome}}: {{reason}}",
        ),
        (
            "What did your filters and sampling rules drop?",
            "By filter. Filters are settings of your own, so this is not a loss.",
            FILTERED,
            ("reason",),
            "{{reason}}",
        ),
        (
            "What did clients discard, and why?",
            "What SDKs dropped, by the SDK's reason, without what they held back after a 429.",
            DISCARDED,
            ("reason",),
            "{{reason}}",
        ),
    )
    return [_reasons(source, *kind) for kind in kinds]


def _reasons(
    source: Source, title: str, what: str, choice: Choice, by: tuple[str, ...], legend: str
) -> Panel:
    def build(measure: str) -> str:
        return top_steps(source, measure, choice, *by)

    figure = Figure(
        title,
        f"{what} The ten largest reasons of the time range. {STEP}",
        measured(build, legend),
        empty="Nothing",
    )
    return bars(figure)


def categories(source: Source) -> Sequence[Panel]:
    """Return what each category accepted and lost, one table per unit."""
    kinds = ("counted in events", "counted in bytes", "counted in time")
    return [
        _categories(source, each.name, each.unit, kind)
        for each, kind in zip(MEASURES, kinds, strict=True)
    ]


def _categories(source: Source, measure: str, unit: str, kind: str) -> Panel:
    def over_range(choice: Choice) -> str:
        return _positive_sum(source, choice, ("category",), measure)

    titles = ("Accepted", "Dropped")
    volumes = [
        Target(over_range(choice), title, unit) for title, _, choice in VOLUMES if title in titles
    ]
    lost = share(
        source.over_range(measure, DROPPED, ("category",)),
        source.over_range(measure, SUBMITTED, ("category",)),
    )
    return data_table(
        Figure(
            f"What was accepted and dropped in categories {kind}?",
            f"{RANGE} Categories are not added up, because some describe the same items.",
            (*volumes, Target(lost, "Share dropped", "percentunit", thresholds=LOSS)),
            width=8,
            height=9,
            sort="Accepted",
        )
    )


def month(source: Source) -> Panel:
    """Return the last 30 days, by day and outcome."""
    return days(
        Figure(
            "The last 30 days, by day",
            "By Sentry's outcome, whatever the time range of the page. Days are in UTC, as on "
            f"Sentry's own page; today is what has finished of it. {_LATE}",
            measured(lambda measure: steps(source, measure, ALL, "outcome"), "{{outcome}}"),
            width=24,
        )
    )


def against_last_week(source: Source, width: int = 24) -> Panel:
    """Return what was accepted, and the same hours a week earlier."""
    return hours(
        Figure(
            "Is it different from last week?",
            f"Accepted by hour, and the same hours a week earlier. {STEP}",
            (
                *measured(lambda measure: steps(source, measure, ACCEPTED), "accepted"),
                *measured(
                    lambda measure: steps(source, measure, ACCEPTED, earlier=WEEK),
                    "a week earlier",
                ),
            ),
            width=width,
        )
    )


def top(label: str, title: str, what: str, build: Callable[[str], str], width: int = 12) -> Panel:
    """Return the hours of the largest values of ``label``, which ``build`` returns."""
    targets = measured(build, f"{{{{{label}}}}}")
    return bars(Figure(title, f"{what} {STEP}", targets, width=width, empty="Nothing"))
