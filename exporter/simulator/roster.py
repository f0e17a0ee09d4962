"""The demo's projects, and what each kind of project sends."""

from collections.abc import Iterator, Mapping
from itertools import islice, product
from random import Random
from typing import Final, NamedTuple

from exporter.simulator.traffic import Series
from exporter.simulator.world import Project, ProjectStatus

QUIET: Final = 0.02
"""The size of a project that hardly sends anything."""

_AREAS: Final = (
    "accounts",
    "catalog",
    "delivery",
    "fraud",
    "identity",
    "inventory",
    "ledger",
    "media",
    "orders",
    "pricing",
    "reports",
    "support",
)
_PARTS: Final = (
    ("api", "python-django"),
    ("web", "javascript-react"),
    ("worker", "python-celery"),
    ("gateway", "go"),
    ("admin", "javascript-vue"),
    ("android", "android"),
    ("ios", "apple-ios"),
    ("sync", "java-spring-boot"),
    ("cron", "python"),
    ("events", "node-express"),
    ("export", "php-laravel"),
    ("stream", "rust"),
    ("search", "elixir"),
)
ACME: Final = (
    ("web", "javascript-react", 2.4),
    ("marketing-site", "javascript-nextjs", 0.4),
    ("ios", "apple-ios", 1.3),
    ("android", "android", 1.6),
    ("api", "python-django", 2.0),
    ("checkout", "python-fastapi", 1.1),
    ("payments", "go", 0.7),
    ("search", "java-spring-boot", 0.9),
    ("notifications", "node-express", 0.5),
    ("warehouse", "php-laravel", QUIET),
    ("billing-worker", "python-celery", 0.3),
    ("data-pipeline", "python", QUIET),
)
"""Slug, platform, and size of the first organization's projects."""

ACME_TEAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "web": ("frontend",),
    "marketing-site": ("growth", "frontend"),
    "ios": ("mobile",),
    "android": ("mobile",),
    "api": ("backend",),
    "checkout": ("payments", "backend"),
    "payments": ("payments",),
    "search": ("backend",),
    "notifications": ("backend",),
    "billing-worker": ("payments",),
}
"""Who looks after the first organization's projects; some have nobody."""

_QUIET_SHARE: Final = 0.15
_MOBILE_PARTS: Final = frozenset({"android", "ios"})
_ORPHANED_PARTS: Final = frozenset({"admin", "export"})

_OFFICE, _EVENING, _MACHINES = range(3)
_MACHINE_PLATFORMS: Final = frozenset({"python", "python-celery", "rust", "go"})


class _Kind(NamedTuple):
    """A row that projects get: per busy hour, and how much of it one stored row stands for."""

    category: str
    outcome: str
    reason: str | None
    hourly: float
    batch: int = 1
    resting: float = 1.0


_EVERYWHERE: Final = (
    _Kind("error", "accepted", None, 180),
    _Kind("error", "filtered", "error-message", 12),
    _Kind("error", "invalid", "too_large:event", 0.6),
    _Kind("error", "rate_limited", "key_quota", 170, resting=0.0),
    _Kind("error", "rate_limited", "smart_rate_limit", 170, resting=0.0),
    _Kind("error", "rate_limited", "error_usage_exceeded", 170, resting=0.0),
    _Kind("transaction", "accepted", None, 5200, batch=40),
    _Kind("transaction", "filtered", "Sampled:1000", 2600, batch=40),
    _Kind("transaction", "client_discard", "sample_rate", 3100, batch=25),
    _Kind("span", "accepted", None, 61_000, batch=900),
)
_BACKING_OFF: Final = _Kind("error", "client_discard", "ratelimit_backoff", 60, 2, resting=0.0)
"""What SDKs hold back after a 429; flows only while something is rate limited."""

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
    _Kind("default", "rate_limited", "key_quota", 28, resting=0.0),
    _Kind("monitor", "accepted", None, 60),
    _Kind("log_item", "accepted", None, 24_000, batch=300),
    _Kind("log_byte", "accepted", None, 9_600_000, batch=120_000),
    _Kind("profile_duration", "accepted", None, 310_000, batch=8_000),
    _Kind("span", "rate_limited", "span_usage_exceeded", 900, batch=60),
)
_GONE: Final = (
    _Kind("error", "accepted", None, 7),
    _Kind("error", "invalid", "project_id", 25),
    _Kind("transaction", "invalid", "project_id", 140, batch=10),
)


def globex_projects(count: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield slug, platform and teams of ``count`` projects; a large company numbers its regions."""
    regions = ("", *(f"-r{number}" for number in range(2, 2 + count)))
    for region, (part, platform), area in islice(product(regions, _PARTS, _AREAS), count):
        yield f"{area}-{part}{region}", platform, _globex_teams(area, part)


def size_of(seed: int, project: Project) -> float:
    """Return how much ``project`` sends, 1.0 being ordinary."""
    for slug, _, size in ACME:
        if project.slug == slug:
            return size
    random = Random(f"{seed}:{project.id}")  # noqa: S311 - repeatable, not secret
    is_quiet = random.random() < _QUIET_SHARE
    return QUIET if is_quiet else random.lognormvariate(0, 0.9)


def series_of(project: Project, size: float) -> Iterator[Series]:
    """Yield what ``project`` sends; 1.0 is an ordinary project's ``size``."""
    kinds = _GONE if _is_gone(project) else _EVERYWHERE + _special(project.platform or "")
    for kind in kinds:
        yield _series(project, kind, size)


def backing_off(project: Project, size: float) -> Iterator[Series]:
    """Yield what the SDKs of ``project`` hold back while it is rate limited."""
    if not _is_gone(project):
        yield _series(project, _BACKING_OFF, size)


def _is_gone(project: Project) -> bool:
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
        kind.resting,
    )


def _globex_teams(area: str, part: str) -> tuple[str, ...]:
    if part in _ORPHANED_PARTS:
        return ()
    return (area, "mobile") if part in _MOBILE_PARTS else (area,)


def _special(platform: str) -> tuple[_Kind, ...]:
    if platform.startswith("javascript"):
        return _FRONTEND
    return _MOBILE if platform in {"apple-ios", "android"} else _BACKEND


def _rhythm(platform: str) -> int:
    if platform in _MACHINE_PLATFORMS:
        return _MACHINES
    return _OFFICE if platform.startswith(("java-", "php", "elixir")) else _EVENING
