"""Endpoints whose end is announced, as Sentry announces it on their answers."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from exporter.simulator.faults import Endpoint


@dataclass(frozen=True, slots=True)
class Deprecation:
    """The announced end of ``endpoint``: an ISO 8601 ``date``, and what to use instead if any.

    What follows after the date, a 410 for some minutes a day, is a `Fault`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    endpoint: Endpoint
    date: str = "2027-01-15T00:00:00+00:00"
    replacement: str | None = None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of every answer of the endpoint."""
        announced = (("X-Sentry-Deprecation-Date", self.date),)
        if self.replacement is None:
            return announced
        return (*announced, ("X-Sentry-Replacement-Endpoint", self.replacement))
