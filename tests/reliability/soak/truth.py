"""What a page shows, compared with what the simulated Sentry has stored."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from exporter.buckets import floor
from exporter.config import QUOTAS_QUERY, Organization, Query
from exporter.publish.families import DATA_FAMILIES
from exporter.queries import queries_of
from exporter.simulator import DAY, HOUR
from tests.end_to_end.exposition import Sample, Samples, lines_of, read_text, values
from tests.end_to_end.truth import Truth
from tests.reliability.soak.stage import WEEKS_FROM, Stage
from tests.reliability.soak.world import START

Key = tuple[str, ...]
"""A family, and the values of some labels."""

QueryName = tuple[str, str]

_COUNTERS: Final = tuple(each.name for each in DATA_FAMILIES if each.name.endswith("_total"))
_LABELS: Final = ("organization", "query", "category", "outcome", "reason")
_CATEGORIES: Final = {
    "errors": "error",
    "spans": "span",
    "logBytes": "log_byte",
    "logs": "log_byte",
}
"""What counts against the quotas."""


def counters(page: str) -> Samples:
    """Return the counters of data on a page."""
    return read_text(lines_of(page, *_COUNTERS))


def decreases(before: Mapping[Sample, float], now: Mapping[Sample, float]) -> list[str]:
    """Return the counters that are smaller than ``before``."""
    return [
        f"{each[0]} {sorted(each[1])} fell from {before[each]} to {value}"
        for each, value in now.items()
        if value < before.get(each, 0)
    ]


def polls(page: str) -> Mapping[QueryName, float]:
    """Return when the last successful poll of each query was."""
    name = "last_success_timestamp_seconds"
    samples = read_text(lines_of(page, f"sentry_stats_{name}"))
    return {
        (organization, query): moment
        for (organization, query), moment in values(samples, name, "organization", "query").items()
    }


@dataclass
class Comparison:
    """What was compared: so many values, of which some are ``wrong``."""

    number: int = 0
    wrong: list[str] = field(default_factory=list)

    def compare(self, expected: Mapping[Key, float], shown: Mapping[Key, float]) -> None:
        """Compare values, of which those that are missing are 0."""
        keys = {*expected, *shown}
        self.number += len(keys)
        for key in sorted(keys):
            right, actual = expected.get(key, 0.0), shown.get(key, 0.0)
            # Durations are thousandths, which have no exact sum.
            if round(right - actual, 3):
                self.wrong.append(f"{' '.join(key)}: {actual:,} instead of {right:,}")

    def expect_only(self, projects: AbstractSet[str], shown: Samples) -> None:
        """Compare the projects of series with those that have ever been."""
        labels = {dict(pairs)["project"] for _, pairs in shown}
        self.wrong += [f"there is no project {name}" for name in sorted(labels - projects)]


def compared(stage: Stage, began: Mapping[QueryName, float], page: str) -> Comparison:
    """Compare a page with the store, as of the last polls; ``began`` has when the first were.

    Counters are compared by organization, category, outcome and reason; those of projects that
    have always had one name by project too; and what was used of quotas.
    """
    comparison = Comparison()
    polled, shown = polls(page), counters(page)
    for organization, query in queries_of(stage.config()):
        name = organization.name, query.name
        truth = Truth(stage.world, organization, query)
        gained = truth.gains(
            START - DAY - HOUR,
            since=began[name],
            until=polled[name],
            end=_end(organization, query, polled[name]),
        )
        own = {each: value for each, value in shown.items() if _is_of(name, each)}
        comparison.compare(_sums(_LABELS, gained), _sums(_LABELS, own))
        if "project" in query.group_by:
            labels, steady = (*_LABELS, "project"), stage.soaked.steady
            comparison.compare(_sums(labels, gained, steady), _sums(labels, own, steady))
            comparison.expect_only(stage.soaked.names, own)
    used = values(read_text(lines_of(page, "sentry_stats_quota_used")), "quota_used", *_QUOTA)
    comparison.compare(dict(_used(stage, polled)), used)
    return comparison


def _end(organization: Organization, query: Query, polled: float) -> float:
    """Return the end of the data that a poll has read."""
    if "project" not in query.group_by or query.poll_interval < query.interval:
        return polled
    # A running bucket that is not published is not read by project, other than at the first poll.
    return floor(polled - organization.settle, query.interval)


_QUOTA: Final = ("organization", "quota")


def _used(stage: Stage, polled: Mapping[QueryName, float]) -> Iterator[tuple[Key, float]]:
    """Yield what has been accepted of each quota since its period began."""
    for organization in stage.world.organizations():
        now = polled.get((organization.slug, QUOTAS_QUERY))
        if now is None:
            continue
        subscription = stage.world.subscription(organization.id)
        if subscription is not None:
            start = subscription.plan(now).period(now).start
            quotas = ["errors", "spans", "logBytes"]
        else:
            first = int(datetime.fromisoformat(WEEKS_FROM).replace(tzinfo=UTC).timestamp())
            start = first + floor(now - first, 7 * DAY)
            quotas = ["errors", "logs"]
        accepted = stage.world.store.totals(
            organization.id,
            start,
            now + HOUR,
            at=now,
            group_by=("category",),
            outcome=["accepted"],
        )
        for quota in quotas:
            yield (organization.slug, quota), accepted[_CATEGORIES[quota],]


def _is_of(name: QueryName, each: Sample) -> bool:
    labels = dict(each[1])
    return (labels["organization"], labels["query"]) == name


def _sums(
    labels: tuple[str, ...], samples: Samples, projects: AbstractSet[str] | None = None
) -> Mapping[Key, float]:
    total: dict[Key, float] = {}
    for (name, pairs), value in samples.items():
        named = dict(pairs)
        if projects is None or named["project"] in projects:
            key = name, *(named[label] for label in labels)
            total[key] = total.get(key, 0.0) + value
    return total
