"""What survives a restart: the ledgers, in an SQLite file that one process holds at a time.

A poll is written in one transaction before it is published, so that whatever was published can be
found again after a kill at any instant. Books belong to what a query asks, not to its name: a
changed query starts anew. Counters belong to the name that they are published under: a query that
is renamed counts from 0 under its new name, and loses nothing.
"""

from exporter.state.file import State
from exporter.state.opening import StateError

__all__ = ["State", "StateError"]
