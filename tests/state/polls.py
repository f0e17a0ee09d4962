"""Polls that are written to a state file, without a Sentry."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from exporter.collect.ledger import Change, post
from exporter.collect.persistence import Restored
from exporter.collect.series import ProjectSeries, Reading
from exporter.state import State
from tests.support.rows import HOUR, NOON, by_label, flat, reading, series
from tests.support.settings import NOW, organization, query

ACME: Final = organization()
OUTCOMES: Final = query()


def posted(
    restored: Restored, readings: Mapping[int, Reading], now: float = NOW, **how: Any
) -> Change:
    """Return what a poll changes that read ``readings``."""
    how = {"running_end": NOON + HOUR, "first_bucket": 0, **how}
    return post(restored.ledger, readings, now=now, **how)


def persist(restored: Restored, change: Change, now: float = NOW, *, failed: bool = False) -> None:
    """Write ``change`` to the file."""
    assert restored.persistence is not None

    restored.persistence.persist(change, now, succeeded=not failed)


def poll(restored: Restored, readings: Mapping[int, Reading], now: float = NOW, **how: Any) -> None:
    """Do what a poll does that read ``readings``."""
    change = posted(restored, readings, now, **how)
    persist(restored, change, now)
    restored.ledger.apply(change)


def polled(state: State) -> Restored:
    """Return what is restored of `OUTCOMES`, after two polls."""
    restored = state.restore(ACME, OUTCOMES)
    poll(restored, {NOON: reading({series(): 1})})
    poll(restored, {NOON: reading({series(): 4, series(outcome="abuse"): 2})}, NOW + 60)
    return restored


def counted(restored: Restored) -> dict[ProjectSeries, int]:
    """Return the counters of a query without projects."""
    assert {""} >= by_label(restored.ledger).keys()

    return flat(restored.ledger.counters)


def files(path: Path) -> dict[str, bytes]:
    """Return the files in the folder of ``path``."""
    return {one.name: one.read_bytes() for one in path.parent.iterdir() if one.is_file()}


def rows_of(state: State, tables: Iterable[str]) -> dict[str, int]:
    """Return how many rows each of ``tables`` has."""
    with state.transaction() as database:
        return {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant
            for table in tables
        }
