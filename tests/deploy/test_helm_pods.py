"""The pods of the Helm chart: command line, configuration, security, network and history."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest

from exporter import __version__
from exporter.config import Config, loads
from exporter.simulator import Simulator, demo_world
from tests.deploy.charts import (
    NAME,
    Object,
    Objects,
    container,
    egress_ports,
    of_file,
    of_kind,
    only,
    pod,
    rendered,
    with_values,
)
from tests.deploy.kit import parsed, require_root
from tests.deploy.random_user import RANDOM_USER, as_random_user
from tests.support.programs import find_program, running

CONFIG_FILE: Final = "/etc/sentry-stats-exporter/config.yaml"
RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def configuration(objects: Objects) -> Config:
    """Return the exporter's configuration, which has to be valid."""
    return loads(objects["ConfigMap", NAME]["data"]["config.yaml"])


def environment(one: Object) -> Mapping[str, str]:
    """Return the variables of a container."""
    return {variable["name"]: variable["value"] for variable in one.get("env", ())}


def policy(objects: Objects, name: str = NAME) -> Object:
    """Return a NetworkPolicy by its name."""
    return objects["NetworkPolicy", name]


class TestContainer:
    """What the container is started with."""

    @pytest.mark.parametrize("stem", ["minimal", "operator", "sharded", "openshift", "backfill"])
    def test_command(self, stem: str) -> None:
        """The exporter accepts the command line, and its state is on the volume."""
        one = container(of_file(stem))
        mounts = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
        flags = parsed([*one["args"], f"--config.file={CONFIG_FILE}"])

        assert mounts["state"] == str(flags["state_path"].parent)
        assert mounts["config"] == str(Path(CONFIG_FILE).parent)

    def test_more_arguments(self) -> None:
        """Arguments of one's own come after ours."""
        assert (
            "json"
            == parsed([*container(of_file("sharded"))["args"], "--config.file=x"])["log_format"]
        )

    def test_image(self) -> None:
        """The image has the version of the exporter, or what is given: a tag, or a digest."""
        tagged = rendered(with_values(image={"repository": "example.com/a", "tag": "main"}))

        assert f"{NAME}:{__version__}" == container(of_file("minimal"))["image"]
        assert "example.com/a:main" == container(tagged)["image"]
        assert container(of_file("sharded"))["image"].startswith(
            "registry.example.com/sentry-stats-exporter@sha256:9f86d08"
        )

    def test_mounts(self) -> None:
        """Every mount is a volume of the pod or a claim, and every volume is mounted."""
        for stem in ("minimal", "sharded", "openshift"):
            objects = of_file(stem)
            claims = only(objects, "StatefulSet")["spec"].get("volumeClaimTemplates", ())
            volumes = {one["name"] for one in pod(objects)["volumes"]}
            mounted = [one["name"] for one in container(objects)["volumeMounts"]]

            assert sorted(volumes | {one["metadata"]["name"] for one in claims}) == sorted(mounted)

    def test_persistence(self) -> None:
        """The state file is on a volume, of the given class and size, or in the pod."""
        (claim,) = only(of_file("sharded"), "StatefulSet")["spec"]["volumeClaimTemplates"]
        volumes = {one["name"]: one for one in pod(of_file("openshift"))["volumes"]}

        assert "fast" == claim["spec"]["storageClassName"]
        assert {"storage": "5Gi"} == claim["spec"]["resources"]["requests"]
        assert {"backup.example.com/schedule": "daily"} == claim["metadata"]["annotations"]
        assert {"sizeLimit": "1Gi"} == volumes["state"]["emptyDir"]
        assert "volumeClaimTemplates" not in only(of_file("openshift"), "StatefulSet")["spec"]

    def test_existing_secret(self) -> None:
        """The token is a file from the Secret that the user has created; the chart creates none."""
        objects = rendered(with_values(existingSecret="ours"))
        volumes = {one["name"]: one for one in pod(objects)["volumes"]}
        token = next(iter(configuration(objects).organizations)).token_file

        assert "ours" == volumes["token"]["secret"]["secretName"]
        assert "/run/secrets/sentry/token" == str(token)
        assert [] == of_kind(objects, "Secret")

    def test_a_new_configuration_restarts_the_exporter(self) -> None:
        """The template of the pods changes with the configuration, and only with it."""
        first, second, third = (
            only(rendered(values), "StatefulSet")["spec"]["template"]
            for values in (
                with_values(),
                with_values(config={"organizations": [{"slug": "globex"}]}),
                with_values(serviceMonitor={"enabled": True}),
            )
        )

        assert first == third
        assert first != second

    def test_labels_of_the_pods_cannot_be_replaced(self) -> None:
        """A label of one's own does not take pods out of their selector."""
        objects = rendered(
            with_values(podLabels={"app.kubernetes.io/name": "other", "team": "observability"})
        )
        stateful_set = only(objects, "StatefulSet")["spec"]
        labels = stateful_set["template"]["metadata"]["labels"]

        assert stateful_set["selector"]["matchLabels"].items() <= labels.items()
        assert "observability" == labels["team"]

    def test_scheduling(self) -> None:
        """What is given for scheduling arrives in the pods."""
        specification = pod(of_file("sharded"))

        assert "monitoring" == specification["priorityClassName"]
        assert {"kubernetes.io/os": "linux"} == specification["nodeSelector"]
        assert ["dedicated"] == [one["key"] for one in specification["tolerations"]]
        assert ["podAntiAffinity"] == list(specification["affinity"])
        assert [1] == [one["maxSkew"] for one in specification["topologySpreadConstraints"]]
        assert [{"name": "registry"}] == specification["imagePullSecrets"]


class TestConfiguration:
    """The configuration of the exporter, as values."""

    @pytest.mark.parametrize("stem", ["minimal", "operator", "sharded", "openshift", "backfill"])
    def test_is_valid(self, stem: str) -> None:
        """The exporter accepts what the chart writes."""
        assert configuration(of_file(stem)).organizations

    def test_numbers_arrive_unchanged(self) -> None:
        """Helm's numbers, dates and ids mean the same to the exporter."""
        (acme,) = configuration(of_file("operator")).organizations
        prices = {str(tier.each.each) for quota in acme.quotas for tier in quota.price or ()}
        *_, numbered = configuration(of_file("sharded")).organizations

        assert {"0.0002188", "0.0000016"} == prices
        assert ["errors", "spans", "payments"] == [quota.name for quota in acme.quotas]
        assert "4505123456789012" == numbered.slug

    def test_shards(self) -> None:
        """There are as many exporters as shards, and each takes its number from its pod."""
        objects = of_file("sharded")
        variables = environment(container(objects))

        assert 3 == only(objects, "StatefulSet")["spec"]["replicas"]
        assert "auto" == variables["SENTRY_STATS_EXPORTER_SHARD"]
        assert "3" == variables["SENTRY_STATS_EXPORTER_TOTAL_SHARDS"]

    def test_one_exporter_is_no_shard(self) -> None:
        """A single exporter polls everything."""
        objects = of_file("minimal")

        assert 1 == only(objects, "StatefulSet")["spec"]["replicas"]
        assert "env" not in container(objects)

    def test_more_variables(self) -> None:
        """Variables of one's own can come from a Secret."""
        proxy = {"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}

        assert [proxy] == container(rendered(with_values(extraEnv=[proxy])))["env"]

    def test_probes(self) -> None:
        """Probes request the exporter's paths; single keys can be changed."""
        one = container(rendered(with_values(livenessProbe={"timeoutSeconds": 9})))

        assert {"httpGet": {"path": "/-/healthy", "port": "http"}, "timeoutSeconds": 9} == one[
            "livenessProbe"
        ]
        assert {"path": "/-/ready", "port": "http"} == one["readinessProbe"]["httpGet"]


class TestNetworkPolicy:
    """Who may reach the exporter, and what it may reach."""

    def test_own_ports(self) -> None:
        """The ports of Sentry are those of the configured addresses."""
        urls = (
            "https://sentry.example.com:9443",
            "http://a.example.com",
            "https://b.example.com/x",
        )
        organizations = [{"slug": f"o{number}", "url": url} for number, url in enumerate(urls)]
        objects = rendered({"config": {"organizations": [*organizations, {"slug": "acme"}]}})

        assert [53, 80, 443, 9443] == sorted(egress_ports(policy(objects)))

    def test_default_of_organizations(self) -> None:
        """Organizations without an address use that of the defaults."""
        values = {
            "config": {
                "defaults": {"url": "https://sentry.example.com:8443"},
                "organizations": [{"slug": "acme"}],
            }
        }

        assert [53, 8443] == egress_ports(policy(rendered(values)))

    @pytest.mark.parametrize(
        ("proxy", "ports"),
        [
            ({"url": "http://proxy:3128"}, [53, 3128]),
            ({"url": "http://proxy"}, [53, 80]),
            ({"url": "https://proxy/"}, [53, 443]),
            ({"url": "http://proxy:3128", "noProxy": "sentry.example.com"}, [53, 3128, 443]),
        ],
        ids=str,
    )
    def test_proxy(self, proxy: dict[str, str], ports: list[int]) -> None:
        """With a proxy only its port is open, unless some hosts are reached without it."""
        objects = rendered(with_values(proxy=proxy))
        variables = environment(container(objects))

        assert ports == egress_ports(policy(objects))
        assert {proxy["url"]} == {variables["HTTPS_PROXY"], variables["HTTP_PROXY"]}
        assert proxy.get("noProxy") == variables.get("NO_PROXY")

    def test_peers(self) -> None:
        """Sentry's addresses, who may scrape, and more rules can be given."""
        sharded = policy(of_file("sharded"))["spec"]
        (ingress,) = policy(of_file("openshift"))["spec"]["ingress"]
        everyone = policy(rendered(with_values(networkPolicy={"from": []})))["spec"]["ingress"]

        assert [{"ipBlock": {"cidr": "192.0.2.0/24"}}] == sharded["egress"][1]["to"]
        assert {"ports": [{"port": 8125, "protocol": "UDP"}]} == sharded["egress"][2]
        assert {"network.openshift.io/policy-group": "monitoring"} == (
            ingress["from"][0]["namespaceSelector"]["matchLabels"]
        )
        assert [{"ports": [{"port": "http"}]}] == everyone

    def test_can_be_left_out(self) -> None:
        """Without a NetworkPolicy there is none, of the backfill neither."""
        objects = rendered(
            with_values(
                networkPolicy={"enabled": False},
                podDisruptionBudget={"enabled": False},
                backfill={"enabled": True},
            )
        )

        assert [] == of_kind(objects, "NetworkPolicy") + of_kind(objects, "PodDisruptionBudget")


class TestSecurity:
    """The restricted standard, and users that OpenShift chooses."""

    @pytest.mark.parametrize("stem", ["minimal", "operator", "sharded", "openshift", "backfill"])
    def test_restricted(self, stem: str) -> None:
        """All pods follow the restricted security standard, and see no token of Kubernetes."""
        objects = of_file(stem)
        for kind in {"StatefulSet", "Job"} & {kind for kind, _ in objects}:
            specification = pod(objects, kind)

            assert specification["securityContext"]["runAsNonRoot"]
            assert {"type": "RuntimeDefault"} == specification["securityContext"]["seccompProfile"]
            assert RESTRICTED == container(objects, kind)["securityContext"]
            assert not specification["automountServiceAccountToken"]
            assert not specification["enableServiceLinks"]

    def test_openshift(self) -> None:
        """On OpenShift, the cluster chooses user and groups, and DNS is at port 5353."""
        objects = of_file("openshift")
        history = rendered(with_values(openshift=True, backfill={"enabled": True}))

        for specification in (pod(objects), pod(history, "Job")):
            assert not {"fsGroup", "runAsGroup", "runAsUser"} & set(
                specification["securityContext"]
            )
        for one in (policy(objects), policy(history, f"{NAME}-backfill")):
            assert {53, 5353} <= set(egress_ports(one))

    @pytest.mark.slow
    def test_runs_as_a_random_user(self, tmp_path: Path) -> None:
        """The exporter runs as a user without a name, on a read-only file system."""
        require_root()
        unshare, setpriv = (find_program(name, "util-linux") for name in ("unshare", "setpriv"))
        with Simulator(demo_world(time.time(), projects=2)) as sentry:
            values = with_values(openshift=True, persistence={"enabled": False})
            values["config"]["defaults"] = {"url": sentry.url}
            script = as_random_user(rendered(values), tmp_path, setpriv)
            with running([unshare, "--mount", "sh", "-ec", script], tmp_path / "log") as program:
                address = program.wait_for(r"address=(\S+)")
                program.wait_ready(f"http://{address}/-/ready")
                program.wait_for("state opened")
                status = Path(f"/proc/{program.process.pid}/status").read_text("utf-8")

        assert f"Uid:\t{RANDOM_USER}\t" in status


class TestBackfill:
    """The Job that writes history."""

    def flags(self, objects: Objects) -> dict[str, Any]:
        """Return the parameters of the Job's command line."""
        return parsed([*container(objects, "Job")["args"], f"--config.file={CONFIG_FILE}"])

    def test_is_as_the_exporter(self) -> None:
        """It has the exporter's image, volumes and pull secrets."""
        objects = of_file("sharded")
        exporter, job = pod(objects), pod(objects, "Job")
        shared = {"config", "token", "temporary", "private-ca"}

        assert container(objects)["image"] == container(objects, "Job")["image"]
        assert exporter["imagePullSecrets"] == job["imagePullSecrets"]
        assert [one for one in exporter["volumes"] if one["name"] in shared] == [
            one for one in job["volumes"] if one["name"] in shared
        ]

    def test_given(self) -> None:
        """Range, resolution and queries are those that are given; dates arrive as dates."""
        flags = self.flags(of_file("sharded"))

        assert ("30d", "2026-11-01", "1d") == (flags["start"], flags["end"], flags["resolution"])
        assert ("outcomes",) == flags["queries"]
        assert (
            "fast" == only(of_file("sharded"), "PersistentVolumeClaim")["spec"]["storageClassName"]
        )

    def test_labels_of_a_service_monitor(self) -> None:
        """History has the labels that Prometheus adds through the ServiceMonitor."""
        assert {
            "job": NAME,
            "instance": f"{NAME}-0",
            "pod": f"{NAME}-0",
            "namespace": "sentry-stats",
            "service": NAME,
            "container": "exporter",
            "endpoint": "http",
        } == self.flags(of_file("backfill"))["labels"]

    def test_labels_of_a_pod_monitor(self) -> None:
        """With a PodMonitor there is no Service; other labels can be given."""
        assert {
            "job": NAME,
            "instance": f"{NAME}-1",
            "pod": f"{NAME}-1",
            "namespace": "sentry-stats",
            "container": "exporter",
            "endpoint": "http",
            "cluster": "east",
        } == self.flags(of_file("sharded"))["labels"]

    @pytest.mark.parametrize(
        ("values", "job"),
        [
            ({}, "a-sentry-stats-exporter"),
            ({"serviceMonitor": {"enabled": True}}, NAME),
            ({"serviceMonitor": {"enabled": True, "jobLabel": ""}}, "a-sentry-stats-exporter"),
            (
                {"serviceMonitor": {"enabled": True, "jobLabel": "app.kubernetes.io/instance"}},
                "a",
            ),
            (
                {"podMonitor": {"enabled": True, "jobLabel": "team"}, "podLabels": {"team": "us"}},
                "us",
            ),
            ({"podMonitor": {"enabled": True, "jobLabel": ""}}, "b/a-sentry-stats-exporter"),
        ],
        ids=str,
    )
    def test_job(self, values: dict[str, Any], job: str) -> None:
        """The label job is what jobLabel of the monitor makes it."""
        objects = rendered(with_values(**values, backfill={"enabled": True}), "a", "b")

        assert job == self.flags(objects)["labels"]["job"]

    def test_a_label_can_be_left_out(self) -> None:
        """Null takes out a label, for a monitor that drops it."""
        values = with_values(
            serviceMonitor={"enabled": True}, backfill={"enabled": True, "labels": {"pod": None}}
        )

        assert "pod" not in self.flags(rendered(values))["labels"]

    def test_join(self) -> None:
        """History is joined to the Service, of shards to one pod, or to the address given."""
        given = with_values(backfill={"enabled": True, "join": "https://a:b@stats:10790"})

        assert f"http://{NAME}:10790" == self.flags(of_file("backfill"))["join"]
        assert f"http://{NAME}-1.{NAME}:10790" == self.flags(of_file("sharded"))["join"]
        assert "https://a:b@stats:10790" == self.flags(rendered(given))["join"]

    def test_the_exporter_is_not_reached_through_the_proxy(self) -> None:
        """The exporter that history is joined to is never behind the proxy."""
        values = with_values(backfill={"enabled": True}, proxy={"url": "http://proxy:3128"})
        variables = environment(container(of_file("sharded"), "Job"))

        assert f"sentry.globex.example.com,{NAME}-1.{NAME}" == variables["NO_PROXY"]
        assert NAME == environment(container(rendered(values), "Job"))["NO_PROXY"]

    def test_network(self) -> None:
        """It may reach Sentry or the proxy, and the exporter, which lets it in."""
        objects = of_file("sharded")
        out = policy(objects, f"{NAME}-backfill")
        into = policy(objects, f"{NAME}-from-backfill")["spec"]
        job = only(objects, "Job")["spec"]["template"]["metadata"]["labels"]

        assert {53, 3128, 9000, 9443, 8125, 10790} == set(egress_ports(out))
        assert job == into["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
        assert policy(objects)["spec"]["podSelector"] == into["podSelector"]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"shards": 2, "backfill": {"enabled": True}}, "backfill.queries is empty"),
            (
                {"shards": 2, "backfill": {"enabled": True, "shard": 2, "queries": ["a"]}},
                "it must be from 0 to 1",
            ),
        ],
        ids=["queries", "shard"],
    )
    def test_of_shards(self, values: dict[str, Any], message: str) -> None:
        """History of shards needs the queries of the shard, which has to exist."""
        with pytest.raises(helm_python.HelmRenderError, match=message):
            rendered(with_values(**values))
