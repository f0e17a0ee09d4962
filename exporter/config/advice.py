"""What is allowed in a configuration, and still worth a warning."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from exporter.categories import KNOWN_CATEGORIES
from exporter.config.address import HOSTED, is_hosted
from exporter.config.kinds import in_units
from exporter.config.models import FileEntry, SettingsEntry
from exporter.config.problems import KeyPath, Problem, found, near
from exporter.config.rules import owned_projects
from exporter.config.settings import Organization
from exporter.config.source import Document
from exporter.config.teams import is_pattern
from exporter.loopback import is_loopback

_CATEGORIES: Final = (*KNOWN_CATEGORIES, "user_report_v2")
"""The last is a second name of ``feedback``, in filters only."""

_REGIONS: Final = ("us", "de")
_OPEN_SET: Final = "a Sentry that does not know it either will refuse the query"


def advice(
    document: Document, file: FileEntry, organizations: tuple[Organization, ...]
) -> Iterator[Problem]:
    """Yield the warnings, in no order."""
    yield from _one_twice(document, organizations)
    yield from _access(document, ("defaults",), file.defaults)
    for at, entry in enumerate(file.organizations):
        yield from _access(document, ("organizations", at), entry)
        yield from _short_age(document, ("organizations", at, "queries"), organizations[at])
        yield from _subdomain(document, ("organizations", at, "slug"), organizations[at])
        yield from _overshadowed(document, ("organizations", at, "teams"))
        for position in range(len(entry.queries)):
            query = ("organizations", at, "queries", position)
            yield from _unknown_categories(document, (*query, "filter", "category"))


def _access(document: Document, place: KeyPath, settings: SettingsEntry) -> Iterator[Problem]:
    if settings.token is not None:
        yield document.problem(
            (*place, "token"),
            "whoever reads this file can read the token: token_file or token_env keeps it apart",
        )
    if settings.url.startswith("http:") and not is_loopback(urlsplit(settings.url).hostname or ""):
        yield document.problem(
            (*place, "url"), "plain http sends the token unencrypted; use https if Sentry has it"
        )


def _one_twice(document: Document, organizations: tuple[Organization, ...]) -> Iterator[Problem]:
    """Tell of organizations that have two names, but one slug on one server."""
    first: dict[tuple[str, str], int] = {}
    for at, organization in enumerate(organizations):
        host = urlsplit(organization.url).hostname or ""
        server = HOSTED if is_hosted(host) else organization.url
        before = first.setdefault((server, organization.slug), at)
        if before != at:
            line = document.mark(("organizations", before, "slug")).line
            yield document.problem(
                ("organizations", at, "slug"),
                f"the same organization as on line {line}, under another name: "
                "what both ask for is published twice",
            )


def _subdomain(document: Document, slug: KeyPath, organization: Organization) -> Iterator[Problem]:
    host = urlsplit(organization.url).hostname or ""
    subdomain = host.removesuffix(f".{HOSTED}")
    known = (host, *_REGIONS, organization.slug)
    if is_hosted(host) and subdomain not in known and not organization.slug.isdigit():
        yield document.problem(
            slug,
            f"{host} answers for the organization {subdomain} only, unless that is a region; "
            f"https://{HOSTED} answers for every organization",
        )


def _short_age(
    document: Document, queries: KeyPath, organization: Organization
) -> Iterator[Problem]:
    for position, query in enumerate(organization.queries):
        if organization.max_age < 2 * query.poll_interval:
            keys = ((*queries, position, key) for key in ("poll_interval", "interval"))
            place = next((key for key in keys if key in document.marks), (*queries, position))
            yield document.problem(
                place,
                f"max_age is {in_units(organization.max_age)}, which is shorter than two polls "
                f"of the query {query.name}: its data is kept for "
                f"{in_units(2 * query.poll_interval)}",
            )


def _overshadowed(document: Document, teams: KeyPath) -> Iterator[Problem]:
    """Tell of projects and patterns that come too late: a team before has all that they name."""
    patterns: list[tuple[str, KeyPath, str]] = []
    for team, path, written in owned_projects(document, teams):
        for owner, place, pattern in patterns:
            if owner != team and (pattern == written or _covers(pattern, written)):
                line = document.mark(place).line
                yield document.problem(
                    path,
                    f"{found(written)} never counts here: the team {found(owner)} comes first, "
                    f"and has it by {found(pattern)} on line {line}",
                )
                break
        if is_pattern(written):
            patterns.append((team, path, written))


def _covers(pattern: str, written: str) -> bool:
    """Tell whether ``pattern`` has the one project that is ``written`` by its slug."""
    named = not is_pattern(written) and not written.isdigit()
    return named and fnmatchcase(written, pattern)


def _unknown_categories(document: Document, path: KeyPath) -> Iterator[Problem]:
    written = document.at(path)
    names = written if isinstance(written, list) else [written] if path in document.marks else []
    for at, name in enumerate(names):
        if name not in _CATEGORIES:
            yield document.problem((*path, at), _unknown_category(name))


def _unknown_category(name: str) -> str:
    singular = name.lower().removesuffix("s")
    known = [category for category in (name.lower(), singular) if category in _CATEGORIES]
    if known:
        return f"Sentry will refuse {found(name)}: it calls this category {known[0]}"
    return f"found {found(name)}, which is not known here{near(name, _CATEGORIES)}; {_OPEN_SET}"
