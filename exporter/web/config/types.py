"""The types of values in the web configuration, and the messages where a value is refused."""

import re
from dataclasses import replace
from typing import Annotated, Any, Final

from exporter.config.errors import refusal, shown
from exporter.config.notation import Notation, one_of, text
from exporter.sentry.token import Secret
from exporter.web.config.go_names import (
    CIPHERS,
    CIPHERS_OF_TLS13,
    CLIENT_AUTH,
    CURVES,
    OLD_VERSIONS,
    UNVERIFIED_CLIENT_AUTH,
    VERSIONS,
)

_HASH: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""A bcrypt hash. The last character of its salt stands for two bits only."""
_HASH_EXPECTED: Final = "a bcrypt hash, such as htpasswd -nB makes"
_MIN_COST: Final = 4
_MAX_COST: Final = 16
"""Each step doubles the time of a comparison, to 5 s here; bcrypt itself allows 31: two days."""

# Go takes both letters that look like µ: the micro sign and the Greek letter.
_MICROSECONDS: Final = ("us", "\u00b5s", "\u03bcs")
_UNITS: Final = {
    "ns": 1e-9,
    **dict.fromkeys(_MICROSECONDS, 1e-6),
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART: Final = rf"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)({'|'.join(_UNITS)})"
_MAX_HOURS: Final = 24


def _one_of(*names: str) -> Notation:
    return one_of({name: name for name in names})


def _refusing(names: tuple[str, ...], reason: str, notation: Notation) -> Notation:
    """Return ``notation`` that explains why the ``names``, which the toolkit has, are refused."""

    def read(value: Any) -> object:
        if value in names:
            raise refusal(f"got {shown(value)}; {reason}; expected {notation.expected}")
        return notation.read(value)

    return replace(notation, read=read)


def _read_hash(value: Any) -> Secret:
    match = _HASH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        # Whatever it is, it may be the password itself.
        raise refusal(
            f"the password of a user is no bcrypt hash, so it is not shown here; "
            f"expected {_HASH_EXPECTED}"
        )
    cost = int(match[1])
    if not _MIN_COST <= cost <= _MAX_COST:
        reason = ", with which one login takes over ten seconds" if cost > _MAX_COST else ""
        raise refusal(
            f"the password of a user is hashed with cost {cost}{reason}; "
            f"expected a cost from {_MIN_COST} to {_MAX_COST}"
        )
    return Secret(value)


def _read_user(value: Any) -> str:
    # The value is not shown: it may be a password, or a line as htpasswd writes it.
    if ":" in str(value):
        raise refusal(
            "a user name contains a colon, which HTTP does not allow; "
            "write NAME: HASH, with a space after the colon"
        )
    if re.fullmatch(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}", value) is None:
        raise refusal("a user name is not a line of 1 to 255 visible characters")
    return str(value)


def _read_key(value: Any) -> Secret:
    if not isinstance(value, str) or "-----BEGIN" not in value:
        raise refusal("got a value that is no PEM, not shown here; expected a private key in PEM")
    return Secret(value)


def _read_pem(value: Any) -> str:
    if not isinstance(value, str) or "-----BEGIN" not in value:
        raise ValueError
    if "PRIVATE KEY-----" in value:
        raise refusal("holds a private key, not shown here; expected only certificates in PEM")
    return value


def go_duration(value: Any) -> float:
    """Return the seconds of a duration as Go writes it; raises TypeError or ValueError."""
    if type(value) is int and value == 0:
        return 0.0
    written = value.removeprefix("+") if isinstance(value, str) else value
    if written == "0":
        return 0.0
    if re.fullmatch(f"(?:{_PART})+", written) is None:
        raise ValueError
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in re.findall(_PART, written))
    if seconds > _MAX_HOURS * _UNITS["h"]:
        raise ValueError
    return seconds


def _optional(notation: Notation) -> Notation:
    def read(value: Any) -> object:
        return value if value == "" else notation.read(value)

    def write(value: Any) -> object:
        return value if value == "" else notation.write(value)

    return replace(notation, read=read, write=write)


Pem = Annotated[str, Notation(_read_pem, "certificates in PEM", {}, looks_for_secrets=False)]
PrivateKey = Annotated[Secret, Notation(_read_key, "", {}, looks_for_secrets=False)]
UserName = Annotated[str, Notation(_read_user, "", {}, looks_for_secrets=False)]
PasswordHash = Annotated[Secret, Notation(_read_hash, "", {}, looks_for_secrets=False)]
GoDuration = Annotated[
    float,
    Notation(
        go_duration, f"a duration such as 100ms, 1s or 1m30s, of at most {_MAX_HOURS}h, or 0", {}
    ),
]
SubjectAlternativeName = Annotated[
    str, text(r"[\x21-\x7e]{1,1024}", "a DNS name, IP address, e-mail address or URI")
]
Version = Annotated[
    str,
    _refusing(
        OLD_VERSIONS, "TLS 1.0 and 1.1 are obsolete (RFC 8996) and insecure", _one_of(*VERSIONS)
    ),
]
ClientAuthType = Annotated[
    str,
    _refusing(
        UNVERIFIED_CLIENT_AUTH,
        "Python's ssl cannot accept a client certificate without verifying it",
        _one_of(*CLIENT_AUTH),
    ),
]
CipherSuite = Annotated[str, _one_of(*CIPHERS_OF_TLS13, *CIPHERS)]
Curve = Annotated[str, _one_of(*CURVES)]
HeaderValue = Annotated[
    str,
    _optional(text(r"[\x20-\x7e]{1,4096}", "one line of printable ASCII characters", digits=True)),
]
ContentTypeOptions = Annotated[str, _optional(_one_of("nosniff"))]
FrameOptions = Annotated[str, _optional(_one_of("deny", "sameorigin"))]
