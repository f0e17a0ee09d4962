"""A day of the demo's world as a real Prometheus has it after scraping an exporter for a day.

Simulator and exporter live through the day on a clock that is turned by hand, polls and answers
being what they always are. What each scrape would have read is kept with its time, in OpenMetrics,
and made into the blocks of a Prometheus.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import requests

from exporter.app import Exporter
from exporter.cli.demo import demo_configuration
from exporter.collect.poll.loop import Poller
from exporter.config import Config
from exporter.simulator import RateLimit, Simulator, World, demo_world
from tests.deploy.kit import output_of
from tests.programs import find_program, running

START: Final = 1_748_908_800
"""A Tuesday's midnight, UTC."""

DAY: Final = 86400
END: Final = START + DAY
SCRAPE_INTERVAL: Final = 240
FIRST_SCRAPE: Final = START + 37
"""Off the minute, as Prometheus spreads its scrapes."""

JOB: Final = "sentry-stats-exporter"

_PROJECTS: Final = 3
_POLL_INTERVAL: Final = 1800
_TARGET: Final = f'job="{JOB}",instance="exporter:10790"'
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_BLOCK: Final = 7200
"""Seconds in a block. promtool reads its whole input again for each, so each has its own file."""

_ALL_THE_TIME: Final = "100y"
_NO_HINDRANCE: Final = RateLimit(limit=1000)
"""A second of the clock lasts as long as the requests of a poll take, but Sentry counts by it."""

_LISTENING: Final = r"Listening on.*address=(127\S+)"

Vector = Mapping[tuple[str, ...], float]

Kind = Callable[[str, str], bool]
"""Tells whether an outcome with a reason is meant."""


@dataclass(frozen=True, slots=True)
class Day:
    """The world, and the moments of the first and the last poll of the day."""

    world: World
    first_poll: float
    last_poll: float

    def gained(
        self,
        organization: str,
        by: Sequence[str],
        *,
        category: Sequence[str] | None = None,
        kind: Kind = lambda _outcome, _reason: True,
    ) -> dict[tuple[str, ...], float]:
        """Return what the day's polls had to learn, from the rows themselves, by labels.

        Project labels are slugs, empty for projects that are not listed.
        """
        known = self.world.organization(organization)
        assert known is not None
        sums: dict[tuple[str, ...], float] = {}
        for at, sign in ((self.last_poll, 1), (self.first_poll, -1)):
            found = self.world.store.totals(
                known.id,
                START - DAY,
                END,
                at=at,
                group_by=(*by, "outcome", "reason"),
                category=category,
            )
            for (*key, outcome, reason), value in found.items():
                if not kind(str(outcome), str(reason)):
                    continue
                labels = tuple(map(str, self._labels(known.id, key)))
                sums[labels] = sums.get(labels, 0) + sign * value
        return {key: value for key, value in sums.items() if value}

    def _labels(self, organization: int, key: Sequence[str | int]) -> Iterator[str | int]:
        """Yield the labels of ``key`` with slugs for ids."""
        slugs = {one.id: one.slug for one in self.world.active_projects(organization)}
        for label in key:
            yield slugs.get(label, "") if isinstance(label, int) else label


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def label_values(self, selector: str, label: str) -> list[str]:
        """Return the values that Grafana's ``label_values`` offers."""
        return list(
            self._ask(f"label/{label}/values", **{"match[]": selector}, start=START, end=END)
        )

    def instant(self, expression: str) -> list[dict[str, Any]]:
        """Return the vector at the end of the day."""
        return list(self._ask("query", query=expression, time=END)["result"])

    def matrix(self, expression: str, step: int) -> list[dict[str, Any]]:
        """Return the course of the day, from the end of its first step."""
        found = self._ask("query_range", query=expression, start=START + step, end=END, step=step)
        return list(found["result"])

    def _ask(self, path: str, **parameters: str | int) -> Any:
        """Return the data of an answer, which must be a good one."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20)

        assert answer.ok, f"{parameters}\n{answer.text}"
        return answer.json()["data"]


def lived(history: Path) -> Day:
    """Live through the day, and write what was scraped into the folder ``history``."""
    history.mkdir()
    moment = float(FIRST_SCRAPE)
    world = demo_world(START, projects=_PROJECTS)
    with Simulator(world, clock=lambda: moment, rate_limit=_NO_HINDRANCE) as sentry:
        exporter = Exporter(_hurried(demo_configuration(sentry.url)), clock=lambda: moment)
        poller = Poller(exporter.queries, start=lambda work: work())
        for scrape in range(FIRST_SCRAPE, END, SCRAPE_INTERVAL):
            moment = scrape
            poller.tick(moment)
            with (history / str(scrape // _BLOCK)).open("a", encoding="utf-8") as file:
                file.write(_stamped(exporter, scrape))
    assert all(query.report.up for query in exporter.queries)
    return Day(world, FIRST_SCRAPE, exporter.queries[0].report.last_success)


@contextmanager
def prometheus_of(history: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that holds ``history`` and scrapes nothing."""
    data, configuration = history.with_name("data"), history.with_name("prometheus.yml")
    configuration.write_text("{}")
    promtool = find_program("promtool", "prometheus")
    for part in history.iterdir():
        with part.open("a", encoding="utf-8") as file:
            file.write("# EOF\n")
        output_of(promtool, "tsdb", "create-blocks-from", "openmetrics", part, data)
    command = [
        find_program("prometheus", "prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={_ALL_THE_TIME}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command, history.with_name("log")) as program:
        url = f"http://{program.wait_for(_LISTENING)}"
        program.wait_ready(f"{url}/-/ready")
        yield Prometheus(url)


def _hurried(config: Config) -> Config:
    """Return ``config`` with fewer polls, and with no pauses between requests."""
    return replace(
        config,
        organizations=tuple(
            replace(
                organization,
                requests_per_second=1e6,
                queries=tuple(
                    replace(query, poll_interval=_POLL_INTERVAL) for query in organization.queries
                ),
            )
            for organization in config.organizations
        ),
    )


def _stamped(exporter: Exporter, moment: int) -> str:
    """Return what a scrape at ``moment`` reads, with its time and the target's labels."""
    page = b"".join(exporter.page.chunks(openmetrics=True, compressed=False)).decode()
    samples = (
        f"{name}{{{_TARGET}{',' * bool(labels)}{labels}}} {value} {moment}\n"
        for name, labels, value in _SAMPLE.findall(page)
    )
    return "".join([f"up{{{_TARGET}}} 1 {moment}\n", *samples])
