"""The progress file: what is in it after a kill, and what cannot be used."""

import os
import sqlite3
from array import array
from contextlib import closing
from pathlib import Path

import pytest

from exporter.backfill.progress_file import ABSENT, ProgressError, ProgressFile
from exporter.backfill.survey import Survey
from exporter.buckets import Window
from exporter.collect.plan.core import Cut
from exporter.collect.plan.proof import References
from exporter.collect.series import Reading
from tests.support.rows import HOUR, NOON, reading, series

LATER = NOON + HOUR


def test_buckets_come_back(file: ProgressFile) -> None:
    """Values are by place, whichever bucket they were first in."""
    file.add(0, {NOON: reading({series(1): 5})})
    file.add(0, {LATER: reading({series(2): 1 << 40}, proven=False)})
    file.add(1, {NOON: reading({series(7): 3})})

    assert {NOON: True, LATER: False} == file.read_buckets(0)
    assert [(NOON, array("Q", [5, ABSENT])), (LATER, array("Q", [ABSENT, 1 << 40]))] == list(
        file.columns(0)
    )


def test_everything_is_there_after_a_kill(tmp_path: Path) -> None:
    """A file that was not closed has all that was added."""
    path = tmp_path / "progress"
    known = Survey((), (1, 2), (Window(0, HOUR, HOUR),), (series().series,), cut=Cut(5))
    file = ProgressFile(path)
    file.set_survey(0, known)
    file.add(0, {NOON: reading({series(2): 4, series(1): 5})})
    before = list(file.columns(0)), file.table(0).runs
    file.close()
    with closing(ProgressFile(path)) as again:
        assert known == again.survey(0)
        assert before == (list(again.columns(0)), again.table(0).runs)


def test_owner_only(tmp_path: Path) -> None:
    """The file, and those that SQLite puts beside it, can be read by their owner only."""
    before = os.umask(0)
    try:
        with closing(ProgressFile(tmp_path / "progress")) as file:
            file.add(0, {NOON: reading({series(1): 5})})
            modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert {"progress": 0o600, "progress-wal": 0o600} == modes


def test_references_go_when_their_bucket_has_been_read(file: ProgressFile) -> None:
    """What projects are compared with is there until they have been read."""
    total = Reading({series().series: {0: 5}})
    references = {
        NOON: References(total, tells_attributable=False),
        LATER: References(total, total),
    }
    file.add_references(0, references)
    before = file.references(0, [NOON, LATER])
    file.add(0, {NOON: reading({series(1): 5})})

    assert references == before
    assert {LATER: references[LATER]} == file.references(0, [NOON, LATER])


def test_a_second_process_cannot_use_it(tmp_path: Path) -> None:
    """The same command at the same time is refused."""
    path = tmp_path / "progress"
    with (
        closing(ProgressFile(path)),
        pytest.raises(ProgressError, match="is in use: the same command is already running"),
    ):
        ProgressFile(path)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """A file that is no database is refused, and not changed."""
    path = tmp_path / "progress"
    path.write_text("something else entirely, and longer than a header\n" * 9, "utf-8")
    with pytest.raises(ProgressError, match=r"cannot be used .*; delete it to begin anew"):
        ProgressFile(path)

    assert path.read_text("utf-8").startswith("something else")


def test_folders_that_do_not_exist(tmp_path: Path) -> None:
    """The folder is named."""
    with pytest.raises(ProgressError, match=r"cannot be created: its folder .*/no does not exist"):
        ProgressFile(tmp_path / "no" / "progress")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """What does not fit is not there; what was added before is."""
    path = tmp_path / "progress"
    file = ProgressFile(path)
    file.add(0, {NOON: reading({series(1): 5})})
    with file.transaction() as database:
        # As many pages as there are: SQLite then fails as it does on a full disk.
        database.execute("PRAGMA max_page_count = 1")
    many = {series(project): project for project in range(1, 100_000)}
    with pytest.raises(ProgressError, match="cannot be written: no space left on device"):
        file.add(0, {LATER: reading(many)})
    file.close()

    with closing(ProgressFile(path)) as again:
        assert {NOON: True} == again.read_buckets(0)


def test_damage_is_no_traceback(tmp_path: Path) -> None:
    """A damaged record is an error that says what to do."""
    path = tmp_path / "progress"
    ProgressFile(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO record VALUES ('survey 0', x'00')")
    with (
        closing(ProgressFile(path)) as file,
        pytest.raises(ProgressError, match=r"cannot be used .*; delete it to begin anew"),
    ):
        file.survey(0)
