"""The status page as HTML, rendered from a status and the reader's choices."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.config import in_units
from exporter.log import visible
from exporter.moments import iso
from exporter.sentry.api_status import clocks_agree, is_clock_wrong
from exporter.status import ExporterStatus, OrganizationStatus, QueryState, QueryStatus
from exporter.web.status import quotas, wording
from exporter.web.status.chart import css_class, svg
from exporter.web.status.choices import INTERVALS, Choices
from exporter.web.status.history import ALL, History, Lookback

MAX_ROWS: Final = 1000
"""Queries on one page; the others are found with the filter."""

MAX_PROBLEMS: Final = 10
"""Problems of a failed reload that are shown; the log has all of them."""

STYLE: Final = (files(__package__) / "templates" / "style.css").read_text("utf-8")

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Allow a browser to show the page in its own style, and nothing else."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, and its numbers."""

    history: History
    svg: str
    legend: Sequence[tuple[str, str, float]]


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts of a query, one for each unit, of one ``category``.

    ``categories`` can be chosen in its place; there are none where there is no choice.
    """

    categories: Sequence[str]
    category: str
    figures: Sequence[Figure]


class Renderer:
    """Renders the page; may be called from several threads."""

    def __init__(self) -> None:
        environment = Environment(
            loader=PackageLoader("exporter.web.status"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # Otherwise every page would look whether the files of the templates have changed.
            auto_reload=False,
        )
        environment.filters |= {
            name: getattr(wording, name)
            for name in (
                "utc",
                "duration",
                "short_duration",
                "count",
                "several",
                "narrowed",
                "alternatives",
            )
        }
        environment.filters |= {"in_units": in_units, "iso": iso}
        environment.filters |= {
            name: getattr(quotas, name)
            for name in ("amount", "used", "lost", "share", "percent", "money", "from_file")
        }
        environment.globals |= {
            "ago": wording.ago,
            "until": wording.until,
            "clocks_agree": clocks_agree,
            "is_clock_wrong": is_clock_wrong,
            "filter_of": wording.filter_of,
            "first_rows": first_rows,
            "states": tuple(QueryState),
            "intervals": (0, *INTERVALS),
        }
        self._page = environment.get_template("page.html")

    def render(self, status: ExporterStatus, choices: Choices) -> str:
        """Return the page as an HTML document without external resources."""
        matching = choices.matching(status)
        queries = status.queries
        states = [state for query in queries for state in query.states]
        page = self._page.render(
            style=STYLE,
            status=status,
            choices=choices,
            organizations=list(first_rows(matching)),
            matching=sum(len(one.queries) for one in matching),
            max_rows=MAX_ROWS,
            max_problems=MAX_PROBLEMS,
            counts={state: states.count(state) for state in QueryState},
            charts=charts_of,
        )
        # Once, in the finished document: names, errors and filters reach it in many ways.
        return visible(page)


def charts_of(query: QueryStatus, choices: Choices) -> Charts:
    """Return the charts of a query as the reader has chosen them."""
    lookback = Lookback(query)
    selectable = choices.by == "outcome" and len(lookback.categories) > 1
    category = lookback.category(choices.category) if selectable else ALL
    histories = lookback.histories(choices.by, category)
    figures = [_figure(query, number, one) for number, one in enumerate(histories)]
    return Charts((ALL, *lookback.categories) if selectable else (), category, figures)


def _figure(query: QueryStatus, number: int, history: History) -> Figure:
    title = f"{query.name}: {history.subject} by {history.by}"
    sums = zip(history.names, history.totals, strict=True)
    legend = [(css_class(history, at), name, total) for at, (name, total) in enumerate(sums)]
    return Figure(history, svg(history, f"{query.name}/{number}", title), legend)


def first_rows(organizations: Sequence[OrganizationStatus]) -> Iterator[OrganizationStatus]:
    """Yield the organizations with the queries that the page has a row for."""
    left = MAX_ROWS
    for one in organizations:
        if left:
            shown = one.queries[:left]
            left -= len(shown)
            yield replace(one, queries=shown)
