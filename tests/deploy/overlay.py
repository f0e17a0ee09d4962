"""The overlay over the shipped files, with which alerts are delivered within seconds on one host.

It changes this and nothing else:

* Intervals. Those of evaluation are divided by `EVALUATION`, that of scraping by `SCRAPING`, those
  of notification by `NOTIFICATION`, that of repetition by `REPETITION`, ``for`` and
  ``keep_firing_for`` by `DURATION`, or all of them as the caller says. Expressions, thresholds and
  texts are unchanged, so the data has to be that of an incident of hours:
  `tests.deploy.incident_history` writes it.
* Addresses. The host names of the compose file become ports of this host. PagerDuty's address
  becomes the listener's.
* Secrets. Those that Alertmanager reads from ``/etc/alertmanager/secrets`` are in another folder,
  and the addresses among them are those of a listener.
* Webhooks. Each receiver also calls a webhook of the listener, which gets the alert's labels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.kit import DEPLOY, read_yaml

EVALUATION: Final = 120
SCRAPING: Final = 12
NOTIFICATION: Final = 30
REPETITION: Final = 4000
DURATION: Final = 600

SECRETS: Final = "/etc/alertmanager/secrets"

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DIVISORS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("evaluation_interval", "interval"), EVALUATION),
    # It is the timeout of a scrape as well, and a busy host may need seconds for one.
    "scrape_interval": SCRAPING,
    **dict.fromkeys(("group_interval", "group_wait"), NOTIFICATION),
    "repeat_interval": REPETITION,
    **dict.fromkeys(("for", "keep_firing_for"), DURATION),
}
"""What durations are divided by, by their keys."""

_PART: Final = re.compile(r"(\d+)([smhd])")


@dataclass(frozen=True, slots=True)
class Places:
    """Ports on this host, the folder with the secrets, and the listener's URL."""

    ports: Mapping[str, int]
    secrets: Path
    listener: str


def shortened(length: str, divisor: int) -> str:
    """Return a duration such as ``1h15m`` divided by ``divisor``, in milliseconds."""
    seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(length))
    return f"{seconds * 1000 // divisor}ms"


def rule_files(divisors: Mapping[str, int] = DIVISORS) -> dict[str, Any]:
    """Return the shipped rule files by name, with the overlay."""
    paths = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    return {path.name: _hastened(read_yaml(path), divisors) for path in paths}


def prometheus_file(places: Places, divisors: Mapping[str, int] = DIVISORS) -> Any:
    """Return Prometheus's shipped configuration with the overlay."""
    return _hastened(_read_here(DEPLOY / "prometheus" / "prometheus.yml", places), divisors)


def alertmanager_file(places: Places, divisors: Mapping[str, int] = DIVISORS) -> Any:
    """Return Alertmanager's shipped configuration with the overlay."""
    shipped = _read_here(DEPLOY / "alertmanager" / "alertmanager.yml", places)
    document = _hastened(shipped, divisors)
    document["global"] = {"pagerduty_url": f"{places.listener}/pagerduty"}
    document["templates"] = [str(DEPLOY / "alertmanager" / name) for name in document["templates"]]
    for receiver in document["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{places.listener}/webhook"}]
    return document


def lay_out_secrets(places: Places) -> None:
    """Write every secret that Alertmanager's shipped configuration reads."""
    places.secrets.mkdir()
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    for kind, name in set(re.findall(rf"(\w+)_file: {SECRETS}/(\S+)", text)):
        secret = f"{places.listener}/slack" if kind == "api_url" else name
        (places.secrets / name).write_text(secret, "utf-8")


def _read_here(path: Path, places: Places) -> Any:
    """Return a file with the addresses of this host."""
    text = path.read_text("utf-8").replace(SECRETS, str(places.secrets))
    for address, port in places.ports.items():
        text = re.sub(rf"(?<=[\[ ]){address}(?=[\], \n])", f"127.0.0.1:{port}", text)
    return yaml.safe_load(text)


def _hastened(node: Any, divisors: Mapping[str, int]) -> Any:
    """Return a document with shorter intervals."""
    match node:
        case dict():
            return {
                key: shortened(value, divisors[key])
                if key in divisors
                else _hastened(value, divisors)
                for key, value in node.items()
            }
        case list():
            return [_hastened(each, divisors) for each in node]
        case _:
            return node
