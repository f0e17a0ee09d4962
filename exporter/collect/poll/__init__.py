"""When a query is polled, and what a poll does.

`PollLoop` is the loop. A `QueryPoller` decides whether a poll is due (``schedule``), makes an
``attempt``, and publishes a ``view`` of its `PollerState`.
"""

from exporter.collect.poll.attempt import Client
from exporter.collect.poll.directory import (
    DirectoryState,
    ProjectDirectory,
    ProjectsClient,
    only_team,
)
from exporter.collect.poll.loop import PollLoop
from exporter.collect.poll.poll_log import PollLog
from exporter.collect.poll.poller_state import PollerState
from exporter.collect.poll.query import QueryPoller

__all__ = [
    "Client",
    "DirectoryState",
    "PollLog",
    "PollLoop",
    "PollerState",
    "ProjectDirectory",
    "ProjectsClient",
    "QueryPoller",
    "only_team",
]
