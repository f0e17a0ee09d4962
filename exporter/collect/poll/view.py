"""What a query publishes: its data, made from the ledger. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter import buckets
from exporter.categories import Unit, unit_of
from exporter.collect.ledger import Ledger
from exporter.collect.snapshot import View
from exporter.config import Query, in_units


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
    )


def about_query(query: Query) -> tuple[str, str, str]:
    """Return a query's interval as it is written, its fields, and its dimensions, sorted."""
    return (
        in_units(query.interval),
        ",".join(sorted(query.fields)),
        ",".join(sorted(query.group_by)),
    )
