"""The certificates that servers are trusted by: a file of them, or a directory OpenSSL hashed."""

import os
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exporter.ownership import ownership

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_DER: Final = b"\x30\x82"
"""What a certificate begins with that is not in PEM: a sequence of more than 255 octets."""
_SNIFFED: Final = 1 << 20
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""The names by which OpenSSL finds certificates in a directory: ``openssl rehash`` makes them."""


def ca_flaw(path: Path, now: float | None = None) -> str | None:
    """Return why nobody can be trusted by what is at ``path``, None if somebody can.

    To be read after the path. Of a directory nothing is known before a server is asked. That all
    certificates have expired is a flaw only where ``now`` is given.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where the path cannot be looked at
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    content = b""
    try:
        with path.open("rb") as file:
            content = file.read(_SNIFFED)
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        return _no_certificate(content, error)
    except OSError as error:
        owner = ownership(path) if isinstance(error, PermissionError) else ""
        return f"cannot be read: {error.strerror}{owner}"
    ends = [ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()]
    if now is not None and ends and max(ends) < now:
        day = datetime.fromtimestamp(max(ends), UTC).date()
        return f"holds only certificates that have expired, the last on {day}"
    return None


def ca_directory_warning(path: Path) -> str | None:
    """Return why OpenSSL finds nothing at ``path`` if it is a directory, None if it may."""
    if not os.path.isdir(path):  # noqa: PTH112 - as above
        return None
    try:
        names = os.listdir(path)  # noqa: PTH208 - names are all that is needed
    except OSError as error:
        return f"cannot be listed: {error.strerror}"
    if any(map(_HASHED.fullmatch, names)):
        return None
    return f"holds no certificate under the name of its hash: run openssl rehash {path}"


def _no_certificate(content: bytes, error: ssl.SSLError) -> str:
    if not content.strip():
        return "is empty"
    if _BEGIN in content:
        return f"holds a certificate that is damaged ({error.reason})"
    if b"PRIVATE KEY-----" in content:
        return "holds a private key and no certificate"
    if content.startswith(_DER):
        return (
            "holds a certificate in DER, and PEM is needed: "
            "openssl x509 -inform der -in FILE -out FILE.pem"
        )
    return f"holds no certificate: none begins with {_BEGIN.decode()}"
