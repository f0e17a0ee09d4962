"""What the reader of the status page has chosen; all of it is in the address of the page.

A page that refreshes itself, or that is sent to a colleague, therefore stays as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self
from urllib.parse import urlencode

from exporter.status import ExporterStatus, OrganizationStatus, QueryState, QueryStatus

INTERVALS: Final = (15, 30, 60, 300)
"""Seconds between refreshes that can be chosen."""

DEFAULT_INTERVAL: Final = 30

MAX_OPEN: Final = 20
"""Queries whose details are shown at the same time."""

_MAX_TEXT: Final = 200
_GROUPINGS: Final = ("outcome", "category")


@dataclass(frozen=True, slots=True)
class Choices:
    """The reader's choices.

    ``q`` is a text that queries must contain, ``open`` are the names of those whose details are
    shown, ``numbers`` of those whose charts have their numbers beside them. ``refresh`` is in
    seconds, 0 for never.
    """

    q: str = ""
    state: str = ""
    organization: str = ""
    by: str = "outcome"
    open: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    refresh: int = DEFAULT_INTERVAL

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> Self:
        """Return the choices in the query string of an address; what is invalid is ignored."""
        last = dict(pairs)
        chosen = {name: tuple(v for k, v in pairs if k == name) for name in ("open", "numbers")}
        return cls(
            q=" ".join(last.get("q", "")[:_MAX_TEXT].split()),
            state=_one_of(last.get("state"), tuple(QueryState), ""),
            organization=last.get("organization", "")[:_MAX_TEXT],
            by=_one_of(last.get("by"), _GROUPINGS, "outcome"),
            open=chosen["open"][-MAX_OPEN:],
            numbers=chosen["numbers"][-MAX_OPEN:],
            refresh=_seconds(last.get("refresh")),
        )

    def with_(self, **changes: Any) -> Self:
        """Return the choices with ``changes``."""
        return replace(self, **changes)

    def toggled(self, what: str, name: str) -> Self:
        """Return the choices with ``name`` added to ``open`` or ``numbers``, or removed from it."""
        present: tuple[str, ...] = getattr(self, what)
        without = tuple(one for one in present if one != name)
        return self.with_(**{what: without if name in present else (*present, name)})

    def address(self, fragment: str = "") -> str:
        """Return the address of the page with these choices, relative to the page itself."""
        return f"?{urlencode(self.pairs())}" + (f"#{fragment}" if fragment else "")

    def prefix(self) -> str:
        """Return an address to which another choice can be added as ``name=value``."""
        return f"{self.address()}&" if self.pairs() else "?"

    def pairs(self, *, without: Sequence[str] = ()) -> Sequence[tuple[str, str]]:
        """Return the choices that are not the default, as in a query string."""
        return [
            (field.name, _written(field.name, one))
            for field in fields(self)
            if field.name not in without and (value := getattr(self, field.name)) != field.default
            for one in (value if isinstance(value, tuple) else (value,))
        ]

    @property
    def filters(self) -> bool:
        """Whether some queries may be left out."""
        return bool(self.q or self.state or self.organization)

    def matching(self, status: ExporterStatus) -> Sequence[OrganizationStatus]:
        """Return the organizations with the queries that match; without a filter all of them."""
        shown = (
            replace(one, queries=[each for each in one.queries if self._matches(each)])
            for one in status.organizations
            if self.organization in {"", one.settings.name}
        )
        return [one for one in shown if one.queries]

    def _matches(self, query: QueryStatus) -> bool:
        if self.state and query.state != self.state:
            return False
        if not self.q:
            return True
        failure = query.last_failure if query.report.failed_polls else None
        text = f"{query.name} {' '.join(query.settings.group_by)}"
        text += f" {failure.reason} {failure.error}" if failure else ""
        text = text.lower()
        return all(word in text for word in self.q.lower().split())


def _one_of(value: str | None, allowed: Sequence[str], default: str) -> str:
    return value if value is not None and value in allowed else default


def _seconds(value: str | None) -> int:
    known: Mapping[str | None, int] = {"off": 0, **{str(one): one for one in INTERVALS}}
    return known.get(value, DEFAULT_INTERVAL)


def _written(name: str, value: object) -> str:
    return "off" if name == "refresh" and not value else str(value)
