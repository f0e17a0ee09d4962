"""Findings: what is wrong, where the file has the setting behind it, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, Self

from exporter.collect.poll.failure import Failure
from exporter.collect.snapshot import Poll
from exporter.config import (
    QUOTAS_QUERY,
    Config,
    Organization,
    Problem,
    Query,
    category_remedy,
)
from exporter.config.errors import Place
from exporter.config.models import TOKEN_KEYS
from exporter.sentry.deprecation import Deprecation
from exporter.sentry.errors import BadRequestError, SentryError, UnknownProjectError
from exporter.sentry.remedies import Cause
from exporter.sentry.token import redact

Severity = Literal["error", "warning"]

# The settings that may be behind a failure; the first that the file has is the place.
_SETTINGS: Final = MappingProxyType(
    {
        "token": TOKEN_KEYS,
        "unauthorized": TOKEN_KEYS,
        "forbidden": TOKEN_KEYS,
        "not_found": ("slug",),
        "network": ("url",),
        "tls": ("ca_file", "url"),
        "timeout": ("timeout", "url"),
        "redirect": ("url",),
        "unexpected_status": ("url",),
        "bad_answer": ("url",),
        "server_error": ("url",),
        "too_large": ("max_response_size",),
        "rate_limited": ("requests_per_second",),
    }
)
_NOT_OF_SENTRY: Final = frozenset({Cause.NOT_SENTRY, Cause.IN_BETWEEN, Cause.LOGIN_PAGE})
"""Causes of answers that say nothing about slug or token, whatever their status."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One error or warning; ``str()`` of it is its line.

    ``reason`` is that of a failed request, ``remedy`` is ``""`` where the message says it.
    ``organization`` and ``query`` are empty for what concerns all of the file; the place is that
    of a `Problem`.
    """

    severity: Severity
    message: str
    remedy: str = ""
    reason: str = ""
    organization: str = ""
    query: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None
    path: str = ""

    @classmethod
    def of(cls, problem: Problem, severity: Severity) -> Self:
        """Return the finding that a problem of the file or of this host is."""
        return cls(
            severity,
            problem.message,
            problem.remedy,
            file=problem.file,
            line=problem.line,
            column=problem.column,
            path=problem.path,
        )

    def __str__(self) -> str:
        problem = Problem(self.path, self.line, self.message, self.file, self.column, self.remedy)
        return f"{self.severity}: {problem}"


def failure(
    config: Config,
    organization: Organization,
    error: SentryError,
    query: Query | None = None,
    severity: Severity = "error",
) -> Finding:
    """Return the finding that ``error`` is, at the setting that is to be changed."""
    place, remedy = _place(config, organization, query, error), error.remedy
    if query is not None and isinstance(error, BadRequestError):
        remedy = _category_remedy(query, error) or remedy
    return _at(
        place,
        severity,
        redact(str(error)),
        remedy=redact(remedy),
        reason=error.reason,
        organization=organization.name,
        query=query.name if query else "",
    )


def unforeseen(config: Config, organization: Organization, error: Exception) -> Finding:
    """Return the finding that an exception is which no code expects."""
    described = Failure.unforeseen(error)
    return _at(
        _organization(config, organization),
        "error",
        f"the check has failed: {described.error}",
        remedy="report this as a fault of the exporter",
        reason=described.reason,
        organization=organization.name,
    )


def warning(config: Config, organization: Organization, key: str, text: str) -> Finding:
    """Return a warning at the setting ``key``, or at the organization if it is not in the file."""
    place = config.places.settings.get((organization.name, key))
    return _at(
        place or _organization(config, organization),
        "warning",
        text,
        organization=organization.name,
    )


def quotas_failed(config: Config, organization: Organization, poll: Poll) -> Finding:
    """Return the finding that a failed poll of the quotas is."""
    place = config.places.settings.get((organization.name, "quotas"))
    return _at(
        place or _organization(config, organization),
        "error",
        poll.error,
        remedy=poll.remedy,
        reason=poll.reason,
        organization=organization.name,
        query=QUOTAS_QUERY,
    )


def incomplete(config: Config, organization: Organization, query: Query) -> Finding:
    """Return the warning that the answers to ``query`` may be cut."""
    places = config.places.queries.get((organization.name, query.name))
    return _at(
        places.query if places else _organization(config, organization),
        "warning",
        "the latest finished bucket cannot be proven complete; some of its values may be too low",
        remedy="remove reason from groupBy, or filter by category",
        organization=organization.name,
        query=query.name,
    )


def category_warnings(
    config: Config, organization: Organization, query: Query
) -> Iterator[Finding]:
    """Yield the warnings of the file about categories of ``query``, which only Sentry can confirm.

    Their place is also that of the failure if Sentry refuses the category.
    """
    places = config.places.queries.get((organization.name, query.name))
    paths = {place.path for place in places.categories.values()} if places else ()
    for problem in config.warnings:
        if problem.path in paths:
            finding = Finding.of(problem, "warning")
            yield replace(finding, organization=organization.name, query=query.name)


def deprecated(config: Config, organization: Organization, deprecation: Deprecation) -> Finding:
    """Return the warning that Sentry has announced to remove an API."""
    return _at(
        _organization(config, organization),
        "warning",
        str(deprecation),
        remedy="check whether there is a newer exporter",
        organization=organization.name,
    )


def _at(
    place: Place | None,
    severity: Severity,
    message: str,
    *,
    remedy: str = "",
    reason: str = "",
    organization: str,
    query: str = "",
) -> Finding:
    at = place or Place("", None, "")
    return Finding(
        severity, message, remedy, reason, organization, query, at.file, at.line, at.column, at.path
    )


def _place(
    config: Config, organization: Organization, query: Query | None, error: SentryError
) -> Place | None:
    keys = ("url",) if error.cause in _NOT_OF_SENTRY else _SETTINGS.get(error.reason, ())
    places = (config.places.settings.get((organization.name, key)) for key in keys)
    place = next((place for place in places if place), None)
    if place is None and query is not None:
        place = _place_in_query(config, organization, query, error)
    return place or _organization(config, organization)


def _place_in_query(
    config: Config, organization: Organization, query: Query, error: SentryError
) -> Place | None:
    places = config.places.queries.get((organization.name, query.name))
    if places is None:
        return None
    narrow = None
    if isinstance(error, UnknownProjectError):
        narrow = places.projects
    # Not in all of the error's text, in which the address has the slug of the organization.
    elif isinstance(error, BadRequestError) and "category" in error.detail.lower():
        narrow = places.categories.get(_refused_category(query, error) or "", places.category)
    return narrow or places.query


def _organization(config: Config, organization: Organization) -> Place | None:
    return config.places.settings.get((organization.name, "slug"))


def _category_remedy(query: Query, error: BadRequestError) -> str:
    name = _refused_category(query, error)
    return category_remedy(name) if name else ""


def _refused_category(query: Query, error: BadRequestError) -> str | None:
    """Return the category of the filter that Sentry's answer names."""
    # Sentry quotes it, and so one category is not taken for another one that contains its name.
    return next((name for name in query.filter.category if f'"{name}"' in error.detail), None)
