"""The document of ``check --output json``, which programs rely on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from exporter.check import Report
from exporter.cli import main
from exporter.simulator import Deprecation, Simulator
from tests.check.conftest import Learn
from tests.support.configuration import OUTCOMES, organization
from tests.support.programs import REPOSITORY

NOT_UNDERSTOOD = "organizations: [{slug: acme, token_file: token, interval: 1h}]\n"


def documented() -> dict[str, Any]:
    """Return the example of docs/check.md."""
    text = (REPOSITORY / "docs" / "check.md").read_text("utf-8")
    example: dict[str, Any] = json.loads(text.partition("```json\n")[2].partition("```")[0])
    return example


def shape(value: object, path: str = "") -> Iterator[str]:
    """Yield the path and the kind of everything in a document."""
    match value:
        case dict():
            for key, one in value.items():
                yield from shape(one, f"{path}.{key}")
        case list():
            for one in value:
                yield from shape(one, f"{path}[]")
        case _:
            yield f"{path}: {type(value).__name__}"


def printed(*flags: str) -> tuple[int, dict[str, Any]]:
    """Return the status of ``check --output json`` and the document that it prints."""
    result = CliRunner().invoke(main, ["check", "--output", "json", *flags])
    document: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, document


def test_values(learned: Learn, sentry: Simulator) -> None:
    """The document has the values of the text, with numbers as numbers."""
    sentry.deprecations.append(Deprecation("stats_v2", "2027-01-15", "v3"))
    (checked,) = learned(organization(), max_concurrency=1)
    document = json.loads(Report.of("config.yaml", (), [checked], online=True).json())
    plan = document["organizations"][0].pop("plan")
    errors, *_ = plan.pop("quotas")

    assert {
        "readable": True,
        "reason": "",
        "period": "2026-02-13 to 2026-03-12",
        "contradicts": "",
        "currency": "USD",
        "budget": 300.0,
    } == plan
    assert {
        "name": "errors",
        "unit": "events",
        "limit": 2_100_000,
        "price": 0.0001875,
        "budget": None,
    } == errors
    assert {
        "name": "acme",
        "slug": "acme",
        "url": sentry.url,
        "token": {"kind": "user or integration (kind not shown)", "source": "token"},
        "organization": {"id": "1", "slug": "acme", "name": "Acme"},
        "projects": {"listed": 12, "readable": 12, "hidden": 0},
        "clock_skew_seconds": 0.0,
        "rate_limit": {"limit": 20, "remaining": 19, "concurrent": 25},
        "deprecations": [{"api": "stats_v2", "date": "2027-01-15", "replacement": "v3"}],
        "queries": [
            {
                "name": "outcomes",
                "tried": True,
                "data": {
                    "bucket_start": "2026-03-05T08:00:00Z",
                    "bucket_end": "2026-03-05T09:00:00Z",
                    "rows": 25,
                    "complete": True,
                    "series": 52,
                    "requests": {"first_poll": 1, "poll": 1, "day": 24, "changed_bucket": 0},
                },
            }
        ],
        "quotas": [],
        "unowned": {
            "several": ["checkout", "marketing-site"],
            "none": ["data-pipeline", "warehouse"],
        },
    } == document["organizations"][0]


def test_documented_example(learned: Learn, sentry: Simulator) -> None:
    """The document has the keys and the kinds of values of the documented example."""
    sentry.deprecations.append(Deprecation("stats_v2", "2027-01-15", "v3"))
    wrong = {**OUTCOMES, "name": "typo", "filter": {"category": "errors"}}
    (checked,) = learned(organization(OUTCOMES, wrong))
    document = json.loads(Report.of("config.yaml", (), [checked], online=True).json())

    assert set(shape(documented())) == set(shape(document))


def test_a_file_with_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake of the file has its line, column and path, and the status is 1."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(NOT_UNDERSTOOD)
    status, document = printed("--config.file", "config.yaml")
    (problem,) = document["problems"]

    assert (1, False) == (status, document["valid"])
    assert ("error", "config.yaml", 1, 49) == (
        problem["severity"],
        problem["file"],
        problem["line"],
        problem["column"],
    )
    assert "organizations[0].interval" == problem["path"]
    assert problem["message"].startswith("unknown key")


def test_a_missing_token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong on this host has its remedy apart from its message."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("organizations: [{slug: acme, token_file: token}]\n")
    _, document = printed("--config.file", "config.yaml")

    assert [
        ("token: No such file or directory", "create it with the token, or correct the path")
    ] == [(problem["message"], problem["remedy"]) for problem in document["problems"]]


def test_a_valid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``--online`` there are no organizations, and warnings change nothing."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("organizations: [{slug: acme, token: x}]\n")
    status, document = printed("--config.file", "config.yaml")

    assert 0 == status
    assert (True, False, []) == (
        document["valid"],
        document["online"],
        document["organizations"],
    )
    assert ["warning"] == [problem["severity"] for problem in document["problems"]]
