"""The log of real processes: what a person reads in it, from the start to the end."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from exporter import __version__
from exporter.simulator import Fault, Simulator
from tests.end_to_end.stage import COMMAND, clock_for_commands, run
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, organization
from tests.support.programs import TIMEOUT, Program, running, wait_until

Configured = Callable[..., Path]
Record = Mapping[str, Any]

BAD_GATEWAY: Final = Fault("status", status=502)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


def records(program: Program) -> Sequence[Record]:
    """Return the records that are complete, without those of debug that libraries write."""
    return [json.loads(line) for line in program.output().splitlines(keepends=True) if "\n" in line]


def events(program: Program) -> Sequence[str]:
    """Return what happened, in order."""
    return [record["event"] for record in records(program)]


def record(program: Program, event: str) -> Record:
    """Return the first record about ``event``, once it is there."""
    wait_until(lambda: event in events(program), program.output)
    return next(it for it in records(program) if it["event"] == event)


@contextmanager
def serving(path: Path, folder: Path, *flags: str | Path) -> Iterator[Program]:
    """Run the daemon during the block, with a log in JSON."""
    fixed = ("--web.listen-address", "127.0.0.1:0", "--log.format", "json")
    command = [*COMMAND, "serve", "--config.file", str(path), *fixed, *map(str, flags)]
    with running(command, folder / "serve.log") as program:
        yield program


def test_a_life(configured: Configured, tmp_path: Path) -> None:
    """At info, a few records tell what is running, where, how it is doing, and why it ended."""
    path, web = configured(organization(OUTCOMES, PROJECTS)), tmp_path / "web.yaml"
    web.write_text("basic_auth_users: {}", "utf-8")
    with serving(path, tmp_path, "--web.config.file", web) as program:
        record(program, "every query has been tried")
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(TIMEOUT)

    happened = events(program)
    read = record(program, "configuration read")
    assert ["starting", "web configuration read", "configuration read"] == list(happened[:3])
    assert 2 == happened.count("first poll succeeded")
    assert ["stopped"] == list(happened[-1:])
    assert __version__ == record(program, "starting")["version"]
    assert (str(path), 1, 2) == (read["file"], read["organizations"], read["queries"])
    assert 2 == record(program, "every query has been tried")["succeeded"]
    assert "SIGTERM" == record(program, "stopped")["signal"]
    assert len(happened) <= 11


def test_counters_without_state(configured: Configured, tmp_path: Path) -> None:
    """A warning says that counters do not survive, and what helps."""
    event = "counters begin at 0 with every start: there is no state file"
    with serving(configured(), tmp_path) as program:
        warning = record(program, event)
    with serving(configured(organization({**OUTCOMES, "counters": False})), tmp_path) as quiet:
        record(quiet, "listening")

    assert "warn" == warning["level"]
    assert "set --state.path or SENTRY_STATS_EXPORTER_STATE_PATH" == warning["remedy"]
    assert event not in events(quiet)


def test_state(configured: Configured, tmp_path: Path) -> None:
    """The log says whether the state file is new, or since when queries go on."""
    path, flags = configured(organization(OUTCOMES, PROJECTS)), ("--state.path", tmp_path / "state")
    with serving(path, tmp_path, *flags) as first:
        opened = record(first, "state opened")
        record(first, "every query has been tried")
    with serving(path, tmp_path, *flags) as second:
        again = record(second, "state opened")

    assert (0, 2) == (opened["resumed"], opened["new"])
    assert "since" not in opened
    assert (2, 0) == (again["resumed"], again["new"])
    assert again["since"] >= opened["timestamp"][:16]


def test_a_failure_and_its_end(sentry: Simulator, configured: Configured, tmp_path: Path) -> None:
    """A failure has everything that is known; its end says how long it took."""
    sentry.faults.add(BAD_GATEWAY)
    with serving(configured(), tmp_path, "--log.level", "debug") as program:
        failed = record(program, "poll failed")
        sentry.faults.remove(BAD_GATEWAY)
        over = record(program, "first poll succeeded")
        about = [it for it in records(program) if it.get("request") == failed["request"]]

    assert ("acme", "outcomes", "server_error") == tuple(
        failed[key] for key in ("organization", "query", "reason")
    )
    assert (502, f"{sentry.url}/api/0/organizations/acme/stats_v2/") == (
        failed["status"],
        failed["url"],
    )
    assert failed["timestamp"] < failed["next_try"]
    assert 1 <= over["failures"]
    assert over["failed_for"].endswith("s")
    assert {"request", "request ended", "request failed", "poll failed"} == {
        it["event"] for it in about
    }


def test_every_request_has_an_id(configured: Configured) -> None:
    """At debug, each request can be followed by its id, and no two have the same."""
    finished = run(
        "once", "--config.file", configured(), "--log.level", "debug", "--log.format", "json"
    )
    written = [json.loads(line) for line in finished.stderr.splitlines()]
    began, ended = (
        [it["request"] for it in written if it["event"] == event]
        for event in ("request", "request ended")
    )

    assert began
    assert len(began) == len(set(began))
    assert set(began) == set(ended)
    assert not any("urllib3" in it["logger"] for it in written)


def test_a_thousand_queries_of_a_dead_server(configured: Configured, tmp_path: Path) -> None:
    """A server that is down has some lines, not one for each query."""
    queries = [{**OUTCOMES, "name": f"query-{number}"} for number in range(1000)]
    path = configured(organization(*queries, url="http://127.0.0.1:9"))
    with serving(path, tmp_path) as program:
        record(program, "polls keep failing")

    assert len(events(program)) < 60
