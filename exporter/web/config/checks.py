"""Checks across the web configuration: which keys need each other, and which exclude each other.

They look at the plain values of the file, so that an invalid value elsewhere does not hide them.
"""

from collections.abc import Iterator
from typing import Any, Final

from exporter.config.errors import KeyPath, Problem
from exporter.config.yaml_file import Document
from exporter.web.config.go_names import CIPHERS_OF_TLS13, CLIENT_AUTH, UNVERIFIED_CLIENT_AUTH
from exporter.web.config.types import go_duration

_TLS: Final = "tls_server_config"
_VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_AUTH: Final = (_TLS, "client_auth_type")


def problems_across(document: Document) -> Iterator[Problem]:
    """Yield the errors that only show across the file, in no order."""
    if isinstance(document.at((_TLS,)), dict):
        for pair in (("cert_file", "cert"), ("key_file", "key"), ("client_ca_file", "client_ca")):
            yield from _both(document, *pair)
        yield from _neither(document, "cert_file", "cert", "certificate")
        yield from _neither(document, "key_file", "key", "private key")
        yield from _client_authority(document)
        yield from _client_names(document)
        yield from _versions(document)
    yield from _burst(document)


def _path(key: str) -> KeyPath:
    return _TLS, key


def _has(document: Document, key: str) -> bool:
    return _path(key) in document.marks


def _both(document: Document, file_key: str, inline_key: str) -> Iterator[Problem]:
    if _has(document, file_key) and _has(document, inline_key):
        first, second = sorted((_path(file_key), _path(inline_key)), key=document.mark)
        line = document.mark(first).line
        message = f"{first[-1]} is already set on line {line}; use only one of the two"
        yield document.problem(second, message)


def _neither(document: Document, file_key: str, inline_key: str, what: str) -> Iterator[Problem]:
    if not (_has(document, file_key) or _has(document, inline_key)):
        yield document.problem(
            (_TLS,),
            f"missing one of {inline_key} or {file_key}: TLS needs a {what}; "
            f"for plain HTTP, remove {_TLS}",
        )


def _client_authority(document: Document) -> Iterator[Problem]:
    kind = document.at(_AUTH)
    named = [key for key in ("client_ca_file", "client_ca") if _has(document, key)]
    if kind in _VERIFYING and not named:
        message = f"{kind} needs client_ca_file or client_ca, which say whom to trust"
        yield document.problem(_AUTH, message)
    if kind in (None, "NoClientCert"):
        for key in named:
            yield document.problem(
                _path(key),
                "has no effect without client_auth_type; set that to RequireAndVerifyClientCert",
            )


def _client_names(document: Document) -> Iterator[Problem]:
    kind = document.at(_AUTH)
    # A type that does not exist has an error of its own.
    judged = kind in (None, *CLIENT_AUTH, *UNVERIFIED_CLIENT_AUTH)
    if _has(document, "client_allowed_sans") and judged and kind != "RequireAndVerifyClientCert":
        yield document.problem(
            _path("client_allowed_sans"),
            "requires client_auth_type to be RequireAndVerifyClientCert: "
            "otherwise a client may connect without a certificate",
        )


def _versions(document: Document) -> Iterator[Problem]:
    low, high = (document.at(_path(key)) for key in ("min_version", "max_version"))
    if (low, high) == ("TLS13", "TLS12"):
        yield document.problem(_path("max_version"), "TLS12 is below the min_version, TLS13")
    suites = document.at(_path("cipher_suites"))
    only_newest = (
        isinstance(suites, list) and suites and all(suite in CIPHERS_OF_TLS13 for suite in suites)
    )
    if high == "TLS12" and only_newest:
        message = "has only cipher suites of TLS 1.3, which max_version excludes"
        yield document.problem(_path("cipher_suites"), message)


def _burst(document: Document) -> Iterator[Problem]:
    interval, burst = (document.at(("rate_limit", key)) for key in ("interval", "burst"))
    if _is_limit(interval) and burst in (None, 0):
        message = "an interval needs a burst of 1 or more, or every request is refused"
        yield document.problem(("rate_limit", "burst"), message)


def _is_limit(interval: Any) -> bool:
    try:
        return go_duration(interval) > 0
    except (TypeError, ValueError):
        # It is missing, or has an error of its own.
        return False
