"""The seam to an exporter that is running: history ends where its counters begin.

A counter holds what its buckets have gained since the exporter's first poll. So what its buckets
hold now, less the counter, is what they held then: that is the value with which history ends, to
the event. Both come from one page of the exporter, of a poll at a time when every bucket is either
finished or running, because the page has the values of these two.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter.backfill.progress_file import ABSENT
from exporter.backfill.times import Job
from exporter.buckets import Window, floor
from exporter.categories import MILLISECONDS_PER_SECOND, Unit, unit_of
from exporter.collect.series import NO_PROJECT, Rows, Series
from exporter.moments import iso
from exporter.publish import families
from exporter.sentry.question import QUANTITY, TIMES_SEEN

Key = tuple[Series, str]
"""A series, and the label of its project."""

SEAM: Final = 2
"""Seconds before the exporter's start at which history ends."""

_TIMEOUT: Final = 30.0
_TOLERANCE: Final = 0.01
"""Which share of a counter may have come in for hours before it began."""

_START: Final = "process_start_time_seconds"
_SAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    family.name: (kind, measure)
    for kind, table in (("counters", families.COUNTED), ("running", families.RUNNING))
    for measure, family in table.items()
}


class JoinError(Exception):
    """History cannot be joined to the exporter, or not yet. The message says why."""


@dataclass(frozen=True, slots=True)
class Seam:
    """Where the counters of a job end, at ``moment``.

    ``more`` is what each of them has at its end more than in the buckets of history.
    """

    moment: int
    more: Mapping[Key, int]

    def stamps(self) -> tuple[str, str]:
        """Return the ends of two lines: of the last value, and of a 0 after it.

        The exporter may have counted more than that value before its first scrape: the 0 between
        them shows Prometheus that it is another counter.
        """
        return f" {self.moment - 1}\n", f" {self.moment}\n"

    def end(self, key: Key, values: Iterable[int]) -> int:
        """Return where a counter ends; ``values`` are those of its buckets, ABSENT for none."""
        return max(sum(one for one in values if one != ABSENT) + self.more.get(key, 0), 0)


@dataclass(slots=True)
class QueryPage:
    """What a page has about one query."""

    counters: dict[Key, int] = field(default_factory=dict)
    running: dict[Key, int] = field(default_factory=dict)
    start: int = 0
    polled_at: float = 0


@dataclass(frozen=True, slots=True)
class DaemonPage:
    """The page of an exporter, as far as it matters to history."""

    started: float
    queries: Mapping[tuple[str, str], QueryPage]


class Daemon:
    """The exporter at ``url``, whose page is read."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        login, _, host = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        self._login = (unquote(user), unquote(password)) if login else None
        self._name = f"{parts.scheme}://{host}"
        self._url = f"{self._name}{parts.path.rstrip('/') or '/metrics'}"

    def page(self) -> DaemonPage:
        """Return the current page; raises `JoinError`."""
        try:
            answer = requests.get(self._url, auth=self._login, timeout=_TIMEOUT)
            answer.raise_for_status()
            return parsed_page(answer.text)
        except requests.HTTPError as error:
            raise JoinError(f"{self._name} answers {error.response.status_code}") from error
        except requests.RequestException as error:
            raise JoinError(f"{self._name} cannot be read ({type(error).__name__})") from error
        except (ValueError, KeyError) as error:
            raise JoinError(f"{self._name} has no page of sentry-stats-exporter") from error


def parsed_page(text: str) -> DaemonPage:
    """Return what a page in the text format says; raises ValueError if it is none of ours."""
    queries: dict[tuple[str, str], QueryPage] = {}
    started = 0.0
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if name == _START:
                started = value
            if "query" in labels:
                names = labels["organization"], labels["query"]
                _note(queries.setdefault(names, QueryPage()), name, labels, value)
    if not started or not queries:
        raise ValueError("no page of an exporter")
    return DaemonPage(started, queries)


def seam_of(started: float) -> int:
    """Return when history ends before an exporter that was started then."""
    return int(started) - SEAM


def has_settled(job: Job, page: QueryPage) -> bool:
    """Return whether there was a poll, the last one at a time when no bucket was settling."""
    settle = job.organization.settle
    since = page.polled_at - floor(page.polled_at, job.query.interval)
    return page.start > 0 and since >= settle


def parts_of(job: Job, page: QueryPage, started: float) -> tuple[Window, Window]:
    """Return the buckets between history and the running one: up to the start, and since then."""
    interval = job.window.interval
    end = max(page.start + job.query.interval, job.window.end)
    middle = min(floor(started, interval) + interval, end)
    return (
        replace(job.window, start=job.window.end, end=middle),
        replace(job.window, start=middle, end=end),
    )


def seam(
    job: Job,
    started: float,
    page: QueryPage,
    before: Rows,
    after: Rows,
    labels: Mapping[int, str],
) -> Seam:
    """Return where the counters of ``job`` end.

    ``before`` and ``after`` are what the `parts_of` the job hold. Raises `JoinError` if the
    counters cannot have begun when the exporter was ``started``.
    """
    up_to_start, since = _labelled(before, labels), _labelled(after, labels)
    if floor(started, job.window.interval) > page.start:
        up_to_start = _added(up_to_start, page.running)
    else:
        since = _added(since, page.running)
    more = _added(up_to_start, since)
    for key, value in page.counters.items():
        more[key] = more.get(key, 0) - value
    tolerated = _TOLERANCE * _events(page.counters)
    if _events(more) < -tolerated:
        raise JoinError(
            f"{job.name}: its counters hold more than Sentry has since {iso(started)}: they go on "
            "from an earlier start; set --end to the time of the first start"
        )
    if _events(more) > _events(up_to_start) + tolerated:
        raise JoinError(
            f"{job.name}: its counters hold less than Sentry has since {iso(started)}: they began "
            "at 0 with a later start; set --end to the time of the last start"
        )
    return Seam(seam_of(started), more)


def _labelled(rows: Rows, labels: Mapping[int, str]) -> dict[Key, int]:
    values: dict[Key, int] = {}
    for series, of_series in rows.items():
        for project, value in of_series.items():
            label = "" if project == NO_PROJECT else labels.get(project, "")
            values[series, label] = values.get((series, label), 0) + value
    return values


def _added(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in dict.fromkeys([*one, *other])}


def _events(values: Mapping[Key, int]) -> int:
    """Return the sum of what is counted in events: with bytes, nothing else would matter."""
    return sum(
        value
        for (series, _), value in values.items()
        if series.field == QUANTITY and unit_of(series.category) is Unit.EVENTS
    )


class Pages(Protocol):
    """What has a page."""

    def page(self) -> DaemonPage:
        """Return the current page; raises `JoinError`."""
        ...


def waited_for(
    daemon: Pages,
    jobs: Sequence[Job],
    sleep: Callable[[float], None],
    waiting: Callable[[], None],
) -> DaemonPage:
    """Return a page on which all ``jobs`` have settled; raises `JoinError`.

    ``waiting`` is called once if that takes a while.
    """
    pause = 5.0
    longest = max(job.organization.settle + 2 * job.query.poll_interval for job in jobs)
    for number in range(int(longest / pause) + 2):
        page = daemon.page()
        missing = [job.name for job in jobs if _names(job) not in page.queries]
        if missing:
            raise JoinError(f"the exporter does not publish {', '.join(missing)}")
        if all(has_settled(job, page.queries[_names(job)]) for job in jobs):
            return page
        if not number:
            waiting()
        sleep(pause)
    raise JoinError("the exporter has not had a successful poll; try again when it has")


def _names(job: Job) -> tuple[str, str]:
    return job.organization.name, job.query.name


def _note(page: QueryPage, name: str, labels: Mapping[str, str], value: float) -> None:
    """Take a sample over, if it matters."""
    kind, measure = _SAMPLES.get(name) or ("", "")
    if name == families.BUCKET_START.name:
        page.start = int(value)
    elif name == families.LAST_SUCCESS.name:
        page.polled_at = value
    elif kind:
        key = _key(labels, measure)
        values = page.counters if kind == "counters" else page.running
        values[key] = round(value * (MILLISECONDS_PER_SECOND if measure == "seconds" else 1))


def _key(labels: Mapping[str, str], measure: str) -> Key:
    field_ = TIMES_SEEN if measure == "times_seen" else QUANTITY
    series = Series(field_, labels["category"], labels["outcome"], labels["reason"])
    return series, labels["project"]
