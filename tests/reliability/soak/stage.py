"""What a soak acts on: the simulated Sentry, the exporter's files, and its process."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests
import yaml

from exporter.config import Config, loads
from exporter.simulator import Fault, Simulator
from tests.reliability.soak.clocks import SharedClock
from tests.reliability.soak.process import CLOCK, CONFIGURATION, Life, living
from tests.reliability.soak.world import START, Soaked, token
from tests.support.configuration import OUTCOMES, PROJECTS
from tests.support.programs import TIMEOUT, wait_until

_POLLED: Final[Mapping[str, tuple[str, str]]] = {
    "acme": ("5m", "15m"),
    "globex": ("15m", "1h"),
}
"""How often both queries of an organization are polled; the first is as in our examples."""

WEEKS_FROM: Final = "2026-03-02"
"""From when on the billing periods of the third organization are counted, of a week each."""

_QUOTAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "acme": {"billing": {"plan": "sentry"}},
    "initech": {
        "billing": {"period": {"every": "7d", "from": WEEKS_FROM}},
        "quotas": [
            {"name": "errors", "category": "error", "limit": 500_000, "price": 0.0002},
            {"name": "logs", "category": "log_byte", "limit": "5GB"},
        ],
    },
}
_POLL_INTERVAL: Final = 15 * 60
"""Seconds in which several queries are polled, by project too."""


class Stage:
    """The simulated Sentry, and an exporter with its files in ``folder``; a context manager.

    A reload changes ``settings`` of all organizations, the ``lookback`` of all queries, and which
    queries the file is ``without``, as pairs of organization and name.
    """

    def __init__(self, soaked: Soaked, folder: Path) -> None:
        self.soaked = soaked
        self.world = soaked.world
        self.folder = folder
        self.clock = SharedClock(folder / CLOCK)
        self.clock.now = START
        self.sentry = Simulator(self.world, clock=self.clock, rate_limit=None)
        self.settings: dict[str, Any] = {"timeout": "1s", "requests_per_second": 20}
        self.lookback = "24h"
        self.without: set[tuple[str, str]] = set()
        self.life: Life
        self._lives = ExitStack()
        self._tokens: dict[int, str] = {}

    def __enter__(self) -> Self:
        for organization in self.world.organizations():
            self.new_token(organization.id)
            self.use_token(organization.id)
        self.write(self.document())
        self.sentry.start()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lives.close()
        self.sentry.stop()

    def start(self) -> None:
        """Start an exporter, at the end of the one before."""
        self.life = self._lives.enter_context(living(self.folder, self.clock.now))

    def stop(self) -> None:
        """Stop the exporter as SIGTERM does."""
        self.life.stop()
        self._lives.close()

    def kill(self) -> None:
        """Kill the exporter between two polls."""
        self._lives.close()

    def kill_in_request(self, number: int) -> None:
        """Kill the exporter while its request of this ``number`` from now on is out."""
        hanging = self.sentry.faults.add(Fault("hang", after=number, times=1))
        before = len(self.sentry.requests)
        self.life.begin_to_run(self.clock.now + _POLL_INTERVAL)
        wait_until(lambda: self._is_hanging(before) or not self.life.is_running())
        self._lives.close()
        self.sentry.faults.remove(hanging)

    def reload(self, *, succeeds: bool = True) -> None:
        """Let the exporter read its file again."""
        answer = requests.post(f"{self.life.url}/-/reload", timeout=TIMEOUT)

        assert succeeds is answer.ok, answer.text

    def take_requests(self) -> int:
        """Return how many requests Sentry has received since this was last called."""
        number = len(self.sentry.requests)
        self.sentry.requests.clear()
        return number

    def page(self) -> str:
        """Return what a scrape gets."""
        answer = requests.get(f"{self.life.url}/metrics", timeout=TIMEOUT)
        assert answer.ok
        return answer.text

    def write(self, text: str) -> None:
        """Replace the exporter's configuration."""
        (self.folder / CONFIGURATION).write_text(text, "utf-8")

    def document(self) -> str:
        """Return the configuration with its present settings."""
        organizations = [
            {
                "slug": each.slug,
                "token_file": str(self._token_file(each.id)),
                "queries": [
                    query
                    for query in (
                        {**OUTCOMES, "poll_interval": often, "lookback": self.lookback},
                        {**PROJECTS, "poll_interval": rarely, "lookback": self.lookback},
                    )
                    if (each.slug, query["name"]) not in self.without
                ],
                **_QUOTAS.get(each.slug, {}),
            }
            for each in self.world.organizations()
            for often, rarely in [_POLLED.get(each.slug, ("1h", "1h"))]
        ]
        defaults = {"url": self.sentry.url, **self.settings}
        return yaml.safe_dump({"defaults": defaults, "organizations": organizations})

    def config(self) -> Config:
        """Return the configuration, as the exporter reads it."""
        return loads(self.document())

    def new_token(self, organization: int) -> None:
        """Replace the token that Sentry knows, without telling the exporter."""
        before = self._tokens.get(organization, "")
        self.world.revoke_token(before)
        number = int(before.rpartition("-")[2] or 0) + 1
        self._tokens[organization] = f"token-{organization}-{number}"
        self.world.add_token(token(self._tokens[organization], organization))

    def use_token(self, organization: int) -> None:
        """Write the token that Sentry knows where the exporter reads it."""
        path = self._token_file(organization)
        path.touch(0o600)
        path.write_text(self._tokens[organization], "utf-8")

    def _token_file(self, organization: int) -> Path:
        return self.folder / f"token-{organization}"

    def _is_hanging(self, first: int) -> bool:
        """Return whether a request has got no answer, of those from the number ``first`` on."""
        return any(each.status == 0 for each in self.sentry.requests[first:])
