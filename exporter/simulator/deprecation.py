"""Deprecated endpoints, announced in response headers as Sentry does."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from exporter.simulator.faults import Endpoint


@dataclass(frozen=True, slots=True)
class Deprecation:
    """The announcement that ``endpoint`` ends on ``date`` (ISO 8601), with its ``replacement``.

    It adds headers only. The brownouts that follow in Sentry, a 410 for some minutes a day, can be
    simulated with a `Fault`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    endpoint: Endpoint
    date: str = "2027-01-15T00:00:00+00:00"
    replacement: str | None = None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that every answer of the endpoint has."""
        announced = (("X-Sentry-Deprecation-Date", self.date),)
        if self.replacement is None:
            return announced
        return (*announced, ("X-Sentry-Replacement-Endpoint", self.replacement))
