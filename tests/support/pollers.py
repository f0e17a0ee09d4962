"""Query pollers of unit tests."""

from typing import Any

from exporter.collect.poll.directory import ProjectDirectory
from exporter.collect.poll.poller_state import PollerState
from exporter.collect.poll.query import QueryPoller
from exporter.collect.snapshot import View
from exporter.config import Query
from tests.support.publishing import RecordingPublisher
from tests.support.sentry import Sentry
from tests.support.settings import organization, query


def poller(
    sentry: Sentry,
    publisher: RecordingPublisher,
    asked: Query | None = None,
    **options: Any,
) -> QueryPoller:
    """Return a poller of ``asked`` whose polls take no time.

    ``settings`` are the organization's, ``restored`` is the ledger of an earlier process.
    """
    options.setdefault("timer", lambda: 0.0)
    acme = organization(**options.pop("settings", {}))
    if "restored" in options:
        options["state"] = PollerState.begin(acme, asked or query(), options.pop("restored"))
    directory = ProjectDirectory(acme.slug, sentry, publisher, acme.project_label)
    return QueryPoller(acme, asked or query(), sentry, directory, publisher, **options)


def shown(one: QueryPoller) -> View:
    """Return the data that ``one`` shows, which is there."""
    assert one.report.view is not None

    return one.report.view
