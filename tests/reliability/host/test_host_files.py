"""Files of the host that change under a running exporter: tokens and the configuration."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from exporter.app import Exporter
from exporter.config import parsed
from exporter.reload import ConfigFile, Reloader
from exporter.simulator import DEMO_TOKENS, Simulator, demo_world
from tests.end_to_end.exposition import data
from tests.end_to_end.stage import page
from tests.reliability.host.hosts import NOW
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, document, organization
from tests.support.exporters import poll_all, poll_due, unpaced
from tests.support.logs import logged
from tests.support.programs import TIMEOUT

GOOD: Final = DEMO_TOKENS["acme"].encode()
TOKENS: Final[dict[str, tuple[bytes | None, str]]] = {
    "missing": (None, "token"),
    "empty": (b"", "token"),
    "only a newline": (b"\n", "token"),
    "two lines": (GOOD + b"\n" + GOOD, "token"),
    "a quoted token": (b'"' + GOOD + b'"', "token"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "token"),
    "bytes": (b"\xff\xfe\x00" + GOOD, "token"),
    "another token": (b"f" * 64, "unauthorized"),
    "half of the token": (GOOD[: len(GOOD) // 2], "unauthorized"),
    "a megabyte": (GOOD * 20_000, "token"),
    "a newline at the end": (GOOD + b"\n", ""),
    "newlines of Windows": (GOOD + b"\r\n", ""),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD + b"\r\n", ""),
    "spaces around it": (b"  " + GOOD + b" \t\n\n", ""),
}
"""What a token file becomes while it is in use, and the reason of failures, if there are any."""

LARGE: Final = 16
"""Queries of a configuration that is written in pieces."""


@pytest.mark.parametrize("name", TOKENS)
def test_token_file(tmp_path: Path, tried: Callable[[str, int], None], name: str) -> None:
    """A token file that is spoiled stops its organization only, and is used once it is good."""
    content, reason = TOKENS[name]
    path, clock = tmp_path / "token", Clock(NOW)
    path.write_bytes(GOOD)
    with (
        Simulator(demo_world(NOW, projects=2), clock=clock, rate_limit=None) as sentry,
        logged() as log,
    ):
        one = {"slug": "acme", "token_file": str(path), "queries": [OUTCOMES]}
        exporter = Exporter(
            configuration(sentry.url, one, organization(slug="globex")), clock=clock
        )
        poll_due(exporter, clock.now)
        _write(path, content)
        clock.now += 3600
        poll_due(exporter, clock.now)
        during = [query.report for query in exporter.queries]
        _write(path, GOOD)
        clock.now += 60
        poll_due(exporter, clock.now)
        after = [query.report for query in exporter.queries]

    assert [not reason, True] == [report.up for report in during]
    assert ([reason] if reason else []) == list(during[0].failures)
    assert [True, True] == [report.up for report in after]
    assert all(report.view for report in (*during, *after))
    assert GOOD.decode() not in str(log)
    tried("faults of the host", 1)


def _write(path: Path, content: bytes | None) -> None:
    new = path.with_name("new")
    if content is None:
        path.unlink()
    else:
        new.write_bytes(content)
        new.replace(path)


def _at_once(path: Path, text: str) -> None:
    """Put a complete file in the place of the other one."""
    new = path.with_name("new")
    new.write_text(text, "utf-8")
    new.replace(path)


def _in_pieces(path: Path, text: str) -> None:
    """Write over the file, slowly."""
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(text), 500):
            file.write(text[start : start + 500])
            file.flush()
            os.sched_yield()


@pytest.mark.parametrize("write", [_at_once, _in_pieces])
def test_configuration(
    tmp_path: Path,
    tried: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, str], None],
) -> None:
    """Reloads while the file is written never end the exporter, and the last one has all of it.

    A complete file that is put in place is never read in part.
    """
    monkeypatch.setattr("exporter.reload.parsed", lambda *file: unpaced(parsed(*file)))
    path, clock = tmp_path / "config.yaml", Clock(NOW)
    with Simulator(demo_world(NOW, projects=2), clock=clock, rate_limit=None) as sentry:
        queries = [
            {**PROJECTS, "name": f"query-{number}", "lookback": "2h"} for number in range(LARGE)
        ]
        texts = [
            document(sentry.url, organization(OUTCOMES, *queries[:count]))
            for count in (LARGE, LARGE // 2)
        ]
        path.write_text(texts[0], "utf-8")
        exporter = Exporter(unpaced(parsed(path.read_bytes(), path)), clock=clock)
        poll_all(exporter, clock.now)
        before = data(page(exporter))
        reloader = Reloader(exporter, ConfigFile(path, b""))
        reloader.start()
        ended = threading.Event()

        def write_on() -> None:
            while not ended.is_set():
                for text in (*texts, texts[0]):
                    write(path, text)

        writer = threading.Thread(target=write_on)
        writer.start()
        counts: set[int] = set()
        problems: list[str] = []
        for _ in range(10):
            problems += reloader.request().result(TIMEOUT)[0]
            counts.add(len(exporter.queries))
        ended.set()
        writer.join()
        last = reloader.request().result(TIMEOUT)[0]
        poll_all(exporter, clock.now)
        reloader.stop(TIMEOUT)
        after = data(page(exporter))

    assert not last
    assert before.keys() == after.keys()
    if write is _at_once:
        assert [] == problems
        assert {1 + LARGE, 1 + LARGE // 2} >= counts
    tried("faults of the host", 10)
