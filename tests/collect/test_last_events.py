"""When each project had its last event, right to the bucket."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from exporter.collect.poll.query import QueryPoller
from exporter.config import Query
from exporter.state import State
from tests.support.pollers import poller, shown
from tests.support.publishing import RecordingPublisher
from tests.support.rows import API, HOUR, NOON, WEB, row
from tests.support.sentry import Sentry
from tests.support.settings import NOW, organization, query

BY_PROJECT = query("project", "category", "outcome", poll_interval=900)


@contextmanager
def started(folder: Path, sentry: Sentry, asked: Query = BY_PROJECT) -> Iterator[QueryPoller]:
    """Start a poller that goes on with the state file in ``folder``."""
    with closing(State(folder / "state")) as state:
        restored = state.restore(organization(), asked)
        yield poller(sentry, RecordingPublisher(), asked, restored=restored)


class TestLastEvents:
    """The time of each project's last event."""

    def test_newest_bucket(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """It is the start of the newest bucket, the running one included, of any outcome."""
        sentry.add(
            row(2, bucket=NOON),
            row(2, bucket=NOON - HOUR, project=API),
            row(2, bucket=NOON, project=API, outcome="rate_limited"),
            row(2, bucket=NOON - HOUR, project=API, outcome="filtered"),
        )
        one = poller(sentry, publisher, BY_PROJECT)
        one.poll(NOW)

        assert {"project-1": NOON, "project-2": NOON} == shown(one).last_events

    def test_client_discards(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """What clients discarded was not received, and they report it about an earlier time."""
        sentry.add(row(2, bucket=NOON, outcome="client_discard", project=API))
        one = poller(sentry, publisher, BY_PROJECT)
        one.poll(NOW)

        assert {"project-1": NOON} == shown(one).last_events

    def test_no_projects(self, sentry: Sentry, publisher: RecordingPublisher) -> None:
        """A query that is not grouped by project has none."""
        one = poller(sentry, publisher, query(poll_interval=900))
        one.poll(NOW)

        assert {} == shown(one).last_events

    def test_after_a_restart(self, tmp_path: Path, sentry: Sentry) -> None:
        """It is the same after a restart, before the project sends anything again."""
        with started(tmp_path, sentry) as one:
            one.poll(NOW)
        with started(tmp_path, sentry) as one:
            one.poll(NOW + 5 * HOUR)

        assert {"project-1": NOON} == shown(one).last_events

    def test_older_than_the_lookback(self, tmp_path: Path, sentry: Sentry) -> None:
        """It is remembered beyond the lookback, whenever the exporter is restarted."""
        for hours in range(0, 72, 3):
            with started(tmp_path, sentry) as one:
                sentry.add(row(1, bucket=NOON + hours * HOUR, project=API))
                one.poll(NOW + hours * HOUR)
                one.poll(NOW + (hours + 1) * HOUR)

        assert {
            "project-1": NOON,
            "project-2": NOON + 69 * HOUR,
        } == shown(one).last_events

    def test_projects_that_are_gone(self, tmp_path: Path, sentry: Sentry) -> None:
        """A project that is not in the list any more has none once its buckets are gone."""
        with started(tmp_path, sentry) as one:
            one.poll(NOW)
            sentry.listing = sentry.listing.of(
                [sentry.listing.by_id[API]],
            )
            for hours in (12, 30, 31):
                one.poll(NOW + hours * HOUR)

        assert WEB not in sentry.listing.by_id
        assert {} == shown(one).last_events
