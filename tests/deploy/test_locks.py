"""The locks in requirements/: what they hold, and that everything is installed from them."""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.programs import REPOSITORY, finished, output_of

PROJECT: Final = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
RUNTIME: Final = PROJECT["project"]["dependencies"]
GROUPS: Final[Mapping[str, Sequence[Any]]] = PROJECT["dependency-groups"]
LOCKS: Final = ("runtime", *GROUPS)
PYTHONS: Final = ("3.11", "3.12", "3.13")
MACHINES: Final = ("x86_64", "aarch64")

INSTALLING: Final = ("README.md", ".ci/run", "docs/running.md", "deploy/docker/Dockerfile")
"""The files with commands that install something, beside the Makefile."""

NOW: Final = 4_000_000_000
"""A time after every file's."""

_REGISTRIES: Final = r"https?:|(?:^|\s)--?(?:i|f|index|extra-index|find-links|trusted)\b|file:"


@cache
def text(lock: str) -> str:
    """Return a lock with each requirement on one line, without its comments."""
    written = (REPOSITORY / "requirements" / f"{lock}.txt").read_text("utf-8")
    return re.sub(r"^\s*#.*\n", "", written, flags=re.MULTILINE).replace("\\\n", "")


def declared(lock: str) -> Iterator[Requirement]:
    """Yield what pyproject.toml declares of what a lock is made from."""
    if lock in {"runtime", "dev"}:
        yield from map(Requirement, RUNTIME)
    for one in GROUPS.get(lock, ()):
        if isinstance(one, str):
            yield Requirement(one)
        else:
            yield from declared(one["include-group"])


def locked(lock: str, python: str, machine: str) -> dict[str, str]:
    """Return the version of each package that a lock has for a Python on Linux."""
    environment: dict[str, str] = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    lines = (Requirement(line.partition(" --hash")[0]) for line in text(lock).splitlines())
    versions: dict[str, str] = {}
    for one in lines:
        if one.marker is None or one.marker.evaluate(environment):
            (pin,) = one.specifier
            assert "==" == pin.operator
            assert one.name not in versions
            versions[canonicalize_name(one.name)] = pin.version
    return versions


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_dependency_is_locked(lock: str, python: str, machine: str) -> None:
    """What pyproject.toml declares is locked, in a version that it allows."""
    versions = locked(lock, python, machine)
    wanted = [one for one in declared(lock) if one.marker is None or one.marker.evaluate()]

    assert wanted
    assert [] == [
        str(one)
        for one in wanted
        if not one.specifier.contains(versions.get(canonicalize_name(one.name), "none"))
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_file_has_its_hash(lock: str) -> None:
    """Each requirement has the hashes of its files, and is no address or path."""
    lines = text(lock).splitlines()

    assert lines
    assert [] == [
        line
        for line in lines
        if not re.fullmatch(r"[\w.-]+==\S+(?: ; [^#]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+", line)
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry(lock: str) -> None:
    """A lock has neither the address of a registry nor a path of a machine."""
    written = (REPOSITORY / "requirements" / f"{lock}.txt").read_text("utf-8")
    outside = re.compile(rf"{_REGISTRIES}|(?:^|[\s(])/\w", re.MULTILINE)

    assert [] == outside.findall(written)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_development_has_what_is_shipped(python: str, machine: str) -> None:
    """The tests run with the versions that the exporter and its build are installed with."""
    shipped = locked("runtime", python, machine) | locked("build", python, machine)
    development = locked("dev", python, machine)

    assert shipped == {name: development.get(name) for name in shipped}


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_replaces_what_another_has_installed(lock: str) -> None:
    """Locks that are installed one after the other agree."""
    versions, development = (locked(one, "3.11", "x86_64") for one in (lock, "dev"))
    both = versions.keys() & development.keys()

    assert {name: development[name] for name in both} == {name: versions[name] for name in both}


def test_the_build_backend_is_locked() -> None:
    """The lock of the build has what pyproject.toml requires for one."""
    versions = locked("build", "3.11", "x86_64")
    required = [Requirement(one) for one in PROJECT["build-system"]["requires"]]

    assert required
    assert all(one.specifier.contains(versions[one.name]) for one in required)


def commands() -> Iterator[str]:
    """Yield the arguments of ``pip install`` and ``pip wheel`` in the documents and in make."""
    texts = [(REPOSITORY / name).read_text("utf-8") for name in INSTALLING]
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    stamps = re.findall(r"^\$\(VENV\)/(\S+):", makefile, re.MULTILINE)
    made = output_of("make", "--dry-run", "--always-make", *(f".venv/{one}" for one in stamps))
    for line in re.split(r"\n|&&", "\n".join([*texts, made]).replace("\\\n", " ")):
        _, pip, arguments = line.partition("pip ")
        if pip and {"install", "wheel"}.intersection(arguments.split()):
            yield arguments


def test_everything_is_installed_from_the_locks() -> None:
    """Each command that installs something has hashes, or installs nothing but this project."""
    options = [command.split() for command in commands()]

    assert 10 < len(options)
    assert [] == [
        words
        for words in options
        if not ({"--require-hashes", "--only-binary"} <= set(words))
        and not ("--no-deps" in words and words[-1] in {".", "/opt/wheels/*.whl"})
    ]


def test_make_begins_anew_with_other_locks(tmp_path: Path) -> None:
    """A virtual environment that is older than a lock is installed again."""
    output_of("cp", REPOSITORY / "Makefile", REPOSITORY / "pyproject.toml", tmp_path)
    output_of("cp", "--recursive", REPOSITORY / "requirements", tmp_path)
    (tmp_path / ".venv").mkdir()
    for name in (".runtime", ".dev"):
        (tmp_path / ".venv" / name).touch()
    before = output_of("make", "--dry-run", ".venv/.dev", folder=tmp_path)
    os.utime(tmp_path / "requirements" / "dev.txt", (NOW, NOW))
    after = output_of("make", "--dry-run", ".venv/.dev", folder=tmp_path)

    assert "pip" not in before
    assert "requirements/dev.txt" in after


def test_make_refuses_an_old_python(tmp_path: Path) -> None:
    """Make says which Python it needs, and creates no environment with another one."""
    output_of("cp", REPOSITORY / "Makefile", REPOSITORY / "pyproject.toml", tmp_path)
    output_of("cp", "--recursive", REPOSITORY / "requirements", tmp_path)
    old = tmp_path / "python-old"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 10)\nexec(sys.argv[2])")
    old.chmod(0o755)
    ended = finished("make", "demo", f"PYTHON={old}", folder=tmp_path)

    assert f"{old} is not Python 3.11 or newer" in ended.stdout
    assert ended.returncode
    assert not (tmp_path / ".venv").exists()
