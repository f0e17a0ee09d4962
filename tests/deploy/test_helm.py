"""All of the Helm chart: lint, schemas, package, releases side by side, and upgrades."""

import base64
import gzip
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from exporter import __version__
from tests.deploy.charts import (
    CHART,
    NAME,
    NAMESPACE,
    ONE_ORGANIZATION,
    OPERATOR,
    VALUES_FILES,
    Object,
    Objects,
    assert_valid,
    given_values,
    installation,
    of_file,
    of_kind,
    parsed_objects,
    rendered,
    with_values,
)
from tests.deploy.kit import read_yaml
from tools.helm_chart import COPIED, MESSAGES, values, with_tables, written

STEMS: Final = [path.stem.removesuffix("-values") for path in VALUES_FILES]
KUBERNETES: Final = ("1.31", "1.37")
MAX_NAME: Final = "r" * 53
"""The longest name that a release can have."""
EVERYTHING: Final = {
    *("ConfigMap", "Job", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget"),
    *("Service", "StatefulSet"),
    *("AlertmanagerConfig", "PodMonitor", "PrometheusRule", "ServiceMonitor"),
}
WARNING: Final = 2
"""The severity from which on `helm lint` calls a chart's finding a warning."""


def selected(selector: Object, objects: Objects) -> set[str]:
    """Return the names of the objects whose pods have all labels of a selector."""
    return {
        name
        for (kind, name), one in objects.items()
        if kind in {"StatefulSet", "Job"}
        and selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    }


def selectors(objects: Objects) -> Iterator[Object]:
    """Yield the selectors of pods, and of the Service, of objects that have one."""
    for (kind, _), one in objects.items():
        specification = one.get("spec", {})
        if kind == "Service":
            yield specification["selector"]
        for key in ("selector", "podSelector"):
            if "matchLabels" in specification.get(key, {}):
                yield specification[key]["matchLabels"]


class TestValues:
    """Values files, their schema and their documentation."""

    @pytest.mark.parametrize("file", VALUES_FILES, ids=STEMS)
    def test_lint(self, file: Path) -> None:
        """Helm finds nothing to warn of, with each values file."""
        report = helm_python.lint(CHART, given_values(file), strict=True, kube_version="v1.31.0")

        assert [] == report["errors"]
        assert [] == [one for one in report["messages"] if one["severity"] >= WARNING]

    def test_files_cover_everything(self) -> None:
        """Together, the values files make every kind of object that the chart has."""
        templates = "".join(path.read_text("utf-8") for path in CHART.glob("templates/*.yaml"))

        assert 5 == len(STEMS)
        assert EVERYTHING == {kind for stem in STEMS for kind, _ in of_file(stem)}
        assert EVERYTHING == set(re.findall(r"(?m)^kind: (\w+)$", templates))

    def test_an_organization_is_needed(self) -> None:
        """Without an organization there is nothing to do, and the error says where it belongs."""
        with (
            helm_python.Chart.load(CHART) as chart,
            pytest.raises(
                helm_python.HelmValuesError, match=r"/config/organizations.*\n?.*minItems"
            ),
        ):
            chart.validate_schema({})

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"shard": 3}, "shard"),
            ({"shards": 0}, "/shards"),
            ({"image": {"digest": "latest"}}, "/image/digest"),
            ({"config": {"organizations": [{"slug": "acme", "querys": []}]}}, "querys"),
            ({"serviceMonitor": {"interval": "5m"}}, "/serviceMonitor/interval"),
            ({"prometheusRule": {"thresholds": [{"name": "slow", "value": 1}]}}, "thresholds/0"),
            (
                {"prometheusRule": {"thresholds": [{"name": "warning_ratio", "value": 0.1}]}},
                "missing property 'labels'",
            ),
            ({"extraArgs": ["log.format=json"]}, "/extraArgs/0"),
            ({"podLabels": {"cost": 7}}, "/podLabels/cost"),
            ({"alertmanagerConfig": {"default": {"slack": {"secret": "alerts"}}}}, "channel"),
        ],
        ids=lambda one: one if isinstance(one, str) else "",
    )
    def test_wrong_values(self, wrong: dict[str, Any], named: str) -> None:
        """Values that cannot work are refused, with the place of what is wrong."""
        with (
            helm_python.Chart.load(CHART) as chart,
            pytest.raises(helm_python.HelmValuesError, match=named),
        ):
            chart.validate_schema(with_values(**wrong) if "config" not in wrong else wrong)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (
                {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
                "both enabled",
            ),
            ({"proxy": {"url": "http://user:hidden@proxy:3128"}}, "without user and password"),
            ({"proxy": {"url": "user:hidden@proxy"}}, r"proxy\.url must be like http://HOST:PORT"),
            ({"proxy": {"url": "socks5://proxy:1080"}}, "HOST:PORT, without"),
            (
                {"config": {"organizations": [{"slug": "acme", "token": "hidden"}]}},
                "existingSecret",
            ),
            (
                {
                    "config": {
                        "defaults": {"token_file": None, "token": "hidden"},
                        "organizations": [{"slug": "acme"}],
                    }
                },
                "existingSecret",
            ),
            (
                {"config": {"organizations": [{"slug": "acme", "token_file": "hidden"}]}},
                "leave token_file out",
            ),
        ],
        ids=[
            *("monitors", "password", "no scheme", "scheme"),
            *("token", "default token", "relative token file"),
        ],
    )
    def test_errors_show_no_secret(self, wrong: dict[str, Any], message: str) -> None:
        """What cannot work is refused with a remedy, and without the password or token in it."""
        with pytest.raises(helm_python.HelmRenderError, match=message) as raised:
            rendered({**ONE_ORGANIZATION, **wrong})

        assert "hidden" not in str(raised.value)

    def test_every_interval_up_to_two_minutes(self) -> None:
        """Scrapes further apart than the time in which a new counter is shown at 0 are refused."""
        schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
        pattern = schema["$defs"]["interval"]["pattern"]
        seconds = {f"{number}s" for number in range(1, 200)}
        minutes = {f"{number // 60}m{number % 60}s" for number in range(60, 200) if number % 60}

        assert {f"{number}s" for number in range(1, 121)} == {
            one for one in seconds if re.search(pattern, one)
        }
        assert {f"1m{number}s" for number in range(1, 60)} == {
            one for one in minutes if re.search(pattern, one)
        }
        assert [True, True, False] == [bool(re.search(pattern, one)) for one in ("1m", "2m", "3m")]

    def test_every_value_is_explained(self) -> None:
        """Each value has a comment of its own, or is part of one that has."""
        text = (CHART / "values.yaml").read_text("utf-8")
        described = {one.place for one in values(text)}

        def unexplained(node: Any, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
            if place in described and not any(
                one[: len(place)] == place != one for one in described
            ):
                return
            if not isinstance(node, dict) or not node:
                yield place
                return
            for key, below in node.items():
                yield from unexplained(below, (*place, key))

        assert [] == list(unexplained(yaml.safe_load(text), ()))

    def test_schema_and_values_have_the_same_keys(self) -> None:
        """Each value is in the schema, and each key of the schema has a default."""
        schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
        defaults = read_yaml(CHART / "values.yaml")

        def keys(node: Any) -> Any:
            properties = node.get("properties", {})
            return {name: keys(one) for name, one in properties.items()} if properties else None

        def pruned(node: Any, shape: Any) -> Any:
            return {name: pruned(node[name], shape[name]) for name in shape} if shape else None

        del schema["properties"]["global"], schema["properties"]["config"], defaults["config"]
        shape = keys(schema)

        assert shape == pruned(defaults, shape)
        assert set(shape) == set(defaults)

    def test_removed_defaults(self) -> None:
        """A default of the configuration can be taken out with null, to use another key."""
        objects = rendered(
            with_values(
                config={
                    "defaults": {"token_file": None, "token_env": "TOKEN"},
                    "organizations": [{"slug": "acme"}],
                }
            )
        )
        (config,) = of_kind(objects, "ConfigMap")

        assert {"token_env": "TOKEN", "url": "https://sentry.io"} == (
            yaml.safe_load(config["data"]["config.yaml"])["defaults"]
        )


class TestFiles:
    """What the chart has from elsewhere, and its package."""

    def test_are_written(self) -> None:
        """The files of the chart are what ``python -m tools.helm_chart`` writes."""
        for path, text in written().items():
            assert text == path.read_text("utf-8"), path

    def test_there_are_no_others(self) -> None:
        """There are no copies of what was removed."""
        folders = {CHART / folder for folder in (*COPIED, MESSAGES)}

        assert {path for path in CHART.glob("files/*/*") if path.parent in folders} == {
            path for path in written() if path.parent in folders
        }
        assert folders == set(CHART.glob("files/*"))

    def test_readme_needs_its_markers(self) -> None:
        """A README without the markers of a table is refused."""
        with pytest.raises(ValueError, match="markers of values"):
            with_tables("# Chart\n")

    def test_version(self) -> None:
        """Chart and exporter have the same version."""
        metadata = read_yaml(CHART / "Chart.yaml")

        assert [__version__] * 2 == [metadata["version"], metadata["appVersion"]]

    def test_package(self, tmp_path: Path) -> None:
        """A package has all that the chart needs, and nothing of its tests."""
        archive = helm_python.package(CHART, destination=tmp_path)
        with tarfile.open(archive) as opened:
            names = {name.partition("/")[2] for name in opened.getnames()}
        values = given_values(CHART / "ci" / "operator-values.yaml")

        assert {str(path.relative_to(CHART)) for path in written()} <= names
        assert not [name for name in names if name.startswith("ci")]
        assert of_file("operator") == rendered(values, chart=Path(archive))

    def test_release_fits_into_its_secret(self) -> None:
        """Helm writes chart and objects of a release into a Secret, which can have 1 MiB."""
        values = given_values(CHART / "ci" / "operator-values.yaml")
        with helm_python.Chart.load(CHART) as chart:
            chart_files = [*chart.files, *chart.templates]
            manifest = "".join(chart.render(values, name="release", namespace="a").values())
        # Helm writes each file of the chart as base64, compresses all of it, and writes that as
        # base64 again.
        encoded = [base64.b64encode(one["data"].encode()).decode() for one in chart_files]
        release = gzip.compress(json.dumps([encoded, manifest]).encode(), 9)

        assert len(base64.b64encode(release)) < 2**20 // 2


class TestObjects:
    """All objects, valid and apart from those of other releases."""

    @pytest.mark.parametrize("stem", STEMS)
    def test_schemas(self, stem: str) -> None:
        """Every object of Kubernetes is valid, without unknown keys."""
        for one in of_file(stem).values():
            for version in KUBERNETES:
                assert_valid(one, version)

    @pytest.mark.slow
    def test_schemas_of_the_operator(self) -> None:
        """Every object of the Prometheus Operator is valid, without unknown keys."""
        # The import takes seconds.
        from cloudcoil.models.prometheus_operator import v1, v1alpha1  # noqa: PLC0415

        checked = set()
        for one in (each for stem in STEMS for each in of_file(stem).values()):
            if one["apiVersion"].startswith(OPERATOR):
                module = v1alpha1 if one["apiVersion"].endswith("alpha1") else v1
                model = getattr(module, one["kind"]).model_validate(one)
                checked.add(one["kind"])

                assert one == model.model_dump(by_alias=True, exclude_unset=True, mode="json")
        assert {"AlertmanagerConfig", "PodMonitor", "PrometheusRule", "ServiceMonitor"} == checked

    @pytest.mark.parametrize("stem", STEMS)
    def test_namespace_and_labels(self, stem: str) -> None:
        """Every object is in the release's namespace, and has the recommended labels."""
        recommended = {"name", "instance", "version", "managed-by"}
        for one in of_file(stem).values():
            assert NAMESPACE == one["metadata"]["namespace"]
            assert {f"app.kubernetes.io/{each}" for each in recommended} <= set(
                one["metadata"]["labels"]
            )

    @pytest.mark.parametrize("stem", ["operator", "sharded", "backfill"])
    def test_two_releases_in_one_namespace(self, stem: str) -> None:
        """Two releases have no object in common, and select only what is theirs."""
        values = given_values(CHART / "ci" / f"{stem}-values.yaml")
        first, second = (rendered(values, name) for name in ("europe", "america"))
        both = first | second

        assert len(first) + len(second) == len(both)
        for objects in (first, second):
            names = {name for _, name in objects}
            for selector in selectors(objects):
                assert selected(selector, both) <= names

    def test_every_selector_selects_something(self) -> None:
        """Selectors have the labels of the pods."""
        objects = of_file("sharded")

        names = [selected(one, objects) for one in selectors(objects)]

        assert 7 == len(names)
        assert all(names)

    def test_monitors_select_by_instance(self) -> None:
        """A ServiceMonitor selects only the Service of its own release."""
        first, second = (
            rendered(with_values(serviceMonitor={"enabled": True}), name) for name in "ab"
        )
        (monitor,), (theirs,), (others,) = (
            of_kind(first, "ServiceMonitor"),
            of_kind(first, "Service"),
            of_kind(second, "Service"),
        )
        selector = monitor["spec"]["selector"]["matchLabels"].items()

        assert selector <= theirs["metadata"]["labels"].items()
        assert not selector <= others["metadata"]["labels"].items()

    @pytest.mark.parametrize("stem", ["operator", "sharded"])
    def test_longest_name(self, stem: str) -> None:
        """With the longest name of a release, all names and labels are short enough."""
        objects = rendered(given_values(CHART / "ci" / f"{stem}-values.yaml"), MAX_NAME)
        # Pods of a StatefulSet have a label with its name and a hash of ten characters.
        limits = {"StatefulSet": 52, "Job": 63, "Service": 63}

        for (kind, name), one in objects.items():
            assert len(name) <= limits.get(kind, 253)
            assert all(len(str(value)) <= 63 for value in one["metadata"]["labels"].values())

    @pytest.mark.parametrize("stem", STEMS)
    def test_helm_would_install_them(self, stem: str) -> None:
        """Helm itself reads what the templates make, and would install all of it."""
        given = installation(given_values(CHART / "ci" / f"{stem}-values.yaml"))

        assert of_file(stem) == parsed_objects(given["manifest"])
        assert f"--namespace {NAMESPACE} {NAME}-0 10790" in given["notes"]
        assert ("no ServiceMonitor" in given["notes"]) == (stem == "minimal")
        assert ("persistence.enabled is false" in given["notes"]) == (stem == "openshift")

    def test_name(self) -> None:
        """A release is called as itself and the chart; with the chart's name, only as itself."""
        names = {
            release: of_kind(rendered(ONE_ORGANIZATION, release), "StatefulSet")[0]["metadata"]
            for release in ("sentry", "my-sentry-stats-exporter")
        }
        given = rendered(with_values(fullnameOverride="stats"), "sentry")

        assert "sentry-sentry-stats-exporter" == names["sentry"]["name"]
        assert "my-sentry-stats-exporter" == names["my-sentry-stats-exporter"]["name"]
        assert {"stats"} == {name for _, name in given}


class TestUpgrade:
    """What an upgrade must not change."""

    def test_nothing_immutable_changes(self, tmp_path: Path) -> None:
        """The next version changes nothing that Kubernetes refuses to change."""
        values = given_values(CHART / "ci" / "backfill-values.yaml")
        archive = helm_python.package(
            CHART, destination=tmp_path, version="9.9.9", app_version="9.9.9"
        )
        before, after = rendered(values), rendered(values, chart=Path(archive))
        immutable = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
        (old,), (new,) = of_kind(before, "StatefulSet"), of_kind(after, "StatefulSet")

        assert [old["spec"][key] for key in immutable] == [new["spec"][key] for key in immutable]
        assert old["spec"]["template"] != new["spec"]["template"]

    def test_a_changed_job_is_another_job(self) -> None:
        """A Job cannot be changed, so other settings make one of another name."""
        values = with_values(backfill={"enabled": True})
        other = with_values(backfill={"enabled": True, "start": "30d"})
        (first,), (again,), (second,) = (
            of_kind(rendered(one), "Job") for one in (values, values, other)
        )

        assert first == again
        assert first["metadata"]["name"] != second["metadata"]["name"]
