"""docs/helm.md and the README of the chart: every file and every command, without a cluster."""

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from exporter import __version__
from exporter.config import loads
from tests.deploy.charts import CHART, NAME, assert_valid, given_values, of_kind, rendered
from tests.deploy.kit import parsed
from tests.docs.markdown import Block, blocks_of
from tests.support.programs import REPOSITORY

pytestmark = pytest.mark.slow

PAGE: Final = REPOSITORY / "docs" / "helm.md"
README: Final = CHART / "README.md"
NOT_HERE: Final = {
    "docker build": "needs a container engine; a test runs the steps of the Dockerfile",
    "docker push": "needs a registry",
    "helm uninstall": "needs a cluster",
    "kubectl create": "needs a cluster",
    "kubectl delete": "needs a cluster",
    "kubectl exec": "needs a cluster; its command is parsed",
    "kubectl port-forward": "needs a cluster",
}
"""The beginnings of commands that no test runs, and why."""

WITH_ORGANIZATIONS: Final = "values.yaml"
"""The file that others are used with."""


def named_files(page: Path) -> Mapping[str, Block]:
    """Return the values files that a page shows."""
    return {
        block.note.removeprefix("file: "): block
        for block in blocks_of(page)
        if block.language == "yaml"
    }


def commands(page: Path) -> Iterator[str]:
    """Yield the commands of a page."""
    for block in blocks_of(page):
        if block.language == "sh":
            yield from block.text.splitlines()


def helm_parser() -> argparse.ArgumentParser:
    """Return the part of Helm's command line that the pages use."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    subcommands = parser.add_subparsers(dest="command", required=True)
    for name in ("upgrade", "template", "lint"):
        one = subcommands.add_parser(name, exit_on_error=False)
        if name == "upgrade":
            one.add_argument("--install", action="store_true")
        if name != "lint":
            one.add_argument("release")
        one.add_argument("chart")
        one.add_argument("--namespace", default="default")
        one.add_argument("--values", action="append", default=[])
        one.add_argument("--set", action="append", default=[])
    return parser


def merged(first: Any, second: Any) -> Any:
    """Return what Helm makes of two values files: maps are merged, all else is replaced."""
    if isinstance(first, dict) and isinstance(second, dict):
        both = {key: merged(first.get(key), value) for key, value in second.items()}
        return {**first, **both}
    return second


def all_values(files: list[str], settings: list[str], page: Path, folder: Path) -> dict[str, Any]:
    """Return the values of a command, from the files as the page shows them."""
    values: dict[str, Any] = {}
    for name in files:
        path = folder / name
        path.write_text(named_files(page)[name].text, "utf-8")
        values = merged(values, given_values(path))
    for setting in settings:
        values = merged(values, helm_python.parse_set_string(setting))
    return values


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda path: path.name)
def test_files_are_tested(page: Path) -> None:
    """Every block is a command or a values file with a name of its own."""
    blocks = list(blocks_of(page))
    yaml_blocks = [block for block in blocks if block.language == "yaml"]

    assert {"sh", "yaml"} == {block.language for block in blocks}
    assert len(yaml_blocks) == len(named_files(page))
    assert all(block.note.startswith("file: ") for block in yaml_blocks)


@pytest.mark.parametrize(
    ("page", "command"),
    [
        pytest.param(page, command, id=f"{page.name}-{number}")
        for page in (PAGE, README)
        for number, command in enumerate(commands(page))
        if not command.startswith(tuple(NOT_HERE))
    ],
)
def test_commands(page: Path, command: str, tmp_path: Path) -> None:
    """Helm accepts the values of each command, and renders its release; lint has no objection."""
    program, *arguments = shlex.split(command)
    given = helm_parser().parse_args(arguments)
    values = all_values(given.values, given.set, page, tmp_path)
    report = helm_python.lint(REPOSITORY / given.chart, values, strict=True)

    assert "helm" == program
    assert [] == report["errors"]
    assert rendered(values, getattr(given, "release", NAME), given.namespace)


@pytest.mark.parametrize("name", sorted(named_files(PAGE)))
def test_files(name: str, tmp_path: Path) -> None:
    """Each file works, alone or with the first one; the exporter accepts its configuration."""
    block = named_files(PAGE)[name]
    alone = "organizations" in yaml.safe_load(block.text).get("config", {})
    files = [name] if alone else [WITH_ORGANIZATIONS, name]
    objects = rendered(all_values(files, [], PAGE, tmp_path))
    config, *_ = of_kind(objects, "ConfigMap")
    for one in objects.values():
        assert_valid(one, "1.31")

    assert () == loads(config["data"]["config.yaml"]).warnings


@pytest.mark.parametrize("page", [PAGE, PAGE.with_name("running.md")], ids=lambda path: path.name)
def test_the_image_is_built_as_it_is_used(page: Path) -> None:
    """The image that a page builds and pushes is that of its values, with this version as tag."""
    image = yaml.safe_load(named_files(PAGE)[WITH_ORGANIZATIONS].text)["image"]["repository"]
    dockers = [command for command in commands(page) if re.match("docker (build|push)", command)]

    assert 2 == len(dockers)
    assert all(f"{image}:{__version__}" in command.split() for command in dockers)


def test_two_releases(tmp_path: Path) -> None:
    """The two releases have no object in common, and their pods have the names on the page."""
    both = [
        rendered(all_values(given.values, given.set, PAGE, tmp_path), given.release)
        for given in (
            helm_parser().parse_args(shlex.split(command)[1:])
            for command in commands(PAGE)
            if " america " in command or " europe " in command
        )
    ]
    pods = {f"{one['metadata']['name']}-0" for each in both for one in of_kind(each, "StatefulSet")}

    assert 2 == len(both)
    assert set() == set(both[0]) & set(both[1])
    assert all(f"`{name}`" in PAGE.read_text("utf-8") for name in pods)


def test_probes_of_a_login(tmp_path: Path) -> None:
    """Null takes out the default probe, so that there is only the other one."""
    objects = rendered(all_values(["login.yaml"], [], PAGE, tmp_path))
    (stateful_set,) = of_kind(objects, "StatefulSet")
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]

    assert {"tcpSocket": {"port": "http"}, "timeoutSeconds": 5} == container["livenessProbe"]


def test_check_in_the_pod() -> None:
    """The exporter accepts the command that is run in its pod."""
    (command,) = (one for one in commands(PAGE) if one.startswith("kubectl exec"))
    _, _, ours = command.partition(" -- sentry-stats-exporter ")

    assert parsed([*shlex.split(ours), "--config.file=config.yaml"])["online"]


@pytest.mark.parametrize("beginning", NOT_HERE)
def test_commands_not_run(beginning: str) -> None:
    """Every exception is on the page."""
    assert any(command.startswith(beginning) for command in commands(PAGE))
