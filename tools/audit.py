"""Compares the locked dependencies with the known vulnerabilities, by pip-audit.

``python -m tools.audit`` ends with 0 only if every locked package was looked up and none of them
has a known vulnerability. With ``--where-possible``, it also ends with 0 if the service cannot be
asked, and says that nothing was audited.
"""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
import msgspec

ROOT: Final = Path(__file__).parents[1]

ACCEPTED: Final[Mapping[str, str]] = MappingProxyType(
    {"CVE-2022-42969": "py: only in its Subversion client, which interrogate does not use"}
)
"""Vulnerabilities that do not count, and why."""

_COMMAND: Final = (
    *(sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"),
    *("--disable-pip", "--require-hashes", "--requirement", "requirements/dev.txt"),
    *(f"--ignore-vuln={name}" for name in ACCEPTED),
)


_UNREACHABLE: Final = re.compile(r"requests\.exceptions\.|(?i:connect|timed out|timeout)")


class NotAuditedError(Exception):
    """The service of vulnerabilities could not be asked. The message says why."""


def findings(report: str) -> Sequence[str]:
    """Return a line for each vulnerability, and each package that the service does not know.

    Raises NotAuditedError if the service knows no package: then it is not there.
    """
    packages: list[dict[str, Any]] = msgspec.json.decode(report)["dependencies"]
    unknown = [one for one in packages if "skip_reason" in one]
    if len(unknown) == len(packages):
        raise NotAuditedError(f"no answer about any of {len(packages)} locked packages")
    return [
        *(f"{one['name']}: {one['skip_reason']}" for one in unknown),
        *(
            f"{one['name']} {one['version']}: {flaw['id']}, fixed in"
            f" {', '.join(flaw['fix_versions']) or 'no version yet'}"
            for one in packages
            for flaw in one.get("vulns", ())
        ),
    ]


def audited() -> Sequence[str]:
    """Ask about all locked packages; return the findings. Raises NotAuditedError."""
    ended = subprocess.run(  # noqa: S603 - a constant
        _COMMAND, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return findings(ended.stdout) if ended.stdout.strip() else failure(ended.stderr)


def failure(output: str) -> Sequence[str]:
    """Return why there is no report, from its error output, unless it is for want of a service.

    Then it raises NotAuditedError.
    """
    reason = (output.strip().splitlines() or ["no report"])[-1]
    if _UNREACHABLE.search(reason):
        raise NotAuditedError(reason)
    return [f"pip-audit failed: {reason}"]


def main(arguments: Sequence[str]) -> int:
    """Print what was learned; return the exit status."""
    try:
        lines = audited()
    except NotAuditedError as error:
        click.echo(f"NOT AUDITED for known vulnerabilities: {error}", err=True)
        return int("--where-possible" not in arguments)
    click.echo("\n".join(lines or ["No known vulnerability in the locked packages"]))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
