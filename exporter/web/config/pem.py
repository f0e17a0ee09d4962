"""Certificates and keys: read, and checked as far as one file shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from exporter.files import read_file
from exporter.sentry.token import Secret, ownership
from exporter.web.config.models import TLSServerConfig

_MAX_SIZE: Final = 1 << 20
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----.*?-----END \1-----", re.DOTALL
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_ENCRYPTED: Final = re.compile(
    r"^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED", re.MULTILINE
)
_DER: Final = b"\x30\x82"
"""The first bytes of a certificate or a key in DER: a sequence of more than 255 bytes."""


class Source(NamedTuple):
    """Where PEM comes from: the key of the web configuration, and the file that it names."""

    key: str
    path: Path | None = None

    def flaw(self, text: str) -> str:
        """Return the text of a flaw, which continues a sentence that begins with the path."""
        return text if self.path is None else f"{self.path} {text}"


@dataclass(frozen=True, slots=True)
class Material:
    """What TLS is served with, in PEM: a chain of certificates, its key, and authorities."""

    certificates: str
    key: Secret
    authorities: str
    sources: Mapping[str, Source] = field(repr=False)
    """By the name of the key that holds it inline: ``cert``, ``key`` or ``client_ca``."""


def read_material(tls: TLSServerConfig) -> tuple[Material | None, Mapping[str, str]]:
    """Return what ``tls`` names; or None, and each flaw by the key that names what has it."""
    flaws: dict[str, str] = {}
    texts: dict[str, str] = {}
    sources = {
        "cert": Source("cert_file", tls.cert_file) if tls.cert_file else Source("cert"),
        "key": Source("key_file", tls.key_file) if tls.key_file else Source("key"),
        "client_ca": Source("client_ca_file", tls.client_ca_file)
        if tls.client_ca_file
        else Source("client_ca"),
    }
    for name, inline in (
        ("cert", tls.cert),
        ("key", tls.key and tls.key.reveal()),
        ("client_ca", tls.client_ca),
    ):
        source = sources[name]
        text, flaw = (inline or "", None) if source.path is None else _read(source.path)
        if flaw is None and (source.path or inline):
            flaw = _key_flaw(text) if name == "key" else _certificates_flaw(text)
        if flaw is not None:
            flaws[source.key] = source.flaw(flaw)
        texts[name] = text
    if flaws:
        return None, flaws
    certificates, authorities = (_certificates(texts[name]) for name in ("cert", "client_ca"))
    return Material(certificates, Secret(texts["key"]), authorities, sources), {}


def _read(path: Path) -> tuple[str, str | None]:
    """Return the text of a file, and why it cannot be used if that shows at once."""
    try:
        content = read_file(path, _MAX_SIZE)
    except OSError as error:
        owner = ownership(path) if isinstance(error, PermissionError) else ""
        return "", f"cannot be read: {error.strerror}{owner}"
    if content.startswith(_DER):
        return "", "is in DER, but PEM is needed; openssl x509 and openssl pkey convert it"
    if len(content) > _MAX_SIZE:
        return "", f"has more than {_MAX_SIZE} bytes"
    # Comments between the blocks may be in any encoding; the blocks themselves are ASCII.
    return content.decode("latin-1"), None


def _certificates(text: str) -> str:
    # Without what is between them: `load_verify_locations` takes only ASCII.
    return "\n".join(match[0] for match in _CERTIFICATE.finditer(text))


def _certificates_flaw(text: str) -> str | None:
    if not text.strip():
        return "is empty"
    if _CERTIFICATE.search(text):
        return None
    if _PRIVATE_KEY.search(text):
        return "holds a private key and no certificate"
    return "holds no certificate: there is no complete block from BEGIN to END CERTIFICATE"


def _key_flaw(text: str) -> str | None:
    if not text.strip():
        return "is empty"
    if _ENCRYPTED.search(text):
        return "holds an encrypted private key; decrypt it: openssl pkey -in FILE -out FILE.new"
    if _PRIVATE_KEY.search(text):
        return None
    if _CERTIFICATE.search(text):
        return "holds a certificate and no private key"
    return "holds no private key: there is no line BEGIN PRIVATE KEY"
