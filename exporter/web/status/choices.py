"""What the reader of the status page has chosen; all of it is in the address of the page.

A page that refreshes itself, or that is sent to a colleague, therefore stays as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self
from urllib.parse import urlencode

from exporter.status import ExporterStatus, OrganizationStatus, QueryState, QueryStatus
from exporter.web.status.wording import filter_of

INTERVALS: Final = (15, 30, 60, 300)
"""Seconds between refreshes that can be chosen."""

DEFAULT_INTERVAL: Final = 30

_MAX_TEXT: Final = 200
_GROUPINGS: Final = ("outcome", "category")


@dataclass(frozen=True, slots=True)
class Choices:
    """The reader's choices.

    ``query`` is the name of the only query that is shown, with its details. ``q`` is a text that
    queries must contain. ``category`` is the one whose outcomes the charts show. ``refresh`` is in
    seconds, 0 for never. With ``page``, the form in which the filter is written is shown in place
    of the queries.
    """

    q: str = ""
    state: str = ""
    organization: str = ""
    query: str = ""
    by: str = "outcome"
    category: str = ""
    refresh: int = DEFAULT_INTERVAL
    page: str = ""

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> Self:
        """Return the choices in the query string of an address; what is invalid is ignored."""
        last = dict(pairs)
        return cls(
            q=" ".join(last.get("q", "")[:_MAX_TEXT].split()),
            state=_one_of(last.get("state"), tuple(QueryState), ""),
            organization=last.get("organization", "")[:_MAX_TEXT],
            query=last.get("query", "")[:_MAX_TEXT],
            by=_one_of(last.get("by"), _GROUPINGS, "outcome"),
            category=last.get("category", "")[:_MAX_TEXT],
            refresh=_seconds(last.get("refresh")),
            page=_one_of(last.get("page"), ("filter",), ""),
        )

    def with_(self, **changes: Any) -> Self:
        """Return the choices with ``changes``."""
        return replace(self, **changes)

    def address(self) -> str:
        """Return the address of the page with these choices, relative to the page itself."""
        # Sentry's JSON may contain half a surrogate pair, which no address can.
        return f"?{urlencode(self.pairs(), errors='replace')}"

    def prefix(self) -> str:
        """Return an address to which another choice can be added as ``name=value``."""
        return f"{self.address()}&" if self.pairs() else "?"

    def pairs(self, *, without: Sequence[str] = ()) -> Sequence[tuple[str, str]]:
        """Return the choices that are not the default, as in a query string."""
        return [
            (one.name, _written(one.name, getattr(self, one.name)))
            for one in fields(self)
            if one.name not in without and getattr(self, one.name) != one.default
        ]

    @property
    def seconds_to_refresh(self) -> int:
        """Seconds until the page is loaded again, 0 for never: what is typed would be lost."""
        return 0 if self.page else self.refresh

    @property
    def filters(self) -> bool:
        """Whether some queries may be left out."""
        return bool(self.q or self.state or self.organization)

    def query_exists(self, status: ExporterStatus) -> bool:
        """Return whether the query that was chosen, if any, is one of the exporter's."""
        return not self.query or any(self.query == one.name for one in status.queries)

    def matching(self, status: ExporterStatus) -> Sequence[OrganizationStatus]:
        """Return the organizations with the queries that match; without a filter all of them."""
        shown = (
            replace(one, queries=[each for each in one.queries if self._matches(each)])
            for one in status.organizations
            if self.query or self.organization in {"", one.settings.name}
        )
        # A shard may have the quotas of an organization and none of its queries.
        everything = not (self.query or self.state or self.q)
        return [one for one in shown if one.queries or (everything and one.quotas)]

    def _matches(self, query: QueryStatus) -> bool:
        if self.query:
            return query.name == self.query
        if self.state and self.state not in query.states:
            return False
        if not self.q:
            return True
        text = _text(query)
        return all(word in text for word in self.q.lower().split())


def _text(query: QueryStatus) -> str:
    """Return what the filter searches: the row's text about the query, in lower case."""
    settings = query.settings
    parts = [query.name, *settings.group_by, *settings.fields]
    for key, values in filter_of(settings):
        parts += [key, *values]
    if query.report.failed_polls and (failure := query.last_failure):
        parts += [failure.reason, failure.error]
    return " ".join(parts).lower()


def _one_of(value: str | None, allowed: Sequence[str], default: str) -> str:
    return value if value is not None and value in allowed else default


def _seconds(value: str | None) -> int:
    known: Mapping[str | None, int] = {"off": 0, **{str(one): one for one in INTERVALS}}
    return known.get(value, DEFAULT_INTERVAL)


def _written(name: str, value: object) -> str:
    return "off" if name == "refresh" and not value else str(value)
