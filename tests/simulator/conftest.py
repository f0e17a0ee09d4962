"""The organization that the simulator's tests share, its server, and a client."""

from collections.abc import Iterator

import pytest
import requests

from exporter.simulator import Organization, Project, ProjectStatus, Simulator, Token, World
from tests.simulator.client import NOW


@pytest.fixture
def world() -> World:
    """Return an organization with two active projects, a deleted one, and a token."""
    return World(
        organizations=[Organization(1, "acme"), Organization(2, "other")],
        projects=[
            Project(11, 1, "web", "javascript"),
            Project(12, 1, "api", "python"),
            Project(13, 1, "deleted", None, ProjectStatus.DELETED),
        ],
        tokens=[Token("right", organization=1)],
    )


@pytest.fixture
def sentry(world: World) -> Iterator[Simulator]:
    """Serve a simulated Sentry with a fixed clock."""
    with Simulator(world, clock=lambda: NOW, rate_limit=None) as simulator:
        yield simulator


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Return a client with a valid token."""
    with requests.Session() as client:
        client.headers["Authorization"] = "Bearer right"
        yield client
