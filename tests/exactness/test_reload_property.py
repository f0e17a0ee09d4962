"""After a reload, the page is that of an exporter started with the new file and the same state.

What legitimately differs is left out: numbers about the process and its requests, how often and
how long it has polled, and the revisions and regressions that it has seen. A query that fails shows
in the reloaded exporter what it read before, and is tried again by its own history of failures: of
it, only the failure is compared.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.app import Exporter
from exporter.shard import UNSHARDED, Shard
from exporter.simulator import (
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
from exporter.state import State
from tests.end_to_end.exposition import Samples, read_text
from tests.support.clock import Clock
from tests.support.configuration import Entry, configuration
from tests.support.exporters import page_text, poll_all

pytestmark = pytest.mark.slow

HOUR: Final = 3600
START: Final = 1_772_000_000 // HOUR * HOUR + 600.0
ORGANIZATIONS: Final = {"acme": 1, "globex": 2}
SLUGS: Final = ("web", "api", "shop")
KINDS: Final = (("error", "accepted", None), ("span", "rate_limited", "key_quota"))

OWN_HISTORY: Final = (
    *("sentry_stats_api_", "sentry_stats_clock_skew_", "sentry_stats_poll_", "sentry_stats_polls_"),
    *("sentry_stats_revisions_", "sentry_stats_regressions_"),
)
"""Families of a process's own history: what it has polled, asked and seen."""

Drawn = st.SearchStrategy[Entry]

dimensions = st.sampled_from(
    [
        ["category", "outcome", "reason"],
        ["category"],
        ["project", "category", "outcome"],
        ["project", "category"],
    ]
)
filters: Drawn = st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from(["error", ["error", "span"]]),
        "project": st.sampled_from(["web", "shop", ["web", "api"]]),
        "outcome": st.just("accepted"),
    },
)
one_query: Drawn = st.fixed_dictionaries(
    {"name": st.sampled_from("abc"), "groupBy": dimensions},
    optional={
        "filter": filters,
        "interval": st.sampled_from(["1h", "2h"]),
        "poll_interval": st.sampled_from(["5m", "1h"]),
        "lookback": st.sampled_from(["2h", "5h"]),
        "counters": st.booleans(),
    },
)
one_organization: Drawn = st.fixed_dictionaries(
    {
        "slug": st.sampled_from([*ORGANIZATIONS]),
        "name": st.sampled_from(["one", "two"]),
        "token": st.sampled_from(["all", "some"]),
        "queries": st.lists(one_query, min_size=1, max_size=3, unique_by=itemgetter("name")),
    },
    optional={
        "settle": st.sampled_from(["0s", "20m"]),
        "max_age": st.sampled_from(["2m", "5h"]),
        "project_label": st.sampled_from(["slug", "id"]),
        "teams": st.sampled_from([{"payments": ["web"]}, {"all": ["*"]}]),
        "timeout": st.just("7s"),
        "max_concurrency": st.just(2),
    },
)
organizations: st.SearchStrategy[list[Entry]] = st.lists(
    one_organization, min_size=1, max_size=2, unique_by=itemgetter("name")
)


@st.composite
def edited(draw: st.DrawFn, before: Entry, fresh: Drawn) -> Entry:
    """Draw an entry of the file that differs from ``before`` in a key, or in none."""
    another = draw(fresh)
    key = draw(st.sampled_from(sorted({*before, *another} - {"queries"})))
    after = {one: value for one, value in before.items() if one != key}
    return {**after, **({key: another[key]} if key in another else {})}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Entry], list[Entry]]:
    """Draw two configurations, of which the second often is the first with a few changes."""
    before = draw(organizations)
    after: list[Entry] = []
    for organization in before:
        queries = [draw(st.just(one) | edited(one, one_query)) for one in organization["queries"]]
        queries += draw(st.lists(one_query, max_size=1))
        changed = draw(st.just(organization) | edited(organization, one_organization))
        after.append({**changed, "queries": unique(draw(st.permutations(queries)))})
    if draw(st.booleans()):
        after += draw(organizations)
    return before, unique(draw(st.permutations(after)))[:2]


def unique(entries: Iterable[Entry]) -> list[Entry]:
    """Return ``entries`` without those whose name another one has already."""
    return list({entry["name"]: entry for entry in entries}.values())


shards = st.sampled_from([UNSHARDED, UNSHARDED, Shard(0, 2), Shard(1, 2)])


def world() -> World:
    """Return two organizations, and tokens of which one reads only some of the projects."""
    projects = [
        Project(
            number * 100 + place,
            number,
            slug,
            "python",
            members=frozenset({"all", "some"} if slug != "shop" else {"all"}),
        )
        for number in ORGANIZATIONS.values()
        for place, slug in enumerate(SLUGS)
    ]
    gone = [Project(900 + one, one, "gone", status=ProjectStatus.DELETED) for one in (1, 2)]
    return World(
        [Organization(one, slug, open_membership=False) for slug, one in ORGANIZATIONS.items()],
        [*projects, *gone],
        [Member(one, user) for one in ORGANIZATIONS.values() for user in ("all", "some")],
        [Token(user, TokenKind.USER, user=user) for user in ("all", "some")],
    )


def arrive(there: World, moment: float) -> None:
    """Let events of the last hours arrive in every project."""
    for organization in there.organizations():
        for project in there.projects(organization.id):
            there.add_rows(
                *(
                    Row(organization.id, project.id, *kind, moment - age, quantity=project.id + at)
                    for at, kind in enumerate(KINDS)
                    for age in (60, HOUR, 3 * HOUR)
                )
            )


@contextmanager
def copied(state: State, path: Path) -> Iterator[State]:
    """Open a copy of a state file that is in use."""
    with state.transaction() as database:
        path.write_bytes(database.serialize())
    with closing(State(path)) as opened:
        yield opened


def shown(exporter: Exporter, now: float) -> Samples:
    """Poll, let the grace periods of counters end, and return what is to be compared."""
    poll_all(exporter, now)
    for query in exporter.queries:
        query.refresh(now + 150)
    samples = read_text(page_text(exporter))
    failed = {
        query_of(each)
        for each, value in samples.items()
        if each[0] == "sentry_stats_up" and not value
    }
    return {
        each: value
        for each, value in samples.items()
        if not each[0].startswith(OWN_HISTORY)
        and (each[0] == "sentry_stats_up" or query_of(each) not in failed)
    }


def query_of(sample: tuple[str, frozenset[tuple[str, str]]]) -> tuple[str | None, str | None]:
    """Return the organization and the query of a sample."""
    labels = dict(sample[1])
    return labels.get("organization"), labels.get("query")


@given(pairs(), shards)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_page_after_a_reload(configurations: tuple[list[Entry], list[Entry]], shard: Shard) -> None:
    """Whatever has changed, the page is that of a new exporter."""
    clock, there = Clock(START), world()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sentry = stack.enter_context(Simulator(there, clock=clock, rate_limit=None))
        state = stack.enter_context(closing(State(folder / "state")))
        arrive(there, clock.now)
        first, second = (configuration(sentry.url, *each) for each in configurations)
        reloaded = Exporter(first, clock=clock, state=state, shard=shard)
        poll_all(reloaded, clock.now)
        clock.now += HOUR
        arrive(there, clock.now)
        poll_all(reloaded, clock.now)
        clock.now += HOUR / 2
        arrive(there, clock.now)
        copy = stack.enter_context(copied(state, folder / "copy"))

        reloaded.apply(second)
        started = Exporter(second, clock=clock, state=copy, shard=shard)

        assert shown(started, clock.now) == shown(reloaded, clock.now)
