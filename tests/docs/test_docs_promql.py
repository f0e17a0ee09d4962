"""Every PromQL expression in the documents, evaluated by a real Prometheus."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import pytest

from exporter.config import Config, loads
from exporter.sentry.token import Secret
from exporter.simulator import Simulator, Store
from tests.docs.history import (
    ACME,
    API,
    DAY,
    GONE,
    HOUR,
    LATE,
    MIDNIGHT,
    NOW,
    PHASE,
    SCRAPE_INTERVAL,
    TOKEN,
    WEB,
    pages,
    rows,
    world,
)
from tests.docs.markdown import README, Block, blocks, blocks_of
from tests.support.clock import Clock
from tests.support.exporters import unpaced
from tests.support.programs import REPOSITORY
from tests.support.prometheus import Prometheus, import_pages
from tests.support.prometheus import prometheus as running

pytestmark = pytest.mark.slow

REPLICAS: Final = {
    'job="a",instance="10.0.0.1:10790",pod="exporter-a-0"': float("-inf"),
    'job="b",instance="10.0.0.2:10790",pod="exporter-b-0"': NOW - 6 * HOUR,
}
"""The target labels of two exporters that poll the same queries, and when each was installed."""

_SAMPLE: Final = re.compile(r"^([\w:]+)(?:\{(.*)\})? ", re.MULTILINE)

Labels = frozenset[tuple[str, str]]
Answer = dict[Labels, float]
"""Values by labels, without the metric name."""

RANGES: Final = {"[1d]": DAY, "[30m]": 1800}
"""The ranges of ``increase()``, which extrapolates by about a scrape interval."""

EXACT: Final = 1e-12

HELD_BACK: Final = "ratelimit_backoff"
"""Used as an outcome: ``client_discard`` with this reason."""

DROPPED: Final = ("rate_limited", "invalid", "abuse", "cardinality_limited", HELD_BACK)
SENT: Final = ("accepted", "filtered", *DROPPED)
RECEIVED: Final = tuple(one for one in SENT if one != HELD_BACK)
EVENTS: Final = ("error", "transaction")
SLUGS: Final = {WEB: "web", API: "api", GONE: ""}
PLATFORMS: Final = {"web": "javascript", "api": "python"}

SHOWN: Final = MIDNIGHT + DAY + HOUR
RUNNING: Final = SHOWN + HOUR
"""Starts of the last finished hour and of the running hour."""

POLLED: Final = {
    "outcomes": RUNNING + 35 * 60 + PHASE,
    "projects": RUNNING + 35 * 60 + PHASE,
    "days": RUNNING + 5 * 60 + PHASE,
    "quotas": RUNNING + 30 * 60 + PHASE,
}
"""The time of the last poll of each query."""


def labels(**values: str) -> Labels:
    """Return the labels of an answer about the organization, without empty ones."""
    pairs = {"organization": "acme", **values}.items()
    return frozenset(pair for pair in pairs if pair[1])


def labels_of(metric: Mapping[str, str]) -> Labels:
    """Return the labels of a series, without the metric name."""
    return frozenset((name, value) for name, value in metric.items() if name != "__name__")


def total_of(answer: Answer) -> Answer:
    """Return the sum of ``answer``, without labels."""
    return {frozenset(): sum(answer.values())}


def ratio(part: Answer, total: Answer) -> Answer:
    """Return ``part`` divided by ``total``, for the labels of ``part``."""
    return {key: value / total[key] for key, value in part.items()}


@dataclass(frozen=True, slots=True)
class Truth:
    """The outcomes in the simulated Sentry's store at `NOW`."""

    store: Store

    def total(
        self,
        by: str,
        start: float,
        end: float,
        category: Collection[str] = EVENTS,
        outcome: Collection[str] | None = None,
    ) -> Answer:
        """Return the sums from ``start`` to ``end``; ``by`` has the label names."""
        names = by.split()
        answer: dict[Labels, float] = {}
        sums = self.store.totals(
            ACME, start, end, at=NOW, group_by=(*names, "outcome", "reason"), category=category
        )
        for (*key, counted, reason), value in sums.items():
            if (
                outcome is None
                or counted in outcome
                or (HELD_BACK in outcome and reason == HELD_BACK)
            ):
                shown = labels(**dict(zip(names, map(_shown, key), strict=True)))
                answer[shown] = answer.get(shown, 0) + value
        return answer

    def last_day(
        self, by: str, outcome: Collection[str] | None = None, category: Collection[str] = EVENTS
    ) -> Answer:
        """Return the sums of the last 24 hours."""
        return self.total(by, NOW - DAY, NOW, category, outcome)

    def now(self, by: str) -> Answer:
        """Return what was dropped in the last half an hour, in every unit."""
        return self.total(by, NOW - HOUR / 2, NOW, (*EVENTS, "attachment"), DROPPED)

    def shown_hour(self, by: str, outcome: Collection[str]) -> Answer:
        """Return the sums of the last finished hour."""
        return self.total(by, SHOWN, RUNNING, EVENTS, outcome)

    def errors(self, by: str, start: float, end: float) -> Answer:
        """Return the accepted errors from ``start`` to ``end``."""
        return self.total(by, start, end, ["error"], ["accepted"])

    def last_hour(self) -> Answer:
        """Return the accepted errors of the last finished hour by project."""
        return self.errors("project", SHOWN, RUNNING)

    def running_hour(self) -> Answer:
        """Return the accepted errors of the running hour by project."""
        return self.errors("project", RUNNING, NOW)

    def day_before(self) -> Answer:
        """Return the accepted errors of the same hour on the day before, by project."""
        return self.errors("project", SHOWN - DAY, RUNNING - DAY)


def _shown(value: str | int) -> str:
    return SLUGS[value] if isinstance(value, int) else value


TEAMS: Final = {"web": "shop", "api": "platform", "": ""}


def by_team(projects: Answer, share: float = 1, **more: str) -> Answer:
    """Return a ``share`` of the numbers of ``projects`` by team; deleted projects have none."""
    return {
        labels(team=team, **more): share * projects[labels(project=project)]
        for project, team in TEAMS.items()
    }


def by_platform(projects: Answer) -> Answer:
    """Return ``projects`` by platform; deleted projects have none."""
    return {
        labels(platform=platform): projects[labels(project=project)]
        for project, platform in PLATFORMS.items()
    }


ANSWERS: Final[Mapping[str, Callable[[Truth], Answer]]] = {
    "last day": lambda truth: truth.last_day("category"),
    "yesterday": lambda truth: truth.total(
        "category", MIDNIGHT, MIDNIGHT + DAY, outcome=["accepted"]
    ),
    "today": lambda truth: truth.total(
        "category", MIDNIGHT + DAY, POLLED["days"], outcome=["accepted"]
    ),
    "bytes of the last day": lambda truth: truth.last_day("category", category=["attachment"]),
    "dropped now": lambda truth: truth.now("category outcome reason"),
    "dropped now by project": lambda truth: truth.now("category project"),
    "share dropped": lambda truth: ratio(
        truth.last_day("category", DROPPED), truth.last_day("category", SENT)
    ),
    "share dropped in the last hour": lambda truth: ratio(
        truth.shown_hour("category", DROPPED), truth.shown_hour("category", SENT)
    ),
    "received by project": lambda truth: truth.last_day("project", RECEIVED, ["error"]),
    "rejected by project": lambda truth: truth.last_day(
        "project outcome reason", ["rate_limited", "invalid", "abuse"], ["error"]
    ),
    "received in the running hour": lambda truth: truth.total(
        "project", RUNNING, NOW, ["error"], RECEIVED
    ),
    "reasons": lambda truth: truth.last_day("category outcome reason", DROPPED),
    "submitted": lambda truth: truth.last_day("category", ["accepted", "rate_limited", HELD_BACK]),
    "last hour by project": Truth.last_hour,
    "which hour": lambda _: {labels(query="projects"): SHOWN},
    "against the day before": lambda truth: ratio(truth.last_hour(), truth.day_before()),
    "last hour by platform": lambda truth: by_platform(truth.last_hour()),
    "running hour by project": Truth.running_hour,
    "more than the hour before": lambda truth: {
        key: value for key, value in truth.running_hour().items() if value > truth.last_hour()[key]
    },
    "rate between two polls": lambda _: {frozenset(): 0},
    "per second": lambda truth: {
        key: value / HOUR for key, value in total_of(truth.last_hour()).items()
    },
    "sixty times too much": lambda truth: {
        key: 60 * value
        for key, value in total_of(truth.last_day("", ["accepted"], ["transaction"])).items()
    },
    "one sample an hour": lambda truth: {
        key: value - LATE for key, value in total_of(truth.errors("", SHOWN - DAY, SHOWN)).items()
    },
    "share of a quota": lambda truth: (
        {
            labels(quota="transactions"): value / 100_000
            for value in truth.total(
                "", MIDNIGHT, NOW, category=["transaction"], outcome=["accepted"]
            ).values()
        }
        | {
            labels(quota="shop"): truth.errors("project", MIDNIGHT, NOW)[labels(project="web")]
            / 5000
        }
    ),
    "cost by team": lambda truth: by_team(
        truth.errors("project", MIDNIGHT, NOW), 0.01, currency="USD"
    ),
    "use by team": lambda truth: {
        key: value
        for key, value in by_team(truth.errors("project", MIDNIGHT, NOW), quota="errors").items()
        if "team" in dict(key)
    },
    "share of the budget": lambda truth: {
        labels(): 0.01 * value / 10_000 for value in truth.errors("", MIDNIGHT, NOW).values()
    },
    "down": lambda _: {},
    "missing projects": lambda _: {},
    "age": lambda _: {labels(query=query): NOW - polled for query, polled in POLLED.items()},
    "incomplete": lambda _: {},
    "nothing is missing": lambda truth: dict.fromkeys(truth.last_day("category outcome"), 0),
    "late data": lambda _: {labels(query="projects"): 1},
}
"""The expected answer of each expression, by the name above it in the document."""


def documented_configuration(url: str) -> Config:
    """Return the configuration that the expressions use, with the address ``url``."""
    (block,) = (block for block in blocks("yaml") if block.note == "answered")
    config = loads(block.text)
    reached = {"url": url, "token_file": None, "token_literal": Secret(TOKEN)}
    organizations = (each.model_copy(update=reached) for each in config.organizations)
    return unpaced(replace(config, organizations=tuple(organizations)))


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Return the known outcomes."""
    known = world()
    known.add_rows(*rows())
    return Truth(known.store)


def scrapes(config: Config, clock: Clock) -> Iterator[tuple[float, str]]:
    """Yield what each of `REPLICAS` is scraped of, with the time."""
    for moment, page in pages(config, clock):
        texts = [
            with_labels(page, target)
            for target, installed in REPLICAS.items()
            if installed <= moment
        ]
        yield moment, "".join(texts)


def with_labels(page: str, target: str) -> str:
    """Return ``page`` with the labels of a target on each of its samples."""

    def sample(match: re.Match[str]) -> str:
        return f"{match[1]}{{{','.join(filter(None, (target, match[2])))}}} "

    return _SAMPLE.sub(sample, page)


@pytest.fixture(scope="module")
def prometheus(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped two exporters with the same queries."""
    known, clock = world(), Clock(NOW)
    known.store = truth.store
    folder = tmp_path_factory.mktemp("prometheus")
    with Simulator(known, clock=clock, rate_limit=None) as sentry:
        import_pages(folder, scrapes(documented_configuration(sentry.url), clock), target="")
    with running(folder) as started:
        yield started


@pytest.mark.programs
@pytest.mark.parametrize("block", blocks("promql"), ids=str)
def test_expression_answers_the_truth(block: Block, prometheus: Prometheus, truth: Truth) -> None:
    """An expression gives the documented answer, exactly except for extrapolation.

    A second exporter of the same queries doubles nothing.
    """
    answer = ANSWERS[block.note.removeprefix("answer: ")](truth)
    errors = [1.1 * SCRAPE_INTERVAL / RANGES[each] for each in RANGES if each in block.text]
    relative = max(errors, default=EXACT)

    assert pytest.approx(answer, rel=relative) == prometheus.values(block.text, labels_of, NOW)


def test_every_answer_has_an_expression() -> None:
    """Each expected answer belongs to an expression in a document."""
    assert set(ANSWERS) == {block.note.removeprefix("answer: ") for block in blocks("promql")}


def test_every_expression_is_evaluated() -> None:
    """Expressions are only in documents that a test evaluates with two exporters.

    The tests of the runbooks have their own data. docs/alerts.md asks Prometheus about itself.
    """
    documents = [
        README,
        *(REPOSITORY / "docs").glob("*.md"),
        *(REPOSITORY / "deploy").rglob("*.md"),
    ]
    evaluated = {"README.md", "promql.md", "migration.md", "runbooks.md", "alerts.md"}

    assert evaluated == {
        document.name
        for document in documents
        if any(block.language == "promql" for block in blocks_of(document))
    }
