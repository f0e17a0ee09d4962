"""The audit of the locked packages: what it finds, and that it never passes for one not made."""

from pathlib import Path
from typing import Final

import pytest
from packaging.version import Version
from pip_audit._format import JsonFormat
from pip_audit._service.interface import (
    Dependency,
    ResolvedDependency,
    SkippedDependency,
    VulnerabilityResult,
)

from tests.support.programs import REPOSITORY, finished
from tools.audit import ACCEPTED, NotAuditedError, failure, findings, main

CLEAN: Final = ResolvedDependency("click", Version("8.5.1"))
VULNERABLE: Final = ResolvedDependency("py", Version("1.11.0"))
UNKNOWN: Final = SkippedDependency("nobody", "Dependency not found: nobody (1.0)")

CLOSED: Final = "http://127.0.0.1:1"
"""The address of a proxy that is not there."""


def report(*packages: Dependency) -> str:
    """Return what pip-audit writes about ``packages``."""
    flaws = [
        VulnerabilityResult("PYSEC-1", "", [Version("1.12"), Version("2.0")], set()),
        VulnerabilityResult("X-2", "", [], set()),
    ]
    results = {one: flaws if one is VULNERABLE else [] for one in packages}
    return str(JsonFormat(output_desc=False, output_aliases=False).format(results, []))


def test_no_finding() -> None:
    """Packages without a known vulnerability are no findings."""
    assert [] == findings(report(CLEAN))


def test_every_vulnerability_is_a_finding() -> None:
    """A line for each says in which versions it is fixed."""
    assert [
        "py 1.11.0: PYSEC-1, fixed in 1.12, 2.0",
        "py 1.11.0: X-2, fixed in no version yet",
    ] == findings(report(CLEAN, VULNERABLE))


def test_an_unknown_package_is_a_finding() -> None:
    """What the service does not know was not audited, which is no reason to pass."""
    assert ["nobody: Dependency not found: nobody (1.0)"] == findings(report(CLEAN, UNKNOWN))


def test_a_service_that_knows_nothing() -> None:
    """Where no package at all is known, there is no such service."""
    with pytest.raises(NotAuditedError, match="no answer about any of 2 locked packages"):
        findings(report(UNKNOWN, SkippedDependency("other", "likewise")))


def test_a_failure_of_its_own() -> None:
    """A program that fails, with the network or without, is a finding."""
    lines = failure("Traceback:\nModuleNotFoundError: No module named 'pip_audit'\n")

    assert ["pip-audit failed: ModuleNotFoundError: No module named 'pip_audit'"] == lines
    assert ["pip-audit failed: no report"] == failure("")


def test_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings fail, also where an audit need not be possible."""
    monkeypatch.setattr("tools.audit.audited", lambda: findings(report(VULNERABLE)))

    assert [1, 1] == [main([]), main(["--where-possible"])]
    assert "PYSEC-1" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "status"), [([], 1), (["--where-possible"], 0)])
def test_nobody_can_be_asked(
    flags: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, it says that nothing was audited, and fails unless that is allowed."""
    monkeypatch.setenv("HTTPS_PROXY", CLOSED)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    ended = finished("python", "-m", "tools.audit", *flags)

    assert status == ended.returncode
    assert "NOT AUDITED for known vulnerabilities: " in ended.stdout
    assert "No known" not in ended.stdout


def test_every_exception_has_its_reason() -> None:
    """A vulnerability that does not count, and a line that bandit or ruff passes over, say why."""
    folders = ("exporter", "bench", "tools", "deploy")
    lines = [
        line
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
    ]
    marked = [line for line in lines if "nosec" in line or _security(line)]

    assert 10 < len(marked)
    assert [] == [line for line in marked if not _reason(line)]
    assert all(ACCEPTED.values())


def _security(line: str) -> bool:
    return "noqa: S" in line and line.partition("noqa: S")[2][:1].isdigit()


def _reason(line: str) -> str:
    if "nosec" in line:
        return line.partition("nosec B")[2].partition(" # ")[2]
    return line.partition("noqa: S")[2].partition(" - ")[2]
