"""The fenced blocks of the documents, other than commands and PromQL."""

from pathlib import Path

import pytest
import yaml

from exporter.config import loads
from tests.docs.markdown import DOCUMENTS, Block, blocks, blocks_of
from tests.support.prometheus import promtool

TESTED = {"sh", "yaml", "promql", "text"}


def is_for_prometheus(block: Block) -> bool:
    """Return whether a block is a configuration of Prometheus, not of the exporter."""
    return "scrape_configs" in yaml.safe_load(block.text)


CONFIGURATIONS = [block for block in blocks("yaml") if not is_for_prometheus(block)]
FOR_PROMETHEUS = [block for block in blocks("yaml") if is_for_prometheus(block)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_one_that_is_tested(document: Path) -> None:
    """Every fenced block has a language that is tested, and every fence is closed."""
    fenced = list(blocks_of(document))

    assert {block.language for block in fenced} <= TESTED
    assert document.read_text("utf-8").count("```") == 2 * len(fenced)


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_configuration_is_valid(block: Block) -> None:
    """A configuration can be copied as it is, and causes no warning."""
    assert () == loads(block.text).warnings


@pytest.mark.programs
@pytest.mark.parametrize("block", FOR_PROMETHEUS, ids=str)
def test_prometheus_accepts_its_configuration(block: Block, tmp_path: Path) -> None:
    """Prometheus accepts a scrape configuration."""
    file = tmp_path / "prometheus.yml"
    file.write_text(block.text, "utf-8")

    assert "SUCCESS" in promtool("check", "config", file)
