"""What the file names, in Go's words, and what Python's ssl calls it."""

from ssl import CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, TLSVersion, VerifyMode
from types import MappingProxyType
from typing import Final

VERSIONS: Final = MappingProxyType({"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3})
OLD_VERSIONS: Final = ("TLS10", "TLS11")

CLIENT_AUTH: Final[MappingProxyType[str, VerifyMode]] = MappingProxyType(
    {
        "NoClientCert": CERT_NONE,
        "VerifyClientCertIfGiven": CERT_OPTIONAL,
        "RequireAndVerifyClientCert": CERT_REQUIRED,
    }
)
UNVERIFIED_CLIENT_AUTH: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
"""Types of Go that accept any certificate. OpenSSL verifies each, or Python gets to see none."""

CURVES: Final = MappingProxyType(
    {
        "CurveP256": "prime256v1",
        "CurveP384": "secp384r1",
        "CurveP521": "secp521r1",
        "X25519": "X25519",
    }
)

CIPHERS: Final = MappingProxyType(
    {
        f"TLS_ECDHE_{key}_WITH_{go}": f"ECDHE-{key}-{openssl}"
        for key in ("ECDSA", "RSA")
        for go, openssl in (
            ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
            ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
            ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
            ("AES_128_CBC_SHA", "AES128-SHA"),
            ("AES_256_CBC_SHA", "AES256-SHA"),
        )
    }
)
"""The cipher suites of TLS 1.2 that Go counts as secure."""

CIPHERS_OF_TLS13: Final = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)
"""Accepted as in Go, where they have no effect either: those of TLS 1.3 are always enabled."""
