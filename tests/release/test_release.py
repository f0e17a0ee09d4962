"""What a release consists of: wheel, sdist, SBOM and sums."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

from exporter import __version__
from exporter.simulator import DEMO_TOKENS, Simulator, demo_world
from tests.support.configuration import OUTCOMES, document, organization
from tests.support.programs import running
from tools.release import built, sbom, sums

pytestmark = pytest.mark.slow

WHEEL: Final = f"sentry_stats_exporter-{__version__}-py3-none-any.whl"
SDIST: Final = f"sentry_stats_exporter-{__version__}.tar.gz"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return wheel and sdist of the last commit."""
    return built(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def python(files: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that has the wheel, and this one's other packages behind it."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / WHEEL).write_bytes(files[WHEEL])
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    offline = ("install", "--quiet", "--no-deps", "--no-index", folder / WHEEL)
    subprocess.run([python, "-m", "pip", *offline], check=True)  # noqa: S603
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "environment" / "lib" / version / "site-packages"
    # The packages only: the lines of their own .pth files would lead to the sources.
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return python


def ran(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command with ``arguments``, away from the sources."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(  # noqa: S603
        [python.parent / "sentry-stats-exporter", *arguments],
        cwd=python.parent,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_builds_are_the_same(files: Mapping[str, bytes], tmp_path: Path) -> None:
    """Wheel and sdist depend on nothing but the commit."""
    assert [WHEEL, SDIST] == sorted(files, key=len, reverse=True)
    assert files == built(tmp_path)


def test_the_sums_are_those_of_sha256sum(files: Mapping[str, bytes], tmp_path: Path) -> None:
    """The program that users have accepts them."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "SHA256SUMS").write_text(sums(tmp_path), "ascii")
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],  # noqa: S607
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert 0 == checked.returncode
    assert len(files) == checked.stdout.count(b": OK\n")


def test_the_sbom_has_what_is_installed(tmp_path: Path) -> None:
    """It names the project, and each package of the environment with its version."""
    venv.create(tmp_path / "environment")
    (packages,) = (tmp_path / "environment" / "lib").glob("*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).glob("click*"):
        shutil.copytree(path, packages / path.name)
    listed = json.loads(sbom(tmp_path / "environment" / "bin" / "python"))
    components = [(one["name"], one["version"]) for one in listed["components"]]

    assert [("click", metadata.version("click"))] == components
    assert "sentry-stats-exporter" == listed["metadata"]["component"]["name"]


def test_the_wheel_checks_a_configuration(python: Path, tmp_path: Path) -> None:
    """The installed command works where the sources are not."""
    with Simulator(demo_world(1_772_700_000.0, projects=2)) as sentry:
        path = tmp_path / "config.yaml"
        text = document(sentry.url, organization(OUTCOMES, token=DEMO_TOKENS["acme"]))
        path.write_text(text, "utf-8")
        version, checked, polled = (
            ran(python, "--version"),
            ran(python, "check", "--config.file", str(path)),
            ran(python, "once", "--config.file", str(path)),
        )

    assert f"sentry-stats-exporter, version {__version__}\n" == version.stdout
    assert 0 == checked.returncode, checked.stderr
    assert 0 == polled.returncode, polled.stderr
    assert "sentry_stats_bucket_events{" in polled.stdout


def test_the_wheel_has_a_demo(python: Path, tmp_path: Path) -> None:
    """The pages, with their templates, are part of the wheel."""
    command = [
        python.parent / "sentry-stats-exporter",
        "demo",
        "--web.listen-address",
        "127.0.0.1:0",
    ]
    with running([*map(str, command)], tmp_path / "demo.log") as program:
        address = program.wait_for(r"http://(\S+)/metrics")
        program.wait_ready(f"http://{address}/-/ready")
        program.wait_ready(f"http://{address}/")


def test_the_wheel_is_what_runs(python: Path) -> None:
    """The tests above would otherwise run the sources."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    code = "import exporter; print(exporter.__file__)"
    printed = subprocess.check_output(  # noqa: S603
        [python, "-c", code], cwd=python.parent, env=variables, text=True
    )

    assert printed.startswith(str(python.parents[1]))
