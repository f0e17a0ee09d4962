"""The queries of docs/runbooks.md, answered by promtool: events, bytes and seconds, two replicas.

Every query has an answer that follows from known rates. Where a query names the category
``error``, it is asked for a category of each unit.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pytest

from tests.deploy.quota_world import QUERY, Money, QuotaWorld, quota
from tests.deploy.rule_world import DAY, HOUR, Flow, World, during, steady
from tests.deploy.target_world import FOREVER, Series, Target, answers, series_of
from tests.support.programs import REPOSITORY

pytestmark = pytest.mark.slow

Labels = frozenset[tuple[str, str]]
Answer = dict[Labels, float]
Expected = Callable[[], Answer]

UNITS: Final = {"error": 1, "log_byte": 1_000_000, "profile_duration": 36}
"""A category of each unit, and how many of the unit stand for an event."""

NOW: Final = 28 * HOUR
PERIOD: Final = 31 * DAY
"""How long the period of the quotas is; it begins at 0."""

SINCE: Final = 26 * HOUR
"""When the project quiet becomes silent, and the project growing grows."""

STEP: Final = 300
QUERIES: Final = ("outcomes", "projects")

RATES: Final = {
    ("checkout", "accepted", "none"): 1000,
    ("checkout", "rate_limited", "{}_usage_exceeded"): 500,
    ("checkout", "rate_limited", "key_quota"): 300,
    ("checkout", "rate_limited", "spike_protection"): 200,
    ("checkout", "abuse", "none"): 100,
    ("checkout", "filtered", "web-crawlers"): 400,
    ("checkout", "invalid", "cors"): 60,
    ("checkout", "client_discard", "ratelimit_backoff"): 50,
    ("checkout", "client_discard", "network_error"): 30,
    ("checkout", "client_discard", "sample_rate"): 20,
    ("web", "accepted", "none"): 2000,
    ("web", "rate_limited", "{}_usage_exceeded"): 70,
    ("growing", "accepted", "none"): 700,
}
"""What is counted in the last hour, in events."""

CAUSES: Final = {
    "{}_usage_exceeded": "quota",
    "key_quota": "limit",
    "spike_protection": "spike_protection",
    "ratelimit_backoff": "backoff",
    "network_error": "discarded",
    "sample_rate": "",
}
"""The recorded outcome by reason; for all other reasons, it is the outcome itself."""

LAST_EVENTS: Final = {"checkout": NOW - HOUR, "quiet": SINCE - HOUR}
EXPORTERS: Final = ("a", "b")

TEXT: Final = (REPOSITORY / "docs" / "runbooks.md").read_text("utf-8")


def labels(**values: str) -> Labels:
    """Return the labels of a sample."""
    return frozenset((name, value) for name, value in values.items() if value)


def sums(*names: str, hours: float = 1, **chosen: str) -> Answer:
    """Return the sums of `RATES` for each of `UNITS` by names of labels.

    ``chosen`` are patterns of labels. ``cause`` is the recorded outcome.
    """
    answer: Answer = {}
    for (project, outcome, reason), rate in RATES.items():
        cause = CAUSES.get(reason, outcome)
        for category, scale in UNITS.items():
            row = {"project": project, "outcome": outcome, "cause": cause}
            row |= {"category": category, "reason": reason.format(category)}
            if all(re.fullmatch(pattern, row[name]) for name, pattern in chosen.items()):
                shown = {("outcome" if name == "cause" else name, row[name]) for name in names}
                key = frozenset(shown)
                answer[key] = answer.get(key, 0) + rate * scale * hours
    return answer


def with_labels(answer: Answer, **more: str) -> Answer:
    """Return ``answer`` with more labels."""
    return {key | labels(**more): value for key, value in answer.items()}


def counted(*names: str, **chosen: str) -> Answer:
    """Return what each of the queries has counted in the last hour."""
    answer = sums(*names, hours=1, **chosen)
    return {
        key: value for query in QUERIES for key, value in with_labels(answer, query=query).items()
    }


def reasons(**chosen: str) -> Answer:
    """Return what each of the queries has counted, by outcome and reason."""
    return counted("category", "outcome", "reason", **chosen)


def lost(cause: str) -> Answer:
    """Return what the projects have lost in the last 30 minutes."""
    return sums("category", "project", hours=0.5, cause=cause)


def growth() -> Answer:
    """Return by how much more each project submitted in the last hour than the day before."""
    grown = {"checkout": 0, "web": 0, "growing": 600, "quiet": -400}
    return {
        labels(organization="acme", category=category, project=project): value * scale
        for category, scale in UNITS.items()
        for project, value in grown.items()
    }


def submitted(category: str) -> Answer:
    """Return what the organization submitted in the last hour, of one category."""
    answer = sums("category", category=category, cause="(?!discarded).+")
    return with_labels(answer, organization="acme")


def of_checkout() -> Answer:
    """Return what checkout submitted in the last hour; it was the same the day before."""
    answer = sums("category", "project", project="checkout", cause="(?!discarded).+")
    return with_labels(answer, organization="acme")


def accepted_in_a_day() -> Answer:
    """Return what the projects had accepted in the last day."""
    days = {"checkout": 24_000, "web": 48_000, "growing": 22 * 100 + 2 * 700, "quiet": 22 * 400}
    return {
        labels(category=category, project=project): value * scale
        for category, scale in UNITS.items()
        for project, value in days.items()
    }


def day_of_the_organization() -> Answer:
    """Return what was counted in the last day, by recorded outcome."""
    answer = sums("category", "cause", hours=24, cause=".+")
    for category, scale in UNITS.items():
        key = labels(category=category, outcome="accepted")
        answer[key] += scale * (22 * 400 - 22 * 600)
    return answer


def silent() -> Answer:
    """Return what the silent project usually sends."""
    return {
        labels(organization="acme", category=category, project="quiet"): 400 * scale
        for category, scale in UNITS.items()
    }


def last_events(*names: str) -> Answer:
    """Return when projects had their last event."""
    return {labels(project=name): LAST_EVENTS[name] for name in names}


def used_by_project(seconds: float) -> Answer:
    """Return what the projects used of the quota in as many seconds until now."""
    hours = seconds / HOUR
    return {labels(project="checkout"): 60 * (hours + 2), labels(project="web"): 40 * hours}


def projected() -> Answer:
    """Return what will have been used of the quota, as a share of its limit."""
    left = (PERIOD - NOW) / HOUR
    paces = {"week": 100, "day": 200}
    return {labels(pace=pace): (2800 + rate * left) / 4000 for pace, rate in paces.items()}


def overages() -> Answer:
    """Return what the overage of quotas has cost; that of one is 0."""
    return {labels(currency="USD", quota=name): 12.5 for name in ("errors", "spans")}


def by_query(outcomes: float, projects: float) -> Answer:
    """Return a value for each query."""
    return {labels(query="outcomes"): outcomes, labels(query="projects"): projects}


def at(**values: float) -> Answer:
    """Return a value for each exporter."""
    return {labels(job="prod", instance=name): value for name, value in values.items()}


LIMITED: Final = {"outcome": "rate_limited|client_discard", "reason": "(?!sample_rate).*"}

ANSWERS: Final[Mapping[str, Sequence[Expected]]] = {
    "SentryQuotaExceeded": [
        lambda: reasons(**LIMITED),
        lambda: lost("quota"),
        accepted_in_a_day,
        lambda: submitted("error"),
    ],
    "SentryEventsRateLimited": [lambda: reasons(**LIMITED), lambda: lost("limit")],
    "SentryAbuseLimited": [
        lambda: reasons(outcome="abuse|cardinality_limited|rate_limited"),
        lambda: lost("abuse"),
    ],
    "SentrySpikeProtectionActive": [lambda: lost("spike_protection"), growth],
    "SentryFiltersDropMost": [lambda: reasons(outcome="filtered"), lambda: lost("filtered")],
    "SentryInvalidUp": [lambda: reasons(outcome="invalid"), lambda: lost("invalid")],
    "SentryClientDiscardsUp": [lambda: reasons(cause="discarded"), lambda: lost("discarded")],
    "SentryAcceptsNothing": [
        lambda: counted("outcome", "reason", category="error"),
        lambda: last_events("checkout", "quiet"),
    ],
    "SentryProjectSilent": [
        lambda: last_events("checkout"),
        lambda: with_labels(
            sums("category", "outcome", "reason", project="checkout"), query="projects"
        ),
        silent,
    ],
    "SentryCategorySilent": [of_checkout, of_checkout],
    "SentryVolumeFarAboveUsual": [growth, day_of_the_organization],
    "SentryStatsQueryFailing": [
        lambda: {labels(reason="unauthorized"): 24},
        lambda: {labels(api="stats_v2", code="401"): 72},
    ],
    "SentryStatsOrganizationsFailing": [
        lambda: {labels(organization="acme", query="outcomes", reason="unauthorized"): 3}
    ],
    "SentryStatsQueryStale": [
        lambda: by_query(0, 1),
        lambda: by_query(7200, 0),
        lambda: by_query(60, 60),
    ],
    "SentryStatsQueryIncomplete": [
        lambda: by_query(48_000, 48_000),
        lambda: by_query(25, 25),
        lambda: {
            labels(query="projects", category=category): 3 * scale
            for category, scale in UNITS.items()
        },
    ],
    "SentryStatsThrottled": [
        lambda: {labels(organization="acme", instance=name): 360 for name in EXPORTERS},
        lambda: {labels(organization="acme", api="stats_v2", code="401"): 24},
        lambda: {labels(organization="acme"): 0.25},
    ],
    "SentryStatsExporterDown": [lambda: at(a=1, b=1, c=0), lambda: at(a=0.25, b=0.25, c=10)],
    "SentryStatsExporterMissing": [lambda: at(a=1, b=1, c=1)],
    "SentryStatsShardMissing": [
        lambda: at(a=0, b=0, c=1),
        lambda: {labels(job="prod"): 2},
    ],
    "SentryStatsShardMismatch": [lambda: at(a=2, b=2)],
    "SentryStatsExporterRestarting": [
        lambda: at(a=0, b=2, c=0),
        lambda: at(a=2e8, b=2e8, c=2e8),
    ],
    "SentryStatsConfigNotReloaded": [lambda: at(a=HOUR, b=HOUR)],
    "SentryStatsWebConfigNotReloaded": [lambda: at(a=0)],
    "SentryQuotaHalfUsed": [
        lambda: {labels(quota="errors"): 0.7, labels(quota="spans"): 1.12},
        lambda: {labels(): NOW / PERIOD},
        lambda: used_by_project(NOW),
    ],
    "SentryQuotaNearlyUsed": [
        lambda: {labels(pace="week"): 12 / 24, labels(pace="day"): 6 / 24},
        lambda: {labels(): (PERIOD - 1 - NOW) / DAY},
        lambda: used_by_project(DAY),
    ],
    "SentryQuotaUsedUp": [
        lambda: {labels(currency="USD"): 12.5},
        lambda: {labels(currency="USD"): 60},
        lambda: {labels(): 3000 / 4000},
    ],
    "SentryQuotaAllocationExceeded": [
        lambda: used_by_project(NOW),
        lambda: used_by_project(DAY),
        projected,
    ],
    "SentryQuotaRunsOut": [
        projected,
        lambda: used_by_project(DAY),
        lambda: {labels(pace="week"): 20 * DAY},
    ],
    "SentryQuotaBurningFast": [
        lambda: {labels(project="checkout"): 2 * 60, labels(project="web"): 0},
        lambda: {labels(pace="week"): NOW + 12 * HOUR, labels(pace="day"): NOW + 6 * HOUR},
    ],
    "SentryQuotaBudgetRunsOut": [
        overages,
        lambda: {labels(currency="USD", pace="week"): 150},
        lambda: {
            labels(currency="USD", project="checkout"): 2 * 8,
            labels(currency="USD", project="web"): 2 * 4.5,
        },
    ],
    "SentryQuotaBudgetSpent": [overages, lambda: {labels(quota="spans"): 1.12}],
    "SentryQuotaPlanDisagrees": [
        lambda: {labels(quota="errors"): -60},
        lambda: {labels(): 2800},
        lambda: {labels(): 1},
    ],
}
"""The answer of each query of each runbook, in order."""


def runbook_queries() -> dict[str, list[str]]:
    """Return the queries of each runbook; those before the first one are under an empty name."""
    introduction, *runbooks = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    texts = {"": introduction, **{text.partition("\n")[0]: text for text in runbooks}}
    return {
        name: re.findall(r"```promql\n(.*?)\n```", text, re.DOTALL) for name, text in texts.items()
    }


def data() -> Iterator[Series]:
    """Yield what two exporters show of the data of one organization."""
    flows = []
    for category in UNITS:
        scale = UNITS[category]
        for (project, outcome, reason), rate in RATES.items():
            before = 100 if project == "growing" else rate
            grown = during([(SINCE, FOREVER)], rate * scale, before * scale)
            flows.append(Flow(project, grown, outcome, reason.format(category), category))
        quiet = during([(0, SINCE)], 400 * scale)
        flows.append(Flow("quiet", quiet, category=category))
    world = World(flows, NOW, STEP)
    for name in EXPORTERS:
        yield from replace(world, instance=name).input_series()
        yield from of_quotas(name)
        for project, time in LAST_EVENTS.items():
            of = {"organization": "acme", "query": "projects", "project": project}
            yield constant("project_last_event_timestamp_seconds", {**of, "instance": name}, time)


def of_quotas(instance: str) -> Iterator[Series]:
    """Yield what an exporter shows of two quotas, of which each hour uses 100."""
    of_errors = quota("errors", 4000, steady(100), day=steady(200), disagreement=steady(-60))
    money = Money(steady(100), steady(40), steady(20 * DAY))
    world = QuotaWorld(
        (),
        NOW,
        STEP,
        queries=(QUERY,),
        instance=instance,
        turn=PERIOD,
        quotas=[of_errors, quota("spans", 2500, steady(100), disagreement=steady(0))],
        money=[money],
    )
    shared = {"up", "sentry_stats_exporter"}
    yield from (one for one in world.input_series() if not one["series"].startswith(tuple(shared)))
    of = {"organization": "acme", "instance": instance}
    usd = {**of, "currency": "USD"}
    yield constant("quota_submitted", {**of, "quota": "errors"}, 3000)
    yield constant("budget_projected", {**usd, "pace": "week"}, 150)
    for name in ("errors", "spans", "replays"):
        cost = {**usd, "quota": name, "kind": "overage"}
        yield constant("quota_cost", cost, 0 if name == "replays" else 12.5)
    for name in ("errors", "spans"):
        for project, cost_of in (("checkout", 8), ("web", 4.5)):
            place = {**usd, "quota": name, "project": project}
            yield constant("quota_project_cost", place, cost_of)
    times = range(0, NOW + 1, STEP)
    for project, rate in (("checkout", 60), ("web", 40)):
        # checkout has used twice as much since it grows.
        grown = 60 if project == "checkout" else 0
        values = [(rate * time + grown * max(0, time - SINCE)) / HOUR for time in times]
        place = {**of, "quota": "errors", "project": project}
        yield series_of("sentry_stats_quota_project_used", place, values)


def constant(name: str, of: Mapping[str, str], value: float) -> Series:
    """Return a series of the exporter with one value."""
    return series_of(f"sentry_stats_{name}", of, [value] * (int(NOW // STEP) + 1))


LENGTH: Final = 4 * HOUR


def exporters() -> Iterator[Series]:
    """Yield two replicas of one shard, whose polls fail since two hours, and one that is down."""
    times = range(0, LENGTH + 1, STEP)
    values = {
        "process_resident_memory_bytes": steady(2e8),
        "sentry_stats_exporter_config_last_reload_success_timestamp_seconds": steady(HOUR),
        "sentry_stats_exporter_web_config_last_reload_successful": steady(1),
    }
    web = {**values, "sentry_stats_exporter_web_config_last_reload_successful": steady(0)}
    down = [(LENGTH - 1200, FOREVER)]
    restarts = [0, LENGTH - 1800, LENGTH - 600]
    two = steady(2)
    yield from Target("a", shards=two, values=web).series(LENGTH, STEP)
    yield from Target("b", shards=two, values=values, restarts=restarts).series(LENGTH, STEP)
    yield from Target("c", shards=two, values=values, ordinal=1, down=down).series(LENGTH, STEP)
    for name, seconds in (("a", 0.25), ("b", 0.25), ("c", 10)):
        place = {"job": "prod", "instance": name}
        yield series_of("scrape_duration_seconds", place, [seconds] * len(times))
    for name in EXPORTERS:
        for metric, more, value in polls():
            of = {"organization": "acme", "job": "prod", "instance": name, **more}
            yield series_of(f"sentry_stats_{metric}", of, [value(time) for time in times])


def until(end: float) -> Callable[[float], float]:
    """Return the clock, which stops at ``end``."""
    return lambda time: min(time, end)


def polls() -> Iterator[tuple[str, Mapping[str, str], Callable[[float], float]]]:
    """Yield what each of the replicas shows of its polls."""
    begun = 2 * HOUR
    for query in QUERIES:
        of, failing = {"query": query}, query == "outcomes"
        ends = begun if failing else FOREVER
        yield "up", of, during([(0, ends)], 1)
        yield "last_success_timestamp_seconds", of, until(ends)
        yield "next_poll_timestamp_seconds", of, lambda time: time + 60
        yield "series", of, steady(48_000)
        yield "poll_requests", of, steady(25)
        group_by = "category,outcome" if failing else "category,outcome,project"
        yield "query_info", {**of, "group_by": group_by}, steady(1)
        for category, unit in zip(UNITS, ("events", "bytes", "seconds"), strict=True):
            remainder = steady((1000 if failing else 3) * UNITS[category])
            yield f"bucket_{unit}", {**of, "category": category, "project": ""}, remainder
    yield (
        "poll_failures_total",
        {"query": "outcomes", "reason": "unauthorized"},
        lambda time: max(0, time - begun) / STEP,
    )
    yield "api_requests_total", {"api": "stats_v2", "code": "200"}, steady(0)
    yield "api_requests_total", {"api": "stats_v2", "code": "401"}, lambda time: time / STEP
    yield "api_throttled_seconds_total", {}, lambda time: time / 10
    yield "api_rate_limit", {}, steady(40)
    yield "api_rate_limit_remaining", {}, steady(10)


def cases() -> list[tuple[str, int, str]]:
    """Return each query by runbook and number, and the category that it is asked for.

    `test_thresholds_in_force` asks the query of the introduction.
    """
    return [
        (name, number, category)
        for name, queries in runbook_queries().items()
        if name
        for number, query in enumerate(queries)
        for category in (UNITS if 'category="error"' in query else [""])
    ]


def asked(name: str, number: int, category: str) -> str:
    """Return a query about a category."""
    query = runbook_queries()[name][number]
    return query.replace('category="error"', f'category="{category}"')


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Answer]:
    """Return the answers to all queries."""
    introductory = [("", 0, category) for category in UNITS]
    chosen = {case: asked(*case) for case in [*introductory, *cases()]}
    of_exporter = [query for (name, *_), query in chosen.items() if name.startswith("SentryStats")]
    of_data = [query for query in chosen.values() if query not in of_exporter]
    folder = tmp_path_factory.mktemp("runbooks")
    return {
        **answers(folder, list(data()), of_data, NOW, STEP, entire=True),
        **answers(folder, list(exporters()), of_exporter, LENGTH, STEP),
    }


def test_every_query_has_an_answer() -> None:
    """Each query of the runbooks has its answer here."""
    (introduction, *_), *runbooks = runbook_queries().items()

    assert not introduction
    assert {name: len(some) for name, some in ANSWERS.items()} == {
        name: len(some) for name, some in runbooks
    }


@pytest.mark.programs
@pytest.mark.parametrize(("name", "number", "category"), cases())
def test_query_answers(
    name: str, number: int, category: str, answered: Mapping[str, Answer]
) -> None:
    """A query returns what its runbook says, in the unit of each category, of two replicas."""
    expected = ANSWERS[name][number]
    query = asked(name, number, category)
    shown = {
        frozenset(pair for pair in key if pair[0] != "__name__"): value
        for key, value in answered[query].items()
    }
    # A recorded day has half an hour too much.
    relative = 0.04 if "increase1d" in query else 1e-9

    assert pytest.approx(of_category(expected(), category), rel=relative, abs=1e-6) == shown


def of_category(answer: Answer, category: str) -> Answer:
    """Return an answer about errors for another category."""
    scale = UNITS.get(category, 1)
    return {
        frozenset((name, re.sub("^error", category or "error", value)) for name, value in key): (
            value * scale
        )
        for key, value in answer.items()
    }


@pytest.mark.programs
@pytest.mark.parametrize("category", UNITS)
def test_thresholds_in_force(category: str, answered: Mapping[str, Answer]) -> None:
    """The first query shows the thresholds of what is lost, by project too."""
    answer = answered[asked("", 0, category)]
    place = {"organization": "acme", "category": category, "outcome": "quota"}
    metric = "organization_category_outcome{}:sentry_stats_threshold:warning_ratio"

    assert 0.05 == answer[labels(__name__=metric.format(""), **place)]
    assert 0.05 == answer[labels(__name__=metric.format("_project"), project="checkout", **place)]
