"""Who an organization is, and whether its plan can be read."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.check.lookups import identity, plan, plan_url
from exporter.check.report import Identity, Plan
from exporter.clients import clients_for
from exporter.config import loads
from exporter.publish.self_metrics import SelfMetrics
from tests.support.scripted_server import ScriptedServer, reply, serve

CARD = "4242"
PLAN = b'{"categories": {"errors": {"reserved": 50000}}, "paymentDetails": "%s"}' % CARD.encode()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what ends the servers."""
    with ExitStack() as opened:
        yield opened


def looked_up(stack: ExitStack, body: bytes, status: str = "200 OK") -> tuple[object, object]:
    """Return identity and plan that are read from a server with such answers."""
    server = stack.enter_context(ScriptedServer(serve(*[reply(body, status)] * 9)))
    config = loads(f"organizations: [{{slug: acme, token: x, url: '{server.url}'}}]")
    (organization,) = config.organizations
    client = clients_for(config, SelfMetrics().meter).by_organization["acme"]
    return identity(organization, client), plan(organization, client)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://sentry.io", "https://sentry.io/api/0/customers/acme/"),
        ("https://de.sentry.io", "https://sentry.io/api/0/customers/acme/"),
        ("https://sentry.example.com", "https://sentry.example.com/api/0/customers/acme/"),
    ],
)
def test_address_of_the_plan(url: str, address: str) -> None:
    """The plan of a hosted organization is read at sentry.io, whatever its region."""
    (organization,) = loads(
        f"organizations: [{{slug: acme, token: x, url: '{url}'}}]"
    ).organizations

    assert address == plan_url(organization)


def test_identity(stack: ExitStack) -> None:
    """The organization is the one that the answer names."""
    named, _ = looked_up(stack, b'{"id": "1", "slug": "acme", "name": "Acme", "avatar": {}}')

    assert Identity("1", "acme", "Acme") == named


def test_plan_that_can_be_read(stack: ExitStack) -> None:
    """Of a plan, only that it can be read is known afterwards."""
    _, known = looked_up(stack, PLAN)

    assert Plan(readable=True) == known


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", "404 Not Found", "only sentry.io has plans"),
        (b'{"detail": "No."}', "403 Forbidden", "403: No."),
        (b"[]", "200 OK", "$: Expected `object`, got `array`".replace("`", "")),
        (b"<html>", "200 OK", "the answer is a page without a title, not JSON"),
    ],
)
def test_plan_that_cannot_be_read(stack: ExitStack, body: bytes, status: str, reason: str) -> None:
    """The reason is the failure of the request."""
    unknown, known = looked_up(stack, body, status)

    assert None is unknown
    assert isinstance(known, Plan)
    assert not known.readable
    assert reason == known.reason.partition(" [http")[0]
