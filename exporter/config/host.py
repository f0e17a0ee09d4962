"""Checks what a configuration names on this host: token files, variables, certificates.

None of these problems prevents the exporter from starting, as a file may be created later;
``check`` reports them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_IROTH
from typing import Final, NamedTuple

from exporter.config.errors import Place, Problem, in_order
from exporter.config.models import TOKEN_KEYS, Config, Organization
from exporter.sentry.errors import TokenError
from exporter.sentry.tls import ca_directory_warning, ca_flaw
from exporter.sentry.token import TokenFile, TokenSource, ownership

_CREDENTIALS: Final = Path("/run/credentials")
_NOT_CHECKED: Final = "not checked: systemd provides this file only while its unit is running"
_NAME_IT: Final = "to check it earlier, use --token.file with the file that the unit loads"
_CREATE_IT: Final = "create it with the token, or correct the path"


@dataclass(frozen=True, slots=True)
class HostReport:
    """The problems and warnings of this host, in the order of the file.

    ``unusable`` has the names of the organizations that cannot be asked about because of them.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    unusable: frozenset[str]


class _Result(NamedTuple):
    """What is wrong with a file or variable; ``checked`` unless it cannot be looked at now."""

    flaw: str | None = None
    warning: str | None = None
    checked: bool = True
    remedy: str = ""


def with_token_file(config: Config, path: Path) -> Config:
    """Return ``config`` with the token in the file at ``path`` for every organization.

    Whatever is wrong with it has the place ``--token.file``.
    """
    settings = {"token_file": path, "token_env": None, "token_literal": None}
    organizations = tuple(one.model_copy(update=settings) for one in config.organizations)
    places = config.places.settings.items()
    unchanged = {(name, key): place for (name, key), place in places if key not in TOKEN_KEYS}
    flag = Place("--token.file", None, "")
    changed = unchanged | {(one.name, "token_file"): flag for one in organizations}
    return replace(
        config,
        organizations=organizations,
        places=replace(config.places, settings=changed),
    )


def host_report(config: Config, now: float, *, needed: bool = False) -> HostReport:
    """Check all that ``config`` names on this host; what several organizations share, once.

    If what it names is ``needed`` now, what cannot be checked is a problem.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    unusable: set[str] = set()
    for place, key, users in _named(config):
        ca_file = users[0].ca_file if key == "ca_file" else None
        result = _token(users[0].token, key) if ca_file is None else _certificates(ca_file, now)
        if needed and not result.checked:
            result = result._replace(flaw=result.warning, warning=None)
        if result.flaw is not None:
            problems.append(place.problem(result.flaw, result.remedy))
            unusable.update(user.name for user in users)
        if result.warning is not None:
            warnings.append(place.problem(result.warning, result.remedy))
    return HostReport(in_order(problems), in_order(warnings), frozenset(unusable))


def _named(config: Config) -> Iterator[tuple[Place, str, list[Organization]]]:
    """Yield each place where the file names something on this host, its key, and its users."""
    users: dict[tuple[Place, str], list[Organization]] = {}
    for organization in config.organizations:
        for key in (*TOKEN_KEYS, "ca_file"):
            place = config.places.settings.get((organization.name, key))
            if place is not None:
                users.setdefault((place, key), []).append(organization)
    yield from ((place, key, together) for (place, key), together in users.items())


def _token(source: TokenSource, key: str) -> _Result:
    path = source.path if isinstance(source, TokenFile) else None
    if path is not None and _is_only_for_its_unit(path):
        return _Result(warning=_NOT_CHECKED, checked=False, remedy=_NAME_IT)
    try:
        source.read()
    except TokenError as error:
        # The problem's path ends in the key already, which is also how the error begins.
        text = str(error).removeprefix(f"{key} ")
        if path is not None and isinstance(error.__cause__, PermissionError):
            return _Result(f"{text}{ownership(path)}")
        is_missing = isinstance(error.__cause__, FileNotFoundError)
        return _Result(text, remedy=_CREATE_IT if is_missing else "")
    warning = exposure(path) if path else None
    return _Result(warning=warning, remedy=f"run chmod o-r {path}" if warning else "")


def _is_only_for_its_unit(path: Path) -> bool:
    """Return whether ``path`` is a systemd credential of a unit that is not running."""
    # Path.exists raises if the path cannot be looked at.
    return path.is_relative_to(_CREDENTIALS) and not os.path.exists(path.parent)  # noqa: PTH110


def exposure(path: Path) -> str | None:
    """Return that every user of this host can read the file, None if that is not so."""
    try:
        mode = path.stat().st_mode
    except OSError:
        # It was removed since it was read; the next `check` says so.
        return None
    if not mode & S_IROTH:
        return None
    return f"{path} can be read by every user of this host (mode {mode & 0o7777:04o})"


def _certificates(path: Path, now: float) -> _Result:
    flaw, warning = ca_flaw(path, now), ca_directory_warning(path)
    return _Result(flaw and f"{path} {flaw}", warning and f"{path} {warning}")
