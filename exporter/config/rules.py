"""Errors that only show across the file: tokens, and names that stand twice.

They are looked for in the plain values, so that one wrong value elsewhere does not hide them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from exporter.config.models import TOKEN_KEYS
from exporter.config.problems import KeyPath, Problem, found
from exporter.config.source import Document
from exporter.config.teams import is_pattern

_ONE_OF_THEM: Final = "exactly one of token_file, token_env and token"


def across_the_file(document: Document) -> Iterator[Problem]:
    """Yield the errors of the file as a whole, in no order."""
    places = list(_entries(document, ("organizations",)))
    for place in (("defaults",), *places):
        yield from _two_tokens(document, place)
    for place in places:
        yield from _no_token(document, place)
        queries = _entries(document, (*place, "queries"))
        yield from _duplicate_names(document, ((*query, "name") for query in queries))
        yield from _two_teams(document, (*place, "teams"))
    names = (_naming_key(document, place) for place in places)
    yield from _duplicate_names(document, names, "; give one of them a name of its own")


def _entries(document: Document, path: KeyPath) -> Iterator[KeyPath]:
    """Yield the paths of the mappings in the list at ``path``, as far as there are any."""
    listed = document.at(path)
    if isinstance(listed, list):
        yield from ((*path, at) for at, entry in enumerate(listed) if isinstance(entry, dict))


def _tokens(document: Document, place: KeyPath) -> list[KeyPath]:
    paths = ((*place, key) for key in TOKEN_KEYS)
    return sorted((path for path in paths if path in document.marks), key=document.mark)


def _two_tokens(document: Document, place: KeyPath) -> Iterator[Problem]:
    tokens = _tokens(document, place)
    for path in tokens[1:]:
        beside = f"{tokens[0][-1]} on line {document.mark(tokens[0]).line}"
        yield document.problem(path, f"found beside {beside}; allowed: {_ONE_OF_THEM}")


def _no_token(document: Document, place: KeyPath) -> Iterator[Problem]:
    if not _tokens(document, place) and not _tokens(document, ("defaults",)):
        yield document.problem(
            place, f"found no token; allowed: {_ONE_OF_THEM}, here or under defaults"
        )


def _two_teams(document: Document, teams: KeyPath) -> Iterator[Problem]:
    """Complain of a project that is named outright, and not by a pattern, under two teams."""
    first: dict[str, tuple[str, KeyPath]] = {}
    for team, path, project in owned_projects(document, teams):
        if is_pattern(project):
            continue
        owner, place = first.setdefault(project, (team, path))
        if owner != team:
            yield document.problem(
                path,
                f"duplicate project {found(project)}, first used on line "
                f"{document.mark(place).line}, under the team {found(owner)}; a project has one",
            )


def owned_projects(document: Document, teams: KeyPath) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield each project or pattern under ``teams``: its team, its path, and what is written."""
    written = document.at(teams)
    for team, listed in written.items() if isinstance(written, dict) else ():
        several = isinstance(listed, list)
        for at, project in enumerate(listed if several else [listed]):
            path = (*teams, team, at) if several else (*teams, team)
            if isinstance(project, str | int):
                yield team, path, str(project)


def _naming_key(document: Document, organization: KeyPath) -> KeyPath:
    """Return the path of what names an organization: its name, or else its slug."""
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
            message = f"duplicate name {found(str(value))}, first used on line {line}{remedy}"
            yield document.problem(path, message)
