"""What to ask until an answer is proven complete. Pure."""

from exporter.collect.plan.core import Hints, Reply, drive
from exporter.collect.plan.resolved import (
    ChosenProjects,
    ResolvedQuery,
    choose_projects,
    missing_project,
    resolve,
)
from exporter.collect.plan.series import read_series
from exporter.collect.plan.window import WindowReading, read_window

__all__ = [
    "ChosenProjects",
    "Hints",
    "Reply",
    "ResolvedQuery",
    "WindowReading",
    "choose_projects",
    "drive",
    "missing_project",
    "read_series",
    "read_window",
    "resolve",
]
