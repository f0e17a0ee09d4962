"""What a query has read and counted, and what a reading changes in it. Pure."""

from exporter.collect.ledger.columns import Column, Run, SeriesTable, size_of
from exporter.collect.ledger.ledger import (
    GRACE_PERIOD,
    Bucket,
    Change,
    Ledger,
)
from exporter.collect.ledger.posting import FORGOTTEN_AFTER, post

__all__ = [
    "FORGOTTEN_AFTER",
    "GRACE_PERIOD",
    "Bucket",
    "Change",
    "Column",
    "Ledger",
    "Run",
    "SeriesTable",
    "post",
    "size_of",
]
