"""Our side: everything between Sentry's bytes and the page, without the network."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from bench.samples import (
    HOUR,
    KINDS,
    ORGANIZATION,
    QUERY,
    Hour,
    organization_answer,
    project_id,
    project_number,
    project_slug,
    projects,
)
from exporter import log
from exporter.app import tune_interpreter
from exporter.collect.plan.core import Reply
from exporter.collect.poll.directory import ListsProjects, ProjectDirectory
from exporter.collect.poll.query import Asks, QueryPoller
from exporter.collect.snapshot import Report
from exporter.config import Config, loads
from exporter.publish.page import Page
from exporter.publish.self_metrics import OwnMetrics
from exporter.sentry.answer import parse
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import ROW_LIMIT, Question

RUNNING: Final = 1_790_000_000 // HOUR * HOUR
"""The hour that has begun at `NOW`."""

FINISHED: Final = RUNNING - HOUR
NOW: Final = RUNNING + 600.0

_CONFIGURATION: Final = """
organizations:
  - slug: {organization}
    url: {url}
    token: {token}
    queries:
      - name: {query}
        groupBy: [project, category, outcome, reason]
        counters: {counters}
        lookback: {lookback}
"""


def as_served() -> None:
    """Set this process up as ``serve`` does: what it logs, and how often it looks for garbage."""
    log.configure("info", "logfmt")
    tune_interpreter()


class Feed:
    """Answers in Sentry's place: texts made beforehand, parsed when they are asked for.

    ``hours`` holds each hour that has data by its start, and may be changed between polls. No
    answer by project has more than ``most`` rows.
    """

    clock_skew: float | None = None

    def __init__(self, series: int, hours: Mapping[int, Hour], most: int = ROW_LIMIT) -> None:
        self.hours = dict(hours)
        self._everybody = projects(series)[: most // len(KINDS)]
        self._projects = ProjectList.of(
            Project(project_id(number), project_slug(number), "python", accessible=True)
            for number in projects(series)
        )

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the answers in the order of the questions."""
        return [parse(self._body(question), question) for question in questions]

    def credentials(self) -> None:
        """Need no token."""

    def projects(self) -> ProjectList:
        """Return the projects of all series."""
        return self._projects

    def _body(self, question: Question) -> bytes:
        starts = question.window.buckets()
        if "project" in question.group_by:
            asked = [project_number(one) for one in question.project if one > 0]
            return self.hours[starts[0]].answer(asked or self._everybody)
        nothing = (0,) * len(KINDS)
        sums = [self.hours[s].sums if s in self.hours else nothing for s in starts]
        return organization_answer(starts, sums)


def configuration(
    url: str = "http://localhost",
    *,
    organization: str = ORGANIZATION,
    token: str = "unused",  # noqa: S107 - opens nothing
    counters: bool = True,
    lookback: str = "24h",
) -> Config:
    """Return a configuration with one query by project."""
    return loads(
        _CONFIGURATION.format(
            url=url,
            organization=organization,
            token=token,
            query=QUERY,
            counters=str(counters).lower(),
            lookback=lookback,
        )
    )


class Client(Asks, ListsProjects, Protocol):
    """What a pipeline begins with."""


class Pipeline:
    """A page, and the one query of ``config`` that fills it with what ``client`` answers."""

    def __init__(self, client: Client, config: Config) -> None:
        (organization,) = config.organizations
        (query,) = organization.queries
        self.page = Page(OwnMetrics())
        directory = ProjectDirectory(organization.name, client, self.page)
        self._query = QueryPoller(organization, query, client, directory, self.page)

    def poll(self, now: float = NOW) -> None:
        """Poll once, as `poll_whole` does."""
        poll_whole(self._query, now)

    def poll_out(self) -> None:
        """Poll until nothing of the lookback is left unread."""
        while poll_whole(self._query, NOW).next_poll <= NOW:
            pass

    def healthy(self) -> bool:
        """Tell that nothing is amiss, as the probes want to know."""
        return True

    def ready(self) -> bool:
        """Tell whether there is data."""
        return self._query.report.view is not None


def poll_whole(query: QueryPoller, now: float) -> Report:
    """Poll once; raises RuntimeError where that fails, or leaves anything unproven."""
    report = query.poll(now)
    if not report.up or report.view is None or not report.view.complete:
        raise RuntimeError(f"a poll went wrong: {dict(report.failures)}")
    return report
