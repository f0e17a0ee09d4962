"""The web configuration: the file of exporter-toolkit in, what the server needs out.

`load_web_config` returns a `WebConfig`, or raises `ConfigError` with all errors of the file and of
the files that it names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Final

from pydantic import ValidationError

from exporter.config import ConfigError
from exporter.config.errors import Problem, explained
from exporter.config.host import exposure
from exporter.config.yaml_file import Document, decoded, parse, read
from exporter.moments import iso
from exporter.web.config.checks import problems_across
from exporter.web.config.client_names import canonical
from exporter.web.config.expiry import Expiry, not_after
from exporter.web.config.models import RateLimit, TLSServerConfig, WebConfigFile
from exporter.web.config.pem import Material, read_material
from exporter.web.config.tls_context import make_context

__all__ = ["RateLimit", "WebConfig", "load_web_config"]

_EMPTY: Final = "for plain HTTP without login, its content must be {}"


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How to serve: with which certificate, to which users, with which headers.

    Without ``context``, HTTP is plain; without ``users``, nobody has to log in. ``files`` are all
    files that the settings were read from. ``warnings`` prevent nothing.
    """

    context: SSLContext | None = None
    expiry: Expiry | None = None
    allowed_sans: frozenset[str] = frozenset()
    users: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    """User names and bcrypt hashes."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """As they are sent: names are in lower case."""
    rate_limit: RateLimit = field(default_factory=RateLimit)
    files: tuple[Path, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def about(self) -> Mapping[str, object]:
        """Return what a line of the log says about the settings."""
        end = {"certificate_not_after": iso(self.expiry.not_after)} if self.expiry else {}
        return {"tls": self.context is not None, "users": len(self.users), **end}


def load_web_config(path: Path) -> WebConfig:
    """Return the web configuration in the file at ``path``; raises `ConfigError`.

    Relative paths in it begin at the directory of the file.
    """
    document = parse(decoded(read(path), str(path)), str(path), _EMPTY)
    file = _validated(document, path.parent)
    tls = file.tls_server_config
    context, expiry = _served(document, tls) if tls else (None, None)
    return WebConfig(
        context,
        expiry,
        frozenset(map(canonical, tls.client_allowed_sans if tls else ())),
        tuple(
            (name.encode(), hashed.reveal().encode())
            for name, hashed in file.basic_auth_users.items()
        ),
        tuple(
            (name.lower().encode(), value.encode())
            for name, value in file.http_server_config.headers.items()
            if value
        ),
        file.rate_limit,
        (path, *(tls.files() if tls else ())),
        tuple(_warnings(document, tls.key_file if tls else None)),
    )


def _warnings(document: Document, key_file: Path | None) -> Iterator[Problem]:
    if key_file is not None and (exposed := exposure(key_file)):
        place = document.place(("tls_server_config", "key_file"))
        yield place.problem(exposed, f"run chmod o-r {key_file}")


def _validated(document: Document, directory: Path) -> WebConfigFile:
    problems = [*document.problems, *problems_across(document)]
    try:
        file = WebConfigFile.model_validate(document.value, context=directory)
    except ValidationError as error:
        problems += (document.problem(*place) for place in explained(error, WebConfigFile))
    if problems:
        raise ConfigError(problems)
    return file


def _served(document: Document, tls: TLSServerConfig) -> tuple[SSLContext, Expiry | None]:
    """Return the TLS settings with what the files that they name contain, and for how long."""
    material, flaws = read_material(tls)
    if material is not None:
        context, flaws = make_context(tls, material)
        if context is not None:
            return context, _expiry(document, material)
    raise ConfigError(
        document.problem(("tls_server_config", key), flaw) for key, flaw in flaws.items()
    )


def _expiry(document: Document, material: Material) -> Expiry | None:
    end, source = not_after(material.certificates), material.sources["cert"]
    if end is None:
        return None
    return Expiry(end, source, document.place(("tls_server_config", source.key)))
