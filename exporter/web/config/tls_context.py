"""From the settings of TLS to the ``SSLContext`` of the server."""

import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import Final

from exporter.web.config.go_names import CIPHERS, CLIENT_AUTH, CURVES, VERSIONS
from exporter.web.config.models import TLSServerConfig
from exporter.web.config.pem import Material

_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key of another certificate; the last one if it is of another type."""
_CERTIFICATE_FLAWS: Final = {
    "EE_KEY_TOO_SMALL": "has a key that is too short; use RSA with 2048 bits or more, or ECDSA",
    "CA_MD_TOO_WEAK": "is signed with a hash that is too weak; use SHA-256",
    "CA_KEY_TOO_SMALL": "has a chain with a key that is too short",
}


def make_context(
    tls: TLSServerConfig, material: Material
) -> tuple[ssl.SSLContext | None, Mapping[str, str]]:
    """Return the context; or None, and each flaw by the key that names what has it."""
    flaws: dict[str, str] = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, text in (("cert", material.certificates), ("client_ca", material.authorities)):
        if text and not _is_readable(text):
            source = material.sources[name]
            flaws[source.key] = source.flaw("holds a certificate that is damaged")
    if not flaws:
        flaws = _load_pair(context, material)
    if flaws:
        return None, flaws
    _set_versions(context, tls)
    _set_clients(context, tls, material)
    # Each costs the server much more than the client; OpenSSL 3 refuses it anyway.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Go's clients offer h2 first; without an answer, some assume it.
    context.set_alpn_protocols(["http/1.1"])
    return context, {}


def _is_readable(certificates: str) -> bool:
    # Of other text, `load_verify_locations` raises a TypeError.
    if not certificates.isascii():
        return False
    # In another context: what is loaded into that of the server, its clients may sign with.
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except ssl.SSLError:
        return False
    return True


def _load_pair(context: ssl.SSLContext, material: Material) -> dict[str, str]:
    """Load certificate and key, and return the flaws of both."""
    certificate, key = material.sources["cert"], material.sources["key"]
    try:
        with (
            _in_memory(material.certificates) as chain,
            _in_memory(material.key.reveal()) as private,
        ):
            context.load_cert_chain(chain, private)
    except ssl.SSLError as error:
        reason = error.reason or "unreadable"
        if reason in _CERTIFICATE_FLAWS:
            return {certificate.key: certificate.flaw(_CERTIFICATE_FLAWS[reason])}
        # The certificates have been read without an error before: what is left is the key.
        return {key.key: key.flaw(_key_flaw(reason, material))}
    return {}


def _key_flaw(reason: str, material: Material) -> str:
    if reason not in _MISMATCHES:
        return "holds a private key that is damaged"
    if material.certificates.count("-----BEGIN") == 1:
        return "does not belong to the certificate"
    key = material.sources["cert"].key
    return f"does not belong to the first certificate in {key}, which must be the server's own"


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Yield the path of a file with this content, which exists only in memory where that is known.

    ``load_cert_chain`` takes only paths. What it loads is what was checked, and a key that the
    web configuration holds inline is not written to a disk.
    """
    content = text.encode("latin-1", "replace")
    if sys.platform != "linux":
        with NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _set_versions(context: ssl.SSLContext, tls: TLSServerConfig) -> None:
    context.minimum_version = VERSIONS[tls.min_version]
    context.maximum_version = VERSIONS[tls.max_version]
    # OpenSSL has another list for TLS 1.3, which `set_ciphers` does not change.
    if tls.cipher_suites:
        suites = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
        if suites:
            context.set_ciphers(":".join(suites))
        else:
            # Only suites of TLS 1.3 are allowed.
            context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])


def _set_clients(context: ssl.SSLContext, tls: TLSServerConfig, material: Material) -> None:
    context.verify_mode = CLIENT_AUTH[tls.client_auth_type]
    # The context of a server trusts no authority by itself, not even those of the system.
    if material.authorities:
        context.load_verify_locations(cadata=material.authorities)
        # As in Go, whatever is listed is trusted, also an authority between root and client.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
