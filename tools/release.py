"""Builds what a release consists of, from the last commit.

``python -m tools.release dist`` writes the wheel, the sdist, the SBOM of what the lock installs,
and SHA256SUMS. Wheel and sdist are built twice; it ends with 1 if the bytes differ.
"""

import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Final

import click

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "sentry-stats-exporter"
LOCK: Final = "requirements/runtime.txt"
SBOM: Final = f"{NAME}.cdx.json"
SUMS: Final = "SHA256SUMS"


def built(folder: Path, repository: Path = ROOT) -> Mapping[str, bytes]:
    """Return wheel and sdist of the last commit, by file name, built below ``folder``."""
    source, output = folder / "source", folder / "output"
    archive = _run("git", "archive", "--format=tar", "HEAD", folder=repository)
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(source, filter="data")
    date = _run("git", "log", "-1", "--format=%ct", folder=repository).decode().strip()
    build = (sys.executable, "-m", "hatchling", "build", "--directory", str(output))
    _run(*build, folder=source, variables={"SOURCE_DATE_EPOCH": date})
    return {path.name: path.read_bytes() for path in sorted(output.iterdir())}


def installed(wheel: Path, lock: Path, folder: Path) -> Path:
    """Return the interpreter of a virtual environment with the wheel and what ``lock`` names."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--require-hashes", "--requirement", str(lock))
    # By name, because pip would record the path of a file, which differs from build to build.
    version = wheel.name.split("-")[1]
    _run(*pip, "--no-deps", "--no-index", f"--find-links={wheel.parent}", f"{NAME}=={version}")
    _run(str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools")
    return python


def sbom(python: Path, repository: Path = ROOT) -> bytes:
    """Return the packages of an environment, as CycloneDX in JSON."""
    options = ("--output-reproducible", "--output-format", "JSON", "--pyproject")
    command = (sys.executable, "-m", "cyclonedx_py", "environment", *options)
    return _run(*command, str(repository / "pyproject.toml"), str(python))


def sums(folder: Path) -> str:
    """Return the lines of SHA256SUMS for the files of ``folder``."""
    files = [path for path in sorted(folder.iterdir()) if path.name != SUMS]
    return "".join(f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def _run(*command: str, folder: Path = ROOT, variables: Mapping[str, str] | None = None) -> bytes:
    """Return what a command prints; raises CalledProcessError."""
    environment = {**os.environ, **(variables or {})}
    return subprocess.run(  # noqa: S603 - git, pip, hatchling and cyclonedx_py
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True
    ).stdout


def main(target: Path) -> int:
    """Write the release into ``target``; return the exit status."""
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        files = built(Path(first))
        if files != built(Path(second)):
            click.echo("two builds of the same commit differ", err=True)
            return 1
        for name, content in files.items():
            (target / name).write_bytes(content)
        (wheel,) = (target / name for name in files if name.endswith(".whl"))
        python = installed(wheel, ROOT / LOCK, Path(second) / "environment")
        (target / SBOM).write_bytes(sbom(python))
    copy(ROOT / "docs" / "metrics.json", target)
    (target / SUMS).write_text(sums(target), "ascii")
    click.echo((target / SUMS).read_text("ascii"), nl=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
