"""What somebody can do about a failure, by its concrete cause or else by its reason."""

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final

_TOKEN: Final = "an internal integration with the permission Organization: Read"  # noqa: S105 - words
_BETTER: Final = f"better use the token of {_TOKEN}, which belongs to no member"


class Cause(StrEnum):
    """What is behind a failure, where more is known of it than its reason says."""

    CERTIFICATE_EXPIRED = auto()
    CERTIFICATE_NOT_YET_VALID = auto()
    CERTIFICATE_OF_ANOTHER_HOST = auto()
    UNKNOWN_AUTHORITY = auto()
    NOT_IN_CA_FILE = auto()
    CA_FILE_UNUSABLE = auto()
    PLAIN_HTTP = auto()
    PROXY_SPEAKS_NO_TLS = auto()
    TLS_VERSION = auto()
    TLS_HANDSHAKE = auto()
    CLIENT_CERTIFICATE = auto()
    NAME_UNKNOWN = auto()
    CONNECTION_REFUSED = auto()
    NO_CONNECTION_IN_TIME = auto()
    PROXY_ADDRESS = auto()
    PROXY_UNREACHABLE = auto()
    PROXY_LOGIN = auto()
    PROXY_REFUSAL = auto()
    REDIRECT_TO_HTTPS = auto()
    ANOTHER_ORGANIZATION = auto()
    LOGIN_PAGE = auto()
    IN_BETWEEN = auto()
    TWO_FACTOR = auto()
    SINGLE_SIGN_ON = auto()
    MEMBER_OVER_LIMIT = auto()
    TOKEN_EXPIRED = auto()
    USER_INACTIVE = auto()
    GONE = auto()
    NO_STATS = auto()
    NUMERIC_ID = auto()
    GLITCHTIP = auto()


_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Cause.CERTIFICATE_EXPIRED: (
            "renew the server's certificate; if it is not that old, set this host's clock"
        ),
        Cause.CERTIFICATE_NOT_YET_VALID: (
            "correct this host's clock, which seems to be behind; otherwise replace the server's"
            " certificate"
        ),
        Cause.CERTIFICATE_OF_ANOTHER_HOST: (
            "name the host in url as the certificate does, or have that name put into it"
        ),
        Cause.UNKNOWN_AUTHORITY: (
            "name the authority that signed the certificate under ca_file; a proxy that inspects"
            " TLS signs with its own"
        ),
        Cause.NOT_IN_CA_FILE: (
            "put the authority that signed the certificate into ca_file, with those between;"
            " a proxy that inspects TLS signs with its own"
        ),
        Cause.CA_FILE_UNUSABLE: (
            "put the authority's certificate there as PEM, readable for the exporter's user"
        ),
        Cause.PLAIN_HTTP: (
            "name the port that speaks TLS; if that Sentry has none, begin url with http://"
        ),
        Cause.PROXY_SPEAKS_NO_TLS: "begin the proxy's address in {about} with http://",
        Cause.TLS_VERSION: "have the server, or what stands before it, speak TLS 1.2 or later",
        Cause.TLS_HANDSHAKE: (
            "have the server accept a usual cipher; if it wants a client certificate, allow"
            " the exporter without one, as those are not supported"
        ),
        Cause.CLIENT_CERTIFICATE: (
            "client certificates are not supported: allow the exporter without a client"
            " certificate, such as by its address or on another port"
        ),
        Cause.NAME_UNKNOWN: (
            "see that the host in {about} is spelled right, and that this host's DNS knows it"
        ),
        Cause.CONNECTION_REFUSED: (
            "see that host and port in url are right, and that the server is running"
        ),
        Cause.NO_CONNECTION_IN_TIME: (
            "see that {about} is right, and that no firewall stands between; where only a proxy"
            " gets out, name it in HTTPS_PROXY"
        ),
        Cause.PROXY_ADDRESS: (
            "write scheme, host and port of the proxy into {about}, and percent-encode what is"
            " special in its user name and password"
        ),
        Cause.PROXY_UNREACHABLE: (
            "see that {about} has the proxy's host and port, and that the proxy is running"
        ),
        Cause.PROXY_LOGIN: (
            "put the user name and password that the proxy wants before its host in {about}"
        ),
        Cause.PROXY_REFUSAL: (
            "have the proxy let connections to that host and port pass, and see that it can reach"
            " them; or go past it with NO_PROXY"
        ),
        Cause.REDIRECT_TO_HTTPS: "use {about} under url",
        Cause.ANOTHER_ORGANIZATION: (
            "the subdomain in url belongs to another organization: use https://sentry.io or the"
            " region's address under url, or that organization's own slug"
        ),
        Cause.LOGIN_PAGE: (
            "a login page answers in place of Sentry's API: let the exporter pass the login that"
            " stands before it, or name Sentry's own address under url"
        ),
        Cause.IN_BETWEEN: (
            "something between the exporter and Sentry answers: have it let requests to /api/0/"
            " pass, or name Sentry's own address under url"
        ),
        Cause.TWO_FACTOR: (
            "the organization requires two-factor authentication, which the token's owner has to"
            f" set up; {_BETTER}"
        ),
        Cause.SINGLE_SIGN_ON: (
            "the organization requires single sign-on, and the token's owner has to log in with"
            f" it; {_BETTER}"
        ),
        Cause.MEMBER_OVER_LIMIT: (
            "the organization has more members than its plan allows, and the token's owner is"
            f" disabled: an owner must free a seat; {_BETTER}"
        ),
        Cause.TOKEN_EXPIRED: f"the token has expired; {_BETTER}",
        Cause.USER_INACTIVE: f"the token's owner is no active user any more; {_BETTER}",
        Cause.GONE: (
            "Sentry has deprecated this part of its API, and switches it off for a while or for"
            " good: see whether there is a newer exporter"
        ),
        Cause.NO_STATS: (
            "the projects list is there but stats_v2 is not: a Sentry older than 21.4 has none,"
            " upgrade it"
        ),
        Cause.NUMERIC_ID: (
            "see that the id is right, and that url is its region's; a Sentry before 24.5 knows"
            " organizations by slug only, name that"
        ),
        Cause.GLITCHTIP: (
            "GlitchTip is not supported: its stats_v2 cannot group by anything; url has to be"
            " that of a Sentry"
        ),
        "unauthorized": f"Sentry does not know the token; use the one of {_TOKEN}",
        "forbidden": (
            f"the token lacks org:read, or its owner is no member; use the one of {_TOKEN},"
            " and filter only by active projects that it can read"
        ),
        "not_found": "see that slug is right (Settings > General), and that url is its region's",
        "redirect": "name the organization's own address under url, and its current slug",
        "network": "see that url is right, and that this host can reach it",
        "tls": "see that TLS is in order on the server and on what stands before it",
        "timeout": "see that url is right, or allow a longer timeout",
        "bad_request": "Sentry does not take the query as it stands; an older server knows less",
        "too_large": "allow a larger max_response_size, or filter",
        "bad_answer": "see that url is a Sentry's, without anything in between that answers itself",
        "rate_limited": (
            "other clients use the token's rate limit; lower requests_per_second, or wait"
        ),
        "too_heavy": "Sentry's store is busy; try again later, or filter",
        "server_error": "Sentry has trouble of its own; try again later",
        "unexpected_status": "see that url is a Sentry's, and not a proxy's that wants something",
        "unknown_project": "name it as in Settings > Projects, or by its id",
    }
)


def remedy(cause: Cause | None, reason: str, about: str = "") -> str:
    """Return what to do about a failure, ``""`` where its message says all there is to say.

    ``about`` is what a remedy has to name, such as an address or an environment variable.
    """
    return _REMEDIES.get(cause or reason, "").replace("{about}", about)
