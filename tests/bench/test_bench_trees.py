"""The trees that are measured: this one, and a revision beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.trees import ROOT, Tree, dependencies, measured

PROJECT = '[project]\nname = "some"\ndependencies = ["one>=1", "two"]\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository whose package has another text than in its only revision."""
    file = tmp_path / "exporter" / "__init__.py"
    file.parent.mkdir()
    (tmp_path / "pyproject.toml").write_text(PROJECT, "utf-8")
    file.write_text("print('committed')", "utf-8")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)  # noqa: S603, S607
    file.write_text("print('changed')", "utf-8")
    return tmp_path


def printed(tree: Tree) -> str:
    """Return what importing the package of ``tree`` prints, wherever it is started."""
    command = [tree.python, "-P", "-c", "import exporter"]
    run = subprocess.run(  # noqa: S603
        command, env=tree.environment(), capture_output=True, check=True, text=True
    )
    return run.stdout.strip()


def test_without_a_base_there_is_only_this_tree() -> None:
    """Nothing is extracted without a revision."""
    with measured() as trees:
        assert [ROOT] == [tree.folder for tree in trees]


def test_the_base_is_imported_from_its_revision(repository: Path) -> None:
    """Each tree runs its own package, with this interpreter if the requirements are the same."""
    with measured("HEAD", repository) as trees:
        assert ["changed", "committed"] == [printed(tree) for tree in trees]
        assert {sys.executable} == {tree.python for tree in trees}


def test_nothing_is_left_of_the_base(repository: Path) -> None:
    """The revision and the bytecode of both trees are removed at the end."""
    with measured("HEAD", repository) as (ours, base):
        printed(ours)

        assert base.folder.exists()
        assert ours.bytecode.exists()

    assert not base.folder.exists()
    assert not ours.bytecode.exists()


def test_an_unknown_revision_is_an_error(repository: Path) -> None:
    """The error has the words of git."""
    with pytest.raises(LookupError, match="nowhere"), measured("nowhere", repository):
        pass


def test_the_requirements_decide_on_the_environment(repository: Path) -> None:
    """They are read from the tree's own project file."""
    assert {"one>=1", "two"} == dependencies(repository)
