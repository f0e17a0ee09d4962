"""The Helm chart, rendered by Helm's own engine without a cluster."""

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import kubernetes_validate
import yaml

from tests.deploy.kit import DEPLOY

CHART: Final = DEPLOY / "helm" / "sentry-stats-exporter"
NAME: Final = "sentry-stats-exporter"
NAMESPACE: Final = "sentry-stats"
VALUES_FILES: Final = tuple(sorted((CHART / "ci").glob("*-values.yaml")))

OPERATOR: Final = "monitoring.coreos.com/"
"""The beginning of the API versions of the Prometheus Operator."""

KUBECONFIG: Final = """\
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: none, user: {}}]
"""
"""A cluster that does not exist."""

Object = dict[str, Any]
Objects = dict[tuple[str, str], Object]
"""Objects of Kubernetes by kind and name."""

ONE_ORGANIZATION: Final[Mapping[str, Any]] = {"config": {"organizations": [{"slug": "acme"}]}}
"""The least that the chart needs."""


def given_values(file: Path) -> dict[str, Any]:
    """Return the values in a file, as Helm reads it."""
    return helm_python.values_from_yaml(file.read_text("utf-8"))


def with_values(**values: Any) -> dict[str, Any]:
    """Return values with one organization."""
    return {**copy.deepcopy(dict(ONE_ORGANIZATION)), **values}


def rendered(
    values: Mapping[str, Any], name: str = NAME, namespace: str = NAMESPACE, chart: Path = CHART
) -> Objects:
    """Return what the chart makes of values, which must satisfy its schema."""
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(dict(values))
        files = loaded.render(dict(values), name=name, namespace=namespace)
    return parsed_objects("\n---\n".join(text for path, text in files.items() if ".yaml" in path))


def installation(values: Mapping[str, Any], name: str = NAME) -> Mapping[str, Any]:
    """Return what Helm would install, as `helm install --dry-run=client` prints it."""
    with helm_python.Config(
        kubeconfig_content=KUBECONFIG, namespace=NAMESPACE, storage_driver="memory"
    ) as config:
        return config.install(CHART, name, dict(values), dry_run="client")


@cache
def of_file(stem: str) -> Objects:
    """Return what the chart makes of a file of ``ci``; not to be changed."""
    return rendered(given_values(CHART / "ci" / f"{stem}-values.yaml"))


class _Loader(yaml.CSafeLoader):
    """Refuses maps with two values for one key, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Return a map, whose keys have to be different."""
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key is there twice: {sorted(keys)}"
        return super().construct_mapping(node, deep)


def parsed_objects(text: str) -> Objects:
    """Return the objects of several YAML documents, each of which has to have a name of its own."""
    documents = [one for one in yaml.load_all(text, _Loader) if one]
    objects = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    assert len(documents) == len(objects)
    return objects


def of_kind(objects: Objects, kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [one for (its_kind, _), one in objects.items() if its_kind == kind]


def only(objects: Objects, kind: str) -> Object:
    """Return the only object of a kind."""
    (one,) = of_kind(objects, kind)
    return one


def pod(objects: Objects, kind: str = "StatefulSet") -> Object:
    """Return the specification of the pods of the only object of a kind."""
    specification: Object = only(objects, kind)["spec"]["template"]["spec"]
    return specification


def container(objects: Objects, kind: str = "StatefulSet") -> Object:
    """Return the only container of these pods."""
    (one,) = pod(objects, kind)["containers"]
    return dict(one)


def egress_ports(policy: Object) -> list[int]:
    """Return the ports that a NetworkPolicy allows requests to, in its order."""
    rules = policy["spec"]["egress"]
    return list(dict.fromkeys(port["port"] for rule in rules for port in rule["ports"]))


def assert_valid(one: Object, version: str) -> None:
    """Check an object against the schemas of a version of Kubernetes, without unknown keys.

    Objects of the Prometheus Operator have no schema there.
    """
    if not one["apiVersion"].startswith(OPERATOR):
        kubernetes_validate.validate(one, version, strict=True)
