"""What an operator can do about each failure of a request to Sentry.

A remedy belongs to a `Cause` where it is known, otherwise to the ``reason`` of the error.
"""

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final


class Cause(StrEnum):
    """What is behind a failure, where more is known than its reason."""

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
    CONNECTION_BROKEN = auto()
    NO_CONNECTION_IN_TIME = auto()
    PROXY_ADDRESS = auto()
    PROXY_UNREACHABLE = auto()
    PROXY_LOGIN = auto()
    PROXY_REFUSAL = auto()
    REDIRECT_TO_URL = auto()
    REDIRECT_TO_ANOTHER_PATH = auto()
    REDIRECT_TO_ITSELF = auto()
    ANOTHER_ORGANIZATION = auto()
    LOGIN_PAGE = auto()
    IN_BETWEEN = auto()
    NOT_SENTRY = auto()
    TWO_FACTOR = auto()
    SINGLE_SIGN_ON = auto()
    MEMBER_OVER_LIMIT = auto()
    TOKEN_EXPIRED = auto()
    USER_INACTIVE = auto()
    GONE = auto()
    NO_STATS = auto()
    NUMERIC_ID = auto()
    GLITCHTIP = auto()
    UNREADABLE_PROJECT = auto()


_TOKEN: Final = "an internal integration with the permission Organization: Read"  # noqa: S105 - words
_BETTER: Final = f"preferably use the token of {_TOKEN}, which does not depend on a member"

_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Cause.CERTIFICATE_EXPIRED: (
            "renew the server's certificate; if it has not expired, correct this host's clock"
        ),
        Cause.CERTIFICATE_NOT_YET_VALID: (
            "correct this host's clock if it is slow, otherwise replace the server's certificate"
        ),
        Cause.CERTIFICATE_OF_ANOTHER_HOST: (
            "write the host name of the certificate into url, or add the host name in url to the"
            " certificate"
        ),
        Cause.UNKNOWN_AUTHORITY: (
            "set ca_file to the certificate of the authority that signed the server's certificate;"
            " a proxy that inspects TLS signs with an authority of its own"
        ),
        Cause.NOT_IN_CA_FILE: (
            "add to ca_file the authority that signed the server's certificate, with any"
            " intermediate authorities; a proxy that inspects TLS signs with an authority of its"
            " own"
        ),
        Cause.CA_FILE_UNUSABLE: (
            "put the authority's certificate there in PEM format, readable by the exporter's user"
        ),
        Cause.PLAIN_HTTP: (
            "use the port that speaks TLS in url; if the server has none, begin url with http://"
        ),
        Cause.PROXY_SPEAKS_NO_TLS: "begin the proxy's address in {about} with http://",
        Cause.TLS_VERSION: "enable TLS 1.2 or later on the server, or on the proxy in front of it",
        Cause.TLS_HANDSHAKE: (
            "enable a common cipher on the server; if it requires a client certificate, have it"
            " accept the exporter without one, as client certificates are not supported"
        ),
        Cause.CLIENT_CERTIFICATE: (
            "client certificates are not supported: have the server accept the exporter without"
            " one, for example by the exporter's address or on another port"
        ),
        Cause.NAME_UNKNOWN: (
            "check that the host name in {about} is spelled right, and that this host's DNS"
            " resolves it"
        ),
        Cause.CONNECTION_REFUSED: (
            "check that host and port in url are right, and that the server is running"
        ),
        Cause.CONNECTION_BROKEN: (
            "the exporter tries again; if this lasts, look for a proxy or firewall between it and"
            " Sentry"
        ),
        Cause.NO_CONNECTION_IN_TIME: (
            "check that {about} is right, and that no firewall blocks the connection; if a proxy"
            " is required, set HTTPS_PROXY"
        ),
        Cause.PROXY_ADDRESS: (
            "write scheme, host and port of the proxy into {about}, and percent-encode special"
            " characters in its user name and password"
        ),
        Cause.PROXY_UNREACHABLE: (
            "check that {about} has the proxy's host and port, and that the proxy is running"
        ),
        Cause.PROXY_LOGIN: (
            "put the user name and password for the proxy before its host in {about}"
        ),
        Cause.PROXY_REFUSAL: (
            "have the proxy allow connections to that host and port, and check that it can reach"
            " them; or bypass it with NO_PROXY"
        ),
        Cause.REDIRECT_TO_URL: "set url to the address that it redirects to: {about}",
        Cause.REDIRECT_TO_ANOTHER_PATH: (
            "set url to the address under which this server has Sentry's API, with its path"
        ),
        Cause.REDIRECT_TO_ITSELF: (
            "check the proxy in front of Sentry: it must tell Sentry scheme and host of the"
            " request, in X-Forwarded-Proto and Host"
        ),
        Cause.ANOTHER_ORGANIZATION: (
            "the subdomain in url belongs to another organization: set url to https://sentry.io or"
            " the region's address, or set slug to that"
            " organization's slug"
        ),
        Cause.LOGIN_PAGE: (
            "a login page answers instead of Sentry's API: let the exporter bypass the login in"
            " front of it, or set url to Sentry's own address"
        ),
        Cause.IN_BETWEEN: (
            "something between the exporter and Sentry answers: have it pass requests to /api/0/"
            " through, or set url to Sentry's own address"
        ),
        Cause.NOT_SENTRY: (
            "this server does not answer as Sentry does: check host, port and path in url"
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
        Cause.USER_INACTIVE: f"the token's owner is no longer an active user; {_BETTER}",
        Cause.GONE: (
            "Sentry has deprecated this part of its API, and disables it, temporarily or"
            " permanently: check whether there is a newer exporter"
        ),
        Cause.NO_STATS: ("this server has no stats_v2, which Sentry 21.4 introduced: upgrade it"),
        Cause.NUMERIC_ID: (
            "check that the id is right, and that url is the address of the organization's"
            " region; a Sentry before"
            " 24.5 knows organizations only by their slug: use the slug"
        ),
        Cause.GLITCHTIP: (
            "GlitchTip is not supported, as its stats_v2 cannot group: url must be the address of a"
            " Sentry server"
        ),
        Cause.UNREADABLE_PROJECT: (
            f"use the token of {_TOKEN}, which can read every project, or remove the project from"
            " the filter"
        ),
        "token": (
            "put the token, and nothing else, into the place that the configuration names, readable"
            " by the exporter's user: the exporter tries again as soon as the token is there"
        ),
        "unauthorized": f"Sentry does not know the token: use the token of {_TOKEN}",
        "forbidden": (
            f"the token lacks org:read, or its owner is not a member: use the token of {_TOKEN},"
            " and filter only by active projects that it can read"
        ),
        "not_found": (
            "check that slug is right (Settings > General), and that url is the address of the"
            " organization's region"
        ),
        "redirect": "set url to the organization's own address, and slug to its current slug",
        "network": "check that url is right, and that this host can reach it",
        "tls": "check the TLS configuration of the server, and of any proxy in front of it",
        "timeout": "check that url is right, or set a longer timeout",
        "bad_request": "Sentry does not accept the query; an older server may not support it",
        "too_large": "increase max_response_size, or add a filter",
        "bad_answer": (
            "check that url is the address of a Sentry server, and that no proxy answers in its"
            " place"
        ),
        "rate_limited": (
            "other clients use the token's rate limit: lower requests_per_second, or wait"
        ),
        "too_heavy": "Sentry's store is overloaded: try again later, or add a filter",
        "server_error": (
            "Sentry failed to answer; the exporter tries again. If this lasts, check Sentry's"
            " status page or your server's log"
        ),
        "unexpected_status": (
            "check that url is the address of a Sentry server, not of a proxy or a login page"
        ),
        "unknown_project": "use the slug from Settings > Projects, or the id",
    }
)


def remedy(cause: Cause | None, reason: str, about: str = "") -> str:
    """Return what to do about a failure, ``""`` where its message says it.

    ``about`` is what a remedy has to name, such as an address or an environment variable.
    """
    return _REMEDIES.get(cause or reason, "").replace("{about}", about)
