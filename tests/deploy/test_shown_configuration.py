"""All example configurations have the queries that the rules and the dashboards are made for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from exporter.cli.demo import demo_configuration
from exporter.config import Config, Query, load, loads
from tests.deploy.kit import DEPLOY
from tests.docs.markdown import blocks_of
from tests.support.programs import REPOSITORY

SHOWN: Final = """
organizations:
  - slug: acme
    token_env: TOKEN
    queries:
      - name: outcomes
        groupBy: [category, outcome, reason]
        poll_interval: 5m
      - name: projects
        groupBy: [project, category, outcome, reason]
        poll_interval: 15m
"""

FILES: Final = (
    REPOSITORY / "config.example.yaml",
    DEPLOY / "systemd" / "config.yaml",
    DEPLOY / "kubernetes" / "base" / "config.yaml",
)


def queries_of(config: Config) -> list[Sequence[Query]]:
    """Return the queries of each organization."""
    return [organization.queries for organization in config.organizations]


@pytest.fixture(scope="module")
def shown() -> Sequence[Query]:
    """Return the queries of all example configurations."""
    (queries,) = queries_of(loads(SHOWN))
    return queries


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_file(path: Path, shown: Sequence[Query]) -> None:
    """An example file has exactly these queries."""
    assert [shown] == queries_of(load(path))


def test_readme(shown: Sequence[Query]) -> None:
    """The file in README has exactly these queries."""
    (block,) = (
        block for block in blocks_of(REPOSITORY / "README.md") if block.note == "file: config.yaml"
    )

    assert [shown] == queries_of(loads(block.text))


def test_promql(shown: Sequence[Query]) -> None:
    """The configuration of docs/promql.md has these queries, and one with buckets of a day."""
    (block,) = (
        block for block in blocks_of(REPOSITORY / "docs" / "promql.md") if block.note == "answered"
    )
    ((*first, days),) = queries_of(loads(block.text))

    assert "days" == days.name
    assert list(shown) == first


def test_demo(shown: Sequence[Query]) -> None:
    """Both organizations of the demo have these queries."""
    assert [shown, shown] == queries_of(demo_configuration("http://127.0.0.1:9000"))


def test_compose() -> None:
    """For a real Sentry, docs/running.md copies config.example.yaml."""
    page = (REPOSITORY / "docs" / "running.md").read_text("utf-8")

    assert " config.example.yaml deploy/docker/config.yaml\n" in page
