"""Of the answer about a plan, nothing but the plan is in any output, nor in the state file."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result

from exporter import log
from exporter.app import Exporter
from exporter.simulator import Simulator
from exporter.state import State
from tests.end_to_end.stage import polled
from tests.end_to_end.test_end_to_end_secrets import decompressed, fetched
from tests.support.billing import CARD, EMAIL, body, category, customer
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, Entry, configuration, organization
from tests.support.scripted_server import Peer, Script, ScriptedServer, reply
from tests.support.serving import serving

pytestmark = pytest.mark.slow

SIMULATED: Final = ("4242", "10115", "last4", "zipCode", "billing@acme", "ada@acme", "Ada Example")
"""What the simulator's answer about a plan has beside the plan."""
SCRIPTED: Final = (CARD, CARD[-4:], EMAIL, "billingEmail", "paymentSource")
PAGES: Final = ("/metrics", "/", "/-/ready", "/config")

# Shorter than the part of a body that an error shows.
SHORT: Final[Mapping[str, Any]] = {"billingEmail": EMAIL, "paymentSource": {"last4": CARD[-4:]}}
ANSWERS: Final[Mapping[str, bytes]] = {
    "a plan": reply(body(customer())),
    "a wrong type": reply(body(customer(categories={"errors": category(usage=EMAIL)}))),
    "a wrong date": reply(body(customer(onDemandPeriodStart=EMAIL))),
    "a renamed field": reply(body({**SHORT, "categoriesRenamed": {}})),
    "a list": reply(json.dumps([SHORT]).encode()),
    "cut off": reply(body(customer())[:-30]),
    "nothing known": reply(body(customer(categories={EMAIL: category()}))),
    "402": reply(body(SHORT), "402 Payment Required"),
    "403": reply(body(SHORT), "403 Forbidden"),
    "404": reply(body(SHORT)[:-5], "404 Not Found"),
    "500": reply(body(SHORT), "500 Internal Server Error"),
}


def planned(**settings: Any) -> Entry:
    """Return the demo's organization with its plan, and a query by project."""
    return organization(PROJECTS, billing={"plan": "sentry"}, **settings)


def test_a_running_exporter(
    sentry: Simulator, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pages, debug log and state file have nothing of the card, the address or the e-mail."""
    log.configure("debug", "logfmt")
    with closing(State(tmp_path / "state")) as state:
        exporter = Exporter(configuration(sentry.url, planned()), clock=clock, state=state)
        polled(exporter, clock.now)
        with serving(exporter) as url:
            outputs = {path: fetched(f"{url}{path}") for path in PAGES}
        outputs |= {path.name: path.read_bytes() for path in tmp_path.glob("state*")}
        outputs["blobs"] = decompressed(state)
    outputs["log"] = capsys.readouterr().err.encode()

    assert b"sentry_stats_plan_up" in outputs["/metrics"]
    assert b"api=customers" in outputs["log"]
    assert [] == found(outputs, SIMULATED)


def answering(answer: bytes) -> Script:
    """Return the script of a server with this answer about the plan, and no other one."""

    def script(peer: Peer) -> None:
        while asked := peer.receive():
            is_plan = b"/customers/acme/" in asked.splitlines()[0]
            peer.send(answer if is_plan else reply(b"", "500 Internal Server Error"))

    return script


@pytest.mark.parametrize("name", ANSWERS)
def test_hostile_answers(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """However wrong the answer is, none of it is repeated."""
    log.configure("debug", "logfmt")
    with (
        ScriptedServer(answering(ANSWERS[name])) as server,
        closing(State(tmp_path / "state")) as state,
    ):
        config = configuration(server.url, planned())
        exporter = Exporter(config, clock=clock, state=state)
        polled(exporter, clock.now)
        with serving(exporter) as url:
            outputs = {path: fetched(f"{url}{path}") for path in PAGES}
        outputs |= {path.name: path.read_bytes() for path in tmp_path.glob("state*")}
    outputs["log"] = capsys.readouterr().err.encode()

    assert b"api=customers" in outputs["log"]
    assert (b"cannot read the plan" in outputs["log"]) is (name != "a plan")
    assert [] == found(outputs, SCRIPTED)


@pytest.mark.parametrize("flags", [(), ("--output", "json")])
def test_check(
    configured: Callable[..., Path], command: Callable[..., Result], flags: tuple[str, ...]
) -> None:
    """The report about the plan has its quotas, and nothing else of the answer."""
    path = configured(planned())
    result = command("check", "--config.file", path, "--online", *flags)

    assert "errors" in result.output
    assert [] == found({"output": result.output.encode()}, SIMULATED)


def found(outputs: Mapping[str, bytes], secrets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return which of ``secrets`` are in which output; digits within a number are no secret."""
    return [
        (place, secret)
        for place, content in outputs.items()
        for secret in secrets
        if re.search(_pattern(secret), content)
    ]


def _pattern(secret: str) -> bytes:
    around = (r"(?<![\d.])", r"(?![\d.])") if secret.isdigit() else ("", "")
    return re.escape(secret).join(around).encode()
