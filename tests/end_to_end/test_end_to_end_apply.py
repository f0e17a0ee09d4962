"""A configuration takes the place of another one in a running exporter."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from exporter.app import Exporter
from exporter.clients import Clients, clients_for
from exporter.config import Config
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.client import SentryClient
from exporter.sentry.token import Secret, TokenLiteral
from exporter.simulator import DEMO_TOKENS, Fault, Simulator
from exporter.state import State, StateError
from tests.end_to_end.exposition import Samples, data
from tests.end_to_end.stage import page, polled, truths
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, Entry, configuration, organization
from tests.support.exporters import poll_due
from tests.support.programs import TIMEOUT, wait_until

HOUR = 3600
SHORT = {**OUTCOMES, "lookback": "2h", "poll_interval": "5m"}
BY_PROJECT = {**PROJECTS, "lookback": "2h", "poll_interval": "5m"}


@dataclass
class Gate:
    """Holds back what a client is answered while it is shut."""

    shut: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Return a gate between the clients and the pollers, which is open."""
    gate, original = Gate(), SentryClient.ask_all

    def ask_all(client: SentryClient, questions: Sequence[Any]) -> Any:
        answers = original(client, questions)
        if gate.shut:
            gate.reached.set()
            gate.opened.wait(TIMEOUT)
        return answers

    monkeypatch.setattr(SentryClient, "ask_all", ask_all)
    yield gate
    gate.opened.set()


@pytest.fixture
def poll_out(gate: Gate) -> Callable[[Exporter, float], None]:
    """Return a function that begins a poll of everything due, which waits at the gate."""

    def begin(exporter: Exporter, now: float) -> None:
        """Begin the poll."""
        gate.shut = True
        exporter.loop.tick(now)
        assert gate.reached.wait(TIMEOUT)
        gate.shut = False

    return begin


def finish(gate: Gate, exporter: Exporter) -> None:
    """Let the poll that waits at the gate end."""
    gate.opened.set()
    wait_until(exporter.loop.idle)


def of_organization(samples: Samples, name: str) -> Samples:
    """Return the samples about one organization."""
    return {
        each: value for each, value in samples.items() if dict(each[1]).get("organization") == name
    }


def counters(samples: Samples) -> float:
    """Return the sum of all counters of events."""
    return sum(value for each, value in samples.items() if each[0] == "sentry_stats_events_total")


def is_right(sentry: Simulator, config: Config, now: float, samples: Samples) -> bool:
    """Return whether the page has the store's values of each query's finished bucket."""
    expected: dict[Any, float] = {}
    for truth in truths(sentry.world, config):
        expected |= truth.bucket(now)
    return expected == data(samples, prefix="sentry_stats_bucket_")


class TestUnchanged:
    """Queries that are the same in both configurations."""

    def test_goes_on(self, sentry: Simulator, clock: Clock) -> None:
        """Data, counters and the next poll stay, whatever changes around the query."""
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        polled(exporter, clock.now)
        clock.now += HOUR
        before = of_organization(polled(exporter, clock.now), "acme")
        report = exporter.queries[0].report

        exporter.apply(
            configuration(
                sentry.url,
                organization(slug="globex"),
                organization(SHORT, BY_PROJECT, timeout="7s", max_age="5h", teams={}),
            )
        )

        _, query, added = exporter.queries
        assert before.items() <= of_organization(page(exporter), "acme").items()
        assert report == query.report
        assert not query.due(clock.now + 1)
        assert query.due(report.next_poll)
        assert (0, None) == (added.report.polls, added.report.view)

    def test_counters_go_on(self, sentry: Simulator, clock: Clock) -> None:
        """What arrives around the change is counted once."""
        config = configuration(sentry.url, organization(SHORT, BY_PROJECT))
        still, changed = (Exporter(config, clock=clock) for _ in range(2))
        for _ in range(3):
            for exporter in (still, changed):
                poll_due(exporter, clock.now)
            changed.apply(configuration(sentry.url, organization(SHORT, BY_PROJECT, timeout="7s")))
            clock.now += HOUR
        for exporter in (still, changed):
            poll_due(exporter, clock.now)

        assert counters(page(still)) == counters(page(changed)) > 0
        assert is_right(sentry, config, clock.now, page(changed))

    def test_labels_stay(self, sentry: Simulator, clock: Clock) -> None:
        """Projects have their slugs as before, though Sentry does not list them any more."""
        exporter = Exporter(configuration(sentry.url, organization(BY_PROJECT)), clock=clock)
        before = data(polled(exporter, clock.now), prefix="sentry_stats_bucket_")
        sentry.faults.add(Fault("status", status=500, endpoint="projects"))

        exporter.apply(configuration(sentry.url, organization(BY_PROJECT, timeout="7s")))
        exporter.queries[0].poll(clock.now)

        assert before == data(page(exporter), prefix="sentry_stats_bucket_")

    def test_poll_that_is_out(
        self,
        sentry: Simulator,
        clock: Clock,
        gate: Gate,
        poll_out: Callable[[Exporter, float], None],
    ) -> None:
        """Its answer is not lost, and the successor begins no poll before it is there."""
        config = configuration(sentry.url, organization(SHORT, max_age="5h"))
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        poll_out(exporter, clock.now)

        exporter.apply(config)
        exporter.loop.tick(clock.now)
        meanwhile = exporter.queries[0].due(clock.now)
        finish(gate, exporter)
        shown = data(page(exporter))
        exporter.loop.tick(clock.now)
        wait_until(exporter.loop.idle)

        assert not meanwhile
        assert {} == shown
        assert 1 == exporter.queries[0].report.polls
        assert is_right(sentry, config, clock.now, page(exporter))

    @pytest.mark.parametrize("query", [SHORT, BY_PROJECT], ids=["outcomes", "projects"])
    def test_poll_of_a_replaced_client(
        self,
        sentry: Simulator,
        clock: Clock,
        tmp_path: Path,
        gate: Gate,
        poll_out: Callable[[Exporter, float], None],
        query: Entry,
    ) -> None:
        """With another client, the successor polls at once, and the old answer changes nothing."""
        first, second = (
            configuration(sentry.url, organization(query, timeout=timeout))
            for timeout in ("30s", "7s")
        )
        with closing(State(tmp_path / "state")) as state:
            exporter = Exporter(first, clock=clock, state=state)
            alone = Exporter(second, clock=clock)
            for one in (exporter, alone):
                polled(one, clock.now)
            clock.now += HOUR
            poll_out(exporter, clock.now)
            exporter.apply(second)
            due = exporter.queries[0].due(clock.now)
            polled(exporter, clock.now)
            report = exporter.queries[0].report
            finish(gate, exporter)
            after = exporter.queries[0].report
            expected = counters(polled(alone, clock.now))
            actual = counters(page(exporter))
        with closing(State(tmp_path / "state")) as state:
            restarted = Exporter(second, clock=clock, state=state)

            assert due
            assert report is after
            assert report.up
            assert expected == actual > 0
            assert expected == counters(polled(restarted, clock.now))

    @pytest.mark.parametrize(
        ("query", "endpoint"),
        [(SHORT, "stats_v2"), (BY_PROJECT, "projects")],
        ids=["stats", "projects"],
    )
    def test_poll_that_hangs(
        self,
        sentry: Simulator,
        clock: Clock,
        query: Entry,
        endpoint: Literal["stats_v2", "projects"],
    ) -> None:
        """It holds up its successor neither by a lock nor by its place among the requests."""
        first, second = (
            configuration(sentry.url, organization(query, timeout=timeout, max_concurrency=1))
            for timeout in ("5m", "7s")
        )
        hang = sentry.faults.add(Fault("hang", endpoint=endpoint))
        exporter = Exporter(first, clock=clock)
        exporter.loop.tick(clock.now)
        wait_until(lambda: any(endpoint in request.path for request in sentry.requests))
        sentry.faults.remove(hang)

        exporter.apply(second)
        exporter.loop.tick(clock.now)
        wait_until(lambda: exporter.queries[0].report.polls > 0)

        assert exporter.queries[0].report.up
        assert not exporter.loop.idle()
        sentry.stop()

    def test_replaced_client_asks_no_more(
        self,
        sentry: Simulator,
        clock: Clock,
        gate: Gate,
        poll_out: Callable[[Exporter, float], None],
    ) -> None:
        """After its answer has come, the old poll sends no other request, and logs nothing."""
        exporter = Exporter(configuration(sentry.url, organization(BY_PROJECT)), clock=clock)
        poll_out(exporter, clock.now)
        exporter.apply(configuration(sentry.url, organization(BY_PROJECT, timeout="7s")))
        before = len(sentry.requests)

        with structlog.testing.capture_logs() as logged:
            finish(gate, exporter)

        assert before == len(sentry.requests)
        assert [] == logged

    def test_max_age(self, sentry: Simulator, clock: Clock) -> None:
        """Another ``max_age`` withdraws data or shows them again, without a poll."""
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        before = data(polled(exporter, clock.now))
        clock.now += HOUR
        shown = []
        for max_age in ("30m", "2h"):
            changed = configuration(sentry.url, organization(SHORT, max_age=max_age))
            exporter.apply(changed)
            exporter.queries[0].refresh(clock.now)
            shown.append(data(page(exporter)))

        assert [{}, before] == shown

    def test_settle(self, sentry: Simulator, clock: Clock) -> None:
        """Another ``settle`` decides at the next poll which bucket is finished."""
        changed = configuration(sentry.url, organization(SHORT, settle="1h"))
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        polled(exporter, clock.now)
        before = exporter.queries[0].report.view

        exporter.apply(changed)
        polled(exporter, clock.now)
        after = exporter.queries[0].report.view

        assert before is not None
        assert after is not None
        assert before.start - HOUR == after.start
        assert is_right(sentry, changed, clock.now, page(exporter))

    def test_another_token(self, sentry: Simulator, clock: Clock) -> None:
        """What failed is tried at once with the token of the new configuration."""
        bad = organization(SHORT, slug="acme", token="sntryu_wrong")
        exporter = Exporter(configuration(sentry.url, bad), clock=clock)
        failed = exporter.queries[0].poll(clock.now)
        before = exporter.queries[0].due(clock.now + 1)

        exporter.apply(configuration(sentry.url, organization(SHORT)))

        assert not failed.up
        assert not before
        assert exporter.queries[0].due(clock.now + 1)


class TestChanged:
    """Queries that are other ones under their old names."""

    def test_without_state_file(self, sentry: Simulator, clock: Clock) -> None:
        """They begin anew, and show nothing until they are polled."""
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        polled(exporter, clock.now)
        changed = configuration(sentry.url, organization({**SHORT, "lookback": "3h"}))

        exporter.apply(changed)
        shown = data(page(exporter))
        polled(exporter, clock.now)

        assert {} == shown
        assert 1 == exporter.queries[0].report.polls
        assert is_right(sentry, changed, clock.now, page(exporter))

    def test_polled_at_once(self, sentry: Simulator, clock: Clock) -> None:
        """A changed and an added query are due at once, however many there are."""
        many = [{**SHORT, "name": f"q{number}"} for number in range(300)]
        exporter = Exporter(configuration(sentry.url, organization(*many)), clock=clock)
        clock.now += HOUR
        for query in exporter.queries:
            query.state.schedule = query.state.schedule.moved_to(clock.now + HOUR)

        many[7] = {**many[7], "lookback": "3h"}
        exporter.apply(configuration(sentry.url, organization(*many, SHORT)))
        due = [one.report.query for one in exporter.queries if one.due(clock.now)]

        assert ["q7", "outcomes"] == due

    def test_with_state_file(self, sentry: Simulator, clock: Clock, tmp_path: Path) -> None:
        """They go on as after a restart, with the counters of their names."""
        with closing(State(tmp_path / "state")) as state:
            exporter = Exporter(
                configuration(sentry.url, organization(SHORT)), clock=clock, state=state
            )
            polled(exporter, clock.now)
            clock.now += HOUR
            before = counters(polled(exporter, clock.now))

            exporter.apply(configuration(sentry.url, organization({**SHORT, "lookback": "3h"})))

            assert 0 < before == counters(polled(exporter, clock.now))

    def test_poll_that_is_out(
        self,
        sentry: Simulator,
        clock: Clock,
        tmp_path: Path,
        gate: Gate,
        poll_out: Callable[[Exporter, float], None],
    ) -> None:
        """It writes nothing to the state file any more, and its successor counts everything."""
        changed = configuration(sentry.url, organization({**SHORT, "poll_interval": "10m"}))
        with closing(State(tmp_path / "state")) as state:
            exporter = Exporter(
                configuration(sentry.url, organization(SHORT)), clock=clock, state=state
            )
            alone = Exporter(changed, clock=clock)
            for one in (exporter, alone):
                polled(one, clock.now)
            clock.now += HOUR
            poll_out(exporter, clock.now)
            exporter.apply(changed)
            finish(gate, exporter)
            between = data(page(exporter))
            for one in (exporter, alone):
                polled(one, clock.now)
            expected = counters(page(alone))
            actual = counters(page(exporter))
        with closing(State(tmp_path / "state")) as state:
            restarted = Exporter(changed, clock=clock, state=state)

            assert {} == between
            assert expected == actual > 0
            assert expected == counters(polled(restarted, clock.now))

    def test_same_question_in_another_order(
        self, sentry: Simulator, clock: Clock, tmp_path: Path
    ) -> None:
        """Queries that ask the same do not write to each other's ledgers in the state file."""
        one, two = {**SHORT, "name": "one"}, {**SHORT, "name": "two"}
        with closing(State(tmp_path / "state")) as state:
            exporter = Exporter(
                configuration(sentry.url, organization(two)), clock=clock, state=state
            )
            polled(exporter, clock.now)
            exporter.apply(configuration(sentry.url, organization(one, two)))
            for _ in range(2):
                polled(exporter, clock.now)
                clock.now += HOUR
            before = counters(polled(exporter, clock.now))
            config = configuration(sentry.url, organization(one, two))
        with closing(State(tmp_path / "state")) as state:
            restarted = Exporter(config, clock=clock, state=state)

            assert before == counters(polled(restarted, clock.now))
            assert is_right(sentry, config, clock.now, page(restarted))

    def test_project_label(self, sentry: Simulator, clock: Clock) -> None:
        """No values are shown under labels that the projects do not have any more."""
        exporter = Exporter(configuration(sentry.url, organization(SHORT, BY_PROJECT)), clock=clock)
        before = polled(exporter, clock.now)
        changed = configuration(sentry.url, organization(SHORT, BY_PROJECT, project_label="id"))

        exporter.apply(changed)
        between = page(exporter)
        after = polled(exporter, clock.now)

        assert set() < labels(before, "bucket_events") <= labels(before, "project_info")
        assert set() == labels(between, "bucket_events")
        assert set() < labels(after, "bucket_events") <= labels(after, "project_info")
        assert labels(before, "bucket_events").isdisjoint(labels(after, "bucket_events"))


class TestRemoved:
    """Queries and organizations that the new configuration does not have."""

    def test_organization(self, sentry: Simulator, clock: Clock) -> None:
        """Nothing on the page is about it any more, and the others stay."""
        stays, gone = organization(SHORT), organization(BY_PROJECT, slug="globex")
        exporter = Exporter(configuration(sentry.url, stays, gone), clock=clock)
        before = polled(exporter, clock.now)

        exporter.apply(configuration(sentry.url, stays))

        assert of_organization(before, "globex")
        assert {} == of_organization(page(exporter), "globex")
        assert of_organization(before, "acme") == of_organization(page(exporter), "acme")
        assert ["acme"] == [query.report.organization for query in exporter.queries]

    def test_poll_asks_nothing_more(
        self,
        sentry: Simulator,
        clock: Clock,
        gate: Gate,
        poll_out: Callable[[Exporter, float], None],
    ) -> None:
        """A poll of a removed query that is out ends with the questions that it has asked."""
        gone = organization(BY_PROJECT, slug="globex")
        exporter = Exporter(configuration(sentry.url, gone), clock=clock)
        poll_out(exporter, clock.now)
        asked = len(sentry.requests)

        exporter.apply(configuration(sentry.url, organization(SHORT)))
        finish(gate, exporter)

        assert asked == len(sentry.requests)

    def test_last_query_about_projects(self, sentry: Simulator, clock: Clock) -> None:
        """The projects leave with the last query that has to do with them."""
        both = organization(SHORT, BY_PROJECT)
        exporter = Exporter(configuration(sentry.url, both), clock=clock)
        before = polled(exporter, clock.now)

        exporter.apply(configuration(sentry.url, organization(SHORT)))

        assert projects(before)
        assert {} == projects(page(exporter))

    def test_poll_that_is_out(
        self,
        sentry: Simulator,
        clock: Clock,
        tmp_path: Path,
        gate: Gate,
        poll_out: Callable[[Exporter, float], None],
    ) -> None:
        """It neither publishes nor persists anything."""
        stays, gone = organization(SHORT), organization(BY_PROJECT, slug="globex")
        with closing(State(tmp_path / "state")) as state:
            exporter = Exporter(configuration(sentry.url, stays, gone), clock=clock, state=state)
            exporter.queries[0].poll(clock.now)
            poll_out(exporter, clock.now)

            exporter.apply(configuration(sentry.url, stays))
            old = page(exporter)
            finish(gate, exporter)

            assert {} == of_organization(old, "globex")
            assert {} == data(of_organization(page(exporter), "globex"))
            assert not any(
                "query" in dict(each[1]) for each in of_organization(page(exporter), "globex")
            )
            with state.transaction() as database:
                (entries,) = database.execute(
                    "SELECT count(*) FROM query WHERE organization = 'globex' AND last_success > 0"
                ).fetchone()
            assert 0 == entries


def test_tokens_are_read_without_a_lock(
    sentry: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No state is locked while the tokens are read: a file may be on a disk that hangs."""
    exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
    state, locked = exporter.queries[0].state, []
    original = TokenLiteral.read

    def read(token: TokenLiteral) -> Secret:
        locked.append(state.changing.locked())
        return original(token)

    with monkeypatch.context() as patched:
        patched.setattr(TokenLiteral, "read", read)
        exporter.apply(configuration(sentry.url, organization(slug="globex")))

    assert {False} == set(locked)


def labels(samples: Samples, family: str) -> set[str]:
    """Return the labels of projects in a family."""
    named = {dict(each[1]).get("project", "") for each in samples if each[0].endswith(family)}
    return named - {""}


def projects(samples: Samples) -> Samples:
    """Return the samples about projects."""
    return {each: value for each, value in samples.items() if each[0].endswith("project_info")}


class TestReady:
    """Readiness when queries are added or removed."""

    def test_stays(self, sentry: Simulator, clock: Clock) -> None:
        """New and changed queries that have not been tried do not make it unready."""
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        polled(exporter, clock.now)

        exporter.apply(
            configuration(sentry.url, organization({**SHORT, "lookback": "3h"}, BY_PROJECT))
        )

        assert not exporter.why_not_ready()

    def test_untried_query_leaves(self, sentry: Simulator, clock: Clock) -> None:
        """It is ready once every query that is left has been tried."""
        both = configuration(sentry.url, organization(SHORT, BY_PROJECT))
        exporter = Exporter(both, clock=clock)
        exporter.queries[0].poll(clock.now)
        before = exporter.why_not_ready()

        exporter.apply(configuration(sentry.url, organization(SHORT)))

        assert before
        assert not exporter.why_not_ready()

    def test_added_before(self, sentry: Simulator, clock: Clock) -> None:
        """A query that is added before it is ready has to be tried too."""
        exporter = Exporter(configuration(sentry.url, organization(SHORT)), clock=clock)
        exporter.apply(configuration(sentry.url, organization(SHORT, BY_PROJECT)))
        exporter.queries[0].poll(clock.now)
        before = exporter.why_not_ready()

        exporter.queries[1].poll(clock.now)

        assert before
        assert not exporter.why_not_ready()


class TestProbes:
    """What is missing, in words."""

    def test_ready(self, sentry: Simulator, clock: Clock) -> None:
        """The queries that have not been tried are named, but not all of many."""
        many = [{**SHORT, "name": f"q{number}"} for number in range(8)]
        exporter = Exporter(configuration(sentry.url, organization(*many)), clock=clock)
        before = exporter.why_not_ready()
        for query in exporter.queries[:6]:
            query.poll(clock.now)
        between = exporter.why_not_ready()
        for query in exporter.queries[6:]:
            query.poll(clock.now)

        assert before == (
            "8 of 8 queries not tried yet: acme/q0, acme/q1, acme/q2, acme/q3, acme/q4, and 3 more"
        )
        assert "2 of 8 queries not tried yet: acme/q6, acme/q7" == between
        assert "" == exporter.why_not_ready()

    def test_healthy(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        """For how long the poll loop has not run is said, once that is too long."""
        exporter = Exporter(configuration("http://unused.test", organization()), clock=clock)
        before = exporter.why_not_healthy()
        monkeypatch.setattr(exporter.loop, "silence", lambda: 14.2)

        assert "" == before
        assert "the poll loop has not run for 14 seconds" == exporter.why_not_healthy()


class TestBad:
    """A configuration that cannot be put in place."""

    def test_leaves_all_as_it_was(
        self,
        sentry: Simulator,
        clock: Clock,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The present one goes on: its queries, its page, and its polls."""
        config = configuration(sentry.url, organization(SHORT))
        with closing(State(tmp_path / "state")) as state:
            exporter = Exporter(config, clock=clock, state=state)
            polled(exporter, clock.now)
            before, queries = page(exporter), exporter.queries
            clock.now += HOUR

            def fail(*_: object) -> None:
                raise StateError("the file is damaged")

            with monkeypatch.context() as patched:
                patched.setattr(State, "restore", fail)
                with pytest.raises(StateError):
                    exporter.apply(
                        configuration(
                            sentry.url,
                            organization({**SHORT, "lookback": "3h"}),
                            organization(slug="globex"),
                        )
                    )

            assert before == page(exporter)
            assert queries == exporter.queries
            assert is_right(sentry, config, clock.now, polled(exporter, clock.now))


class TestClients:
    """What is used again for the requests of the new configuration."""

    def made(self, before: Any = None, **settings: Any) -> Any:
        """Return the clients of an organization with ``settings`` and of another one."""
        entries: list[Entry] = [organization(**settings), organization(slug="globex")]
        return clients_for(
            configuration("http://unused.test", *entries), SelfMetrics().meter, before=before
        )

    def test_nothing_changed(self) -> None:
        """The clients are the same, and so are a pause that Sentry requires and connections."""
        before = self.made()

        assert dict(before.by_organization) == dict(self.made(before).by_organization)

    @pytest.mark.parametrize("setting", [{"timeout": "7s"}, {"max_concurrency": 1}])
    def test_setting_changed(self, setting: Mapping[str, Any]) -> None:
        """Requests that hang hold no place any more, for those who share the token only."""
        before = self.made()
        after = self.made(before, **setting)
        changed = [key for key, one in after.tokens.items() if before.tokens[key] != one]

        assert 1 == len(changed)
        assert before.by_organization["acme"] is not after.by_organization["acme"]
        assert before.by_organization["globex"] is after.by_organization["globex"]

    @pytest.mark.parametrize("setting", [{"timeout": "7s"}, {"max_concurrency": 1}])
    def test_pause_goes_on(self, setting: Mapping[str, Any]) -> None:
        """A pause that Sentry required holds under other settings too."""

        class WaitingError(Exception):
            """The request would have to wait."""

        def waits(_seconds: float) -> None:
            raise WaitingError

        before = self.made()
        for limits, _ in before.tokens.values():
            limits.pause(30)
        after = self.made(before, **setting)

        for limits, _ in after.tokens.values():
            with pytest.raises(WaitingError), limits.turn(waits):
                pass

    def test_shared(self) -> None:
        """Whether others read with the same token is known after a reload too."""
        alone = configuration("http://unused.test", organization())
        both = configuration(
            "http://unused.test",
            organization(),
            organization(slug="globex", token=DEMO_TOKENS["acme"]),
        )
        made, shared = Clients(), []
        for config in (alone, both, alone):
            made = clients_for(config, SelfMetrics().meter, before=made)
            ((limits, _),) = made.tokens.values()
            shared.append(limits.shared)

        assert [False, True, False] == shared

    def test_token_changed(self) -> None:
        """Another token has limits of its own."""
        before = self.made()
        after = self.made(before, token=DEMO_TOKENS["globex"])

        assert before.by_organization["acme"] is not after.by_organization["acme"]
        assert 1 == len(after.tokens)
