"""TLS: which certificates servers are trusted by, and why a handshake failed."""

import os
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exporter.files import read_file
from exporter.sentry.errors import TLSError
from exporter.sentry.remedies import Cause
from exporter.sentry.token import ownership

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_DER: Final = b"\x30\x82"
"""The first bytes of a certificate in DER: a sequence of more than 255 bytes."""

_MAX_INSPECTED: Final = 1 << 20
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""The names by which OpenSSL looks certificates up in a directory, made by ``openssl rehash``."""

# X509_V_ERR_*, as in OpenSSL's x509_vfy.h.
_VERIFY_CAUSES: Final = {
    9: Cause.CERTIFICATE_NOT_YET_VALID,
    10: Cause.CERTIFICATE_EXPIRED,
    62: Cause.CERTIFICATE_OF_ANOTHER_HOST,
    64: Cause.CERTIFICATE_OF_ANOTHER_HOST,
}
# Issuer not found (2, 20), self-signed (18, 19), no chain to verify (21), not trusted (27).
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21, 27})

# OpenSSL's names for the same alert differ between its versions, their ends do not.
_ALERTS: Final = {
    "WRONG_VERSION_NUMBER": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "HTTP_REQUEST": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "RECORD_LAYER_FAILURE": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "PACKET_LENGTH_TOO_LONG": (Cause.PLAIN_HTTP, "{peer} does not speak TLS"),
    "CERTIFICATE_REQUIRED": (Cause.CLIENT_CERTIFICATE, "{peer} demands a client certificate"),
    "PROTOCOL_VERSION": (Cause.TLS_VERSION, "{peer} speaks no accepted version of TLS"),
    "UNSUPPORTED_PROTOCOL": (Cause.TLS_VERSION, "{peer} speaks no accepted version of TLS"),
    "HANDSHAKE_FAILURE": (Cause.TLS_HANDSHAKE, "{peer} refuses the TLS handshake"),
}


def ca_flaw(path: Path, now: float | None = None) -> str | None:
    """Return why no server can be trusted by the certificates at ``path``, None if one can.

    The text continues a sentence that begins with the path. A directory is not judged: OpenSSL
    reads it only when a server is asked. That all certificates have expired is a flaw only where
    ``now`` is given.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where the path cannot be looked at
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    content = b""
    try:
        content = read_file(path, _MAX_INSPECTED)
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        return _no_certificate(content, error)
    except OSError as error:
        owner = ownership(path) if isinstance(error, PermissionError) else ""
        return f"cannot be read: {error.strerror}{owner}"
    # get_ca_certs lists authorities only: with just a server's certificate there are no ends.
    ends = [ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()]
    if now is not None and ends and max(ends) < now:
        day = datetime.fromtimestamp(max(ends), UTC).date()
        return f"holds only certificates that have expired, the last on {day}"
    return None


def ca_directory_warning(path: Path) -> str | None:
    """Return why OpenSSL finds no certificate at ``path`` if it is a directory, None if it may."""
    if not os.path.isdir(path):  # noqa: PTH112 - as above
        return None
    try:
        names = os.listdir(path)  # noqa: PTH208 - names are all that is needed
    except OSError as error:
        return f"cannot be listed: {error.strerror}"
    if any(map(_HASHED.fullmatch, names)):
        return None
    return f"holds no certificate under the name of its hash: run openssl rehash {path}"


def handshake_error(
    error: ssl.SSLError, peer: str, *, proxy_variable: str, is_proxy: bool, has_ca_file: bool
) -> TLSError:
    """Return the error that a handshake with ``peer`` failed with.

    ``is_proxy`` says that the peer is the proxy that the environment names in ``proxy_variable``.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            f"certificate verify failed: {error.verify_message}",
            cause=_verify_cause(error.verify_code, has_ca_file=has_ca_file),
        )
    for ending, (cause, text) in _ALERTS.items():
        if (error.reason or "").endswith(ending):
            proxy_is_plain = is_proxy and cause is Cause.PLAIN_HTTP
            return TLSError(
                text.format(peer=peer),
                cause=Cause.PROXY_SPEAKS_NO_TLS if proxy_is_plain else cause,
                about=proxy_variable,
            )
    return TLSError(f"{type(error).__name__}: {error}")


def _verify_cause(code: int, *, has_ca_file: bool) -> Cause | None:
    if code in _UNKNOWN_AUTHORITY:
        return Cause.NOT_IN_CA_FILE if has_ca_file else Cause.UNKNOWN_AUTHORITY
    return _VERIFY_CAUSES.get(code)


def _no_certificate(content: bytes, error: ssl.SSLError) -> str:
    if not content.strip():
        return "is empty"
    if _BEGIN in content:
        return f"holds a certificate that is damaged ({error.reason})"
    if b"PRIVATE KEY-----" in content:
        return "holds a private key and no certificate"
    if content.startswith(_DER):
        return (
            "holds a certificate in DER, but PEM is needed: "
            "openssl x509 -inform der -in FILE -out FILE.pem"
        )
    return f"holds no certificate: none begins with {_BEGIN.decode()}"
