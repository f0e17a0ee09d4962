"""The types of settings that are more than a number: names, URLs, paths, tokens, closed sets."""

import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, PlainSerializer, ValidationInfo

from exporter.categories import OUTCOMES
from exporter.config.errors import masked, refusal, shown
from exporter.config.notation import (
    Notation,
    boolean,
    line,
    one_of,
    refuse_secret,
    seconds,
    text,
)
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from exporter.sentry.token import Secret, flaw, placeholder

HOSTED: Final = "sentry.io"

# Sentry allows minutes as well, but reads those from another table, which holds 30 days; and
# beside these, some multiples of minutes above 1h into which it sorts the hours wrongly.
_INTERVALS: Final = ("1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d")

_SLUG: Final = "[a-z0-9_][a-z0-9_-]{0,99}"
_PATTERN: Final = r"(?:[a-z0-9_*?-]|\[!?[a-z0-9_-]+\]){1,200}"
_DISPLAY_NAME: Final = re.compile("[A-Za-z0-9_][A-Za-z0-9 _.&-]*")
"""Names that people read, from which Sentry makes slugs."""
_ORGANIZATION_IN_URL: Final = re.compile(
    r"https?://\S+/(?:organizations|settings)/([a-z0-9_-]+)(?:[/?#].*)?"
    r"|https?://([a-z0-9-]+)\.sentry\.io(?:[/?#].*)?"
)
_PROJECT_IN_URL: Final = re.compile(r"https?://\S+/projects/([a-z0-9_-]+)(?:[/?#].*)?")
_WITH_ORGANIZATION: Final = re.compile(f"{_SLUG}/({_SLUG})")

_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE_EXPECTED: Final = (
    "the name of an environment variable: letters, digits and _, such as SENTRY_TOKEN"
)

_MAX_PORT: Final = 65535
_URL: Final = (
    r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)"
    r"(?::([0-9]{1,5}))?(/[A-Za-z0-9_.~%/-]*)?"
)
_URL_EXPECTED: Final = (
    "an http or https URL of Sentry's server, such as https://sentry.io, "
    "with a path only if Sentry is served under it"
)
_INGEST_HOST: Final = re.compile(r"(?:.+\.)?ingest(?:\.([a-z0-9-]+))?\.sentry\.io")
"""The hosts that SDKs send events to; the group is the region, if the host names one."""
# Old DSNs have a secret key after the public one.
_DSN: Final = re.compile(
    r"(?P<scheme>https?)://[0-9a-f]{32}(?::[0-9a-f]{32})?@"
    r"(?P<host>[A-Za-z0-9.-]+)(?P<port>(?::[0-9]+)?)(?P<path>(?:/[A-Za-z0-9_-]+)*)/[0-9]+/?"
)
_LOOSE_URL: Final = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>[A-Za-z0-9.-]+)(?P<port>(?::[0-9]+)?)"
    r"(?P<path>(?:/[^?#@]*)?)(?:[?#].*)?"
)
_API_PATH: Final = re.compile(r"/api/0(?=/|$)")
_PAGE_PATH: Final = re.compile(r"/(?:organizations|settings|issues|auth/login)(?=/|$)")


def is_hosted(host: str) -> bool:
    """Return whether ``host`` belongs to sentry.io."""
    return host.lower() == HOSTED or host.lower().endswith(f".{HOSTED}")


def is_pattern(project: str) -> bool:
    """Return whether ``project`` is a pattern for slugs, rather than a slug or an id."""
    return any(character in project for character in "*?[")


def _set_of(*names: str, any_case: bool = False) -> Notation:
    return one_of({name: name for name in names}, any_case=any_case)


def _slug_or_id(mistake: Callable[[str], str | None]) -> Notation:
    expected = "a slug (lower-case letters, digits, _ and -) or a numeric id"
    return _explaining(mistake, text(_SLUG, expected, digits=True))


def _explaining(mistake: Callable[[str], str | None], notation: Notation) -> Notation:
    """Return ``notation`` that explains typical mistakes instead of its usual message."""

    def read(value: Any) -> object:
        written = str(value) if type(value) is int else value
        message = (mistake(written) or _not_a_slug(written)) if isinstance(written, str) else None
        if message is not None:
            raise refusal(message)
        return notation.read(value)

    return replace(notation, read=read)


def _organization_mistake(value: str) -> str | None:
    return _slug_in_url(_ORGANIZATION_IN_URL, value)


def _project_filter_mistake(value: str) -> str | None:
    if value in ("-1", "*", "all"):
        return f"{shown(value)} is not a project; to ask for all projects, remove the key"
    mistake = _project_mistake(value)
    if mistake is None and is_pattern(value):
        return f"{shown(value)} is a pattern, which Sentry's filter does not support; use slugs"
    return mistake


def _project_mistake(value: str) -> str | None:
    match = _WITH_ORGANIZATION.fullmatch(value)
    if match is not None:
        return f"{shown(value)} is an organization and a project; use only the project: {match[1]}"
    return _slug_in_url(_PROJECT_IN_URL, value)


def _slug_in_url(pattern: re.Pattern[str], value: str) -> str | None:
    match = pattern.fullmatch(value)
    slug = next(filter(None, match.groups()), None) if match else None
    return f"got the URL of a page; use only the slug: {slug}" if slug else None


def _not_a_slug(value: str) -> str | None:
    """Return the message for a display name, None for everything else."""
    if re.fullmatch(_SLUG, value) or not _DISPLAY_NAME.fullmatch(value):
        return None
    likely = re.sub("[^a-z0-9_]+", "-", value.lower()).strip("-")
    if " " in value:
        return f"{shown(value)} is not a slug: slugs have no spaces; did you mean {likely}?"
    if value.lower() != value:
        return f"{shown(value)} is not a slug: slugs have no capital letters; use {likely}"
    return None


def _read_path(value: Any) -> Path:
    path = str(_PATH.read(value))
    if path.startswith("file:"):
        raise refusal(f"got {shown(path)}; use a plain path, without file://")
    if path.startswith(("~", "$")) or "${" in path:
        raise refusal(f"got {shown(path)}, but ~ and variables are not expanded; use the full path")
    return Path(path)


def _written_path(path: Path) -> str:
    # Path removes the ./ by which a file can name one that begins like this.
    return f"./{path}" if str(path).startswith(("~", "$", "file:")) else str(path)


def _from_directory(path: Path, info: ValidationInfo) -> Path:
    """Return ``path`` from the directory of the file, which is the context of the validation."""
    return (info.context or Path()) / path


def _read_variable(value: Any) -> object:
    if isinstance(value, str):
        variable = placeholder(value)
        if variable:
            raise refusal(f"got {shown(value)}; use only the name: {variable}")
        if "=" in value:
            raise refusal(f"got an assignment, not shown here; expected {_VARIABLE_EXPECTED}")
    return _VARIABLE_NAME.read(value)


def _read_token(value: Any) -> Secret:
    if not isinstance(value, str):
        raise refusal("got a value that is not text, not shown here; expected a token")
    token = value.strip()
    wrong = _token_mistake(token) or flaw(token)
    if wrong is not None:
        raise refusal(f"the token {wrong}{_variable_hint(token)}")
    return Secret(token)


def _token_mistake(token: str) -> str | None:
    if token.startswith(("/", "./", "../", "~/")):
        return "is the path of a file: use token_file for it"
    if re.match("https?://", token):
        return "is a URL, not a token; a DSN cannot be used either, as it can only send events"
    if token == str(Secret("")):
        return "is the mask that is shown instead of tokens, not the token itself"
    return None


def _variable_hint(token: str) -> str:
    """Return how to name the environment variable that ``token`` refers to, if it does."""
    variable = placeholder(token)
    return "" if variable is None else f"; for a variable use token_env: {variable or 'NAME'}"


def _read_url(value: Any) -> str:
    mistake = _url_mistake(value) if isinstance(value, str) else None
    if mistake is not None:
        raise refusal(mistake)
    # Only now: of a DSN, which is a secret too, the server's address can be shown.
    refuse_secret(value, _URL_EXPECTED)
    if "@" in value or "?" in value or "#" in value:
        raise refusal(
            "got a URL with a user name, password, query or fragment, not shown here as it may be "
            f"secret; expected {_URL_EXPECTED}"
        )
    match = re.fullmatch(_URL, value)
    if match is None:
        raise ValueError
    if match[2] is not None and not 0 < int(match[2]) <= _MAX_PORT:
        raise refusal(f"got the port {match[2]}; expected a port from 1 to {_MAX_PORT}")
    if match[1].startswith("["):
        # Raises a ValueError if it is no address.
        IPv6Address(match[1][1:-1])
    return match[0].rstrip("/")


def _url_mistake(value: str) -> str | None:
    """Return what ``value`` is and which URL to use instead, None if it may be Sentry's URL."""
    dsn = _DSN.fullmatch(value)
    if dsn is not None:
        return f"this is a DSN, which only accepts events; use {_server(dsn, dsn['path'])}"
    written = _LOOSE_URL.fullmatch(value)
    return None if written is None else _place_mistake(written)


def _place_mistake(written: re.Match[str]) -> str | None:
    host, path = written["host"].lower(), written["path"]
    if _INGEST_HOST.fullmatch(host):
        return f"{host} only accepts events from SDKs; use {_server(written, '')}"
    api, page = _API_PATH.search(path), _PAGE_PATH.search(path)
    if api is not None:
        server = _server(written, path[: api.start()])
        return f"this is an endpoint of Sentry's API; use only the part before /api/0: {server}"
    if page is not None or (is_hosted(host) and path.strip("/")):
        server = _server(written, path[: page.start()] if page else "")
        return f"this is a page of Sentry's web interface; use only the server's address: {server}"
    if written["scheme"] == "http" and is_hosted(host):
        return f"{host} does not serve plain http; use {_server(written, '')}"
    return None


def _server(written: re.Match[str], path: str) -> str:
    """Return the URL of the server, with the ``path`` that Sentry is served under.

    Nothing else of ``written`` is repeated, as it may be secret.
    """
    host = written["host"].lower()
    ingest = _INGEST_HOST.fullmatch(host)
    if ingest is not None:
        return f"https://{ingest[1]}.{HOSTED}" if ingest[1] else f"https://{HOSTED}"
    if is_hosted(host):
        return f"https://{host}"
    return masked(f"{written['scheme'] or 'https'}://{host}{written['port']}{path.rstrip('/')}")


_PATH: Final = line(4096, "the path of a file")
_VARIABLE_NAME: Final = text(_VARIABLE, _VARIABLE_EXPECTED)

Boolean = Annotated[bool, boolean()]
Interval = Annotated[int, one_of({written: seconds(written) for written in _INTERVALS})]
ProjectLabel = Annotated[Literal["slug", "id"], _set_of("slug", "id")]
Dimension = Annotated[str, _set_of("outcome", "category", "reason", "project")]
SummedField = Annotated[str, _set_of(QUANTITY, TIMES_SEEN)]
# As Sentry's Outcome.parse (src/sentry/utils/outcomes.py); its categories are case-sensitive.
Outcome = Annotated[str, _set_of(*OUTCOMES, any_case=True)]
# Not a closed set: Sentry's releases add categories.
Category = Annotated[str, line(200, "the name of a category, such as error or transaction")]
Reason = Annotated[str, line(200, "one reason as Sentry names it, such as key_quota or none")]

OrganizationSlug = Annotated[str, _slug_or_id(_organization_mistake)]
OrganizationName = Annotated[
    str,
    text(
        "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,99}",
        "1 to 100 letters, digits, _ . and -, not beginning with . or -",
        digits=True,
    ),
]
QueryName = Annotated[
    str, text("[a-zA-Z0-9_.:-]{1,64}", "1 to 64 letters, digits, _ . : and -", digits=True)
]
TeamName = Annotated[str, line(100, "the name of a team, of 1 to 100 characters")]
Project = Annotated[str, _slug_or_id(_project_filter_mistake)]
ProjectOrPattern = Annotated[
    str,
    _explaining(
        _project_mistake,
        text(
            _PATTERN,
            "a project's slug, its numeric id, or a pattern for slugs such as billing-*",
            digits=True,
        ),
    ),
]

Url = Annotated[
    str,
    Notation(
        _read_url,
        _URL_EXPECTED,
        {"type": "string", "pattern": f"^{_URL}$"},
        looks_for_secrets=False,
    ),
]
"""The URL of Sentry's server, without a slash at its end."""

FilePath = Annotated[
    Path, replace(_PATH, read=_read_path, write=_written_path), AfterValidator(_from_directory)
]
VariableName = Annotated[str, replace(_VARIABLE_NAME, read=_read_variable)]
Token = Annotated[
    Secret,
    Notation(_read_token, "a token", {"type": "string", "minLength": 1}, looks_for_secrets=False),
    PlainSerializer(str),
]
