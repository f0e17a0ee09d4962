"""Web configurations that are accepted, and what they are read as."""

import ssl
from pathlib import Path

import pytest

from exporter.web.config import WebConfig, load_web_config
from tests.support.certificates import Authority, hashed

HASH = hashed("secret")


def loaded(folder: Path, text: str) -> WebConfig:
    """Return what a file is read as, in a folder with certificates."""
    Authority(folder).issue()
    path = folder / "web.yaml"
    path.write_text(text, "utf-8")
    return load_web_config(path)


PAIR = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"


def test_nothing(tmp_path: Path) -> None:
    """A file without settings means plain HTTP without login."""
    assert WebConfig(files=(tmp_path / "web.yaml",)) == loaded(tmp_path, "{}")


def test_defaults_of_tls(tmp_path: Path) -> None:
    """TLS 1.2 and 1.3, without client certificates."""
    context = loaded(tmp_path, PAIR).context

    assert context is not None
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version
    assert ssl.TLSVersion.TLSv1_3 == context.maximum_version
    assert ssl.CERT_NONE == context.verify_mode


def test_files(tmp_path: Path) -> None:
    """Relative paths begin at the folder of the file, and every file is followed."""
    names = ["web.yaml", "server.crt", "server.key", "ca.pem"]

    assert [tmp_path / name for name in names] == list(loaded(tmp_path, PAIR + CLIENTS).files)


def test_users(tmp_path: Path) -> None:
    """Users are read, and not shown."""
    config = loaded(tmp_path, f"basic_auth_users: {{alice: {HASH}, zoë: {HASH}}}")

    assert ((b"alice", HASH.encode()), ("zoë".encode(), HASH.encode())) == config.users
    assert HASH not in repr(config)


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_versions_of_bcrypt(tmp_path: Path, version: str) -> None:
    """The hashes of all usual programs are accepted."""
    written = f"${version}${HASH[4:]}"

    assert written.encode() == loaded(tmp_path, f"basic_auth_users: {{a: {written}}}").users[0][1]


def test_headers(tmp_path: Path) -> None:
    """Headers are read with their names; those with an empty value are left out."""
    headers = "{X-XSS-Protection: 0, X-Frame-Options: '', X-Content-Type-Options: nosniff}"
    config = loaded(tmp_path, f"http_server_config: {{http2: true, headers: {headers}}}")

    assert {b"x-xss-protection": b"0", b"x-content-type-options": b"nosniff"} == dict(
        config.headers
    )


@pytest.mark.parametrize("interval", ["0", "'0'", "0s", "+0ms"])
def test_no_rate_limit(tmp_path: Path, interval: str) -> None:
    """Without an interval there is no limit, and no burst is needed."""
    assert not loaded(tmp_path, f"rate_limit: {{interval: {interval}}}").rate_limit.interval


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        ("0", 0.0),
        ("'0'", 0.0),
        ("+0", 0.0),
        ("100ms", 0.1),
        ("1s", 1.0),
        ("+1s", 1.0),
        ("1.s", 1.0),
        (".5s", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("24h", 86400.0),
        ("2us", 2e-6),
        ("2\u00b5s", 2e-6),
        ("2\u03bcs", 2e-6),
    ],
)
def test_rate_limit(tmp_path: Path, interval: str, seconds: float) -> None:
    """Durations are written as in Go."""
    config = loaded(tmp_path, f"rate_limit: {{interval: {interval}, burst: 5}}")

    assert pytest.approx(seconds) == config.rate_limit.interval
    assert 5 == config.rate_limit.burst


def test_certificate_and_key_in_one_file(tmp_path: Path) -> None:
    """Certificate and key may be in the same file, in any order, with comments around them."""
    pair = Authority(tmp_path).issue()
    text = f"# Schlüssel\n{pair.key.read_text()}\n# Zertifikat\n{pair.certificate.read_text()}"
    (tmp_path / "both.pem").write_bytes(text.encode("latin-1"))
    path = tmp_path / "web.yaml"
    path.write_text("tls_server_config: {cert_file: both.pem, key_file: both.pem}")

    assert load_web_config(path).context is not None


def test_authorities(tmp_path: Path) -> None:
    """Every authority of the file is trusted."""
    context = loaded(tmp_path, PAIR + CLIENTS).context

    assert context is not None
    assert ssl.CERT_REQUIRED == context.verify_mode
    assert 1 == len(context.get_ca_certs())
