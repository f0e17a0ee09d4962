"""docs/web.md: its blocks, and its figures."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from exporter.web import login
from exporter.web.accept import MAX_ACCEPTED, Acceptor
from exporter.web.config import load_web_config, models
from exporter.web.config.expiry import WARN_BEFORE
from exporter.web.connection import Connection
from exporter.web.live import GRACE
from tests.docs.markdown import blocks_of
from tests.support.certificates import Authority
from tests.support.programs import REPOSITORY
from tests.support.prometheus import promtool

DOCUMENT = REPOSITORY / "docs" / "web.md"
TEXT = DOCUMENT.read_text("utf-8")
BLOCKS = {block.note: block for block in blocks_of(DOCUMENT) if block.language == "yaml"}


def test_web_configuration_is_valid(tmp_path: Path) -> None:
    """The web configuration can be copied as it is, with files of these names."""
    Authority(tmp_path).issue()
    path = tmp_path / "web.yaml"
    path.write_text(BLOCKS["file: web.yaml"].text, "utf-8")
    config = load_web_config(path)

    assert config.context is not None
    assert [b"prometheus"] == [name for name, _ in config.users]
    assert config.headers


@pytest.mark.programs
def test_scrape_configuration_is_valid(tmp_path: Path) -> None:
    """Prometheus accepts the scrape configuration, once its files exist."""
    Authority(tmp_path).issue(name="client")
    (tmp_path / "ca.pem").rename(tmp_path / "exporter-ca.pem")
    path = tmp_path / "prometheus.yml"
    path.write_text(BLOCKS[""].text.replace("/etc/prometheus/", f"{tmp_path}/"), "utf-8")
    (tmp_path / "exporter-password").write_text("secret")

    assert "SUCCESS" in promtool("check", "config", path)


def test_every_key_is_named() -> None:
    """The document has every key of the file."""
    keys: set[str] = set()
    pending = [models.WebConfigFile]
    while pending:
        model = pending.pop()
        for name, field in model.model_fields.items():
            keys.add(field.alias or name)
            nested = (field.annotation, *get_args(field.annotation))
            pending += [each for each in nested if hasattr(each, "model_fields")]

    assert set() == {key for key in keys if re.search(rf"\b{key}[`:.]", TEXT) is None}


@pytest.mark.parametrize(
    "text",
    [
        f"within {Acceptor.timeout:g} seconds",
        f"At most {Acceptor.max_handshakes} connections can be in the handshake",
        f"within {Connection.timeout:g} seconds of the previous answer",
        f"At most {Connection.max_connections} connections can be open after the handshake",
        f"at most {Acceptor.max_handshakes + Connection.max_connections} connections",
        f"{MAX_ACCEPTED} more that have just been accepted",
        f"While {login.MAX_PENDING} different logins wait",
        f"at most {login.MAX_PASSWORD} bytes",
        {5: "after five seconds"}[int(GRACE)],
        f"expires within {WARN_BEFORE // 86400} days",
    ],
)
def test_figures(text: str) -> None:
    """The figures are those of the code."""
    assert text in TEXT


def test_yaml_blocks_are_tested() -> None:
    """There is no other block that somebody could copy."""
    assert ["", "file: web.yaml"] == sorted(BLOCKS)
    assert all(yaml.safe_load(block.text) for block in BLOCKS.values())
