"""When a query is polled, and what a poll does.

`PollLoop` is the loop. A `QueryPoller` decides whether a poll is due (``schedule``), makes an
``attempt``, and publishes a ``view`` of its `PollerState`. A `QuotaPoller` does the same for the
quotas of an organization.
"""

from exporter.collect.poll.attempt import Client
from exporter.collect.poll.directory import (
    DirectoryState,
    ProjectDirectory,
    ProjectsClient,
    only_team,
    owner_of,
)
from exporter.collect.poll.loop import PollLoop
from exporter.collect.poll.poll_log import PollLog
from exporter.collect.poll.poller_state import PollerState, PollState
from exporter.collect.poll.query import QueryPoller
from exporter.collect.poll.quota_state import POLL_INTERVAL, QuotaState
from exporter.collect.poll.quotas import QuotaPoller

__all__ = [
    "POLL_INTERVAL",
    "Client",
    "DirectoryState",
    "PollLog",
    "PollLoop",
    "PollState",
    "PollerState",
    "ProjectDirectory",
    "ProjectsClient",
    "QueryPoller",
    "QuotaPoller",
    "QuotaState",
    "only_team",
    "owner_of",
]
