"""What is printed before a backfill begins, and how far it is."""

import io
from collections.abc import Sequence

import pytest

from exporter.backfill.outlook import JobOutlook, Outlook
from exporter.backfill.survey import Survey
from exporter.backfill.times import DAY, HOUR, Job
from exporter.buckets import Window
from exporter.cli.progress import Lines, progress
from exporter.collect.plan.resolved import resolve
from exporter.config import Query
from tests.support.clock import Clock
from tests.support.rows import NOON, series
from tests.support.settings import organization, query

WINDOW = Window(NOON - DAY, NOON, HOUR)
ONE = series(reason="none").series


def outlook(asked: Query, *labels: str, window: Window = WINDOW, projects: float = 1) -> JobOutlook:
    """Return the outlook of a job with one series."""
    buckets = tuple(window.buckets()) if "project" in asked.group_by else ()
    known = Survey((), (1, 2), (window,), (ONE,), buckets=buckets, projects=projects)
    return JobOutlook.of(Job(0, organization(), asked, window), resolve(asked), known, labels)


def test_samples_of_a_query() -> None:
    """A series has a gauge and a counter for each bucket; four families are about the query."""
    one = outlook(query())

    assert 24 + 25 + 4 * 24 == one.samples
    assert 1 == one.requests


def test_samples_by_project() -> None:
    """The recorded hours and their sums are added, and what is known of each project."""
    one = outlook(query("project", "category", "outcome", "reason"), "web", "api", projects=2)

    assert 2 * 24 + 2 * 25 + 6 * 24 + (2 + 2 * 2 + 1) * 24 == one.samples
    assert 1 + 24 == one.requests


@pytest.mark.parametrize(
    ("asked", "window", "expected"),
    [
        (query(), WINDOW, "acme/outcomes: 24 buckets of 1h, .*Z to .*Z: 1 request, about 145 "),
        (query(), Window(NOON // DAY * DAY, NOON // DAY * DAY + DAY, DAY), ", counters only: "),
    ],
)
def test_line_about_a_job(asked: Query, window: Window, expected: str) -> None:
    """It has buckets, range, requests and samples."""
    assert_matches(expected, outlook(asked, window=window).text())


def assert_matches(pattern: str, text: str) -> None:
    """Assert that ``text`` has what ``pattern`` describes."""
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(text)


def test_lines_about_everything() -> None:
    """Requests, time, samples, size, and what is left out."""
    lines = list(Outlook([outlook(query())] * 2, 3, NOON).lines())

    assert_matches(
        "^To send: 2 requests, .* about 0s at .*; planning took 3 requests more$", lines[2]
    )
    assert_matches("^Output: about 290 samples, [0-9.]+ kB$", lines[3])
    assert_matches(r"^Left out: everything after 2023-11-14T22:00:00Z\. Prometheus has", lines[4])


def test_end_at_the_seam() -> None:
    """History that is joined ends at the exporter's start, and leaves nothing out."""
    *_, last = Outlook([outlook(query())], 3, NOON, joined=True).lines()

    assert "End: 2023-11-14T22:00:00Z, where the counters of the exporter begin" == last


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bar with what is done."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("Reading", 100, 10) as update:
        update(40)
        update(120)

    assert "Reading" in terminal.getvalue()
    assert "120/120" in terminal.getvalue()


def progressed(capsys: pytest.CaptureFixture[str], *steps: tuple[float, int]) -> Sequence[str]:
    """Return the lines of progress after ``steps``, each a time and what is done."""
    clock = Clock(0)
    lines = Lines("Reading", 100, 10, clock)
    for at, done in steps:
        clock.now = at
        lines.update(done)
    lines.finish()
    return capsys.readouterr().err.splitlines()


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """There is a line every 15 seconds, and one at the end."""
    lines = progressed(capsys, (5, 15), (20, 30), (21, 31), (30, 40), (40, 100))

    assert [
        "Reading: 30 of 100, 1.0 per second, 1m10s left",
        "Reading: 100 of 100, 2.2 per second",
    ] == lines


def test_more_than_planned(capsys: pytest.CaptureFixture[str]) -> None:
    """If answers had to be split, there are more requests than planned."""
    assert ["Reading: 120 of 120, 5.5 per second"] == progressed(capsys, (20, 120))


def test_fewer_than_estimated(capsys: pytest.CaptureFixture[str]) -> None:
    """At the end, everything there is has been done."""
    assert [
        "Reading: 30 of 100, 1.0 per second, 1m10s left",
        "Reading: 90 of 90, 3.2 per second",
    ] == progressed(capsys, (20, 30), (25, 90))
