"""The parts of a running exporter, wired together for a configuration that can be replaced."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from threading import Event, Lock
from typing import Final

import structlog

from exporter import __version__
from exporter.clients import Clients, clients_for
from exporter.collect.ledger import FORGOTTEN_AFTER
from exporter.collect.poll import (
    DirectoryState,
    PollerState,
    PollLog,
    PollLoop,
    ProjectDirectory,
    QueryPoller,
    QuotaPoller,
    owner_of,
)
from exporter.collect.publisher import RevocablePublisher
from exporter.config import (
    QUOTAS_QUERY,
    Config,
    Organization,
    Problem,
    host_report,
    in_order,
)
from exporter.publish.page import Page
from exporter.publish.self_metrics import SelfMetrics
from exporter.queries import (
    QueryName,
    enumeration,
    first_project_queries,
    identities,
    offsets,
    queries_of,
    servers_elsewhere,
    twins,
)
from exporter.shard import UNSHARDED, Shard
from exporter.state import State, StateError
from exporter.status import ExporterStatus, QueryStatus, organization_status
from exporter.wiring import Poller, Wiring, hand_over, quota_state, resume

_MAX_NAMED: Final = 5
"""How many queries a probe names."""

_log = structlog.get_logger(__name__)


class Exporter:
    """Everything between a configuration and the page that is scraped.

    ``clock`` returns seconds since the epoch. With ``state``, counters go on where they were in the
    process before. Of the configured queries, those of ``shard`` are polled. Unless somebody
    ``repeats`` failed polls, the log does not say when.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = time.time,
        state: State | None = None,
        shard: Shard = UNSHARDED,
        repeats: bool = True,
    ) -> None:
        self._clock = clock
        self._started = clock()
        self._state = state
        self._shard = shard
        self._own = SelfMetrics(shard)
        self._poll_log = PollLog(repeats=repeats)
        self._reload_problems: tuple[str, ...] = ()
        self.page = Page(self._own)
        self._tried = Event()
        self._becoming_ready = Lock()
        self._applying = Lock()
        nothing = Config((), ())
        self._wiring = Wiring(nothing, RevocablePublisher(self.page, frozenset()))
        self.apply(config)
        self.loop = PollLoop(lambda: self.queries, clock=clock)

    @property
    def queries(self) -> tuple[Poller, ...]:
        """The pollers of the present configuration, in its order, and then those of quotas."""
        return tuple(self._wiring.pollers.values())

    @property
    def config(self) -> Config:
        """The present configuration."""
        return self._wiring.config

    def apply(self, config: Config) -> None:
        """Put ``config`` in the place of the present configuration.

        Unchanged queries go on with their data, counters and next poll. A changed one begins as
        after a restart, with what the state file has of it. Everything is built before anything is
        replaced. Raises `StateError` if the state file cannot be read; after this or any other
        exception, the present configuration goes on.
        """
        with self._applying:
            with ExitStack() as undo:
                undo.callback(self._own.restorer())
                # This reads the tokens. No state is locked yet: a file may be on a disk that hangs.
                share = self._shard.share(config)
                clients = clients_for(share, self._own.meter, self._clock, self._wiring.clients)
                after = self._swap(config, share, clients)
                undo.pop_all()
            self._finish(after)

    def host_problems(self) -> tuple[Problem, ...]:
        """Return what is wrong on this host with the files that are used."""
        report = host_report(self._shard.share(self.config), self._clock())
        return (*in_order([*report.problems, *report.warnings]), *self._state_problems())

    def refused(self, problems: Iterable[str]) -> None:
        """Show that a configuration could not replace the present one, for these ``problems``."""
        self._reload_problems = tuple(problems)
        self._own.configuration_refused()
        self.page.publish()

    def web_configuration(self, usable: bool) -> None:  # noqa: FBT001 - it is called back
        """Show whether the web configuration that was read last can be used."""
        self._own.web_configuration(usable=usable)
        self.page.publish()

    def status(self) -> ExporterStatus:
        """Return what the status page shows; reads the tokens to learn their kinds."""
        wiring, series = self._wiring, self.page.series()
        share = self._shard.share(wiring.config)
        queries: dict[str, list[QueryStatus]] = {}
        for organization, query in queries_of(share):
            name = organization.name, query.name
            report = wiring.pollers[name].report
            queries.setdefault(organization.name, []).append(
                QueryStatus(query, report, series.get(name, 0), report.timing.max_age)
            )
        return ExporterStatus(
            version=__version__,
            now=self._clock(),
            started=self._started,
            configured=self._own.configured,
            reload_successful=self._own.reload_successful,
            reload_problems=self._reload_problems,
            has_state=self._state is not None,
            shard=self._shard,
            organizations=[
                organization_status(
                    organization,
                    wiring.clients.by_organization[organization.name].status,
                    wiring.directories[organization.name].state.projects,
                    queries.get(organization.name, []),
                    quotas.report
                    if (quotas := wiring.pollers.get((organization.name, QUOTAS_QUERY)))
                    else None,
                )
                for organization in share.organizations
            ],
        )

    def why_not_healthy(self) -> str:
        """Return for how long the poll loop has not run, an empty text if it is alive."""
        if self.loop.alive():
            return ""
        return f"the poll loop has not run for {self.loop.silence():.0f} seconds"

    def why_not_ready(self) -> str:
        """Return which queries have not been tried yet, an empty text if all have.

        Failures count: the page has them, for those who scrape only what is ready. A shard without
        queries is ready too, or it would hold up the rollout of the pods behind it. A reload does
        not change this: what was ready stays ready, whatever queries are added.
        """
        if self._tried.is_set():
            return ""
        shown = self.page.shown()
        missing = [f"{one.organization}/{one.query}" for one in shown if not one.polls]
        if not missing:
            # The last of them was published just now.
            return ""
        named = enumeration(missing, _MAX_NAMED)
        return f"{len(missing)} of {len(shown)} queries not tried yet: {named}"

    def _state_problems(self) -> Iterator[Problem]:
        if self._state is not None and not self._state.is_in_place():
            path = self._state.path
            text = (
                f"{path} or its -wal was removed, replaced or cut while in use: polls fail until it"
                " is put back"
            )
            yield Problem("--state.path", None, text, "")

    def _note_tried(self) -> None:
        """Become ready, for good, if every query on the page has been tried."""
        if self._tried.is_set():
            return
        shown = self.page.shown()
        if not all(report.polls for report in shown):
            return
        with self._becoming_ready:
            if not self._tried.is_set():
                self._tried.set()
                up = sum(report.up for report in shown)
                _log.info("every query has been tried", queries=len(shown), succeeded=up)

    def _swap(self, config: Config, share: Config, clients: Clients) -> Wiring:
        """Build the parts for ``config`` and put them in place of the present ones."""
        before, same = self._wiring, identities(config)
        ending = [
            poller.state
            for name, poller in before.pollers.items()
            if before.identities[name] != same.get(name)
        ]
        with ExitStack() as held:
            # Polls of queries that end may still be out. They cannot write to the state file while
            # it is read for their successors, and not at all once their states are closed.
            for state in ending:
                held.enter_context(state.changing)
            after = self._wired(config, share, clients, same)
            with ExitStack() as undo:
                undo.callback(resume, before, ending)
                before.publisher.revoke()
                for state in ending:
                    state.closed = True
                self._show(before, after)
                undo.pop_all()
            after.publisher.enable()
            hand_over(before, after)
            # Last: from now on the loop polls the successors, whose reports must not be replaced
            # by the older ones that have just been published.
            self._wiring = after
        return after

    def _wired(
        self, config: Config, share: Config, clients: Clients, same: Mapping[QueryName, object]
    ) -> Wiring:
        """Return the parts for this shard's ``share`` of ``config``, which publish nothing yet."""
        delays, first = offsets(config), self._first_delays(config, same)
        states = self._poller_states(config, share, same, first)
        publisher = RevocablePublisher(self.page, self._publishing(config), self._note_tried)
        directories = {
            one.name: self._directory(one, clients, publisher) for one in share.organizations
        }
        pollers: dict[QueryName, Poller] = {
            (organization.name, query.name): QueryPoller(
                organization,
                query,
                clients.by_organization[organization.name],
                directories[organization.name],
                publisher,
                poll_log=self._poll_log,
                state=states[organization.name, query.name],
                offset=delays[organization.name, query.name],
            )
            for organization, query in queries_of(share)
        }
        for one in share.organizations:
            if one.has_quotas:
                name = one.name, QUOTAS_QUERY
                pollers[name] = QuotaPoller(
                    one,
                    clients.by_organization[one.name],
                    directories[one.name],
                    publisher,
                    poll_log=self._poll_log,
                    state=quota_state(
                        self._wiring, one, same[name], self._clock() + first.get(name, 0)
                    ),
                    offset=delays[name],
                )
        return Wiring(config, publisher, clients, directories, pollers, same)

    def _publishing(self, config: Config) -> frozenset[str]:
        """Return the organizations whose projects this shard publishes."""
        return frozenset(
            organization
            for organization, query in first_project_queries(config)
            if self._shard.owns(organization, query)
        )

    def _first_delays(
        self, config: Config, same: Mapping[QueryName, object]
    ) -> Mapping[QueryName, int]:
        """Return after how many seconds each query that is new or has changed is polled.

        Those that go on need no time for a first poll: a single new query is polled at once.
        """
        before = self._wiring.identities
        return offsets(config, {name for name, one in same.items() if before.get(name) != one})

    def _poller_states(
        self,
        config: Config,
        share: Config,
        same: Mapping[QueryName, object],
        delays: Mapping[QueryName, int],
    ) -> Mapping[QueryName, PollerState]:
        """Return the states of the queries: the present ones, or new ones from the state file."""
        before, now = self._wiring, self._clock()
        others = twins(config)
        states = {}
        for organization, query in queries_of(share):
            name = organization.name, query.name
            poller = before.pollers.get(name)
            if isinstance(poller, QueryPoller) and before.identities[name] == same[name]:
                states[name] = poller.state
                continue
            restored = None
            if self._state is not None:
                elsewhere = servers_elsewhere(config, organization)
                restored = self._state.restore(organization, query, others[name], elsewhere)
            states[name] = PollerState.begin(organization, query, restored, now + delays[name])
        return states

    def _directory(
        self, organization: Organization, clients: Clients, publisher: RevocablePublisher
    ) -> ProjectDirectory:
        persistence = self._state.project_list(organization) if self._state else None
        return ProjectDirectory(
            organization.name,
            clients.by_organization[organization.name],
            publisher,
            organization.project_label,
            partial(owner_of, organization.teams),
            persistence,
            self._directory_state(organization, clients),
        )

    def _directory_state(
        self, organization: Organization, clients: Clients
    ) -> DirectoryState | None:
        """Return the present projects of the same organization, ``None`` if there are none."""
        name, before = organization.name, self._wiring.clients
        known = self._wiring.directories.get(name)
        upstream = before.upstreams.get(name)
        asked = organization.slug, organization.url
        same = upstream is not None and (upstream.organization, upstream.url) == asked
        if known is None or not same:
            return None
        if before.by_organization[name] is clients.by_organization[name]:
            return known.state
        return known.state.for_another_client()

    def _finish(self, after: Wiring) -> None:
        """Do what is left once ``after`` is in effect; whatever goes wrong, it stays so."""
        try:
            self._poll_log.retain([poller.about for poller in after.pollers.values()])
            # A shard without queries gets no report that would do this.
            self._note_tried()
            self._forget(after)
        except Exception:  # noqa: BLE001 - a fault of ours must not look like a failed reload
            _log.exception("cannot finish a reload", reason="internal")

    def _forget(self, after: Wiring) -> None:
        """Delete from the state file what has not been used for long, nor is in ``after``."""
        if self._state is None:
            return
        pollers = (one for one in after.pollers.values() if isinstance(one, QueryPoller))
        used = [poller.state.persistence for poller in pollers]
        try:
            self._state.forget(self._clock() - FORGOTTEN_AFTER, used)
        except StateError as error:
            # Of old data only the space is lost, until the next time.
            _log.warning("cannot delete old data from the state file", error=str(error))

    def _show(self, before: Wiring, after: Wiring) -> None:
        """Bring the page from ``before`` to ``after``, in one publication."""
        projects = {
            organization: directory.described()
            for organization, directory in after.directories.items()
            if after.publisher.publishes_projects(organization)
        }
        for organization in before.directories.keys() - after.directories.keys():
            self._own.drop(organization)
        self._own.configuration_read(self._clock())
        self.page.publish(
            *(query.report for query in after.pollers.values()),
            dropped=before.pollers.keys() - after.pollers.keys(),
            projects={**dict.fromkeys(before.directories, ()), **projects},
        )
