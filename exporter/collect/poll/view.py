"""What a query publishes: its data, made from the ledger, and its settings. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter import buckets
from exporter.categories import Unit, unit_of
from exporter.collect.ledger import Ledger
from exporter.collect.snapshot import Timing, View
from exporter.config import Organization, Query, in_units


@dataclass(frozen=True, slots=True)
class Shown:
    """Which data of the ledger are shown, and since when.

    ``start`` and ``running`` are the starts of the finished and the running bucket at
    ``polled_at``, ``labels`` those of the projects at that time. The age of the data counts from
    ``fresh_at``: the same time, unless the clock was set back since.
    """

    polled_at: float
    fresh_at: float
    start: int
    running: int
    labels: Mapping[int, str] | None


def shown_at(
    now: float, query: Query, settle: int, labels: Mapping[int, str] | None = None
) -> Shown:
    """Return what a poll at ``now`` shows."""
    start = buckets.latest_finished(now, query.interval, settle)
    return Shown(now, now, start, buckets.floor(now, query.interval), labels)


def view_of(query: Query, ledger: Ledger, shown: Shown) -> View:
    """Return the data of ``query`` as they are published."""
    # Both buckets are in the ledger: `_chosen` in the plan reads first what is shown.
    return View(
        start=shown.start,
        interval=query.interval,
        complete=ledger.buckets[shown.start].proven,
        bucket=ledger.shown_bucket(shown.start),
        # If polls are no more frequent than buckets, the running one would never be nearly current.
        running=ledger.shown_bucket(shown.running)
        if query.poll_interval < query.interval
        else None,
        counters=ledger.shown_counters() if query.counters else None,
        projects=shown.labels,
        counter_labels=tuple(ledger.labels),
        unit=unit_of(query.filter.category[0]) if query.filter.category else Unit.EVENTS,
        last_events=last_events(ledger, query.interval, shown.labels)
        if "project" in query.group_by
        else {},
    )


def last_events(
    ledger: Ledger, interval: int, labels: Mapping[int, str] | None
) -> Mapping[str, int]:
    """Return the start of the newest bucket in which Sentry received an event, by label.

    Client discards do not count: clients report them later, and about a time of their own. The
    ledger's buckets have what is within the lookback. For older events, ``unseen`` has the end of
    the newest bucket, as long as the counter is published; it is in the state file.
    """
    newest: dict[str, int] = {}
    for series in ledger.series.runs:
        if series.outcome != "client_discard":
            for project, start in ledger.last_seen(series):
                label = str(project) if labels is None else labels.get(project, "")
                if start > newest.get(label, 0):
                    newest[label] = start
    current = None if labels is None else set(labels.values())
    for (series, number), end in ledger.unseen.items():
        label, start = ledger.labels[number], buckets.floor(end - 1, interval)
        listed = current is None or label in current
        if listed and series.outcome != "client_discard" and start > newest.get(label, 0):
            newest[label] = start
    newest.pop("", None)
    return newest


def about_query(query: Query) -> tuple[str, str, str, str]:
    """Return a query's interval as it is written, and its fields, dimensions and filter, sorted."""
    return (
        in_units(query.interval),
        ",".join(sorted(query.fields)),
        ",".join(sorted(query.group_by)),
        ",".join(name for name, value in sorted(query.filter) if value),
    )


def timing_of(organization: Organization, query: Query) -> Timing:
    """Return how often ``query`` is polled, and when its data is finished and too old."""
    # Otherwise data of rare polls would be withdrawn before the next one, or by one failure.
    max_age = max(organization.max_age, 2 * query.poll_interval)
    return Timing(query.interval, query.poll_interval, organization.settle, max_age)
