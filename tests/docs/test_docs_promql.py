"""Every PromQL expression in the documents, asked of a real Prometheus."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import pytest

from exporter.config import Config, loads
from exporter.sentry.token import Secret, TokenLiteral
from exporter.simulator import Simulator, Store
from tests.docs.clock import Clock, unpaced
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
    record,
    rows,
    world,
)
from tests.docs.markdown import Block, blocks
from tests.docs.prometheus import Answer, Labels, Prometheus, prometheus_over

EXTRAPOLATION: Final = 1.1 * SCRAPE_INTERVAL / DAY
"""How far off ``increase()`` over a day may be: by a scrape interval of its range."""

EXACT: Final = 1e-12

HELD_BACK: Final = "ratelimit_backoff"
"""Stands among outcomes for the discards with this reason."""

DROPPED: Final = ("rate_limited", "invalid", "abuse", "cardinality_limited", HELD_BACK)
SENT: Final = ("accepted", "filtered", *DROPPED)
EVENTS: Final = ("error", "transaction")
SLUGS: Final = {WEB: "web", API: "api", GONE: ""}
PLATFORMS: Final = {"web": "javascript", "api": "python"}

SHOWN: Final = MIDNIGHT + DAY + HOUR
RUNNING: Final = SHOWN + HOUR
"""Starts of the last finished hour and of the one that is still filling."""

POLLED: Final = {
    "outcomes": RUNNING + 35 * 60 + PHASE,
    "projects": RUNNING + 35 * 60 + PHASE,
    "days": RUNNING + 5 * 60 + PHASE,
}
"""When each query was polled for the last time."""


def labels(**values: str) -> Labels:
    """Return labels as an answer about the organization has them; empty ones are left out."""
    pairs = {"organization": "acme", **values}.items()
    return frozenset(pair for pair in pairs if pair[1])


def bare(answer: Answer) -> Answer:
    """Return the sum of ``answer``, without labels."""
    return {frozenset(): sum(answer.values())}


def ratio(part: Answer, whole: Answer) -> Answer:
    """Return ``part`` divided by ``whole``, where there is a part."""
    return {key: value / whole[key] for key, value in part.items()}


@dataclass(frozen=True, slots=True)
class Truth:
    """What the store held at `NOW`."""

    store: Store

    def total(
        self,
        by: str,
        start: float,
        end: float,
        category: Collection[str] = EVENTS,
        outcome: Collection[str] | None = None,
    ) -> Answer:
        """Return the sums from ``start`` to ``end``; ``by`` has the names of labels."""
        names = by.split()
        answer: dict[Labels, float] = {}
        sums = self.store.totals(
            ACME, start, end, at=NOW, group_by=(*names, "outcome", "reason"), category=category
        )
        for (*key, found, reason), value in sums.items():
            if (
                outcome is None
                or found in outcome
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
        """Return the accepted errors of the same hour a day before, by project."""
        return self.errors("project", SHOWN - DAY, RUNNING - DAY)


def _shown(value: str | int) -> str:
    return SLUGS[value] if isinstance(value, int) else value


def by_platform(projects: Answer) -> Answer:
    """Return ``projects`` by platform; those that are gone have none."""
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
    "share dropped": lambda truth: ratio(
        truth.last_day("category", DROPPED), truth.last_day("category", SENT)
    ),
    "share dropped in the last hour": lambda truth: ratio(
        truth.shown_hour("category", DROPPED), truth.shown_hour("category", SENT)
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
        key: value / HOUR for key, value in bare(truth.last_hour()).items()
    },
    "sixty times too much": lambda truth: {
        key: 60 * value
        for key, value in bare(truth.last_day("", ["accepted"], ["transaction"])).items()
    },
    "one look an hour": lambda truth: {
        key: value - LATE for key, value in bare(truth.errors("", SHOWN - DAY, SHOWN)).items()
    },
    "down": lambda _: {},
    "missing projects": lambda _: {},
    "age": lambda _: {labels(query=query): NOW - polled for query, polled in POLLED.items()},
    "incomplete": lambda _: {},
    "nothing is missing": lambda truth: dict.fromkeys(truth.last_day("category outcome"), 0),
    "late data": lambda _: {labels(query="projects"): 1},
}
"""What each expression must answer, by the name that stands above it in the document."""


def documented_configuration(url: str) -> Config:
    """Return the configuration that the expressions are about, pointed at ``url``."""
    (block,) = (block for block in blocks("yaml") if block.note == "answered")
    config = loads(block.text)
    token = TokenLiteral(Secret(TOKEN))
    organizations = (replace(each, url=url, token=token) for each in config.organizations)
    return unpaced(replace(config, organizations=tuple(organizations)))


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Return what happened."""
    known = world()
    known.add_rows(*rows())
    return Truth(known.store)


@pytest.fixture(scope="module")
def prometheus(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that scraped the exporter while it happened."""
    known, clock = world(), Clock(NOW)
    known.store = truth.store
    with Simulator(known, clock=clock, rate_limit=None) as sentry:
        scraped = record(documented_configuration(sentry.url), clock)
    with prometheus_over(scraped, tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.mark.programs
@pytest.mark.parametrize("block", blocks("promql"), ids=str)
def test_expression_answers_the_truth(block: Block, prometheus: Prometheus, truth: Truth) -> None:
    """An expression answers what the document says it does, exactly but for extrapolation."""
    answer = ANSWERS[block.note.removeprefix("answer: ")](truth)
    relative = EXTRAPOLATION if "[1d]" in block.text else EXACT

    assert pytest.approx(answer, rel=relative) == prometheus.ask(block.text, NOW)


def test_no_answer_is_without_its_expression() -> None:
    """Each of the answers belongs to an expression in a document."""
    assert set(ANSWERS) == {block.note.removeprefix("answer: ") for block in blocks("promql")}
