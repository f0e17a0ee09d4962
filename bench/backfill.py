"""A backfill of a large organization: requests, memory, time and size.

Answers come from memory, cut as Sentry cuts them, so that all the time is the exporter's own.
Nothing is written but the progress file: the lines of the output are counted.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import click

from exporter.backfill.backfill import Backfill, Request
from exporter.backfill.progress_file import ProgressFile
from exporter.clients import Clients
from exporter.collect.plan.core import Reply
from exporter.config import Config, loads
from exporter.sentry.answer import By, Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import QUANTITY, ROW_LIMIT, Question

NOW: Final = 1_790_000_000.0
_FIRST: Final = 4_505_123_000_000_000
_CATEGORIES: Final = ("transaction", "span", "replay", "attachment", "log_item", "monitor")
_OUTCOMES: Final = (
    ("accepted", "none"),
    ("rate_limited", "key_quota"),
    ("filtered", "browser-extensions"),
    ("client_discard", "sample_rate"),
    ("invalid", "cors"),
)
_CONFIGURATION: Final = """
organizations:
  - slug: scale
    token: opens-nothing
    queries:
      - {name: outcomes, groupBy: [category, outcome, reason]}
      - {name: projects, groupBy: [project, category, outcome, reason]}
    quotas:
      - {name: transactions, category: transaction, limit: 1_000_000, price: 0.0001}
      - {name: spans, category: span, limit: 1_000_000, price: 0.000002}
"""


class Sentry:
    """An organization whose hours are all the same, as a client."""

    def __init__(self, projects: int, rows: int) -> None:
        every = [
            By(category, outcome, reason)
            for outcome, reason in _OUTCOMES
            for category in _CATEGORIES
        ]
        self._groups = every[:rows]
        self._projects = range(_FIRST, _FIRST + projects)
        self._values = {
            by: {project: (project * 7 + number) % 5000 + 1 for project in self._projects}
            for number, by in enumerate(self._groups)
        }
        self._sums = {by: sum(values.values()) for by, values in self._values.items()}

    def projects(self) -> ProjectList:
        """Return the projects."""
        return ProjectList.of(
            Project(one, f"project-{one - _FIRST:05d}", "python", accessible=True)
            for one in self._projects
        )

    def credentials(self) -> str:
        """Return what changes with the token."""
        return ""

    def ask_all(self, questions: Sequence[Question]) -> list[Reply]:
        """Answer ``questions``."""
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Reply:
        if "project" in question.group_by:
            return ProjectsAnswer(question, {QUANTITY: dict(self._cut(question))})
        hours = question.window.interval // 3600
        length = len(question.window)
        return SeriesAnswer(
            question,
            tuple(
                Group(by, (value * hours * length,), ((value * hours,) * length,))
                for by, value in self._sums.items()
                if _is_asked(question, by)
            ),
        )

    def _cut(self, question: Question) -> Iterator[tuple[By, dict[int, int]]]:
        """Yield the values of the projects that are asked for, up to the limit of rows."""
        left, asked = ROW_LIMIT, question.project
        hours = (question.window.end - question.window.start) // 3600
        for by, every in self._values.items():
            if not _is_asked(question, by):
                continue
            values = {one: value * hours for one, value in every.items()} if hours > 1 else every
            some = dict(values) if -1 in asked else {one: values[one] for one in asked}
            yield by, dict(list(some.items())[:left]) if len(some) > left else some
            left = max(left - len(some), 0)


def _is_asked(question: Question, by: By) -> bool:
    """Return whether the filter of a question selects a group."""
    return (not question.category or by.category in question.category) and (
        not question.outcome or by.outcome in question.outcome
    )


def memory() -> float:
    """Return the most memory that the process has used so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def lines(config: Config, client: Sentry, folder: Path, days: int) -> Iterator[str]:
    """Yield the figures, line by line."""
    request = Request(f"{days}d", "", folder / "history.om", target={"job": "sentry"})
    file = ProgressFile(request.progress)
    clients = Clients({"scale": cast("Any", client)})
    work = Backfill(config, request, clients, file, lambda: NOW, time.sleep)
    outlook = work.plan()
    yield from outlook.lines()
    began = time.process_time()
    work.read()
    yield f"requests: {work.counted.requests - outlook.made:,}, planned {outlook.requests:,}"
    yield f"reading: {time.process_time() - began:.1f} s of CPU, memory {memory():.0f} MB"
    written = sum(each.stat().st_size for each in folder.iterdir())
    yield f"progress file: {written / 1e6:.0f} MB"
    began, samples, size = time.process_time(), 0, 0
    for text in work.history().lines():
        samples += text.count("\n")
        size += len(text)
    seconds = time.process_time() - began
    yield f"writing: {samples:,} samples, {size / 1e9:.2f} GB, memory {memory():.0f} MB"
    yield f"writing: {seconds / samples * 1e6:.2f} s of CPU for a million samples"
    work.finish()


@click.command()
@click.option("--days", default=90, show_default=True, help="Days of history.")
@click.option("--projects", default=1000, show_default=True, help="Projects of the organization.")
@click.option("--rows", default=12, show_default=True, help="Rows of each project in an hour.")
def main(**sizes: Any) -> None:
    """Backfill an organization, and print the figures."""
    config = loads(_CONFIGURATION)
    client = Sentry(sizes["projects"], sizes["rows"])
    with TemporaryDirectory() as folder:
        for line in lines(config, client, Path(folder), sizes["days"]):
            click.echo(line)


if __name__ == "__main__":
    main()
