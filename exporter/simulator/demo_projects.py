"""The projects of the demo: their slugs, platforms, teams and sizes."""

from collections.abc import Iterator, Mapping
from itertools import islice, product
from random import Random
from typing import Final

from exporter.simulator.world import Project

QUIET: Final = 0.02
"""The size of a project that sends hardly anything."""

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
"""Slug, platform and size of the projects of ``acme``."""

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
"""The teams of the projects of ``acme``; some projects have none."""

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
_QUIET_SHARE: Final = 0.15
_MOBILE_PARTS: Final = frozenset({"android", "ios"})
_PARTS_WITHOUT_TEAM: Final = frozenset({"admin", "export"})


def globex_projects(count: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield slug, platform and teams of ``count`` projects of ``globex``.

    If there are more projects than names, they are numbered by region: ``orders-api-r2``.
    """
    regions = ("", *(f"-r{number}" for number in range(2, 2 + count)))
    for region, (part, platform), area in islice(product(regions, _PARTS, _AREAS), count):
        yield f"{area}-{part}{region}", platform, _globex_teams(area, part)


def size_of(seed: int, project: Project) -> float:
    """Return the size of ``project``: its traffic relative to that of an average project."""
    for slug, _, size in ACME:
        if project.slug == slug:
            return size
    random = Random(f"{seed}:{project.id}")  # noqa: S311 - repeatable, not secret
    is_quiet = random.random() < _QUIET_SHARE
    return QUIET if is_quiet else random.lognormvariate(0, 0.9)


def _globex_teams(area: str, part: str) -> tuple[str, ...]:
    if part in _PARTS_WITHOUT_TEAM:
        return ()
    return (area, "mobile") if part in _MOBILE_PARTS else (area,)
