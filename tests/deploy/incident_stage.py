"""Sentry, the exporter, Prometheus, Alertmanager and a listener, all at the overlay's pace."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
import yaml

from exporter.app import Exporter
from exporter.simulator import Simulator
from exporter.simulator.traffic import HOUR
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.landing import Landing
from exporter.web.server import Server
from tests.deploy.incident_history import lived, remember
from tests.deploy.incident_receiver import Mailbox, listening
from tests.deploy.incident_world import Incident, configuration, world_of
from tests.deploy.overlay import (
    LOOKBACK_DELTA,
    RESEND_DELAY,
    FastTime,
    Places,
    alertmanager_file,
    lay_out_secrets,
    prometheus_file,
    rule_files,
    shortened,
)
from tests.programs import PATIENCE, find_program, running, wait_until

PRESENT: Final = 1_748_944_800.0
"""When it begins: a Tuesday's morning, at a full hour, UTC."""

_GLANCE: Final = 0.01
_PROGRAMS: Final = ("exporter:10790", "alertmanager:9093", "localhost:9090")


class Daemon:
    """An exporter that can be stopped, and started anew without what it knew."""

    def __init__(self, url: str, port: int, clock: FastTime) -> None:
        self._url = url
        self._port = port
        self._clock = clock
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Poll, and serve the page."""
        exporter = Exporter(configuration(self._url), clock=self._clock)
        app = make_app(exporter.page, exporter, Landing("exporter", "1", "A page."))
        self._server = Server(app, [bind(Address("127.0.0.1", self._port))])
        self._stopped.clear()
        self._threads = [
            threading.Thread(target=self._server.run),
            threading.Thread(target=self._look_at_the_clock, args=(exporter,)),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Serve no more; does nothing where nothing runs."""
        self._stopped.set()
        for thread in self._threads:
            self._server.stop()
            thread.join(PATIENCE)
        self._threads = []

    def _look_at_the_clock(self, exporter: Exporter) -> None:
        """Do what the poller's own loop does, but look more often than once in ten minutes."""
        while not self._stopped.wait(_GLANCE):
            exporter.poller.tick(self._clock())
        wait_until(exporter.poller.idle)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def has_found_all(self) -> bool:
        """Tell whether it knows of Alertmanager, and has scraped an exporter that has data."""
        fine = self._ask("query", query="sum(sentry_stats_up) == count(sentry_stats_up)")
        return bool(fine["result"] and self._ask("alertmanagers")["activeAlertmanagers"])

    def has_rules(self) -> bool:
        """Tell whether it has taken in the rules."""
        return bool(self._ask("rules")["groups"])

    def is_calm(self) -> bool:
        """Tell whether no alert fires or is about to."""
        return not self._ask("alerts")["alerts"]

    def alerts(self) -> str:
        """Return what fires or is about to."""
        return str(self._ask("alerts")["alerts"])

    def _ask(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}"
        return requests.get(url, params=parameters, timeout=PATIENCE).json()["data"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs."""

    clock: FastTime
    incident: Incident
    sentry: Simulator
    exporter: Daemon
    mailbox: Mailbox
    prometheus: Prometheus

    def live_until(self, moment: float) -> None:
        """Let everything go on until `clock` shows ``moment``."""
        gone = threading.Event()
        while self.clock() < moment:
            gone.wait(_GLANCE)

    def next_hour(self) -> float:
        """Return the first full hour that is not too near to set something for it."""
        return (self.clock() + HOUR / 4) // HOUR * HOUR + HOUR


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Run everything, with last week in Prometheus's memory."""
    incident = Incident()
    world = world_of(incident)
    pages = lived(world, PRESENT)
    clock = FastTime.from_now(PRESENT)
    remember(pages, rule_files(clock), clock, folder / "data")
    ports = {name: _free_port() for name in _PROGRAMS}
    with ExitStack() as stack:
        url, mailbox = stack.enter_context(listening())
        sentry = stack.enter_context(Simulator(world, clock=clock))
        exporter = Daemon(sentry.url, ports["exporter:10790"], clock)
        stack.callback(exporter.stop)
        exporter.start()
        places = Places(ports, folder / "secrets", url)
        lay_out_secrets(places)
        stack.enter_context(_alertmanager(folder, clock, places))
        prometheus = stack.enter_context(_prometheus(folder, clock, places))
        yield Stage(clock, incident, sentry, exporter, mailbox, prometheus)


@contextmanager
def _prometheus(folder: Path, clock: FastTime, places: Places) -> Iterator[Prometheus]:
    """Run Prometheus with the shipped files.

    It takes five seconds of its own to find targets, which to the rules is most of an hour without
    an exporter: they are loaded after that.
    """
    prometheus = Prometheus(f"http://127.0.0.1:{places.ports['localhost:9090']}")
    _write(folder / "prometheus.yml", prometheus_file(clock, places))
    command = [
        find_program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--query.lookback-delta={shortened(LOOKBACK_DELTA)}",
        f"--rules.alert.resend-delay={shortened(RESEND_DELAY)}",
        f"--web.listen-address={prometheus.url.removeprefix('http://')}",
    ]
    with running(command, folder / "prometheus.log") as program:
        program.wait_ready(f"{prometheus.url}/-/ready")
        wait_until(prometheus.has_found_all, program.output)
        (folder / "rules").mkdir()
        for name, document in rule_files(clock).items():
            _write(folder / "rules" / name, document)
        program.process.send_signal(signal.SIGHUP)
        wait_until(prometheus.has_rules, program.output)
        yield prometheus


@contextmanager
def _alertmanager(folder: Path, clock: FastTime, places: Places) -> Iterator[None]:
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


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])
