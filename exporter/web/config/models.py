"""The keys of the web configuration, as exporter-toolkit defines them, and their defaults."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from exporter.config.errors import refusal, shown
from exporter.config.notation import whole_number
from exporter.config.types import Boolean, FilePath
from exporter.sentry.token import Secret
from exporter.web.config.types import (
    CipherSuite,
    ClientAuthType,
    ContentTypeOptions,
    Curve,
    FrameOptions,
    GoDuration,
    HeaderValue,
    PasswordHash,
    Pem,
    PrivateKey,
    SubjectAlternativeName,
    UserName,
    Version,
)

_MAX_BURST: Final = 1_000_000


def _mapping_of(what: str) -> BeforeValidator:
    """Return the check that a value is a mapping; the refusal does not show the value."""

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            kind = "a list" if isinstance(value, list) else "a value"
            raise refusal(f"got {kind}; expected a mapping of {what}")
        return value

    return BeforeValidator(check)


def _single(values: Any) -> Any:
    # SSLContext.set_ecdh_curve takes one name, and replaces the one before.
    if isinstance(values, list) and len(values) > 1:
        raise refusal(
            f"got {shown(values)}; Python's ssl can be restricted to one curve, not to several in "
            "an order of preference; use one, or remove the key to allow all"
        )
    return values


class _Model(BaseModel):
    # Errors of pydantic's own would repeat the input, and a key or password in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TLSServerConfig(_Model):
    """``tls_server_config``."""

    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    client_ca_file: FilePath | None = None
    cert: Pem | None = None
    key: PrivateKey | None = None
    client_ca: Pem | None = None
    client_auth_type: ClientAuthType = "NoClientCert"
    client_allowed_sans: tuple[SubjectAlternativeName, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[CipherSuite, ...] = ()
    prefer_server_cipher_suites: Boolean = True
    curve_preferences: Annotated[tuple[Curve, ...], BeforeValidator(_single)] = ()

    def files(self) -> Iterable[Path]:
        """Return the files that are named."""
        paths = (self.cert_file, self.key_file, self.client_ca_file)
        return (path for path in paths if path is not None)


class Headers(_Model):
    """``headers``: those that the toolkit allows; an empty value means that it is not sent."""

    content_security_policy: HeaderValue = Field("", alias="Content-Security-Policy")
    strict_transport_security: HeaderValue = Field("", alias="Strict-Transport-Security")
    x_content_type_options: ContentTypeOptions = Field("", alias="X-Content-Type-Options")
    x_frame_options: FrameOptions = Field("", alias="X-Frame-Options")
    x_xss_protection: HeaderValue = Field("", alias="X-XSS-Protection")

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the headers with their names in HTTP."""
        return self.model_dump(by_alias=True).items()


class HTTPServerConfig(_Model):
    """``http_server_config``. HTTP/2 is only permitted by it; the server speaks HTTP/1.1."""

    http2: Boolean = True
    headers: Headers = Headers()


class RateLimit(_Model):
    """``rate_limit``: a token bucket for all requests. Without an interval, there is no limit."""

    interval: GoDuration = 0.0
    burst: Annotated[int, whole_number(0, _MAX_BURST)] = 0


class WebConfigFile(_Model):
    """The file of ``--web.config.file``."""

    tls_server_config: TLSServerConfig | None = None
    http_server_config: HTTPServerConfig = HTTPServerConfig()
    basic_auth_users: Annotated[
        dict[UserName, PasswordHash], _mapping_of("user names to bcrypt hashes of their passwords")
    ] = Field(default_factory=dict[str, Secret])
    rate_limit: RateLimit = RateLimit()
