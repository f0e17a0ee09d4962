"""Who an organization is, and whether its plan can be read."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.check.lookups import identity, plan
from exporter.check.report import Identity, Plan, PlannedQuota
from exporter.clients import clients_for
from exporter.config import loads
from exporter.publish.self_metrics import SelfMetrics
from tests.support.billing import body, customer
from tests.support.scripted_server import ScriptedServer, reply, serve

NOW = 1_772_000_000.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what ends the servers."""
    with ExitStack() as opened:
        yield opened


def looked_up(stack: ExitStack, answer: bytes, status: str = "200 OK") -> tuple[object, object]:
    """Return identity and plan that are read from a server with such answers."""
    server = stack.enter_context(ScriptedServer(serve(*[reply(answer, status)] * 9)))
    config = loads(f"organizations: [{{slug: acme, token: x, url: '{server.url}'}}]")
    (organization,) = config.organizations
    client = clients_for(config, SelfMetrics().meter).by_organization["acme"]
    return identity(organization, client), plan(organization, client, NOW)


def test_identity(stack: ExitStack) -> None:
    """The organization is the one that the answer names."""
    named, _ = looked_up(stack, b'{"id": "1", "slug": "acme", "name": "Acme", "avatar": {}}')

    assert Identity("1", "acme", "Acme") == named


def test_plan_that_can_be_read(stack: ExitStack) -> None:
    """Of a plan, only its period and its quotas are known afterwards."""
    _, known = looked_up(stack, body(customer()))

    assert (
        Plan(
            readable=True,
            period="2026-02-17 to 2026-03-16",
            currency="USD",
            budget=300.0,
            quotas=(
                PlannedQuota("errors", "events", 50_000, 0.0003625),
                PlannedQuota("logBytes", "bytes", 5 * 10**9, 5e-10),
            ),
        )
        == known
    )


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (b"", "404 Not Found", "only sentry.io has plans"),
        (b'{"detail": "No."}', "403 Forbidden", "403: No."),
        (b"[]", "200 OK", "$: Expected `object`, got `array`".replace("`", "")),
        (b"<html>", "200 OK", "the answer is a page without a title, not JSON"),
    ],
)
def test_plan_that_cannot_be_read(
    stack: ExitStack, answer: bytes, status: str, reason: str
) -> None:
    """The reason is the failure of the request."""
    unknown, known = looked_up(stack, answer, status)

    assert None is unknown
    assert isinstance(known, Plan)
    assert not known.readable
    assert reason == known.reason.partition(" [http")[0]
