"""Sentry, the exporter, Prometheus, Alertmanager and a listener, two hours into an incident.

All clocks show the host's time. Those of Sentry and the exporter stand still, so that no poll
changes what the tests compare, until a test sets them.
"""

import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import requests
import yaml

from exporter.app import Exporter
from exporter.simulator import Simulator
from exporter.web.address import Address
from tests.deploy.incident_history import (
    STEP,
    USUAL_STEP,
    Pages,
    import_history,
    scrape_incident,
    scrape_usual,
)
from tests.deploy.incident_receiver import Mailbox, Notification, listening, notification
from tests.deploy.incident_world import Incident, configuration, world_of
from tests.deploy.kit import DEPLOY, read_yaml
from tests.deploy.overlay import (
    DIVISORS,
    Places,
    alertmanager_file,
    lay_out_secrets,
    prometheus_file,
    rule_files,
)
from tests.support.clock import Clock
from tests.support.exporters import poll_due
from tests.support.programs import find_program, running, wait_until
from tests.support.prometheus import Prometheus, prometheus
from tests.support.serving import free_port, serving

DEADLINE: Final = 240.0
"""Seconds; a busy machine may need that long."""

MAX_PAUSE: Final = 301
"""Seconds within which a failed poll is tried again. Its end, a moment after its start, counts."""

_WARM_UP: Final = 2
"""How often all rules are evaluated before the alerts. Rules read what rules of other groups
record, so a first evaluation may see only a part of it."""

PROGRAMS: Final = ("exporter:10790", "alertmanager:9093", "localhost:9090")
_SUCCESS: Final = re.compile(
    r'^sentry_stats_last_success_timestamp_seconds\{organization="(.*?)",query="(.*?)"\} (\S+)$',
    re.MULTILINE,
)


class Site:
    """The exporter's HTTP server, which can be stopped and started again."""

    def __init__(self, exporter: Exporter, port: int) -> None:
        self._exporter = exporter
        self._address = Address("127.0.0.1", port)
        self._running = ExitStack()

    def start(self) -> None:
        """Serve the page."""
        self._running.enter_context(serving(self._exporter, self._address))

    def stop(self) -> None:
        """Stop to serve it."""
        self._running.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """All running programs, and when each query has been polled successfully."""

    clock: Clock
    incident: Incident
    sentry: Simulator
    exporter: Exporter
    site: Site
    mailbox: Mailbox
    prometheus: Prometheus
    alertmanager: str
    polls: dict[tuple[str, str], list[float]]

    def poll(self) -> None:
        """Let Sentry and the exporter live until every failed poll is due again."""
        self.clock.now = max(time.time(), self.clock.now + MAX_PAUSE)
        poll_due(self.exporter, self.clock.now)

    def active(self) -> set[Notification]:
        """Return the alerts of which Alertmanager notifies somebody, with the receivers."""
        return {
            notification(receiver["name"], alert["labels"])
            for alert in self._alerts(inhibited="false")
            for receiver in alert["receivers"]
        }

    def muted(self) -> set[Notification]:
        """Return the alerts that others mute, without receivers."""
        return {notification("", alert["labels"]) for alert in self._alerts(active="false")}

    def _alerts(self, **query: str) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.alertmanager}/api/v2/alerts", query, timeout=60).json())

    def explain(self) -> str:
        """Return the alerts of Prometheus, and what has arrived."""
        return f"{self.prometheus.ask('alerts')}\n{self.mailbox.fired()}"


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Run everything, with the incident, and what is usual, in Prometheus's memory."""
    incident = Incident(time.time())
    clock = Clock(incident.now)
    ports = {name: free_port() for name in PROGRAMS}
    with ExitStack() as stack:
        url, mailbox = stack.enter_context(listening())
        sentry = stack.enter_context(Simulator(world_of(incident), clock=clock, rate_limit=None))
        for fault in incident.faults():
            sentry.faults.add(fault)
        usual = list(scrape_usual(sentry.url, clock, incident))
        exporter = Exporter(configuration(sentry.url), clock=clock)
        pages = [(clock.now, page) for page in scrape_incident(exporter, clock, incident)]
        target = f'job="sentry-stats-exporter",instance="127.0.0.1:{ports["exporter:10790"]}"'
        parts = [*((day, USUAL_STEP) for day in usual), (pages, STEP)]
        import_history(parts, _recording_rules(), folder, target)
        site = Site(exporter, ports["exporter:10790"])
        stack.callback(site.stop)
        site.start()
        places = Places(ports, folder / "secrets", url)
        lay_out_secrets(places)
        alertmanager = stack.enter_context(run_alertmanager(folder, places))
        started = stack.enter_context(run_prometheus(folder, places))
        yield Stage(
            clock,
            incident,
            sentry,
            exporter,
            site,
            mailbox,
            started,
            alertmanager,
            _successful_polls(pages),
        )


def _recording_rules() -> Iterator[dict[str, Any]]:
    """Yield the shipped recording rules."""
    for path in (DEPLOY / "prometheus" / "rules").glob("*.yml"):
        for group in read_yaml(path)["groups"]:
            yield from (rule for rule in group["rules"] if "record" in rule)


def _successful_polls(pages: Pages) -> dict[tuple[str, str], list[float]]:
    """Return the times of the successful polls in ``pages``, by organization and query."""
    polls: dict[tuple[str, str], list[float]] = {}
    for _, page in pages:
        for organization, query, moment in _SUCCESS.findall(page):
            times = polls.setdefault((organization, query), [])
            if float(moment) not in times:
                times.append(float(moment))
    return polls


@contextmanager
def run_prometheus(
    folder: Path, places: Places, *flags: str, divisors: Mapping[str, int] = DIVISORS
) -> Iterator[Prometheus]:
    """Run Prometheus with the shipped files.

    Prometheus takes five seconds to discover its targets. The rules are loaded afterwards, since
    an alert about a missing exporter would not wait that long here. Alerts are loaded last: all of
    them begin at once, when everything that they read has been recorded.
    """
    port, shipped = places.ports["localhost:9090"], prometheus_file(places, divisors)
    with prometheus(folder, *flags, port=port, configuration=shipped) as started:
        wait_until(partial(is_connected, started), timeout=DEADLINE)
        (folder / "rules").mkdir()
        files = rule_files(divisors)
        alerts = files.pop("alerts.yml")
        for name, document in files.items():
            _write(folder / "rules" / name, document)
        started.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: evaluations(started) >= _WARM_UP, timeout=DEADLINE)
        _write(folder / "rules" / "alerts.yml", alerts)
        started.program.process.send_signal(signal.SIGHUP)
        yield started


def evaluations(started: Prometheus) -> float:
    """Return how often every group of rules has been evaluated."""
    least = started.instant("min(prometheus_rule_group_iterations_total)")
    return float(least[0]["value"][1]) if least else 0.0


def is_connected(started: Prometheus) -> bool:
    """Return whether it has an Alertmanager, and has scraped the exporter and itself."""
    up = started.instant("sum(up) > 1")
    return bool(up and started.ask("alertmanagers")["activeAlertmanagers"])


@contextmanager
def run_alertmanager(
    folder: Path, places: Places, *, divisors: Mapping[str, int] = DIVISORS
) -> Iterator[str]:
    """Run Alertmanager with the shipped files; yields its URL."""
    address = f"127.0.0.1:{places.ports['alertmanager:9093']}"
    path = folder / "alertmanager.yml"
    _write(path, alertmanager_file(places, divisors))
    command = [
        find_program("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={folder / 'notifications'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "alertmanager.log") as program:
        program.wait_ready(f"http://{address}/-/ready")
        yield f"http://{address}"


def _write(path: Path, document: Any) -> None:
    path.write_text(yaml.safe_dump(document), "utf-8")
