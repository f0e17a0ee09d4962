"""Our side inside of this process: everything between Sentry's bytes and the page.

This is the only module here that uses names from inside of the exporter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, cast

import requests

from bench.samples import (
    FIRST_HOUR,
    HOUR,
    ORGANIZATION,
    QUERY,
    Hour,
    project_id,
    project_slug,
    projects,
)
from bench.upstream import ROW_LIMIT, Organization
from exporter import log
from exporter.app import Exporter
from exporter.cli.run import tune_interpreter
from exporter.clients import clients_for
from exporter.collect.plan.core import Reply
from exporter.collect.poll import Client as StatsClient
from exporter.collect.poll import PollerState, ProjectDirectory, ProjectsClient, QueryPoller
from exporter.collect.snapshot import Report
from exporter.config import Config, loads
from exporter.publish.gzip import compressed
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.answer import parse
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import Question
from exporter.state import State

FINISHED: Final = FIRST_HOUR
"""The newest finished hour at `NOW`."""

NOW: Final = FINISHED + HOUR + 600.0

_TIMEOUT: Final = 60.0
_UNPACED: Final = 10_000.0
_CONFIGURATION: Final = """
organizations:
  - slug: {organization}
    url: {url}
    token: {token}
    queries:
      - name: {query}
        groupBy: [project, category, outcome, reason]
        lookback: {lookback}
"""


def gzipped(text: bytes) -> bytes:
    """Return ``text`` compressed as the page is."""
    return b"".join(compressed(text).gzipped(b""))


def as_served() -> None:
    """Set this process up as ``serve`` does: its log, and the garbage collector."""
    log.configure("info", "logfmt")
    tune_interpreter()


class Feed:
    """Answers in Sentry's place: texts made beforehand, parsed when a question comes.

    ``hours`` holds each hour that has data by its start, and may be changed between polls. No
    answer by project has more than ``max_rows`` rows.
    """

    status = ApiStatus()

    def __init__(self, series: int, hours: Mapping[int, Hour], max_rows: int = ROW_LIMIT) -> None:
        self.hours = dict(hours)
        self._organization = Organization(series, self.hours.get, max_rows)
        self._projects = ProjectList.of(
            Project(project_id(number), project_slug(number), "python", accessible=True)
            for number in projects(series)
        )

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the answers in the order of the questions."""
        return [parse(self._organization.stats(one.parameters()), one) for one in questions]

    def credentials(self) -> None:
        """Need no token."""

    def projects(self) -> ProjectList:
        """Return the projects of all series."""
        return self._projects


class Recording:
    """Answers as the server of ``config`` did when it first got the same question at ``now``."""

    status = ApiStatus()

    def __init__(self, config: Config, token: str) -> None:
        self.now = 0.0
        self._config = config
        self._headers = {"Authorization": f"Bearer {token}"}
        self._bodies: dict[tuple[float, Question], bytes] = {}
        self._projects: ProjectList | None = None

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the answers in the order of the questions."""
        return [parse(self._body(question), question) for question in questions]

    def credentials(self) -> None:
        """Need no token: every answer is recorded before."""

    def projects(self) -> ProjectList:
        """Return all projects of the organization."""
        if self._projects is None:
            (client,) = clients_for(self._config, SelfMetrics().meter).by_organization.values()
            self._projects = client.projects()
        return self._projects

    def _body(self, question: Question) -> bytes:
        key = self.now, question
        if key not in self._bodies:
            self._bodies[key] = self._requested(question)
        return self._bodies[key]

    def _requested(self, question: Question) -> bytes:
        (organization,) = self._config.organizations
        url = f"{organization.url}/api/0/organizations/{organization.slug}/stats_v2/"
        parameters = question.parameters()
        answer = requests.get(url, parameters, headers=self._headers, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.content


def configuration(
    url: str = "http://localhost",
    *,
    organization: str = ORGANIZATION,
    token: str = "unused",  # noqa: S107 - opens nothing
    lookback: str = "24h",
) -> Config:
    """Return a configuration with one query by project."""
    return loads(
        _CONFIGURATION.format(
            url=url, organization=organization, token=token, query=QUERY, lookback=lookback
        )
    )


def unpaced(config: Config, max_concurrency: int) -> Config:
    """Return ``config`` with so many requests in flight, and no pause between requests."""
    organizations = [
        one.model_copy(update={"requests_per_second": _UNPACED, "max_concurrency": max_concurrency})
        for one in config.organizations
    ]
    return replace(config, organizations=tuple(organizations))


class Client(StatsClient, ProjectsClient, Protocol):
    """What a pipeline needs to begin with."""


class Pipeline:
    """A page, and the one query of ``config`` that fills it with the answers of ``client``.

    With ``state``, the query has a state file at this path.
    """

    def __init__(self, client: Client, config: Config, state: Path | None = None) -> None:
        (organization,) = config.organizations
        (query,) = organization.queries
        self.page = Page(SelfMetrics())
        directory = ProjectDirectory(organization.name, client, self.page)
        restored = None if state is None else State(state).restore(organization, query)
        begun = PollerState.begin(organization, query, restored)
        self._query = QueryPoller(organization, query, client, directory, self.page, state=begun)

    def poll(self, now: float = NOW) -> None:
        """Poll once; raises RuntimeError as `poll_completely` does."""
        poll_completely(self._query, now)

    def poll_everything(self) -> None:
        """Poll until nothing of the lookback is left to be read."""
        while poll_completely(self._query, NOW).next_poll <= NOW:
            pass


def networked(config: Config) -> Callable[[float], object]:
    """Return what polls the one query of ``config`` over the network at a moment."""
    (query,) = Exporter(config).queries
    # The configuration has no quotas, which are polled by another class.
    poller = cast("QueryPoller", query)
    return lambda now: poll_completely(poller, now)


def poll_completely(query: QueryPoller, now: float) -> Report:
    """Poll once; raises RuntimeError where that fails, or leaves anything unproven."""
    report = query.poll(now)
    if not report.up or report.view is None or not report.view.complete:
        raise RuntimeError(f"a poll failed: {dict(report.failures)}")
    return report
