"""The page that Prometheus reads: immutable bodies, replaced whenever a report comes in."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from threading import Lock

from exporter.collect.snapshot import ProjectInfo, Report
from exporter.publish import families
from exporter.publish.families import Family
from exporter.publish.gzip import Body, Piece, body, piece
from exporter.publish.query_metrics import project_samples, query_samples
from exporter.publish.self_metrics import OwnMetrics
from exporter.publish.series import DataPieces, render
from exporter.publish.text import header

_Query = tuple[str, str]


class Page:
    """Takes reports, and gives out the page as it was after the last of them.

    `chunks` takes no lock and renders nothing but the few lines about the process itself.
    """

    def __init__(self, own: OwnMetrics) -> None:
        self._own = own
        self._lock = Lock()
        self._reports: dict[_Query, Report] = {}
        self._data: dict[_Query, DataPieces] = {}
        self._about: dict[_Query, Mapping[Family, str]] = {}
        self._projects: dict[str, str] = {}
        self._bodies = self._rendered()

    def publish(self, *reports: Report) -> None:
        """Show ``reports`` in place of the ones before of the same queries."""
        by_query = {(report.organization, report.query): report for report in reports}
        data = {query: self._data_of(query, report) for query, report in by_query.items()}
        about = {
            query: query_samples(report, data[query].samples) for query, report in by_query.items()
        }
        with self._lock:
            self._data |= data
            self._about |= about
            self._bodies = self._rendered()
            # Last: whoever is ready for scrapes asks for the reports.
            self._reports = self._reports | by_query

    def publish_projects(self, organization: str, projects: Sequence[ProjectInfo]) -> None:
        """Show ``projects`` as those of ``organization``, with the next report."""
        lines = project_samples(organization, projects)
        with self._lock:
            self._projects[organization] = lines

    def shown(self) -> Sequence[Report]:
        """Return the reports that the next scrape gets."""
        return tuple(self._reports.values())

    def chunks(self, *, openmetrics: bool, compressed: bool) -> Sequence[bytes]:
        """Return the page, ready to be sent, in one of its forms."""
        page = self._bodies[openmetrics]
        live = self._own.live(openmetrics=openmetrics)
        return page.gzipped(live) if compressed else page.plain(live)

    def _data_of(self, query: _Query, report: Report) -> DataPieces:
        before = self._reports.get(query)
        if before is not None and before.view is report.view:
            return self._data[query]
        return render(*query, report.view)

    def _rendered(self) -> Mapping[bool, Body]:
        samples = self._samples()
        return {
            openmetrics: body(
                [
                    *self._data_pieces(openmetrics=openmetrics),
                    piece(
                        _blocks(samples, openmetrics=openmetrics)
                        + self._own.settled(openmetrics=openmetrics)
                    ),
                ]
            )
            for openmetrics in (False, True)
        }

    def _data_pieces(self, *, openmetrics: bool) -> Iterator[Piece]:
        queries = sorted(self._data)
        for family in families.DATA_FAMILIES:
            pieces = [self._data[query].pieces.get(family.name) for query in queries]
            if any(pieces):
                yield _heading(family, openmetrics=openmetrics)
                yield from (one for one in pieces if one is not None)

    def _samples(self) -> Mapping[Family, str]:
        """Return all that is not data, by family."""
        about = [lines for _, lines in sorted(self._about.items())]
        return {
            families.PROJECT_INFO: "".join(lines for _, lines in sorted(self._projects.items())),
            **{
                family: "".join([lines.get(family, "") for lines in about])
                for family in families.QUERY_FAMILIES
            },
        }


@cache
def _heading(family: Family, *, openmetrics: bool) -> Piece:
    return piece(header(family, openmetrics=openmetrics).encode())


def _blocks(samples: Mapping[Family, str], *, openmetrics: bool) -> bytes:
    blocks = (
        header(family, openmetrics=openmetrics) + lines
        for family, lines in samples.items()
        if lines
    )
    return "".join(blocks).encode()
