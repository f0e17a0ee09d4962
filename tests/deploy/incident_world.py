"""Two organizations of a simulated Sentry, with steady traffic until the incident begins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

from exporter.config import Config, loads
from exporter.simulator import (
    HOUR,
    RHYTHMS,
    Episode,
    Organization,
    Project,
    Series,
    Store,
    Token,
    TokenKind,
    Traffic,
    World,
)
from tests.support.exporters import unpaced

ACME: Final = Organization(1, "acme")
GLOBEX: Final = Organization(2, "globex")
CHECKOUT: Final = Project(11, ACME.id, "checkout", "python-fastapi")
IOS: Final = Project(12, ACME.id, "ios", "apple-ios")
WEB: Final = Project(13, ACME.id, "web", "javascript-react")
PORTAL: Final = Project(21, GLOBEX.id, "portal", "javascript-react")

_PROJECTS: Final = (CHECKOUT, IOS, WEB, PORTAL)
_TOKEN: Final = "the-token-of-{}"
_STEADY: Final = len(RHYTHMS) - 1
_ERRORS: Final = frozenset({"error"})

_CONFIGURATION: Final = """
defaults:
  url: {url}
organizations:
  - slug: acme
    token: {acme}
    queries: &queries
      - name: outcomes
        groupBy: [category, outcome, reason]
        poll_interval: 15m
      - name: projects
        groupBy: [project, category, outcome, reason]
        poll_interval: 15m
  - slug: globex
    token: {globex}
    queries: *queries
"""


@dataclass(slots=True)
class Incident:
    """A release breaks a project, then its key is rate limited, then another project stops.

    ``start`` is a full hour, and can be set until that hour begins. The release causes errors for
    `BROKEN`. The rate limit is in force in the second half of that time. ``ios`` sends nothing
    from the middle of the second half until `END`.
    """

    start: float = float("inf")

    BROKEN: ClassVar[int] = 2 * HOUR
    END: ClassVar[int] = 4 * HOUR

    def episodes(self, hour: int) -> Sequence[Episode]:
        """Return the episodes of an hour."""
        return [each for each in self._all() if each.start < hour + HOUR and each.end > hour]

    def _all(self) -> Iterator[Episode]:
        start, fixed = self.start, self.start + self.BROKEN
        limited = partial(Episode, start + HOUR, fixed, project=CHECKOUT.id, categories=_ERRORS)
        yield Episode(start, fixed, 12.0, CHECKOUT.id, _ERRORS, "accepted")
        yield limited(scale=1.2, outcome="accepted")
        yield limited(scale=1.0, outcome="rate_limited")
        yield Episode(start + 1.5 * HOUR, start + self.END, 0.0, IOS.id)


def world_of(incident: Incident) -> World:
    """Return the data of the simulated Sentry."""
    traffic = {
        ACME.id: Traffic(1, ACME.id, _acme_series(), incident.episodes),
        GLOBEX.id: Traffic(1, GLOBEX.id, _site_series(PORTAL)),
    }
    tokens = [
        Token(_TOKEN.format(each.slug), TokenKind.INTEGRATION, each.id) for each in (ACME, GLOBEX)
    ]
    return World((ACME, GLOBEX), _PROJECTS, (), tokens, store=Store(traffic))


def configuration(url: str) -> Config:
    """Return a configuration for the simulated Sentry at ``url``, without pacing of requests."""
    tokens = {each.slug: _TOKEN.format(each.slug) for each in (ACME, GLOBEX)}
    return unpaced(loads(_CONFIGURATION.format(url=url, **tokens)))


def _acme_series() -> Iterator[Series]:
    yield from _site_series(WEB)
    for project, errors in ((CHECKOUT, 400.0), (IOS, 600.0)):
        yield Series(project.id, "error", "accepted", None, errors, _STEADY)
        yield Series(project.id, "transaction", "accepted", None, 9 * errors, _STEADY)
    yield Series(CHECKOUT.id, "error", "rate_limited", "key_quota", 4300.0, _STEADY, baseline=0.0)


def _site_series(project: Project) -> Iterator[Series]:
    for category, outcome, reason, hourly in (
        ("error", "accepted", None, 8000.0),
        ("error", "filtered", "browser-extensions", 700.0),
        ("error", "client_discard", "before_send", 120.0),
        ("error", "invalid", "cors", 30.0),
        ("transaction", "accepted", None, 30_000.0),
    ):
        yield Series(project.id, category, outcome, reason, hourly, _STEADY)
