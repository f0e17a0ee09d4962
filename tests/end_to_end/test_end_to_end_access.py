"""Access by token: each kind of token, with and without Open Membership, in one answer or split."""

from collections.abc import Iterator

import pytest

from exporter.app import Exporter
from exporter.simulator import (
    Fault,
    Member,
    Organization,
    Project,
    ProjectStatus,
    Row,
    Simulator,
    Token,
    TokenKind,
    World,
)
from tests.end_to_end.exposition import Samples, data, data_sample, sample
from tests.end_to_end.stage import page, polled
from tests.support.clock import Clock
from tests.support.configuration import configuration, organization

ACME = 1
PROJECTS = {101: "web", 102: "api", 103: "shop", 104: "search", 105: "silent"}
DELETED = 199
TOKENS = {
    "integration": Token("integration-token", TokenKind.INTEGRATION, ACME),
    "owner": Token("owner-token", TokenKind.USER, user="owner"),
    "all": Token("all-token", TokenKind.USER, user="all"),
    "some": Token("some-token", TokenKind.USER, user="some"),
    "none": Token("none-token", TokenKind.USER, user="none"),
}
READABLE = {
    "integration": set(PROJECTS),
    "owner": set(PROJECTS),
    "all": set(PROJECTS),
    "some": {101, 102, 105},
    "none": set[int](),
}
"""What each token reads without Open Membership; with it, every token reads every project."""

KINDS = [
    (category, outcome, reason)
    for category in ("error", "span", "log_byte")
    for outcome, reason in (("accepted", None), ("rate_limited", "key_quota"))
]
BY_PROJECT = {
    "name": "projects",
    "groupBy": ["project", "category", "outcome", "reason"],
    "lookback": "1h",
    "poll_interval": "5m",
}


@pytest.fixture
def sentry(clock: Clock, *, is_open: bool, row_limit: int) -> Iterator[Simulator]:
    """Serve an organization with five projects, one without events, and a deleted one."""
    projects = [
        Project(
            number,
            ACME,
            slug,
            "python",
            members=frozenset({"all", *({"some"} if number in READABLE["some"] else ())}),
        )
        for number, slug in PROJECTS.items()
    ]
    deleted = Project(DELETED, ACME, "deleted", status=ProjectStatus.DELETED)
    members = [Member(ACME, user) for user in ("all", "some", "none")]
    world = World(
        [Organization(ACME, "acme", open_membership=is_open)],
        [*projects, deleted],
        [Member(ACME, "owner", "owner"), *members],
        TOKENS.values(),
    )
    world.add_rows(
        *(
            Row(ACME, project, *kind, clock.now - age, quantity=project + number)
            for number, kind in enumerate(KINDS)
            for project in (101, 102, 103, 104, DELETED)
            for age in (10, 3600)
        )
    )
    with Simulator(world, clock=clock, rate_limit=None, row_limit=row_limit) as simulator:
        yield simulator


def expected(sentry: Simulator, start: float, readable: set[int], prefix: str) -> Samples:
    """Return an hour's gauges from the store; unreadable projects have an empty label."""
    totals = sentry.store.totals(
        ACME,
        start,
        start + 3600,
        at=sentry.application.clock(),
        group_by=("project", "category", "outcome", "reason"),
    )
    samples: Samples = {}
    for (project, category, outcome, reason), value in totals.items():
        label = PROJECTS[int(project)] if project in readable else ""
        unit = "bytes" if category == "log_byte" else "events"
        labels = ("acme", "projects", str(category), str(outcome), str(reason), label)
        one = data_sample(f"sentry_stats_{prefix}bucket_{unit}", *labels)
        samples[one] = samples.get(one, 0) + value
    return samples


@pytest.mark.parametrize("row_limit", [10_000, 16], ids=["unsplit", "split"])
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("kind", TOKENS)
def test_values_labels_and_projects_equal_the_store(
    sentry: Simulator, clock: Clock, kind: str, *, is_open: bool
) -> None:
    """Readable projects have series of their own; the others are summed without a label."""
    entry = {**organization(BY_PROJECT), "token": TOKENS[kind].value}
    samples = polled(Exporter(configuration(sentry.url, entry), clock=clock), clock.now)
    readable = set(PROJECTS) if is_open else READABLE[kind]
    running = clock.now // 3600 * 3600
    names = {"organization": "acme", "query": "projects"}

    assert expected(sentry, running, readable, "running_") == data(
        samples, prefix="sentry_stats_running_bucket_"
    )
    assert expected(sentry, running - 3600, readable, "") == data(
        samples, prefix="sentry_stats_bucket_"
    )
    assert {PROJECTS[project] for project in readable} == {
        dict(labels)["project"] for name, labels in samples if name == "sentry_stats_project_info"
    }
    assert 1 == samples[sample("sentry_stats_up", **names)]
    assert 1 == samples[sample("sentry_stats_complete", **names)]


@pytest.mark.parametrize(("row_limit", "is_split"), [(10_000, False), (16, True)])
@pytest.mark.parametrize("is_open", [True])
def test_a_low_limit_splits(
    sentry: Simulator,
    clock: Clock,
    is_open: bool,  # noqa: FBT001 - a fixture's parameter
    is_split: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """With the low row limit, projects are requested individually; otherwise they are not."""
    assert is_open

    entry = {**organization(BY_PROJECT), "token": TOKENS["integration"].value}
    polled(Exporter(configuration(sentry.url, entry), clock=clock), clock.now)
    named = {value for one in sentry.requests for name, value in one.query if name == "project"}

    assert is_split is bool(named & {str(project) for project in PROJECTS})


FORBIDDEN = b'{"detail": "You do not have permission to perform this action."}'


@pytest.mark.parametrize("row_limit", [10_000, 16], ids=["unsplit", "split"])
@pytest.mark.parametrize("is_open", [True])
@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_a_token_that_loses_its_rights_fails_the_poll(
    sentry: Simulator,
    clock: Clock,
    after: int,
    is_open: bool,  # noqa: FBT001 - a fixture's parameter
) -> None:
    """The poll fails with ``forbidden``, instead of treating projects as hidden."""
    assert is_open

    for query in (BY_PROJECT, {**BY_PROJECT, "filter": {"project": ["web", "api"]}}):
        entry = {**organization(query), "token": TOKENS["integration"].value}
        exporter = Exporter(configuration(sentry.url, entry), clock=clock)
        before = data(polled(exporter, clock.now))
        sentry.world.add_rows(Row(ACME, 101, "error", "accepted", None, clock.now - 3600))
        fault = Fault("status", status=403, body=FORBIDDEN, endpoint="stats_v2", after=after)
        sentry.faults.add(fault)
        requests_before = len(sentry.requests)
        report = exporter.queries[0].poll(clock.now)
        sentry.faults.clear()

        # A poll that needs no more requests than the fault lets through must succeed.
        assert report.up is (len(sentry.requests) - requests_before <= after)
        if not report.up:
            assert {"forbidden": 1} == report.failures
            assert before == data(page(exporter))
        assert len(sentry.requests) - requests_before < 20
        assert exporter.queries[0].poll(clock.now).up


@pytest.mark.parametrize("row_limit", [16], ids=["split"])
@pytest.mark.parametrize("is_open", [True])
def test_a_new_project_in_a_split_answer(
    sentry: Simulator,
    clock: Clock,
    is_open: bool,  # noqa: FBT001 - a fixture's parameter
) -> None:
    """A new project has series of its own once the list contains it."""
    assert is_open

    entry = {**organization(BY_PROJECT), "token": TOKENS["integration"].value}
    exporter = Exporter(configuration(sentry.url, entry), clock=clock)
    polled(exporter, clock.now)
    sentry.world.add_project(Project(106, ACME, "new"))
    sentry.world.add_rows(
        *(Row(ACME, 106, *kind, clock.now - 3600, quantity=1000) for kind in KINDS)
    )
    for _ in range(2):
        clock.now += 60
        samples = polled(exporter, clock.now)
    labels = ("acme", "projects", "error", "accepted", "none", "new")

    assert 1000 == samples[data_sample("sentry_stats_bucket_events", *labels)]
    names = {"organization": "acme", "query": "projects"}
    assert 1 == samples[sample("sentry_stats_complete", **names)]


@pytest.mark.parametrize("row_limit", [10_000, 16], ids=["unsplit", "split"])
@pytest.mark.parametrize("is_open", [False], ids=["closed"])
def test_a_filter_with_unreadable_projects(
    sentry: Simulator, clock: Clock, *, is_open: bool
) -> None:
    """The readable projects of a filter are read, and the number of missing ones is published."""
    assert not is_open

    filtered = {**BY_PROJECT, "filter": {"project": ["web", "shop", "deleted", "api"]}}
    entry = {**organization(filtered), "token": TOKENS["some"].value}
    samples = polled(Exporter(configuration(sentry.url, entry), clock=clock), clock.now)
    names = {"organization": "acme", "query": "projects"}
    shown = {dict(labels)["project"] for _, labels in data(samples)}

    assert {"web", "api"} == shown - {""}
    assert 2 == samples[sample("sentry_stats_filter_projects_missing", **names)]
    assert 1 == samples[sample("sentry_stats_up", **names)]
    assert 1 == samples[sample("sentry_stats_complete", **names)]
