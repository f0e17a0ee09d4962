"""What survives a restart: the ledgers, in an SQLite file that one process holds at a time.

A poll is written in one transaction before it is published, so that whatever was published can be
found again after a kill at any instant. A ledger belongs to what its query asks, not to the
query's name: a changed query starts anew, a renamed one goes on.
"""

from exporter.state.file import State
from exporter.state.opening import StateError

__all__ = ["State", "StateError"]
