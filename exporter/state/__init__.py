"""What survives a restart: the ledgers, in an SQLite file that one process uses at a time.

A poll is written in one transaction before it is published, so that whatever was published is still
there after a kill at any instant. Buckets belong to what a query asks, not to its name: a query
that asks something else starts anew. Counters belong to the name that they are published under: a
query that is renamed counts from 0 under its new name, and loses nothing.
"""

from exporter.state.file import State, question_of
from exporter.state.schema import StateError

__all__ = ["State", "StateError", "question_of"]
