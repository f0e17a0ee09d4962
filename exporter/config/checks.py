"""Checks across the file: tokens, names and teams, and what is allowed but worth a warning.

Errors are looked for in the plain values of the file, so that an invalid value elsewhere does not
hide them. Warnings are for a file without errors.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from exporter.categories import KNOWN_CATEGORIES
from exporter.config.errors import KeyPath, Problem, near, shown
from exporter.config.models import TOKEN_KEYS, Organization
from exporter.config.notation import in_units
from exporter.config.quota_checks import quota_errors, quota_warnings
from exporter.config.types import HOSTED, is_hosted, is_pattern
from exporter.config.yaml_file import Document
from exporter.loopback import is_loopback

_SOURCES: Final = "token_file, token_env and token"
_CATEGORIES: Final = (*KNOWN_CATEGORIES, "user_report_v2")
"""The last is a second name of ``feedback``, in filters only."""
# Those known today; the warning about another subdomain allows for more.
_REGIONS: Final = ("us", "de")


def errors_across(document: Document) -> Iterator[Problem]:
    """Yield the errors that only show across the file, in no order."""
    organizations = list(_entries(document, ("organizations",)))
    for place in (("defaults",), *organizations):
        yield from _several_tokens(document, place)
    for place in organizations:
        yield from _no_token(document, place)
        queries = list(_entries(document, (*place, "queries")))
        yield from _duplicate_names(document, ((*query, "name") for query in queries))
        yield from _project_of_two_teams(document, (*place, "teams"))
        quotas = list(_entries(document, (*place, "quotas")))
        yield from _duplicate_names(document, ((*quota, "name") for quota in quotas))
        yield from quota_errors(document, place, queries, quotas)
    names = (_naming_key(document, place) for place in organizations)
    yield from _duplicate_names(document, names, "; give one of the organizations another name")


def warnings_about(
    document: Document, organizations: tuple[Organization, ...]
) -> Iterator[Problem]:
    """Yield the warnings about a file without errors, in no order."""
    yield from _same_organization(document, organizations)
    yield from _access(document, ("defaults",))
    for at, organization in enumerate(organizations):
        place: KeyPath = ("organizations", at)
        yield from _access(document, place)
        yield from _short_max_age(document, (*place, "queries"), organization)
        yield from _subdomain(document, (*place, "slug"), organization)
        yield from _unused_teams(document, (*place, "teams"))
        for query in range(len(organization.queries)):
            path = (*place, "queries", query, "filter", "category")
            yield from _unknown_categories(document, path, "the query")
        for quota in range(len(organization.quotas)):
            path = (*place, "quotas", quota, "category")
            yield from _unknown_categories(document, path, "the polls of all quotas")
        yield from quota_warnings(document, place, organization)


def _entries(document: Document, path: KeyPath) -> Iterator[KeyPath]:
    """Yield the paths of the mappings in the list at ``path``, if there is one."""
    entries = document.at(path)
    if isinstance(entries, list):
        yield from ((*path, at) for at, entry in enumerate(entries) if isinstance(entry, dict))


def _tokens(document: Document, place: KeyPath) -> list[KeyPath]:
    paths = ((*place, key) for key in TOKEN_KEYS)
    return sorted((path for path in paths if path in document.marks), key=document.mark)


def _several_tokens(document: Document, place: KeyPath) -> Iterator[Problem]:
    tokens = _tokens(document, place)
    for path in tokens[1:]:
        line = document.mark(tokens[0]).line
        message = f"{tokens[0][-1]} is already set on line {line}; use only one of {_SOURCES}"
        yield document.problem(path, message)


def _no_token(document: Document, place: KeyPath) -> Iterator[Problem]:
    if not _tokens(document, place) and not _tokens(document, ("defaults",)):
        message = f"no token; set one of {_SOURCES}, here or under defaults"
        yield document.problem(place, message)


def _project_of_two_teams(document: Document, teams: KeyPath) -> Iterator[Problem]:
    first: dict[str, tuple[str, KeyPath]] = {}
    for team, path, project in _owned_projects(document, teams):
        if is_pattern(project):
            continue
        owner, place = first.setdefault(project, (team, path))
        if owner != team:
            line = document.mark(place).line
            yield document.problem(
                path,
                f"duplicate project {shown(project)}, already listed for the team {shown(owner)} "
                f"on line {line}; a project has one team",
            )


def _owned_projects(document: Document, teams: KeyPath) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield each project or pattern under ``teams``: its team, its path, and its text."""
    written = document.at(teams)
    for team, listed in written.items() if isinstance(written, dict) else ():
        several = isinstance(listed, list)
        for at, project in enumerate(listed if several else [listed]):
            path = (*teams, team, at) if several else (*teams, team)
            if isinstance(project, str | int):
                yield team, path, str(project)


def _naming_key(document: Document, organization: KeyPath) -> KeyPath:
    """Return the path of an organization's name, or of its slug if it has no name."""
    name = (*organization, "name")
    return name if name in document.marks else (*organization, "slug")


def _duplicate_names(
    document: Document, paths: Iterable[KeyPath], remedy: str = ""
) -> Iterator[Problem]:
    first: dict[str, KeyPath] = {}
    for path in paths:
        value = document.at(path)
        if isinstance(value, str | int) and first.setdefault(str(value), path) != path:
            line = document.mark(first[str(value)]).line
            message = f"duplicate name {shown(str(value))}, first used on line {line}{remedy}"
            yield document.problem(path, message)


def _access(document: Document, place: KeyPath) -> Iterator[Problem]:
    token, url = (*place, "token"), (*place, "url")
    if token in document.marks:
        yield document.problem(
            token,
            "everyone who can read this file can read the token; prefer token_file or token_env",
        )
    address = document.at(url) or ""
    if address.startswith("http:") and not is_loopback(urlsplit(address).hostname or ""):
        message = "plain http sends the token unencrypted; use https if the server supports it"
        yield document.problem(url, message)


def _same_organization(
    document: Document, organizations: tuple[Organization, ...]
) -> Iterator[Problem]:
    """Warn of organizations that have two names, but the same slug on the same server."""
    first: dict[tuple[str, str], int] = {}
    for at, organization in enumerate(organizations):
        host = urlsplit(organization.url).hostname or ""
        # Every region of sentry.io answers for every organization there.
        server = HOSTED if is_hosted(host) else organization.url
        before = first.setdefault((server, organization.slug), at)
        if before != at:
            line = document.mark(("organizations", before, "slug")).line
            yield document.problem(
                ("organizations", at, "slug"),
                f"this is the organization of line {line} under another name; "
                "queries of both are published twice",
            )


def _subdomain(document: Document, slug: KeyPath, organization: Organization) -> Iterator[Problem]:
    host = urlsplit(organization.url).hostname or ""
    subdomain = host.removesuffix(f".{HOSTED}")
    # A numeric id may be the subdomain's own organization: only Sentry knows its slug.
    known = (host, *_REGIONS, organization.slug)
    if is_hosted(host) and subdomain not in known and not organization.slug.isdigit():
        yield document.problem(
            slug,
            f"{host} serves only the organization {subdomain}, unless it is a region; "
            f"https://{HOSTED} serves every organization",
        )


def _short_max_age(
    document: Document, queries: KeyPath, organization: Organization
) -> Iterator[Problem]:
    for position, query in enumerate(organization.queries):
        if organization.max_age < 2 * query.poll_interval:
            keys = ((*queries, position, key) for key in ("poll_interval", "interval"))
            place = next((key for key in keys if key in document.marks), (*queries, position))
            yield document.problem(
                place,
                f"the max_age of {in_units(organization.max_age)} is shorter than two poll "
                f"intervals of the query {query.name}; its data is withdrawn after "
                f"{in_units(2 * query.poll_interval)} instead",
            )


def _unused_teams(document: Document, teams: KeyPath) -> Iterator[Problem]:
    """Warn of projects and patterns that an earlier team's pattern already covers."""
    patterns: list[tuple[str, KeyPath, str]] = []
    for team, path, written in _owned_projects(document, teams):
        for owner, place, pattern in patterns:
            if owner != team and (pattern == written or _covers(pattern, written)):
                line = document.mark(place).line
                yield document.problem(
                    path,
                    f"{shown(written)} has no effect: the earlier team {shown(owner)} already "
                    f"has it by {shown(pattern)} on line {line}",
                )
                break
        if is_pattern(written):
            patterns.append((team, path, written))


def _covers(pattern: str, written: str) -> bool:
    """Return whether ``written`` is the slug of one project, and ``pattern`` matches it."""
    is_slug = not is_pattern(written) and not written.isdigit()
    return is_slug and fnmatchcase(written, pattern)


def _unknown_categories(document: Document, path: KeyPath, refused: str) -> Iterator[Problem]:
    written = document.at(path)
    names = written if isinstance(written, list) else [written] if path in document.marks else []
    for at, name in enumerate(names):
        if name not in _CATEGORIES:
            yield document.problem((*path, at), _unknown_category(name, refused))


def category_remedy(name: str) -> str:
    """Return what to do about a category that Sentry has refused."""
    if name in _CATEGORIES:
        return f"this Sentry does not have the category {name}: upgrade it, or remove the category"
    known = _known_category(name)
    if known:
        return f"use {known}"
    return f"remove the category{near(name, _CATEGORIES)}"


def _known_category(name: str) -> str | None:
    """Return the category that is certainly meant by ``name``."""
    # Sentry's names are singular and in lower case, though parts of its documentation have plurals.
    singular = name.lower().removesuffix("s")
    return next((one for one in (name.lower(), singular) if one in _CATEGORIES), None)


def _unknown_category(name: str, refused: str) -> str:
    known = _known_category(name)
    if known:
        return f"Sentry refuses the category {shown(name)}; use {known}"
    return (
        f"unknown category {shown(name)}{near(name, _CATEGORIES)}; "
        f"if Sentry does not know this category, it refuses {refused}"
    )
