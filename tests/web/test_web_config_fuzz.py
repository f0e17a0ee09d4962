"""Whatever a web configuration holds, it is read or refused; and no message shows a secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError
from exporter.web.config import load_web_config
from exporter.web.config.models import (
    Headers,
    HTTPServerConfig,
    RateLimit,
    TLSServerConfig,
    WebConfigFile,
)
from tests.support.certificates import Authority, hashed

pytestmark = pytest.mark.slow

MODELS = (WebConfigFile, TLSServerConfig, HTTPServerConfig, Headers, RateLimit)
KEYS = sorted(
    {field.alias or name for model in MODELS for name, field in model.model_fields.items()}
)
WORDS = [
    *("server.crt", "server.key", "ca.pem", ".", "TLS12", "TLS13", "TLS10", "X25519", "1s", "deny"),
    *("RequireAndVerifyClientCert", "TLS_AES_128_GCM_SHA256", "a.example", hashed("x"), ""),
]
MARKER = "Zq7"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
likely = st.fixed_dictionaries(
    {},
    optional={
        "tls_server_config": st.dictionaries(st.sampled_from(KEYS), values, max_size=6),
        "basic_auth_users": st.dictionaries(st.text(max_size=5), values, max_size=3),
        "http_server_config": st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
        "rate_limit": st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
    },
)
at_any_speed = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate and a key."""
    folder = tmp_path_factory.mktemp("web")
    Authority(folder).issue()
    return folder


def message(folder: Path, content: Any) -> str:
    """Return the message about a file, nothing if it is accepted."""
    path = folder / "web.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8", "surrogatepass")
    try:
        load_web_config(path)
    except ConfigError as error:
        return str(error)
    return ""


@at_any_speed
@given(values | likely)
def test_anything_is_read_or_refused(folder: Path, content: Any) -> None:
    """Nothing but a `ConfigError` is raised, and each of its lines names the file."""
    text = message(folder, content)

    assert all(line.startswith(f"{folder}/web.yaml") for line in text.split("\n") if text)


@at_any_speed
@given(
    st.text(max_size=10), st.text(max_size=10), st.sampled_from(["value", "key", "list", "both"])
)
def test_no_password_is_shown(folder: Path, before: str, after: str, place: str) -> None:
    """Wherever a password is written among the users, no message shows it."""
    secret = f"{before}{MARKER}{after}"
    users: Any = {
        "value": {"alice": secret},
        "key": {secret: None},
        "list": [secret, {"alice": [secret]}],
        "both": {f"alice:{secret}": {secret: secret}},
    }[place]
    text = message(folder, {"basic_auth_users": users})

    assert text
    assert MARKER not in text
