"""Why a poll, or a request for the projects list, has failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from exporter.sentry.errors import SentryError
from exporter.sentry.token import described, redact


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a poll failed, without secrets; ``lasting`` if somebody has to fix something.

    ``url``, ``status`` and ``request`` are those of the request that failed, if any. Values and
    no exception, whose frames hold the answers of Sentry for as long as it is there.
    """

    reason: str
    error: str
    remedy: str = ""
    lasting: bool = False
    url: str = ""
    status: int = 0
    request: str = ""

    @classmethod
    def of(cls, error: SentryError) -> Self:
        """Return the failure that ``error`` is."""
        return cls(
            error.reason,
            redact(error.message),
            error.remedy,
            error.lasting,
            redact(error.asked),
            error.code,
            error.request,
        )

    @classmethod
    def unforeseen(cls, error: Exception) -> Self:
        """Return the failure that an exception is which no code expects."""
        return cls("internal", described(error), lasting=True)

    def __str__(self) -> str:
        return f"{self.error} [{self.url}]" if self.url else self.error

    def details(self) -> Mapping[str, object]:
        """Return what is known of it beside the reason, as the log says it."""
        details = {
            "error": self.error,
            "url": self.url,
            "status": self.status,
            "request": self.request,
            "remedy": self.remedy,
        }
        return {key: value for key, value in details.items() if value}
