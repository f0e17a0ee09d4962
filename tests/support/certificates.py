"""Certificates, web configurations, and clients that use them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import bcrypt
import requests
import trustme
import yaml

from exporter.web.server import Server
from tests.support.programs import TIMEOUT

LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)

COST: Final = 4
"""The lowest cost of bcrypt, so that tests are fast."""


def hashed(password: str | bytes, cost: int = COST) -> str:
    """Return the bcrypt hash of a password."""
    text = password if isinstance(password, bytes) else password.encode()
    return bcrypt.hashpw(text, bcrypt.gensalt(cost)).decode()


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority, whose files are in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._authority = trustme.CA(organization_name=name)
        self.path = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(self.path)

    def issue(
        self, *identities: str, name: str = "server", not_after: datetime | None = None
    ) -> Pair:
        """Write a certificate and its key over the files of ``name``, and return them."""
        leaf = self._authority.issue_cert(*(identities or ("127.0.0.1",)), not_after=not_after)
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.certificate.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        # Without the warning that every user can read the key.
        pair.key.touch(0o600)
        pair.key.write_bytes(leaf.private_key_pem.bytes())
        return pair


def tls_section(pair: Pair, **more: Any) -> dict[str, Any]:
    """Return a ``tls_server_config`` with the names of the files of ``pair``, and more keys."""
    files = {"cert_file": pair.certificate.name, "key_file": pair.key.name}
    return {"tls_server_config": {**files, **more}}


def write_web_config(folder: Path, *sections: Mapping[str, Any]) -> Path:
    """Write a web configuration, and return its path."""
    path = folder / "web.yaml"
    merged = {key: value for section in sections for key, value in section.items()}
    path.write_text(yaml.safe_dump(merged), "utf-8")
    return path


def get(
    server: Server, authority: Authority, path: str = "/", client: Pair | None = None, **more: Any
) -> requests.Response:
    """Return the answer over TLS, on a connection of its own."""
    return requests.get(
        f"https://127.0.0.1:{server.addresses[0].port}{path}",
        verify=str(authority.path),
        cert=(str(client.certificate), str(client.key)) if client else None,
        timeout=TIMEOUT,
        **more,
    )
