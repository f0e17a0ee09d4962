"""Sentry, the exporter, Prometheus, Alertmanager and a listener, at the overlay's speed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter
from exporter.simulator import HOUR, Simulator
from exporter.web.address import Address
from tests.deploy.incident_history import import_history, scrape_last_week
from tests.deploy.incident_receiver import Mailbox, listening
from tests.deploy.incident_world import Incident, configuration, world_of
from tests.deploy.overlay import (
    LOOKBACK_DELTA,
    RESEND_DELAY,
    SPEED,
    Places,
    alertmanager_file,
    lay_out_secrets,
    prometheus_file,
    rule_files,
    shortened,
)
from tests.support.clock import Clock
from tests.support.programs import TIMEOUT, find_program, running, wait_until
from tests.support.prometheus import Prometheus, prometheus
from tests.support.serving import free_port, serving

PRESENT: Final = 1_748_944_800.0
"""The start: a Tuesday morning, at a full hour, UTC."""

_TICK: Final = 0.01
_PROGRAMS: Final = ("exporter:10790", "alertmanager:9093", "localhost:9090")


class Daemon:
    """An exporter that can be stopped and started again, without state."""

    def __init__(self, url: str, port: int, clock: Clock) -> None:
        self._url = url
        self._address = Address("127.0.0.1", port)
        self._clock = clock
        self._stopped = threading.Event()
        self._running = ExitStack()

    def start(self) -> None:
        """Start to poll and to serve the page."""
        exporter = Exporter(configuration(self._url), clock=self._clock)
        thread = threading.Thread(target=self._tick, args=(exporter,))
        self._stopped.clear()
        self._running.enter_context(serving(exporter, self._address))
        self._running.callback(thread.join, TIMEOUT)
        self._running.callback(self._stopped.set)
        thread.start()

    def stop(self) -> None:
        """Stop the exporter, if it runs."""
        self._running.close()

    def _tick(self, exporter: Exporter) -> None:
        """Run the poller; its own loop would tick once in ten minutes of this clock."""
        while not self._stopped.wait(_TICK):
            exporter.loop.tick(self._clock())
        wait_until(exporter.loop.idle)


@dataclass(frozen=True, slots=True)
class Stage:
    """All running programs."""

    clock: Clock
    incident: Incident
    sentry: Simulator
    exporter: Daemon
    mailbox: Mailbox
    prometheus: Prometheus

    def live_until(self, moment: float) -> None:
        """Wait until `clock` shows ``moment``."""
        never = threading.Event()
        while self.clock() < moment:
            never.wait(_TICK)

    def begin(self) -> float:
        """Let the incident begin at the next hour, and return that hour."""
        self.incident.start = self.next_hour()
        for fault in self.incident.faults():
            self.sentry.faults.add(fault)
        return self.incident.start

    def next_hour(self) -> float:
        """Return the next full hour that is at least 15 minutes away."""
        return (self.clock() + HOUR / 4) // HOUR * HOUR + HOUR

    def is_calm(self) -> bool:
        """Return whether no alert is firing or pending."""
        return not self._alerts()

    def alerts(self) -> str:
        """Return the firing and pending alerts."""
        return str(self._alerts())

    def _alerts(self) -> Any:
        return self.prometheus.ask("alerts")["alerts"]


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Run everything, with last week in Prometheus's memory."""
    incident = Incident()
    world = world_of(incident)
    pages = scrape_last_week(world, PRESENT)
    clock = Clock(PRESENT, SPEED)
    import_history(pages, rule_files(clock), clock, folder)
    ports = {name: free_port() for name in _PROGRAMS}
    with ExitStack() as stack:
        url, mailbox = stack.enter_context(listening())
        sentry = stack.enter_context(Simulator(world, clock=clock))
        exporter = Daemon(sentry.url, ports["exporter:10790"], clock)
        stack.callback(exporter.stop)
        exporter.start()
        places = Places(ports, folder / "secrets", url)
        lay_out_secrets(places)
        stack.enter_context(_alertmanager(folder, clock, places))
        started = stack.enter_context(_prometheus(folder, clock, places))
        yield Stage(clock, incident, sentry, exporter, mailbox, started)


@contextmanager
def _prometheus(folder: Path, clock: Clock, places: Places) -> Iterator[Prometheus]:
    """Run Prometheus with the shipped files.

    Prometheus takes five real seconds to discover its targets. To the rules these are most of an
    hour without an exporter, so the rules are loaded afterwards.
    """
    flags = (
        f"--query.lookback-delta={shortened(LOOKBACK_DELTA)}",
        f"--rules.alert.resend-delay={shortened(RESEND_DELAY)}",
    )
    port, shipped = places.ports["localhost:9090"], prometheus_file(clock, places)
    with prometheus(folder, *flags, port=port, configuration=shipped) as started:
        wait_until(partial(_is_connected, started), started.program.output)
        (folder / "rules").mkdir()
        for name, document in rule_files(clock).items():
            _write(folder / "rules" / name, document)
        started.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(started.ask("rules")["groups"]), started.program.output)
        yield started


def _is_connected(started: Prometheus) -> bool:
    """Return whether it has an Alertmanager, and has scraped an exporter with data."""
    up = started.instant("sum(sentry_stats_up) == count(sentry_stats_up)")
    return bool(up and started.ask("alertmanagers")["activeAlertmanagers"])


@contextmanager
def _alertmanager(folder: Path, clock: Clock, places: Places) -> Iterator[None]:
    """Run Alertmanager with the shipped files."""
    address = f"127.0.0.1:{places.ports['alertmanager:9093']}"
    path = folder / "alertmanager.yml"
    _write(path, alertmanager_file(clock, places))
    command = [
        find_program("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={folder / 'notifications'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "alertmanager.log") as program:
        program.wait_ready(f"http://{address}/-/ready")
        yield


def _write(path: Path, document: Any) -> None:
    path.write_text(yaml.safe_dump(document), "utf-8")
