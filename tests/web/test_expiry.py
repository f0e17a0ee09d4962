"""Until when a certificate is valid: read from its bytes, and when that is a problem."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config.errors import Place
from exporter.web.config.expiry import WARN_BEFORE, Expiry, not_after
from exporter.web.config.pem import Source

KEY = Ed25519PrivateKey.generate()
BEGIN = datetime(1950, 1, 1)  # noqa: DTZ001 - cryptography takes UTC without a zone too
END = 1_800_000_000.0


def certificate(end: datetime, name: str = "a", serial: int = 1) -> str:
    """Return a certificate in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), serial, BEGIN, end)
    return builder.sign(KEY, None).public_bytes(Encoding.PEM).decode()


@settings(max_examples=50, deadline=None)
@given(
    st.datetimes(BEGIN + timedelta(days=1)), st.text("ab", min_size=1, max_size=64), st.integers(1)
)
@example(datetime(1999, 12, 31, 23, 59, 59), "a", 1)  # noqa: DTZ001
@example(datetime(2049, 12, 31, 23, 59, 59), "a", 1)  # noqa: DTZ001
@example(datetime(2050, 1, 1), "a", 1)  # noqa: DTZ001
@example(datetime(9999, 12, 31, 23, 59, 59), "a" * 64, 2**150)  # noqa: DTZ001
def test_end_of_any_certificate(end: datetime, name: str, serial: int) -> None:
    """The end that was written is read, whatever else the certificate has."""
    end = end.replace(microsecond=0)
    pem = certificate(end, name, serial % 2**158 + 1)

    assert end.replace(tzinfo=UTC).timestamp() == not_after(pem)


def test_first_of_a_chain() -> None:
    """Of a chain, the first certificate counts: it is the server's own."""
    first, second = datetime(2030, 1, 1), datetime(2040, 1, 1)  # noqa: DTZ001
    chain = certificate(first) + certificate(second)

    assert first.replace(tzinfo=UTC).timestamp() == not_after(chain)


@given(st.text(max_size=100) | st.text("MIIBAgIC=", max_size=400))
def test_anything_else(base64: str) -> None:
    """What is no certificate has no end, and is no error."""
    assert not_after(f"-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----") is None


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (-1, "has expired: it was valid until 2027-01-15T08:00:00Z"),
        (3600, "expires in 1h: it is valid until 2027-01-15T08:00:00Z"),
        (WARN_BEFORE - 1, "expires in 13d23h: it is valid until 2027-01-15T08:00:00Z"),
    ],
)
def test_problem(left: float, text: str) -> None:
    """A certificate that has expired or soon will is a problem, at the key that names it."""
    place = Place("tls_server_config.cert", 2, "web.yaml")
    problem = Expiry(END, Source("cert"), place).problem(END - left)

    assert f"web.yaml:2: tls_server_config.cert: holds a certificate that {text}" == str(problem)


def test_no_problem() -> None:
    """A certificate that is valid for long enough is none."""
    expiry = Expiry(END, Source("cert"), Place("tls_server_config.cert", 2, "web.yaml"))

    assert expiry.problem(END - WARN_BEFORE) is None
