"""The page that Prometheus scrapes: blocks of lines, put and dropped by key.

A block holds the lines of one key in one family. Publishing renders what has changed and swaps an
immutable snapshot; scrapes read that snapshot, without a lock.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.collect.snapshot import ProjectInfo, Report
from exporter.publish.blocks import Blocks
from exporter.publish.families import (
    DATA_FAMILIES,
    FAMILIES,
    PROJECT_INFO,
    QUERY_FAMILIES,
)
from exporter.publish.family import Family, Key
from exporter.publish.gzip import Piece, compressed, joined
from exporter.publish.query_metrics import project_lines, query_lines
from exporter.publish.quota_families import QUOTA_FAMILIES
from exporter.publish.quota_metrics import quota_lines
from exporter.publish.self_metrics import SelfMetrics
from exporter.publish.series import data_lines
from exporter.publish.text import header

_Name = tuple[str, str]
"""The name of a query: its organization's, and its own."""

_Lines = tuple[Key, Mapping[Family, bytes]]
"""A key, and its block in each of some families; an empty one is none."""

_NO_LINES: Final = dict.fromkeys((*DATA_FAMILIES, *QUERY_FAMILIES, *QUOTA_FAMILIES), b"")


class _Shown(NamedTuple):
    """A report on the page, and the number of its data series there."""

    report: Report
    series: int


@dataclass(slots=True, eq=False)
class _Publication:
    """What one call publishes: ``shown`` in place of what is ``dropped``, and what this changes."""

    dropped: Collection[_Name]
    changes: list[_Lines]
    shown: dict[_Name, _Shown] = field(default_factory=dict)
    published: bool = False


class Page:
    """Takes reports, and gives out the page as it was after the last of them.

    A publication that fails changes nothing. Its methods may be called from any thread, but one
    query is to be published or dropped by one thread at a time.
    """

    def __init__(self, own: SelfMetrics) -> None:
        self._own = own
        self._lock = Lock()
        self._queries: Mapping[_Name, _Shown] = {}
        self._waiting: deque[_Publication] = deque()
        self._delayed: dict[Key, Mapping[Family, bytes]] = {}
        self._blocks = {family: Blocks() for family in FAMILIES}
        self._headers = {
            openmetrics: [
                compressed(header(family, openmetrics=openmetrics).encode()) for family in FAMILIES
            ]
            for openmetrics in (False, True)
        }
        self._snapshot = self._joined(self._blocks)
        self.publish()

    def publish(
        self,
        *reports: Report,
        dropped: Collection[_Name] = (),
        projects: Mapping[str, Sequence[ProjectInfo]] = MappingProxyType({}),
    ) -> None:
        """Show ``reports`` in place of the earlier ones of the same queries, without ``dropped``.

        What is ``dropped`` are other queries, which leave the page in the same moment. In it, the
        ``projects`` of organizations take the place of their earlier ones too.
        """
        # Rendered outside of the lock: this can take a second.
        one = self._rendered(reports, dropped, projects)
        self._waiting.append(one)
        with self._lock:
            # Whoever had the lock may have published it together with his own.
            if not one.published:
                self._publish_waiting(one)

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Show ``projects`` as those of ``organization``, with the next report."""
        lines = project_lines(organization, projects)
        with self._lock:
            self._delay((organization,), {PROJECT_INFO: lines})

    def shown(self) -> Sequence[Report]:
        """Return the reports that the next scrape shows."""
        return tuple(one.report for one in self._queries.values())

    def series(self) -> Mapping[_Name, int]:
        """Return how many series the next scrape shows of each query."""
        return {name: one.series for name, one in self._queries.items()}

    def chunks(self, *, openmetrics: bool, compressed: bool) -> Sequence[bytes]:
        """Return the page, ready to be sent, in one of its forms."""
        page = self._snapshot[openmetrics]
        live = self._own.live(openmetrics=openmetrics)
        return page.gzipped(live) if compressed else page.plain(live)

    def _rendered(
        self,
        reports: Sequence[Report],
        dropped: Collection[_Name],
        projects: Mapping[str, Sequence[ProjectInfo]],
    ) -> _Publication:
        """Return what `publish` is to show, with its lines."""
        one = _Publication(dropped, [(name, _NO_LINES) for name in dropped])
        one.changes += [
            ((organization,), {PROJECT_INFO: project_lines(organization, listed)})
            for organization, listed in projects.items()
        ]
        for report in reports:
            name = report.organization, report.query
            before = self._queries.get(name)
            if before is None or before.report.view is not report.view:
                lines, series = data_lines(*name, report.view)
                one.changes.append((name, lines))
            else:
                # Its blocks stay on the page: no lines mean no change.
                series = before.series
            one.changes.append((name, query_lines(report, series)))
            if report.quotas is not None:
                one.changes.append((name, quota_lines(report.organization, report.quotas)))
            one.shown[name] = _Shown(report, series)
        return one

    def _publish_waiting(self, own: _Publication) -> None:
        """Publish ``own``, and with it what other threads have rendered meanwhile.

        Of many polls that end at the same time, the page is not joined again for each.
        """
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        others = [one for one in waiting if one is not own]
        try:
            self._swap([own, *others])
        except Exception:
            # Whatever is wrong with the others, it is they who fail.
            self._waiting.extendleft(reversed(others))
            if not others:
                raise
            self._swap([own])

    def _delay(self, key: Key, lines: Mapping[Family, bytes]) -> None:
        """Leave ``lines`` to the next publication that succeeds."""
        self._delayed[key] = {**self._delayed.get(key, {}), **lines}

    def _swap(self, publications: Sequence[_Publication]) -> None:
        """Make the page show ``publications``, and what was left to be shown."""
        queries = dict(self._queries)
        for one in publications:
            for name in one.dropped:
                queries.pop(name, None)
            queries |= one.shown
        for key, lines in self._own.drain():
            # `drain` has unmarked the key: if this publication fails, the next one shows it.
            self._delay(key, lines)
        changes = chain.from_iterable(one.changes for one in publications)
        by_family = _by_family(chain(self._delayed.items(), changes))
        blocks = {**self._blocks}
        for family, changed in by_family.items():
            blocks[family] = blocks[family].changed(changed)
        snapshot = self._joined(blocks)
        # Only here, where nothing fails any more: a publication that fails changes nothing.
        self._blocks, self._snapshot, self._delayed = blocks, snapshot, {}
        # Last: whoever waits until the page is ready asks for the reports.
        self._queries = queries
        for one in publications:
            one.published = True

    def _joined(self, blocks: Mapping[Family, Blocks]) -> Mapping[bool, Piece]:
        return {
            openmetrics: joined(
                piece
                for above, present in zip(headers, blocks.values(), strict=True)
                if present.piece.size
                for piece in (above, present.piece)
            )
            for openmetrics, headers in self._headers.items()
        }


def _by_family(changes: Iterable[_Lines]) -> Mapping[Family, Mapping[Key, bytes]]:
    by_family: dict[Family, dict[Key, bytes]] = {}
    for key, lines in changes:
        for family, block in lines.items():
            by_family.setdefault(family, {})[key] = block
    return by_family
