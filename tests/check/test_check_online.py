"""Organizations side by side: servers that do not answer, and what is not tried because of them."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from exporter.check.dry_poll import DryPoll
from exporter.check.online import check_online
from exporter.check.report import Data
from exporter.config import loads
from exporter.simulator import Fault, Simulator, Token, TokenKind
from tests.check.conftest import Learn
from tests.end_to_end.stage import COMMAND
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, document, organization
from tests.support.programs import TIMEOUT
from tests.support.scripted_server import Peer, ScriptedServer

MANY = [{**OUTCOMES, "name": f"query-{number}"} for number in range(20)]


def test_order(learned: Learn) -> None:
    """Organizations are reported in the order of the file."""
    names = ["globex", "acme", "nobody"]

    assert names == [
        report.name for report, _ in learned(*(organization(slug=name) for name in names))
    ]


def test_organizations_are_asked_at_the_same_time(clock: Clock) -> None:
    """Two organizations whose servers wait for each other are both answered."""
    both = threading.Barrier(2, timeout=TIMEOUT)

    def script(peer: Peer) -> None:
        peer.receive()
        both.wait()
        peer.reset()

    with ScriptedServer(script) as server:
        entries = [organization(slug="acme"), organization(slug="globex")]
        checked = list(check_online(loads(document(server.url, *entries)), clock))

    assert not both.broken
    assert ["network", "network"] == [findings[0].reason for _, findings in checked]


@pytest.mark.parametrize("kind", ["reset", "hang"])
def test_a_server_that_is_down(learned: Learn, sentry: Simulator, kind: str) -> None:
    """After two failures that take their time, no other query is tried."""
    fault = Fault("reset") if kind == "reset" else Fault("hang")
    sentry.faults.add(fault)
    ((report, findings),) = learned(organization(*MANY), timeout="1s")
    tried = [query.tried for query in report.queries]

    assert 1 == len(findings)
    assert [True] + [False] * 19 == tried


def test_a_list_that_cannot_be_read(learned: Learn, sentry: Simulator) -> None:
    """A query that stats_v2 was not asked for, as it needs the list, was not tried."""
    sentry.faults.add(Fault("status", status=500, endpoint="projects"))
    by_slug = {**OUTCOMES, "name": "by-slug", "filter": {"project": "web"}}
    ((report, _),) = learned(organization(by_slug, OUTCOMES))

    assert [("by-slug", False, False), ("outcomes", True, True)] == [
        (query.name, query.tried, query.data is not None) for query in report.queries
    ]


def test_failures_of_queries(learned: Learn, sentry: Simulator) -> None:
    """A query that Sentry refuses does not end the check of the others."""
    wrong = {**OUTCOMES, "name": "wrong", "filter": {"category": "errors"}}
    ((report, findings),) = learned(organization(wrong, {**wrong, "name": "again"}, OUTCOMES))

    assert ["wrong", "again"] == [finding.query for finding in findings if finding.reason]
    assert [False, False, True] == [bool(one.data) for one in report.queries]


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("sntryi_0", "internal integration token"),
        ("sntryu_0", "user token"),
        ("sntrya_0", "token of a user's application"),
        ("0123456789", "user or integration (kind not shown)"),
    ],
)
def test_kind_of_a_token(learned: Learn, sentry: Simulator, token: str, kind: str) -> None:
    """The kind of a token is known by its form."""
    sentry.world.add_token(Token(token, TokenKind.INTEGRATION, 1))
    ((report, _),) = learned({**organization(), "token": token})

    assert kind == report.token.kind


def test_kind_of_a_token_by_what_it_reads(learned: Learn, sentry: Simulator) -> None:
    """A token that reads what the list denies to its user is an integration's."""
    sentry.world.set_open_membership(1, is_open=False)
    ((report, _),) = learned(organization())

    assert "internal integration token" == report.token.kind
    assert report.projects is not None
    assert 0 == report.projects.hidden


def test_a_fault_of_ours(learned: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that no code expects is an error of its organization, and of no other."""
    run = DryPoll.run

    def fail(poll: DryPoll) -> Data:
        if poll._source.organization.name == "globex":  # noqa: SLF001
            raise RuntimeError("sntryu_0123456789 is lost")
        return run(poll)

    monkeypatch.setattr(DryPoll, "run", fail)
    results = learned(*(organization(slug=name) for name in ("globex", "acme")))
    (failed, (finding,)), (well, others) = results

    assert ("internal", "globex") == (finding.reason, finding.organization)
    assert "RuntimeError: <secret> is lost" in finding.message
    assert [None] == [query.data for query in failed.queries]
    assert ([True], ()) == ([bool(query.data) for query in well.queries], others)


@pytest.mark.slow
def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    """Ctrl-C ends the command while Sentry does not answer."""
    path = tmp_path / "config.yaml"
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.receive()
        asked.set()
        peer.hang()

    with ScriptedServer(script) as server:
        path.write_text(document(server.url, organization()))
        with subprocess.Popen(  # noqa: S603 - the product's own command
            [*COMMAND, "check", "--online", "--config.file", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process:
            assert asked.wait(TIMEOUT)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=TIMEOUT)

    # The request itself takes 30 s.
    assert time.monotonic() - began < 20
    assert 130 == process.returncode
