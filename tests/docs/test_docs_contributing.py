"""CONTRIBUTING, SECURITY and the forms, compared with the tree."""

import re
import subprocess
import sys
from typing import Final

import pytest

from tests.docs.markdown import blocks_of
from tests.support.programs import REPOSITORY

CONTRIBUTING: Final = REPOSITORY / "CONTRIBUTING.md"


def _paths(text: str) -> set[str]:
    """Return the paths in backquotes but those of ``build``, and the targets of links."""
    links = re.findall(r"\]\((?!https?:)(.+?)(?:#.+?)?\)", text)
    return {*links, *re.findall(r"`(?!build/)([\w.*/-]+(?:/|\.\w+))`", text)}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_paths_exist(name: str) -> None:
    """Every path is one of the tree, or the name of a file of the folder named before it."""
    paths = _paths((REPOSITORY / name).read_text("utf-8"))
    known = {each.name for each in (REPOSITORY / "deploy").rglob("*.yml")}
    known |= {each.name for each in (REPOSITORY / "exporter" / "publish").iterdir()}

    assert paths
    assert [] == [each for each in paths if each not in known and not any(REPOSITORY.glob(each))]


def test_make_has_the_commands() -> None:
    """Every command of make is a target of the Makefile; what is typed is lint and test."""
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make ([a-z-]+)", CONTRIBUTING.read_text("utf-8")))

    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert ["make lint\nmake test\n"] == [block.text for block in blocks_of(CONTRIBUTING)]


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-workflows", "workflows/*.yml"),
    ],
)
def test_forms_and_workflows_are_valid(schema: str, pattern: str) -> None:
    """Each file is valid by its schema."""
    files = sorted((REPOSITORY / ".github").glob(pattern))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]

    assert files
    assert 0 == subprocess.run([*command, *files], check=False).returncode  # noqa: S603
