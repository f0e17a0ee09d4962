"""The kinds of names: slugs and ids of Sentry's, and names that the exporter's user chooses."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from exporter.config.kinds import Kind, refusal, text
from exporter.config.problems import found
from exporter.config.secrets import guarded
from exporter.config.teams import is_pattern

_SLUG: Final = "[a-z0-9_][a-z0-9_-]{0,99}"
_PATTERN: Final = r"(?:[a-z0-9_*?-]|\[!?[a-z0-9_-]+\]){1,200}"
_DISPLAYED: Final = re.compile("[A-Za-z0-9_][A-Za-z0-9 _.&-]*")
"""What a name looks like from which Sentry makes a slug."""
_ORGANIZATION_IN_URL: Final = re.compile(
    r"https?://\S+/(?:organizations|settings)/([a-z0-9_-]+)(?:[/?#].*)?"
    r"|https?://([a-z0-9-]+)\.sentry\.io(?:[/?#].*)?"
)
_PROJECT_IN_URL: Final = re.compile(r"https?://\S+/projects/([a-z0-9_-]+)(?:[/?#].*)?")
_BEHIND_ORGANIZATION: Final = re.compile(f"{_SLUG}/({_SLUG})")


def organization_slug() -> Kind:
    """Return the kind of organizations' slugs and ids."""

    def hint(value: str) -> str | None:
        return _slug_in_url(_ORGANIZATION_IN_URL, value)

    return _slug_or_id(hint)


def project() -> Kind:
    """Return the kind of projects' slugs and ids."""

    def hint(value: str) -> str | None:
        if value in ("-1", "*", "all"):
            return f"found {found(value)}; to have all projects, remove the key"
        if is_pattern(value):
            return f"found {found(value)}, but Sentry has no patterns here; write whole slugs"
        return _project_hint(value)

    return _slug_or_id(hint)


def project_or_pattern() -> Kind:
    """Return the kind of projects' slugs and ids, and of shell-style patterns for slugs."""
    allowed = "a project's slug, its numeric id, or a pattern for slugs such as billing-*"
    return _hinting(_project_hint, text(_PATTERN, allowed, digits=True))


def organization_name() -> Kind:
    """Return the kind of names that organizations have in this file only."""
    allowed = "1 to 100 letters, digits, _ . and -, not beginning with . or -"
    return guarded(text("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,99}", allowed, digits=True))


def query_name() -> Kind:
    """Return the kind of names of queries."""
    allowed = "1 to 64 letters, digits, _ . : and -"
    return guarded(text("[a-zA-Z0-9_.:-]{1,64}", allowed, digits=True))


def _slug_or_id(hint: Callable[[str], str | None]) -> Kind:
    allowed = "a slug (lower-case letters, digits, _ and -) or a numeric id"
    return _hinting(hint, text(_SLUG, allowed, digits=True))


def _hinting(hint: Callable[[str], str | None], kind: Kind) -> Kind:
    """Return ``kind`` with what ``hint`` says of a text in place of its own refusal."""

    def read(value: Any) -> object:
        written = str(value) if type(value) is int else value
        if isinstance(written, str):
            hinted = hint(written) or _no_slug(written)
            if hinted is not None:
                raise refusal(hinted)
        return kind.read(value)

    return guarded(replace(kind, read=read))


def _project_hint(value: str) -> str | None:
    behind = _BEHIND_ORGANIZATION.fullmatch(value)
    if behind is not None:
        return f"found {found(value)}; write the project alone: {behind[1]}"
    return _slug_in_url(_PROJECT_IN_URL, value)


def _slug_in_url(pattern: re.Pattern[str], value: str) -> str | None:
    match = pattern.fullmatch(value)
    slug = next(filter(None, match.groups()), None) if match else None
    return f"found the URL of a page; write the slug alone: {slug}" if slug else None


def _no_slug(value: str) -> str | None:
    """Return what to say of a name from which Sentry has made a slug, None for all else."""
    if re.fullmatch(_SLUG, value) or not _DISPLAYED.fullmatch(value):
        return None
    likely = re.sub("[^a-z0-9_]+", "-", value.lower()).strip("-")
    if " " in value:
        return f"found {found(value)}, but Sentry's slugs have no spaces; perhaps it is {likely}"
    if value.lower() != value:
        return f"found {found(value)}, but Sentry's slugs have no capital letters; write {likely}"
    return None
