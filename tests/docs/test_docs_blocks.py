"""What stands in the documents between fences, other than commands and PromQL."""

from pathlib import Path

import pytest
import yaml

from exporter.config import loads
from tests.docs.markdown import DOCUMENTS, Block, blocks, blocks_of
from tests.programs import PATIENCE, find_program, running

TESTED = {"sh", "yaml", "promql", "text"}


def is_for_prometheus(block: Block) -> bool:
    """Tell whether a block is Prometheus's configuration, not the exporter's."""
    return "scrape_configs" in yaml.safe_load(block.text)


CONFIGURATIONS = [block for block in blocks("yaml") if not is_for_prometheus(block)]
FOR_PROMETHEUS = [block for block in blocks("yaml") if is_for_prometheus(block)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_one_that_is_tested(document: Path) -> None:
    """Nothing between fences escapes the tests, for want of a language or of a fence."""
    found = list(blocks_of(document))

    assert {block.language for block in found} <= TESTED
    assert document.read_text("utf-8").count("```") == 2 * len(found)


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_configuration_is_good(block: Block) -> None:
    """A configuration can be copied as it is, and earns no warning."""
    assert () == loads(block.text).warnings


@pytest.mark.programs
@pytest.mark.parametrize("block", FOR_PROMETHEUS, ids=str)
def test_prometheus_takes_its_configuration(block: Block, tmp_path: Path) -> None:
    """A scrape configuration is one that Prometheus accepts."""
    file = tmp_path / "prometheus.yml"
    file.write_text(block.text, "utf-8")
    check = [find_program("promtool", "prometheus"), "check", "config", str(file)]
    with running(check, tmp_path / "promtool.log") as promtool:
        assert promtool.process.wait(PATIENCE) == 0, promtool.output()
