"""Fixtures of the tests of upstream faults."""

from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage
from typing import Any, Final

import pytest

from exporter.simulator import World
from tests.reliability.upstream.modes import Mode, When
from tests.reliability.upstream.stage import staged
from tests.reliability.upstream.world import ORGANIZATIONS, token_of
from tests.reliability.upstream.world import world as made_world
from tests.support.exporters import page_text
from tests.support.frames import left_behind
from tests.support.logs import logged

pytest.register_assert_rewrite("tests.reliability.upstream.trial")

from tests.reliability.upstream.trial import Trial  # noqa: E402 - its asserts are rewritten

Try = Callable[..., None]

MEMORY: Final = 64 * 1024
"""In KiB: by how much the peak may grow, whatever is sent."""


@pytest.fixture(scope="session")
def world() -> World:
    """Return the simulated organizations, which no test changes."""
    return made_world()


@pytest.fixture
def try_mode(
    world: World, monkeypatch: pytest.MonkeyPatch, tried: Callable[[str, int], None]
) -> Try:
    """Return a function that tries a mode: nothing of it stays in memory, no token is shown."""

    def run(mode: Mode, when: When, **options: Any) -> None:
        """Try a mode at a time."""
        before = getrusage(RUSAGE_SELF).ru_maxrss
        with (
            left_behind() as names,
            logged() as records,
            staged(monkeypatch, world, **options) as stage,
        ):
            number = Trial(stage, mode, when).run()
            shown = f"{page_text(stage.exporter)} {records} {stage.exporter.status()}"
        tried("faults of Sentry and the network", number)

        assert [] == names
        assert MEMORY > getrusage(RUSAGE_SELF).ru_maxrss - before
        assert not any(token_of(slug) in shown for slug in ORGANIZATIONS)

    return run
