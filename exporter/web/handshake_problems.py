"""What begins a TLS handshake, and why one failed, in the words of the log."""

import ssl
from typing import Final

# The type of a TLS handshake record (RFC 8446, 5.1). No HTTP method begins with this byte.
TLS_HANDSHAKE: Final = b"\x16"

_FAILED: Final = "TLS handshake failed"

PLAIN_HTTP: Final = "plain HTTP, but this port serves HTTPS"
NOT_ALLOWED: Final = f"{_FAILED}: no name in the client's certificate is in client_allowed_sans"

# OpenSSL's names for the same alert differ between its versions, their ends do not.
_REASONS: Final = {
    "DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate",
    "UNSUPPORTED_PROTOCOL": "the client offers no accepted version of TLS",
    "VERSION_TOO_LOW": "the client offers no accepted version of TLS",
    "ALERT_PROTOCOL_VERSION": "the client accepts no version of TLS that is offered",
    "NO_SHARED_CIPHER": "the client offers no accepted cipher suite",
    "NO_SUITABLE_GROUPS": "the client offers no accepted curve",
    "NO_SUITABLE_KEY_SHARE": "the client offers no accepted curve",
    "ALERT_UNKNOWN_CA": "the client does not know the authority of the server's certificate",
    "ALERT_CERTIFICATE_EXPIRED": "the client considers the server's certificate expired",
    "ALERT_BAD_CERTIFICATE": "the client does not accept the server's certificate",
    "ALERT_CERTIFICATE_UNKNOWN": "the client does not accept the server's certificate",
}


def handshake_problem(error: OSError) -> str | None:
    """Return what is wrong with the client of a handshake, None if it only went away.

    The result contains nothing that was received.
    """
    if not isinstance(error, ssl.SSLError):
        return None
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{_FAILED}: the client's certificate is refused: {error.verify_message}"
    reason = error.reason or "unknown reason"
    for ending, text in _REASONS.items():
        if reason.endswith(ending):
            return f"{_FAILED}: {text}"
    return f"{_FAILED}: {reason.replace('_', ' ').lower()}"
