"""A Sentry that means harm: what it sends stays text, and the token stays with it."""

from typing import Final

import pytest

from exporter.app import Exporter
from exporter.simulator import Organization, Project, Row, Simulator, Token, TokenKind, World
from tests.end_to_end.exposition import Samples, lines_of, read_openmetrics, read_text, values
from tests.end_to_end.stage import polled
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, configuration, organization
from tests.support.exporters import page_text
from tests.support.scripted_server import ScriptedServer, reply, serve

ACME: Final = 1
TOKEN: Final = "sntryu_0123456789abcdef"
LIE: Final = 'sentry_stats_up{organization="globex",query="outcomes"} 1'
HOSTILE: Final = (
    f'"}} 1\n{LIE}\n',
    f"\n# EOF\n{LIE}",
    '\\", organization="globex',
    "<script>alert(1)</script>",
    "\u202e\x7f\r\t{{ 1 }}",
)
"""Reasons and slugs that would be lines, labels or markup, were they not escaped."""


@pytest.fixture
def world(clock: Clock) -> World:
    """Return an organization whose projects and reasons have hostile names."""
    projects = [Project(100 + at, ACME, slug, "python") for at, slug in enumerate(HOSTILE)]
    token = Token(TOKEN, TokenKind.INTEGRATION, ACME)
    made = World([Organization(ACME, "acme")], projects, [], [token])
    made.add_rows(
        *(
            Row(ACME, one.id, "error", "invalid", reason, clock.now - 3600, quantity=7)
            for one, reason in zip(projects, HOSTILE, strict=True)
        )
    )
    return made


def pages(world: World, clock: Clock) -> list[Samples]:
    """Return both formats of the page, parsed."""
    with Simulator(world, clock=clock, rate_limit=None) as sentry:
        entry = {**organization(PROJECTS), "token": TOKEN}
        exporter = Exporter(configuration(sentry.url, entry), clock=clock)
        polled(exporter, clock.now)
        return [
            read_text(page_text(exporter)),
            read_openmetrics(page_text(exporter, openmetrics=True)),
        ]


def test_text_stays_text(world: World, clock: Clock) -> None:
    """Whatever Sentry calls something is a label's value, and no other line or organization."""
    for samples in pages(world, clock):
        shown = values(samples, "bucket_events", "organization", "reason", "project")
        invalid = {key: value for key, value in shown.items() if value}

        assert {("acme", one, one): 7.0 for one in HOSTILE} == invalid
        assert {"acme"} == {
            dict(pairs)["organization"] for _, pairs in samples if "organization" in dict(pairs)
        }


@pytest.mark.parametrize(
    ("status", "header"),
    [
        ("302 Found", "Location: {}/organizations/acme/stats_v2/"),
        ("200 OK", 'Link: <{}/next>; rel="next"; results="true"; cursor="0:100:0"'),
        ("401 Unauthorized", "WWW-Authenticate: Bearer realm={}"),
        ("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm={}"),
    ],
)
def test_the_token_goes_nowhere_else(clock: Clock, status: str, header: str) -> None:
    """No answer makes the exporter connect to another address."""
    with ScriptedServer(serve(reply())) as trap:
        answer = reply(b"[]", status, header.format(trap.url))
        with ScriptedServer(serve(*[answer] * 20)) as sentry:
            entry = {**organization(PROJECTS), "token": TOKEN}
            exporter = Exporter(configuration(sentry.url, entry), clock=clock)
            polled(exporter, clock.now)
            text = lines_of(page_text(exporter), "sentry_stats_up")

        assert 'sentry_stats_up{organization="acme",query="projects"} 0\n' == text
        assert all(f"Bearer {TOKEN}".encode() in one for one in sentry.requests)
        assert 0 == trap.connections
