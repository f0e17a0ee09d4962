"""What is put over the shipped files so that an afternoon passes in a minute on one host.

All of it, and nothing else, is changed:

* Time. Sentry and the exporter live `SPEED` times as fast as the host. Whatever the files, or the
  programs without being told, count in seconds of their own is divided by that: ``for``, the
  intervals of scraping, evaluation and notification, the ranges and offsets of expressions. Where
  an expression asks for ``time()`` it gets the clock that the exporter's timestamps come from.
  Thresholds and numbers of events stay as they are.
* Addresses. The host names of the compose file become ports of this host, and so does PagerDuty.
* Secrets. Those that Alertmanager reads from ``/etc/alertmanager/secrets`` lie in another folder,
  and the addresses among them are those of a listener.
* An ear. Each receiver also calls a webhook, which hears the labels behind the text.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from tests.deploy.kit import DEPLOY, read_yaml

SPEED: Final = 600
"""How many seconds of Sentry's pass in one of the host's: an hour takes six seconds."""

LOOKBACK_DELTA: Final = "5m"
RESEND_DELAY: Final = "1m"
"""What Prometheus takes for these if nobody says otherwise."""

SECRETS: Final = "/etc/alertmanager/secrets"

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LENGTHS_OF_TIME: Final = frozenset(
    {
        "evaluation_interval",
        "for",
        "group_interval",
        "group_wait",
        "interval",
        "repeat_interval",
        "scrape_interval",
    }
)
_PART: Final = re.compile(r"(\d+)([smhdw])")
_IN_EXPRESSION: Final = re.compile(r"(?<=\[)\w+(?=\])|(?<=\boffset )\w+")


@dataclass(frozen=True, slots=True)
class FastTime:
    """Seconds since the epoch that showed ``shown`` when the host's clock showed ``began``."""

    began: float
    shown: float

    @classmethod
    def from_now(cls, shown: float) -> Self:
        """Return a clock that shows ``shown`` now."""
        return cls(time.time(), shown)

    def __call__(self) -> float:
        """Return the time."""
        return self.shown + (time.time() - self.began) * SPEED

    def on_the_host(self, moment: float) -> float:
        """Return what the host's clock shows at ``moment`` of this one."""
        return self.began + (moment - self.shown) / SPEED

    @property
    def in_promql(self) -> str:
        """The expression that gives this time to a Prometheus."""
        return f"({self.shown!r} + (time() - {self.began!r}) * {SPEED})"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on this host: ports, the folder of the secrets, and the listener's URL."""

    ports: Mapping[str, int]
    secrets: Path
    listener: str


def shortened(length: str) -> str:
    """Return a length of time such as ``1h15m`` divided by `SPEED`, in whole milliseconds."""
    seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(length))
    return f"{seconds * 1000 // SPEED}ms"


def quickened(expression: str, clock: FastTime) -> str:
    """Return a PromQL expression that means in `FastTime` what it meant before."""
    brief = _IN_EXPRESSION.sub(lambda found: shortened(found[0]), expression)
    return brief.replace("time()", clock.in_promql)


def rule_files(clock: FastTime) -> dict[str, Any]:
    """Return the shipped rule files by name, with the overlay."""
    folder = DEPLOY / "prometheus" / "rules"
    return {path.name: _hastened(read_yaml(path), clock) for path in sorted(folder.glob("*.yml"))}


def prometheus_file(clock: FastTime, places: Places) -> Any:
    """Return Prometheus's shipped configuration with the overlay."""
    return _hastened(_read_here(DEPLOY / "prometheus" / "prometheus.yml", places), clock)


def alertmanager_file(clock: FastTime, places: Places) -> Any:
    """Return Alertmanager's shipped configuration with the overlay."""
    shipped = _read_here(DEPLOY / "alertmanager" / "alertmanager.yml", places)
    document = _hastened(shipped, clock)
    document["global"] = {"pagerduty_url": f"{places.listener}/pagerduty"}
    document["templates"] = [str(DEPLOY / "alertmanager" / name) for name in document["templates"]]
    for receiver in document["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{places.listener}/webhook"}]
    return document


def lay_out_secrets(places: Places) -> None:
    """Write every secret that Alertmanager's shipped configuration wants."""
    places.secrets.mkdir()
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    for kind, name in set(re.findall(rf"(\w+)_file: {SECRETS}/(\S+)", text)):
        secret = f"{places.listener}/slack" if kind == "api_url" else name
        (places.secrets / name).write_text(secret, "utf-8")


def _read_here(path: Path, places: Places) -> Any:
    """Return a file whose addresses are of this host."""
    text = path.read_text("utf-8").replace(SECRETS, str(places.secrets))
    for address, port in places.ports.items():
        text = re.sub(rf"(?<=[\[ ]){address}(?=[\], \n])", f"127.0.0.1:{port}", text)
    return yaml.safe_load(text)


def _hastened(node: Any, clock: FastTime) -> Any:
    """Return a document in which all that has to do with time is faster."""
    match node:
        case dict():
            return {key: _hastened_entry(key, value, clock) for key, value in node.items()}
        case list():
            return [_hastened(each, clock) for each in node]
        case _:
            return node


def _hastened_entry(key: str, value: Any, clock: FastTime) -> Any:
    if key in _LENGTHS_OF_TIME:
        return shortened(value)
    return quickened(value, clock) if key == "expr" else _hastened(value, clock)
