"""The overlay over the shipped files, with which an afternoon passes in a minute on one host.

It changes this and nothing else:

* Time. Sentry and the exporter run `SPEED` times as fast as the host. All durations in the files,
  and the programs' defaults, are divided by that: ``for``, the intervals of scraping, evaluation
  and notification, the ranges and offsets of expressions. ``time()`` in an expression becomes the
  clock of the exporter's timestamps. Thresholds and numbers of events are unchanged.
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
from tests.support.clock import Clock

SPEED: Final = 300
"""Seconds of Sentry's time per second of the host: an hour takes twelve seconds."""

LOOKBACK_DELTA: Final = "5m"
RESEND_DELAY: Final = "1m"
"""Prometheus's defaults."""

SECRETS: Final = "/etc/alertmanager/secrets"

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATIONS: Final = frozenset(
    {
        "evaluation_interval",
        "for",
        "group_interval",
        "group_wait",
        "interval",
        "keep_firing_for",
        "repeat_interval",
        "scrape_interval",
    }
)
_PART: Final = re.compile(r"(\d+)([smhdw])")
_IN_EXPRESSION: Final = re.compile(r"(?<=\[)\w+(?=[\]:])|(?<=\w:)\w+(?=\])|(?<=\boffset )\w+")


@dataclass(frozen=True, slots=True)
class Places:
    """Ports on this host, the folder with the secrets, and the listener's URL."""

    ports: Mapping[str, int]
    secrets: Path
    listener: str


def shortened(length: str) -> str:
    """Return a duration such as ``1h15m`` divided by `SPEED`, in milliseconds."""
    seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(length))
    return f"{seconds * 1000 // SPEED}ms"


def lengthened(short: str) -> float:
    """Return the seconds that `shortened` has made ``short`` of."""
    return int(short.removesuffix("ms")) * SPEED / 1000


def in_promql(clock: Clock) -> str:
    """Return the PromQL expression of the time of ``clock``."""
    return f"((time() - {clock.host_time(0)!r}) * {SPEED})"


def quickened(expression: str, clock: Clock) -> str:
    """Return a PromQL expression that means the same at `SPEED`."""
    brief = _IN_EXPRESSION.sub(lambda match: shortened(match[0]), expression)
    return brief.replace("time()", in_promql(clock))


def rule_files(clock: Clock) -> dict[str, Any]:
    """Return the shipped rule files by name, with the overlay."""
    folder = DEPLOY / "prometheus" / "rules"
    return {path.name: _hastened(read_yaml(path), clock) for path in sorted(folder.glob("*.yml"))}


def prometheus_file(clock: Clock, places: Places) -> Any:
    """Return Prometheus's shipped configuration with the overlay."""
    return _hastened(_read_here(DEPLOY / "prometheus" / "prometheus.yml", places), clock)


def alertmanager_file(clock: Clock, places: Places) -> Any:
    """Return Alertmanager's shipped configuration with the overlay."""
    shipped = _read_here(DEPLOY / "alertmanager" / "alertmanager.yml", places)
    document = _hastened(shipped, clock)
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


def _hastened(node: Any, clock: Clock) -> Any:
    """Return a document with durations and expressions at `SPEED`."""
    match node:
        case dict():
            return {key: _hastened_entry(key, value, clock) for key, value in node.items()}
        case list():
            return [_hastened(each, clock) for each in node]
        case _:
            return node


def _hastened_entry(key: str, value: Any, clock: Clock) -> Any:
    if key in _DURATIONS:
        return shortened(value)
    return quickened(value, clock) if key == "expr" else _hastened(value, clock)
