"""PromQL expressions, built from the table of metrics. Pure.

All volumes come from finished buckets, so that every panel of a page counts the same hours, and an
hour equals the one on Sentry's own page. A bucket gauge shows one bucket for an hour.
`Source.hourly` turns it into one value for each hour, and `stepped` draws it at the hour that it
counts:

* Expressions of `Source.hourly` are evaluated at the end of a bucket. They read the last value of
  the hour that follows, in which the gauges show this bucket, with the late data that has arrived.
* They return nothing if the gauges did not show that bucket, as after an outage: an old bucket is
  never drawn as a newer one.
* `stepped` sums them over the hours of each step of a chart. The half hour in its offset keeps
  the limits of the range between two hours, so Prometheus 2 (which includes both ends of a range)
  and 3 count the same hours.

Queries by project have many series, so their hours come from recording rules with one sample an
hour: as published, the volumes of each project, and the totals of all projects. Several replicas
publish the same series, so `once` takes one of them before sums.

A `Choice` selects outcomes by matchers that exclude each other. One PromQL selector cannot express
"this outcome, or that outcome with this reason", so each matcher has its own selector, and the
selectors are joined by ``or``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from exporter.categories import OUTCOMES
from exporter.publish.families import BUCKET, BUCKET_START, DATA_LABELS, RUNNING
from exporter.publish.family import Family

Choice = tuple[str, ...]
"""Matchers of outcomes; a series matches at most one of them."""

Labels = tuple[str, ...]

TARGETS: Final = 'job=~"$job",instance=~"$instance"'
"""Matchers of every series that Prometheus scrapes; recorded series do not have these labels."""

RECORDED: Final = (
    "organization_query_category_outcome_reason_project:sentry_stats_bucket_quantity:hour"
)
"""One sample for each hour of a query by project, recorded 115 to 120 minutes after its start."""

RECORDED_VOLUMES: Final = (
    "organization_query_category_project_volume:sentry_stats_bucket_quantity:hour"
)
"""The sums of `RECORDED` over the outcomes and reasons of a volume; its name is a label."""

RECORDED_TOTALS: Final = (
    "organization_query_category_outcome_reason:sentry_stats_bucket_quantity:hour"
)
"""The sums of `RECORDED` over all projects."""

ALL_PROJECTS: Final = "|.*"
"""What ``$project`` is if all projects are chosen. ``~$project`` then matches everything, because
of the first character; otherwise nothing, because no project's name begins with ``~``."""

RECORDED_HOURS: Final = "organization_query:sentry_stats_bucket_start_timestamp_seconds:hour"
"""The start of that hour, recorded at the same time."""

_QUERY: Final = ("organization", "query")

WEEK: Final = 10_080
"""Minutes; how much earlier "a week earlier" is."""


def _all_except(*excluded: str) -> str:
    return f'outcome=~"{"|".join(one for one in OUTCOMES if one not in excluded)}"'


_HELD_BACK: Final = 'outcome="client_discard",reason="ratelimit_backoff"'
"""Events that SDKs hold back after a 429: the rate limit drops them, although clients report it."""

ALL: Final[Choice] = ("",)
ACCEPTED: Final[Choice] = ('outcome="accepted"',)
FILTERED: Final[Choice] = ('outcome="filtered"',)
DISCARDED: Final[Choice] = ('outcome="client_discard",reason!="ratelimit_backoff"',)
"""Events that SDKs drop for other reasons; in a query without reasons, all that they drop."""

SUBMITTED: Final[Choice] = (_all_except("client_discard"), _HELD_BACK)
"""Everything that clients had to send, accepted or not."""

DROPPED: Final[Choice] = (_all_except("accepted", "filtered", "client_discard"), _HELD_BACK)
"""What Sentry refused. Users set the filters, so filtered events are not a loss."""

NOT_ACCEPTED: Final[Choice] = (_all_except("accepted"),)
SPIKE_PROTECTION: Final[Choice] = ('reason="spike_protection"',)

VOLUME_NAMES: Final[Mapping[Choice, str]] = {
    SUBMITTED: "submitted",
    ACCEPTED: "accepted",
    FILTERED: "filtered",
    DROPPED: "dropped",
    DISCARDED: "discarded",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A unit of Sentry's quantities: the end of a family's name, Grafana's unit, and a title."""

    name: str
    unit: str
    title: str


MEASURES: Final = (
    Measure("events", "short", ""),
    Measure("bytes", "decbytes", " (bytes)"),
    Measure("seconds", "s", " (time)"),
)
"""The units; a category has data in exactly one. Sentry bills in powers of ten."""


def series(family: Family, *matchers: str) -> str:
    """Return the selector of ``family``, scraped from the chosen targets."""
    return f"{family.name}{{{','.join(filter(None, (TARGETS, *matchers)))}}}"


def once(vector: str, *labels: str) -> str:
    """Return one of the replicas of each series of ``vector``; by default, of data."""
    return f"max by ({', '.join(labels or DATA_LABELS)}) ({vector})"


def total(vector: str, *by: str) -> str:
    """Return the sum of ``vector`` by labels."""
    return f"sum by ({', '.join(by)}) ({vector})" if by else f"sum({vector})"


class Source(Protocol):
    """Where the volumes of a page come from."""

    query: str
    """Matchers that select the query."""

    @abstractmethod
    def matchers(self) -> str:
        """Return the matchers that select its series."""

    @abstractmethod
    def hourly(self, measure: str, choice: Choice, by: Labels, earlier: int = 0) -> str:
        """Return the bucket that ends at the time of evaluation, ``earlier`` minutes before."""

    @abstractmethod
    def stepped(self, measure: str, choice: Choice, by: Labels) -> str:
        """Return the sum of the buckets that start in each step of a chart."""

    @abstractmethod
    def over_range(
        self, measure: str, choice: Choice, by: Labels = (), *, pinned: bool = False
    ) -> str:
        """Return the sum of the finished buckets that start in the time range.

        ``pinned`` evaluates it at the end of the time range in every step of a chart.
        """

    @abstractmethod
    def comparable(self, measure: str, choice: Choice, by: Labels, earlier: int = 0) -> str:
        """Return the sum of as many buckets ``earlier`` as now: without the newest ones."""

    @abstractmethod
    def has_week(self) -> str:
        """Return something only if the hours a week before the time range are known too."""


@dataclass(frozen=True, slots=True)
class Gauges(Source):
    """A query with few series: the bucket gauges as Prometheus scraped them."""

    query: str
    data: str = ""

    def matchers(self) -> str:
        """Return ``data``."""
        return self.data

    def hourly(self, measure: str, choice: Choice, by: Labels, earlier: int = 0) -> str:
        """Return the last value in the hour after the bucket, if the gauges showed this bucket."""
        hour = f"[1h] offset {_minutes(earlier - 60)}"
        values = _joined(_selected(BUCKET[measure], self, choice), "last_over_time", hour)
        start = f"last_over_time({series(BUCKET_START, self.query)}{hour})"
        shown = f"{once(start, *_QUERY)} == time() - {60 * earlier + 3600}"
        return total(f"{once(values)} and on (organization, query) ({shown})", *by)

    def stepped(self, measure: str, choice: Choice, by: Labels) -> str:
        """Return the sum of `hourly`."""
        return stepped(self.hourly(measure, choice, by))

    def over_range(
        self, measure: str, choice: Choice, by: Labels = (), *, pinned: bool = False
    ) -> str:
        """Return the sum of `hourly`."""
        hourly = self.hourly(measure, choice, by)
        return f"sum_over_time(({hourly})[$__range:1h]{' @ end()' * pinned} offset -1h)"

    def comparable(self, measure: str, choice: Choice, by: Labels, earlier: int = 0) -> str:
        """Return the sum of `hourly` without the last hour, in which gauges still change."""
        return (
            f"sum_over_time(({self.hourly(measure, choice, by, earlier)})[$__range:1h] offset 1h)"
        )

    def has_week(self) -> str:
        """Compare how often the start of the bucket was scraped."""
        return _has_week(series(BUCKET_START, self.query))


@dataclass(frozen=True, slots=True)
class Recorded(Source):
    """A query by project: recorded hours, and the gauges for the hour that is not recorded yet."""

    query: str
    category: str = ""
    projects: str = ""
    """Matchers of projects; empty: all of them."""

    chosen: bool = False
    """Whether ``projects`` is the choice of the page, for which there are recorded totals."""

    def matchers(self) -> str:
        """Return those of the category and of the projects."""
        return ",".join(filter(None, (self.category, self.projects)))

    def of(self, projects: str) -> "Recorded":
        """Return the source of some of its projects, which matchers select."""
        both = ",".join(filter(None, (self.projects, projects)))
        return replace(self, projects=both, chosen=False)

    def hourly(self, measure: str, choice: Choice, by: Labels, earlier: int = 0) -> str:
        """Return the recorded hour."""
        hour = f"[1h] offset {_minutes(earlier - 60)}"
        return total(_joined(self._recorded(measure, choice, by), "sum_over_time", hour), *by)

    def stepped(self, measure: str, choice: Choice, by: Labels) -> str:
        """Return the sum of the recorded hours, and the newest bucket if it is not recorded.

        It reads each sample once, where `stepped` of `hourly` evaluates every series in every hour.
        """
        recorded = _joined(
            self._recorded(measure, choice, by),
            "sum_over_time",
            "[$__interval] offset -${__interval}114m",
        )
        at_end = "[1h] @ end() offset -1h"
        gauges = _joined(_selected(BUCKET[measure], self, choice), "last_over_time", at_end)
        start = once(f"last_over_time({series(BUCKET_START, self.query)}{at_end})", *_QUERY)
        hours = f"max_over_time({RECORDED_HOURS}{{{self.query}}}[72m] @ end() offset -1h)"
        in_step = f"{start} >= time() < time() + $__interval_ms / 1000"
        fresh = f"{in_step} unless on (organization, query) ({start} <= {hours})"
        newest = f"{once(gauges)} and on (organization, query) ({fresh})"
        return total(f"{recorded} or {newest}", *by)

    def over_range(
        self, measure: str, choice: Choice, by: Labels = (), *, pinned: bool = False
    ) -> str:
        """Return the sum of the recorded hours and of the newest bucket, if it is not recorded."""
        at = " @ end()" * pinned
        recorded = _joined(
            self._recorded(measure, choice, by), "sum_over_time", f"[$__range]{at} offset -114m"
        )
        gauges = (f"{each}{at}" for each in _selected(BUCKET[measure], self, choice))
        start = once(f"{series(BUCKET_START, self.query)}{at}", *_QUERY)
        hours = f"max_over_time({RECORDED_HOURS}{{{self.query}}}[72m]{at} offset -1h)"
        newest = f"{once(' or '.join(gauges))} unless on (organization, query) ({start} <= {hours})"
        # Recorded series have the label unit, and gauges do not, so this keeps both.
        return total(f"{recorded} or {newest}", *by)

    def comparable(self, measure: str, choice: Choice, by: Labels, earlier: int = 0) -> str:
        """Return the sum of the hours that were recorded in the time range."""
        window = f"[$__range]{f' offset {_minutes(earlier)}' * bool(earlier)}"
        return total(_joined(self._recorded(measure, choice, by), "sum_over_time", window), *by)

    def has_week(self) -> str:
        """Compare how many hours were recorded."""
        return _has_week(f"{RECORDED_HOURS}{{{self.query}}}")

    def _recorded(self, measure: str, choice: Choice, by: Labels) -> tuple[str, ...]:
        """Return the selectors of the recorded series that have the fewest samples."""
        unit = f'unit="{measure}"'
        if self.chosen and "project" not in by:
            few = f'{self.projects},project!~"~$project"'
            names = ((RECORDED, few), (RECORDED_TOTALS, 'project=~"~$project"'))
            return tuple(
                _matched(name, unit, self.query, self.category, projects, matcher)
                for matcher in choice
                for name, projects in names
            )
        if choice in VOLUME_NAMES and not {"outcome", "reason"}.intersection(by):
            volume = f'volume="{VOLUME_NAMES[choice]}"'
            return (_matched(RECORDED_VOLUMES, unit, self.query, self.matchers(), volume),)
        return tuple(
            _matched(RECORDED, unit, self.query, self.matchers(), matcher) for matcher in choice
        )


def _matched(name: str, *matchers: str) -> str:
    return f"{name}{{{','.join(filter(None, matchers))}}}"


def _has_week(starts: str) -> str:
    before, now = (
        f"max by (organization, query) (count_over_time({starts}[$__range]{offset}))"
        for offset in (f" offset {_minutes(WEEK)}", "")
    )
    return f"({before} >= 0.9 * {now})"


def latest(source: Source, measure: str, choice: Choice, *by: str) -> str:
    """Return the latest finished bucket."""
    return total(once(" or ".join(_selected(BUCKET[measure], source, choice))), *by)


def running(source: Source, measure: str, choice: Choice, *by: str) -> str:
    """Return the running bucket so far."""
    return total(once(" or ".join(_selected(RUNNING[measure], source, choice))), *by)


def stepped(hourly: str) -> str:
    """Return the sum of the buckets that start in each step of a chart."""
    return f"sum_over_time(({hourly})[$__interval:1h] offset -${{__interval}}30m)"


def steps(source: Source, measure: str, choice: Choice, *by: str, earlier: int = 0) -> str:
    """Return the sum of the buckets of each step of a chart, without zeros."""
    if earlier:
        return f"{stepped(source.hourly(measure, choice, by, earlier))} > 0"
    return f"{source.stepped(measure, choice, by)} > 0"


def top_steps(source: Source, measure: str, choice: Choice, *by: str) -> str:
    """Return `steps` of the ten largest over the time range."""
    sums = source.over_range(measure, choice, by, pinned=True)
    return f"({steps(source, measure, choice, *by)}) and on ({', '.join(by)}) topk(10, {sums})"


def share(part: str, total: str) -> str:
    """Return ``part / total`` where both are above 0."""
    return f"({part} > 0) / ({total} > 0)"


def named(vector: str, label: str, name: str) -> str:
    """Return ``vector`` with ``name`` in place of an empty ``label``."""
    return f'label_replace({vector}, "{label}", "{name}", "{label}", "")'


def known(timestamp: str) -> str:
    """Return ``timestamp`` in milliseconds, as Grafana's date units need; no value if it is 0."""
    return f"({timestamp} > 0) * 1000"


def each_step(family: Family, matchers: str, *by: str) -> str:
    """Return the increase of a counter of the exporter in each step of a chart, without zeros.

    A bar begins at the start of its step, so each step reads what is counted until its end. An
    increase over exactly one step loses what is counted between two steps. So the range is one
    scrape longer (``$__rate_interval``), and the rate is multiplied by the step. Only the ten
    series with the most in the time range are shown.
    """

    def added(function: str, window: str) -> str:
        return total(once(f"{function}({series(family, matchers)}{window})", *family.labels), *by)

    rates = added("rate", "[$__rate_interval] offset -$__interval")
    largest = f"topk(10, {added('increase', '[$__range] @ end()')})"
    return f"({rates} * $__interval_ms / 1000 > 0) and on ({', '.join(by)}) {largest}"


def _selected(family: Family, source: Source, choice: Choice) -> tuple[str, ...]:
    return tuple(series(family, source.query, source.matchers(), matcher) for matcher in choice)


def _joined(selectors: tuple[str, ...], function: str, window: str) -> str:
    return " or ".join(f"{function}({selector}{window})" for selector in selectors)


def _minutes(offset: int) -> str:
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' * (offset < 0)}{f'{hours}h' if not minutes else f'{abs(offset)}m'}"
