"""The data of all measurements: any number of series, and Sentry's answers about them.

Nothing here needs the exporter, so that the other sides can be measured without it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Final, NamedTuple

HOUR: Final = 3600
FIRST_HOUR: Final = 1_790_000_000 // HOUR * HOUR
"""The first hour with data, in seconds since the epoch."""

ORGANIZATION: Final = "bench"
QUERY: Final = "projects"
FAMILY: Final = "sentry_stats_bucket_events"
LABELS: Final = ("organization", "query", "category", "outcome", "reason", "project")

KINDS: Final = tuple(
    (category, outcome, reason)
    for category, (outcome, reason) in product(
        ("error", "transaction", "span", "replay"),
        (
            ("accepted", "none"),
            ("rate_limited", "key_quota"),
            ("filtered", "browser-extensions"),
            ("client_discard", "sample_rate"),
            ("invalid", "cors"),
        ),
    )
)
"""The category, outcome and reason of a project's series; all of them count events."""

_FIRST_PROJECT: Final = 4_505_123_000_000_000


class Sample(NamedTuple):
    """One series of a bucket and its value; ``project`` is counted from 0."""

    project: int
    category: str
    outcome: str
    reason: str
    value: int

    def labels(self) -> tuple[str, ...]:
        """Return the values of `LABELS`."""
        return (
            ORGANIZATION,
            QUERY,
            self.category,
            self.outcome,
            self.reason,
            project_slug(self.project),
        )


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour by project: each project's groups as Sentry writes them, and the sums of `KINDS`."""

    start: int
    groups: tuple[str, ...]
    sums: tuple[int, ...]

    def answer(self, numbers: Iterable[int]) -> bytes:
        """Return the body of Sentry's answer about the projects with these numbers."""
        head = f'{{"start":"{written(self.start)}","end":"{written(self.start + HOUR)}","groups":['
        return f"{head}{','.join([self.groups[number] for number in numbers])}]}}".encode()

    def body(self) -> bytes:
        """Return the body of an answer about all of them."""
        return self.answer(range(len(self.groups)))


def samples(series: int, turn: int = 0) -> Iterator[Sample]:
    """Yield so many samples; from one turn to the next every value grows."""
    for number in range(series):
        # Scattered without a period: repeated values would compress as real ones do not.
        value = 1 + (number * 2_654_435_761 % 2**32 >> 5) % 9973 + turn * (1 + number % 7)
        yield Sample(number // len(KINDS), *KINDS[number % len(KINDS)], value)


def projects(series: int) -> range:
    """Return the projects that so many samples belong to."""
    return range(-(-series // len(KINDS)))


def project_id(project: int) -> int:
    """Return the id that Sentry gives to a project."""
    return _FIRST_PROJECT + project


def project_number(project: int) -> int:
    """Return the number of the project with an id, counted from 0."""
    return project - _FIRST_PROJECT


def project_slug(project: int) -> str:
    """Return the slug of a project."""
    return f"project-{project:05d}"


def hour(series: int, start: int, turn: int = 0) -> Hour:
    """Return the hour that begins at ``start``, with so many series in it."""
    sums = [0] * len(KINDS)
    groups: list[list[str]] = [[] for _ in projects(series)]
    for number, sample in enumerate(samples(series, turn)):
        sums[number % len(KINDS)] += sample.value
        groups[sample.project].append(_group(sample))
    return Hour(start, tuple(map(",".join, groups)), tuple(sums))


def organization_answer(starts: Sequence[int], sums: Sequence[Sequence[int]]) -> bytes:
    """Return Sentry's answer without project: for each of ``starts``, the sums of `KINDS`."""
    groups = [
        {
            "by": {"category": category, "outcome": outcome, "reason": reason},
            "totals": {"sum(quantity)": sum(values)},
            "series": {"sum(quantity)": values},
        }
        for (category, outcome, reason), values in zip(KINDS, zip(*sums, strict=True), strict=True)
        if any(values)
    ]
    return json.dumps(
        {"intervals": [written(start) for start in starts], "groups": groups}
    ).encode()


def written(seconds: int) -> str:
    """Return a moment as Sentry writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> int:
    """Return the moment that Sentry writes as ``text``."""
    return int(datetime.fromisoformat(text).timestamp())


def _group(sample: Sample) -> str:
    return (
        f'{{"by":{{"project":{project_id(sample.project)},"category":"{sample.category}",'
        f'"outcome":"{sample.outcome}","reason":"{sample.reason}"}},'
        f'"totals":{{"sum(quantity)":{sample.value}}}}}'
    )
