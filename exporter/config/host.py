"""What a configuration names on this host: token files, variables, certificates.

None of it keeps the exporter from starting, as a file may come later; ``check`` tells of it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_IROTH
from typing import Final, NamedTuple

from exporter.config.models import TOKEN_KEYS
from exporter.config.problems import Place, Problem, in_order
from exporter.config.settings import Config, Organization
from exporter.ownership import ownership
from exporter.sentry.certificates import ca_directory_warning, ca_flaw
from exporter.sentry.errors import TokenError
from exporter.sentry.token import TokenFile, TokenSource

_CREDENTIALS: Final = Path("/run/credentials")
_NOT_CHECKED: Final = "not checked: systemd provides this file only while its unit is running"


@dataclass(frozen=True, slots=True)
class HostReport:
    """What is wrong on this host, in the order of the file.

    ``unusable`` names the organizations that nothing can be asked about because of it.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    unusable: frozenset[str]


class _Finding(NamedTuple):
    flaw: str | None = None
    warning: str | None = None


def host_report(config: Config, now: float) -> HostReport:
    """Try all that ``config`` names on this host; what several organizations share, once."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    unusable: set[str] = set()
    for place, key, users in _named(config):
        ca_file = users[0].ca_file if key == "ca_file" else None
        found = _token(users[0].token, key) if ca_file is None else _certificates(ca_file, now)
        if found.flaw is not None:
            problems.append(place.problem(found.flaw))
            unusable.update(user.name for user in users)
        if found.warning is not None:
            warnings.append(place.problem(found.warning))
    return HostReport(in_order(problems), in_order(warnings), frozenset(unusable))


def _named(config: Config) -> Iterator[tuple[Place, str, list[Organization]]]:
    """Yield where the file names something of this host, under which key, and for whom."""
    users: dict[tuple[Place, str], list[Organization]] = {}
    for organization in config.organizations:
        for key in (*TOKEN_KEYS, "ca_file"):
            place = config.places.get((organization.name, key))
            if place is not None:
                users.setdefault((place, key), []).append(organization)
    yield from ((place, key, together) for (place, key), together in users.items())


def _token(source: TokenSource, key: str) -> _Finding:
    path = source.path if isinstance(source, TokenFile) else None
    if path is not None and _is_only_for_its_unit(path):
        return _Finding(warning=_NOT_CHECKED)
    try:
        source.read()
    except TokenError as error:
        # The problem's path ends in the key already, which is also how the error begins.
        text = str(error).removeprefix(f"{key} ")
        if path is not None and isinstance(error.__cause__, PermissionError):
            return _Finding(f"{text}{ownership(path)}")
        return _Finding(text)
    return _Finding(warning=_exposure(path) if path else None)


def _is_only_for_its_unit(path: Path) -> bool:
    """Tell whether ``path`` is a credential that systemd shows to a unit that is not running.

    ``Path.exists`` raises where the path cannot be looked at.
    """
    return path.is_relative_to(_CREDENTIALS) and not os.path.exists(path.parent)  # noqa: PTH110


def _exposure(path: Path) -> str | None:
    mode = path.stat().st_mode
    if not mode & S_IROTH:
        return None
    return (
        f"{path} can be read by every user of this host (mode {mode & 0o7777:04o}); "
        f"run chmod o-r {path}"
    )


def _certificates(path: Path, now: float) -> _Finding:
    """Return what makes a file or a directory of trusted certificates useless."""
    flaw, warning = ca_flaw(path, now), ca_directory_warning(path)
    return _Finding(flaw and f"{path} {flaw}", warning and f"{path} {warning}")
