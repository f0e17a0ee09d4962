"""The series of the demo: what a project sends, depending on its platform and size."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from exporter.simulator.series import Series
from exporter.simulator.world import Project, ProjectStatus

# In the order of `RHYTHMS`.
_OFFICE, _EVENING, _MACHINES = range(3)
_MACHINE_PLATFORMS: Final = frozenset({"python", "python-celery", "rust", "go"})


class _Kind(NamedTuple):
    """A series of a project of size 1.0; see `Series`."""

    category: str
    outcome: str
    reason: str | None
    hourly: float
    batch: int = 1
    baseline: float = 1.0


_ALL_PLATFORMS: Final = (
    _Kind("error", "accepted", None, 180),
    _Kind("error", "filtered", "error-message", 12),
    _Kind("error", "invalid", "too_large:event", 0.6),
    _Kind("error", "rate_limited", "key_quota", 170, baseline=0.0),
    _Kind("error", "rate_limited", "smart_rate_limit", 170, baseline=0.0),
    _Kind("error", "rate_limited", "error_usage_exceeded", 170, baseline=0.0),
    _Kind("transaction", "accepted", None, 5200, batch=40),
    _Kind("transaction", "filtered", "Sampled:1000", 2600, batch=40),
    _Kind("transaction", "client_discard", "sample_rate", 3100, batch=25),
    _Kind("span", "accepted", None, 61_000, batch=900),
)
_BACKOFF: Final = _Kind("error", "client_discard", "ratelimit_backoff", 60, 2, baseline=0.0)
"""Events that SDKs discard after a 429, which happens only while a project is rate limited."""
_PROJECT_LIMIT: Final = _Kind("error", "rate_limited", "project_quota", 170, baseline=0.0)

_FRONTEND: Final = (
    _Kind("error", "filtered", "browser-extensions", 40),
    _Kind("error", "filtered", "web-crawlers", 9),
    _Kind("error", "filtered", "chunk-load-error", 4),
    _Kind("error", "client_discard", "before_send", 22, batch=3),
    _Kind("security", "accepted", None, 6),
    _Kind("security", "filtered", "invalid-csp", 1.5),
    _Kind("replay", "accepted", None, 24),
    _Kind("replay", "client_discard", "network_error", 2),
)
_MOBILE: Final = (
    _Kind("error", "client_discard", "network_error", 14, batch=2),
    _Kind("error", "client_discard", "ratelimit_backoff", 3, batch=2),
    _Kind("attachment", "accepted", None, 42_000_000, batch=180_000),
    _Kind("attachment", "invalid", "too_large:attachment:attachment", 2_100_000, batch=2_000_000),
    _Kind("profile_duration", "accepted", None, 940_000, batch=12_000),
    _Kind("replay", "accepted", None, 11),
)
_BACKEND: Final = (
    _Kind("default", "accepted", None, 30),
    _Kind("default", "rate_limited", "key_quota", 28, baseline=0.0),
    _Kind("monitor", "accepted", None, 60),
    _Kind("log_item", "accepted", None, 24_000, batch=300),
    _Kind("log_byte", "accepted", None, 9_600_000, batch=120_000),
    _Kind("profile_duration", "accepted", None, 310_000, batch=8_000),
    _Kind("span", "rate_limited", "span_usage_exceeded", 900, batch=60),
)
_DELETED: Final = (
    _Kind("error", "accepted", None, 7),
    _Kind("error", "invalid", "project_id", 25),
    _Kind("transaction", "invalid", "project_id", 140, batch=10),
)


def series_of(project: Project, size: float) -> Iterator[Series]:
    """Yield the series of ``project``, except those of `limit_series`."""
    platform = project.platform or ""
    kinds = _DELETED if _is_deleted(project) else _ALL_PLATFORMS + _for_platform(platform)
    for kind in kinds:
        yield _series(project, kind, size)


def limit_series(projects: Iterable[tuple[Project, float]]) -> Iterator[Series]:
    """Yield series that have data only while a project, given with its size, is rate limited."""
    active = [each for each in projects if not _is_deleted(each[0])]
    for kind in (_BACKOFF, _PROJECT_LIMIT):
        for project, size in active:
            yield _series(project, kind, size)


def _is_deleted(project: Project) -> bool:
    return project.status is ProjectStatus.DELETED


def _series(project: Project, kind: _Kind, size: float) -> Series:
    return Series(
        project.id,
        kind.category,
        kind.outcome,
        kind.reason,
        kind.hourly * size,
        _rhythm(project.platform or ""),
        kind.batch,
        kind.baseline,
    )


def _for_platform(platform: str) -> tuple[_Kind, ...]:
    if platform.startswith("javascript"):
        return _FRONTEND
    return _MOBILE if platform in {"apple-ios", "android"} else _BACKEND


def _rhythm(platform: str) -> int:
    if platform in _MACHINE_PLATFORMS:
        return _MACHINES
    return _OFFICE if platform.startswith(("java-", "php", "elixir")) else _EVENING
