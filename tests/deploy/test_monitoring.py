"""docs/monitoring.md: its commands and files, and the programs that read what they install."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.deploy.kit import DEPLOY, read_yaml
from tests.deploy.rule_world import HOUR, RULES, Labels, notation, unit_test
from tests.docs.markdown import blocks_of
from tests.support.programs import REPOSITORY, output_of
from tests.support.prometheus import prometheus, promtool

pytestmark = pytest.mark.slow

PAGE: Final = REPOSITORY / "docs" / "monitoring.md"
COMMANDS: Final = [
    line for block in blocks_of(PAGE) if block.language == "sh" for line in block.text.splitlines()
]
FILES: Final = {
    block.note.removeprefix("file: "): block.text
    for block in blocks_of(PAGE)
    if block.language == "yaml"
}
NOT_HERE: Final = "systemctl"
"""Needs systemd as the first process."""


def placed(text: str, root: Path) -> str:
    """Return a command or a file with its folders below ``root``."""
    return re.sub(r"(?<![\w.])/(?=etc/)", f"{shlex.quote(str(root))}/", text)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder below which a reader has followed the page."""
    folder = tmp_path_factory.mktemp("root")
    for name in ("prometheus/sentry-stats", "alertmanager"):
        (folder / "etc" / name).mkdir(parents=True)
    etc = folder / "etc" / "prometheus"
    (etc / "prometheus.yml").write_text(placed(FILES["prometheus.yml"], folder), "utf-8")
    (etc / "sentry-stats" / "our-thresholds.yml").write_text(FILES["our-thresholds.yml"], "utf-8")
    for command in COMMANDS:
        if not command.startswith(NOT_HERE):
            output_of("sh", "-c", placed(command, folder))
    return folder


def group_names(folder: Path) -> Iterator[str]:
    """Yield the names of the groups in the rule files of a folder."""
    for path in folder.glob("*.yml"):
        yield from (group["name"] for group in read_yaml(path)["groups"])


def test_prometheus_evaluates_the_installed_rules(root: Path, tmp_path: Path) -> None:
    """A Prometheus with this configuration has every group, our own thresholds too."""
    configuration = read_yaml(root / "etc" / "prometheus" / "prometheus.yml")
    with prometheus(tmp_path, configuration=configuration) as server:
        groups = server.ask("rules")["groups"]

    assert {*group_names(RULES), "our_sentry_stats_thresholds"} == {one["name"] for one in groups}


def test_alertmanager_has_everything(root: Path) -> None:
    """The installed configuration finds the installed templates."""
    installed = root / "etc" / "alertmanager"
    output = output_of("amtool", "check-config", installed / "alertmanager.yml")
    templates = {path.name for path in (DEPLOY / "alertmanager" / "templates").iterdir()}

    assert f" {len(templates)} templates" in output
    assert templates == {path.name for path in (installed / "templates").iterdir()}


def test_the_first_alert_needs_the_named_secret() -> None:
    """The page names the secret for the message about a stopped exporter in Slack."""
    receivers = read_yaml(DEPLOY / "alertmanager" / "alertmanager.yml")["receivers"]
    (receiver,) = (one for one in receivers if one["name"] == "exporter-page")
    (slack,) = receiver["slack_configs"]

    assert f"`{slack['api_url_file']}`" in PAGE.read_text("utf-8")


def test_grafana_finds_the_dashboards(root: Path) -> None:
    """The provider's folder is where the dashboards are."""
    grafana = root / "etc" / "grafana"
    (provider,) = read_yaml(grafana / "provisioning/dashboards/sentry-stats.yaml")["providers"]
    folder = Path(placed(provider["options"]["path"], root))

    assert {path.name for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")} == {
        path.name for path in folder.iterdir()
    }


@pytest.mark.programs
@pytest.mark.parametrize("name", ["prometheus.yml", "instance.yml"])
def test_scrape_configurations_are_valid(name: str, tmp_path: Path) -> None:
    """Prometheus accepts each configuration of the page; the rules are elsewhere."""
    path = tmp_path / name
    path.write_text(placed(FILES[name], tmp_path), "utf-8")

    assert "SUCCESS" in promtool("check", "config", path)


@pytest.mark.programs
def test_instance_keeps_counters(tmp_path: Path) -> None:
    """Of 250 events, all are seen with the same instance, 30 less if it changes in a move."""
    before = [*range(0, 120, 4), *[None] * 31]
    after = [*[None] * 40, *[155 + 4.75 * minute for minute in range(21)]]
    same = [new if old is None else old for old, new in zip(before, after, strict=True)]
    series = [
        {"series": f'moved{{instance="{name}"}}', "values": notation(values)}
        for name, values in (("10.0.0.1", before), ("10.0.0.2", after))
    ]
    series.append({"series": 'same{instance="exporter-1"}', "values": notation(same)})
    expected: dict[tuple[str, float], list[Labels]] = {
        ("sum(round(increase(same[1h]))) == bool 250", HOUR): [{}],
        ("sum(increase(moved[1h])) < bool 220", HOUR): [{}],
    }
    path = unit_test(series, expected, 60, tmp_path)

    assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"deploy/[\w./-]*\w", PAGE.read_text()))))
def test_paths(name: str) -> None:
    """Every file and folder that the page names exists."""
    assert (REPOSITORY / name).exists()


def test_every_block_is_used() -> None:
    """Each block of the page is a command or a file that a test uses."""
    assert {"prometheus.yml", "our-thresholds.yml", "instance.yml"} == set(FILES)
    assert {"sh", "yaml"} == {block.language for block in blocks_of(PAGE)}
    for text in FILES.values():
        assert yaml.safe_load(text)
