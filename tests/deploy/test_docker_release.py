"""The script that builds the image of a release, with programs that only note their arguments."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.kit import DEPLOY
from tests.support.programs import REPOSITORY

SCRIPT: Final = DEPLOY / "docker" / "release.sh"
BASE: Final = "sha256:" + "b" * 64
IMAGE: Final = "sha256:" + "1" * 64

_PROGRAM: Final = """#!/bin/sh
echo "{name} $*" >> "$COMMANDS"
[ "$2" = imagetools ] && echo {base}
while [ $# -gt 0 ]; do
  [ "$1" = --metadata-file ] && echo '{metadata}' > "$2"
  shift
done
exit 0
"""


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Put a docker and a cosign into ``tmp_path``; return the file that gets their commands."""
    metadata = json.dumps({"containerimage.digest": IMAGE})
    for name in ("docker", "cosign"):
        program = tmp_path / name
        program.write_text(_PROGRAM.format(name=name, base=BASE, metadata=metadata), "utf-8")
        program.chmod(0o755)
    return tmp_path / "commands"


def released(commands: Path, *arguments: str) -> Sequence[str]:
    """Run the script; return the commands that it runs."""
    path = f"{commands.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COMMANDS": str(commands)}
    subprocess.run([SCRIPT, *arguments], env=environment, cwd="/", check=True)  # noqa: S603
    return commands.read_text("utf-8").splitlines()


def test_the_base_is_named_by_its_digest(commands: Path) -> None:
    """The digest is the one of the moment, and a label of the image has it."""
    inspected, build = released(commands, "registry.example.com/exporter", "1.2.3")

    assert inspected.startswith("docker buildx imagetools inspect python:3.13-slim-trixie ")
    assert f"--build-arg BASE=python:3.13-slim-trixie@{BASE} " in build
    assert f"--label org.opencontainers.image.base.digest={BASE} " in build


def test_the_image_is_for_two_platforms_with_sbom_and_provenance(commands: Path) -> None:
    """What is built is the commit, for amd64 and arm64."""
    revision = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, text=True)  # noqa: S607
    *_, build = released(commands, "registry.example.com/exporter", "1.2.3")

    assert " --platform linux/amd64,linux/arm64 " in build
    assert " --sbom=true --provenance=mode=max " in build
    assert f"image.revision={revision.strip()} " in build
    assert build.endswith(" --tag registry.example.com/exporter:1.2.3 .")


def test_what_is_pushed_is_signed(commands: Path) -> None:
    """The signature is that of the digest, not of a tag that can move."""
    *_, build, signed = released(commands, "registry.example.com/exporter", "1.2.3", "--push")

    assert build.endswith(" --push .")
    assert f"cosign sign --yes registry.example.com/exporter@{IMAGE}" == signed
