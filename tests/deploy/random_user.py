"""The exporter in a pod of the Helm chart as OpenShift runs it, without a container engine."""

import shlex
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from exporter.simulator import DEMO_TOKENS
from tests.deploy.charts import NAME, Objects, container
from tests.support.programs import REPOSITORY

RANDOM_USER: Final = 1_000_680_000
"""A user as OpenShift chooses them: without a name, in group 0 and in one of the same number."""

# The originals may be in folders that are closed to others.
_BOUND: Final[Mapping[str, str]] = {
    "/mnt/python": sys.base_prefix,
    "/mnt/packages": sysconfig.get_path("purelib"),
    "/mnt/source": str(REPOSITORY),
}


def as_random_user(objects: Objects, folder: Path, setpriv: str) -> str:
    """Return a script that runs the pod's container below /mnt, as OpenShift would."""
    one = container(objects)
    mounts = {mount["name"]: f"/mnt{mount['mountPath']}" for mount in one["volumeMounts"]}
    config = yaml.safe_load(objects["ConfigMap", NAME]["data"]["config.yaml"])
    config["defaults"]["token_file"] = f"/mnt{config['defaults']['token_file']}"
    (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    (folder / "token").write_text(DEMO_TOKENS["acme"], "utf-8")
    return "\n".join((*_file_system(mounts, folder), _command(mounts, one["args"], setpriv)))


def _file_system(mounts: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """Return the commands that make what the container sees, all else read-only."""
    writable = f"{mounts['state']} {mounts['temporary']}"
    return (
        "mount -t tmpfs -o mode=0755 tmpfs /mnt",
        f"mkdir -p {' '.join((*_BOUND, *mounts.values()))}",
        *(f"mount --bind {shlex.quote(path)} {place}" for place, path in _BOUND.items()),
        f"install -m 0644 {folder}/config.yaml {mounts['config']}",
        f"install -m 0440 -g {RANDOM_USER} {folder}/token {mounts['token']}",
        f"chgrp {RANDOM_USER} {writable}",
        f"chmod 2770 {writable}",
        "mount -o remount,ro,bind /",
        "cd /mnt",
    )


def _command(mounts: Mapping[str, str], arguments: Sequence[str], setpriv: str) -> str:
    """Return the command of the container, as the random user."""
    placed = (argument.replace("=/var/", "=/mnt/var/") for argument in arguments)
    return shlex.join(
        (
            *("exec", setpriv, f"--reuid={RANDOM_USER}", "--regid=0", f"--groups={RANDOM_USER}"),
            *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
            *("env", "--ignore-environment", f"TMPDIR={mounts['temporary']}"),
            *("LD_LIBRARY_PATH=/mnt/python/lib", "PYTHONPATH=/mnt/source:/mnt/packages"),
            f"/mnt/python/bin/python{sys.version_info[0]}.{sys.version_info[1]}",
            *("-m", "exporter", *placed, f"--config.file={mounts['config']}/config.yaml"),
            "--web.listen-address=127.0.0.1:0",
        )
    )
