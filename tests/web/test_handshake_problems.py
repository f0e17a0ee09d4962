"""Failed handshakes: what is logged."""

import ssl

import pytest

from exporter.web.handshake_problems import handshake_problem


def failed(reason: str | None) -> ssl.SSLError:
    """Return the error of OpenSSL with a reason."""
    error = ssl.SSLError(1, "text")
    vars(error)["reason"] = reason
    return error


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the client has no certificate"),
        ("UNSUPPORTED_PROTOCOL", "the client offers no accepted version of TLS"),
        ("NO_SHARED_CIPHER", "the client offers no accepted cipher suite"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "the client does not accept the server's certificate"),
        ("SSL/TLS_ALERT_BAD_CERTIFICATE", "the client does not accept the server's certificate"),
        ("WRONG_SIGNATURE_TYPE", "wrong signature type"),
        (None, "unknown reason"),
    ],
)
def test_reason(reason: str | None, text: str) -> None:
    """The reason is in words, also if it is not expected."""
    assert f"TLS handshake failed: {text}" == handshake_problem(failed(reason))


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), TimeoutError(), ConnectionAbortedError()]
)
def test_client_that_goes_away(error: OSError) -> None:
    """A client that only went away is not logged: probes of load balancers do that."""
    assert handshake_problem(error) is None
