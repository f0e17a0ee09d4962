"""What a configuration says once it is read: plain values, with every default in its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from exporter.config.problems import Place, Problem
from exporter.config.teams import Teams
from exporter.sentry.token import TokenSource

_NO_TEAMS: Final = Teams()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows a query asks for; an empty tuple, or None, asks for all."""

    category: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    reason: str | None = None
    project: tuple[str, ...] = ()
    """An id where it is all digits, else a slug."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question that is asked again and again; times are in seconds.

    ``group_by`` holds ``outcome``, ``category``, ``reason``, ``project``, in the order written;
    ``fields`` holds ``sum(quantity)``, ``sum(times_seen)`` or both.
    """

    name: str
    group_by: tuple[str, ...]
    filter: Filter
    fields: tuple[str, ...]
    interval: int
    poll_interval: int
    lookback: int
    counters: bool


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization, how to reach it, and what to ask; times in seconds, sizes in bytes."""

    slug: str
    """The slug, or the numeric id: what Sentry calls it. Two servers may have the same."""
    name: str
    """What the exporter calls it: the label ``organization``, unique in a configuration."""
    url: str
    """Without a slash at its end."""
    token: TokenSource
    ca_file: Path | None
    timeout: float
    max_concurrency: int
    requests_per_second: float
    max_response_size: int
    settle: int
    max_age: int
    project_label: Literal["slug", "id"]
    queries: tuple[Query, ...]
    teams: Teams = _NO_TEAMS
    """Who owns which projects, as far as the file says it."""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that can be used, and what is still worth a warning in it."""

    organizations: tuple[Organization, ...]
    warnings: tuple[Problem, ...]
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict, compare=False, repr=False)
    """Where the file has the setting that is in force, by the organization's name and the key.

    That may be under ``defaults``; what is left out has no place.
    """
