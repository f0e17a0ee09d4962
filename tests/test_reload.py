"""The configuration file is read again into a running exporter."""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from exporter.app import Exporter
from exporter.config import Config, parsed, read
from exporter.config.yaml_file import MAX_SIZE
from exporter.reload import ConfigFile, Reloader
from exporter.state import State, StateError
from tests.end_to_end.exposition import read_text, sample
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, Entry, document, organization
from tests.support.exporters import page_text
from tests.support.programs import TIMEOUT, wait_until

START = 1_772_000_000.0
UNUSED = "http://127.0.0.1:9"
TOKEN = "sntryu_0123456789abcdef0123456789abcdef"
RELOAD = "sentry_stats_exporter_config_last_reload_success"


class Stage:
    """An exporter, its configuration file, what reloads it, and what is logged."""

    def __init__(self, path: Path, logged: list[EventDict]) -> None:
        self.path = path
        self.logged = logged
        self.warnings: Sequence[str] = ()
        self.clock = Clock(START)
        self.write(organization())
        self.content = path.read_bytes()
        self.exporter = Exporter(parsed(self.content, path), clock=self.clock)
        self.reloader = Reloader(self.exporter, ConfigFile(path, self.content))

    def write(self, *organizations: Entry) -> None:
        """Write the configuration file."""
        self.path.write_text(document(UNUSED, *organizations), "utf-8")

    def start(self, interval: float | None = None) -> None:
        """Start what reloads; it looks at the file after each ``interval``."""
        file = ConfigFile(self.path, self.content, interval)
        self.reloader = Reloader(self.exporter, file)
        self.reloader.start()

    def reload(self) -> list[str]:
        """Reload half a minute later, and return the problems."""
        self.clock.now += 30
        problems, self.warnings = self.reloader.request().result(TIMEOUT)
        return list(problems)

    def metrics(self) -> tuple[float, float]:
        """Return whether the last reload succeeded, and the seconds from the start to success."""
        samples = read_text(page_text(self.exporter))
        succeeded_at = samples[sample(f"{RELOAD}_timestamp_seconds")]
        return samples[sample(f"{RELOAD}ful")], succeeded_at - START

    def names(self) -> list[str]:
        """Return the names of the organizations in effect."""
        return [one.name for one in self.exporter.config.organizations]

    def problems(self) -> list[str]:
        """Return the problems that were logged."""
        return [record["error"] for record in self.logged if "error" in record]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Return an exporter that can be reloaded."""
    with structlog.testing.capture_logs() as logged:
        made = Stage(tmp_path / "config.yaml", logged)
        yield made
        made.reloader.stop(TIMEOUT)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that grows with each look at the file."""
    looked: list[Path] = []

    def looking(path: Path) -> bytes:
        looked.append(path)
        return read(path)

    monkeypatch.setattr("exporter.reload.read", looking)
    return looked


def wait_for_more(looks: list[Path], count: int = 4) -> None:
    """Return after so many more looks at the file."""
    before = len(looks)
    wait_until(lambda: len(looks) >= before + count)


class TestGood:
    """A file that can be used."""

    def test_takes_effect(self, stage: Stage) -> None:
        """The new configuration is in effect, and the page and the log say so."""
        stage.start()
        query = {**OUTCOMES, "lookback": "2h"}
        stage.write(organization(query, timeout="7s"), organization(slug="globex"))

        problems = stage.reload()

        assert [] == problems
        assert ["acme", "globex"] == stage.names()
        assert (1, 30) == stage.metrics()
        assert [
            {
                "event": "configuration reloaded",
                "log_level": "info",
                "organizations_added": "globex",
                "organizations_changed": "acme",
                "queries_added": "globex/outcomes",
                "queries_changed": "acme/outcomes",
            }
        ] == [record for record in stage.logged if record["log_level"] == "info"]

    def test_removed(self, stage: Stage) -> None:
        """The log names what has left."""
        stage.start()
        stage.write(organization(slug="globex"))

        stage.reload()

        named = {key: stage.logged[-1][key] for key in stage.logged[-1] if "removed" in key}
        assert {"organizations_removed": "acme", "queries_removed": "acme/outcomes"} == named

    def test_same(self, stage: Stage) -> None:
        """The same file is read again on request, and nothing has changed."""
        stage.start()

        assert [] == stage.reload()
        assert (1, 30) == stage.metrics()
        assert "configuration reloaded" == stage.logged[-1]["event"]
        assert "nothing" == stage.logged[-1]["changed"]

    def test_many_names(self, stage: Stage) -> None:
        """The log does not name hundreds of queries."""
        stage.start()
        stage.write(*(organization(slug=f"o{number}") for number in range(300)))

        stage.reload()

        assert stage.logged[-1]["queries_added"].endswith("o19/outcomes, and 280 more")

    def test_warnings(self, stage: Stage) -> None:
        """Warnings about the new file are logged."""
        stage.start()
        stage.write(organization({**OUTCOMES, "filter": {"category": "errors"}}))

        stage.reload()

        warnings = [record["warning"] for record in stage.logged if "warning" in record]
        assert any("Sentry refuses the category" in warning for warning in warnings)


class TestWarnings:
    """What a file that can be used needs and this host lacks."""

    def use_token_file(self, stage: Stage) -> Path:
        """Write a configuration that needs a token file, and return the path of it."""
        path = stage.path.with_name("token")
        entry = {**organization(), "token_file": str(path)}
        del entry["token"]
        stage.write(entry)
        return path

    def warnings(self, stage: Stage) -> list[str]:
        """Return the warnings that were logged, without their folder."""
        folder = f"{stage.path.parent}/"
        logged = [record["warning"] for record in stage.logged if "warning" in record]
        assert logged == list(stage.warnings)
        return [text.replace(folder, "") for text in logged]

    def test_missing_token(self, stage: Stage) -> None:
        """A token file that is not there is answered and logged with its line."""
        stage.start()
        self.use_token_file(stage)

        assert [] == stage.reload()
        (warning,) = self.warnings(stage)
        assert re.fullmatch(
            r"config.yaml:\d+: organizations\[0\].token_file: token: No such file or directory "
            r"\(create it with the token, or correct the path\)",
            warning,
        )

    def test_no_warning(self, stage: Stage) -> None:
        """One that can be read needs no word."""
        stage.start()
        path = self.use_token_file(stage)
        path.write_text(TOKEN)
        path.chmod(0o600)

        assert [] == stage.reload()
        assert [] == self.warnings(stage)

    def test_pipe_for_a_token(self, stage: Stage) -> None:
        """A pipe in the place of a token does not hold up the reload, nor the next one."""
        stage.start()
        os.mkfifo(self.use_token_file(stage))

        assert [] == stage.reload()
        assert [True] == ["is a pipe, not a file" in text for text in self.warnings(stage)]

    def test_state_file_removed(self, stage: Stage) -> None:
        """A state file that was removed while in use is warned of."""
        path = stage.path.with_name("state")
        with closing(State(path)) as state:
            stage.exporter = Exporter(stage.exporter.config, clock=stage.clock, state=state)
            stage.start()
            stage.reload()
            before = self.warnings(stage)
            path.unlink()
            stage.reload()

        assert [] == before
        assert ["--state.path: state or its -wal was removed, replaced or cut while in use"] == [
            text.rpartition(":")[0] for text in self.warnings(stage)
        ]


class TestBad:
    """A file that cannot be used."""

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"organizations: [", "invalid YAML"),
            (b"", "the file is empty"),
            (b"\xff\xff", "is not UTF-8"),
            (b"#" * (MAX_SIZE + 1), "is larger than 4 MiB"),
            (b"organizations: [{slug: acme}]", "no token"),
        ],
        ids=["half-written", "empty", "not UTF-8", "huge", "no token"],
    )
    def test_content(self, stage: Stage, content: bytes, problem: str) -> None:
        """The old configuration goes on; answer, log and page say that the reload failed."""
        stage.start()
        stage.path.write_bytes(content)

        problems = stage.reload()

        assert [True] == [problem in one for one in problems]
        assert problems == stage.problems()
        assert ["acme"] == stage.names()
        assert (0, 0) == stage.metrics()

    def test_every_problem(self, stage: Stage) -> None:
        """All problems of the file are answered, logged and shown, each in a line, in order."""
        stage.start()
        stage.write(organization(slug="Acme Inc", timeout="1"), organization(settle="soon"))

        problems = stage.reload()

        assert 3 == len(problems)
        assert sorted(problems, key=lambda line: int(line.split(":")[1])) == problems
        assert problems == stage.problems()
        assert problems == list(stage.exporter.status().reload_problems)

    @pytest.mark.parametrize("kind", ["removed", "directory", "pipe"])
    def test_unreadable(self, stage: Stage, kind: str) -> None:
        """A file that cannot be read is a failed reload too, until it is back."""
        stage.start()
        stage.path.unlink()
        if kind == "directory":
            stage.path.mkdir()
        elif kind == "pipe":
            os.mkfifo(stage.path)

        problems = stage.reload()
        failed = stage.metrics()
        if kind == "directory":
            stage.path.rmdir()
        stage.path.unlink(missing_ok=True)
        stage.write(organization())

        assert [True] == ["cannot be read" in one for one in problems]
        assert (0, 0) == failed
        assert [] == stage.reload()
        assert (1, 60) == stage.metrics()

    @pytest.mark.parametrize(
        ("error", "problem"),
        [
            (StateError("the state file is damaged"), "the state file is damaged"),
            (RuntimeError(f"no {TOKEN}"), "internal error: RuntimeError: no <secret>"),
        ],
    )
    def test_not_applicable(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
    ) -> None:
        """A configuration that cannot be put in place is refused, and no secret is shown."""

        def fail(*_: object) -> None:
            raise error

        stage.start()
        with monkeypatch.context() as patched:
            patched.setattr(Exporter, "apply", fail)
            problems = stage.reload()

        assert [problem] == problems == stage.problems()
        assert (0, 0) == stage.metrics()
        assert [] == stage.reload()

    def test_part_of_a_secret(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error's text that is cut within a token shows no part of it."""
        texts = iter(["x " * 230 + " " * place + TOKEN for place in range(60)])

        def fail(*_: object) -> None:
            raise RuntimeError(next(texts))

        stage.start()
        monkeypatch.setattr(Exporter, "apply", fail)
        problems = [stage.reload() for _ in range(60)]

        assert TOKEN[:9] not in f"{problems} {stage.problems()}"

    @pytest.mark.parametrize("where", ["exporter.reload.changes", "exporter.reload.read"])
    def test_goes_on(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        """An unforeseen error anywhere in a reload is answered, and the next reload works."""

        def fail(*_: object) -> None:
            raise RuntimeError("unforeseen")

        stage.start()
        with monkeypatch.context() as patched:
            patched.setattr(where, fail)
            problems = stage.reload()

        assert ["internal error: RuntimeError: unforeseen"] == problems == stage.problems()
        assert [] == stage.reload()

    def test_no_secret(self, stage: Stage) -> None:
        """No token of the file is in the answer or in the log."""
        stage.start()
        stage.write({**organization(), "token": TOKEN, "timeout": TOKEN, TOKEN: 1})

        problems = stage.reload()

        assert 2 == len(problems)
        assert TOKEN not in f"{problems} {stage.logged}"


class TestRequests:
    """Reloads that are requested while one is running."""

    def test_one_more(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that is requested meanwhile leads to one other reload, with the latest file."""
        reached, opened = threading.Event(), threading.Event()
        original, applied = Exporter.apply, []

        def apply(exporter: Exporter, config: Config) -> None:
            reached.set()
            assert opened.wait(TIMEOUT)
            applied.append(len(config.organizations))
            original(exporter, config)

        monkeypatch.setattr(Exporter, "apply", apply)
        stage.start()
        first = stage.reloader.request()
        assert reached.wait(TIMEOUT)
        stage.write(organization(), organization(slug="globex"))
        others = [stage.reloader.request() for _ in range(50)]
        opened.set()

        assert [()] * 51 == [one.result(TIMEOUT)[0] for one in [first, *others]]
        assert [1, 2] == applied

    def test_client_has_gone_away(self, stage: Stage) -> None:
        """A cancelled request does not end the reloads."""
        future = stage.reloader.request()
        future.cancel()
        stage.reloader.start()

        assert [] == stage.reload()

    def test_answered_at_the_end(self, stage: Stage) -> None:
        """A request that comes too late is answered too."""
        futures = [stage.reloader.request() for _ in range(2)]
        stage.reloader.start()
        stage.reloader.stop(TIMEOUT)

        assert [True, True] == [one.done() for one in futures]

    def test_requested_before_the_start(self, stage: Stage) -> None:
        """What is requested before the start is done then."""
        stage.write(organization(slug="globex"))
        future = stage.reloader.request()
        stage.reloader.start()

        assert () == future.result(TIMEOUT)[0]
        assert ["globex"] == stage.names()


class TestInterval:
    """``--config.auto-reload-interval``."""

    def test_same(self, stage: Stage, looks: list[Path]) -> None:
        """While the file is the same, nothing is logged and no timestamp changes."""
        stage.logged.clear()
        stage.start(0.01)
        stage.clock.now += 30
        stage.path.write_bytes(stage.content)
        wait_for_more(looks)

        assert [] == stage.logged
        assert (1, 0) == stage.metrics()

    def test_changed(self, stage: Stage) -> None:
        """A changed file takes effect, once."""
        stage.start(0.01)
        stage.write(organization(slug="globex"))

        wait_until(lambda: ["globex"] == stage.names())

    def test_bad(self, stage: Stage, looks: list[Path]) -> None:
        """A bad file is reported once; the next change is read again."""
        stage.start(0.01)
        stage.path.write_bytes(stage.content[:-20])
        wait_until(lambda: bool(stage.problems()))
        wait_for_more(looks)
        reported = stage.problems()
        stage.write(organization(slug="globex"))
        wait_until(lambda: ["globex"] == stage.names())

        assert 1 == len(reported)

    def test_removed(self, stage: Stage, looks: list[Path]) -> None:
        """A file that is removed is reported once; it is read when it is back."""
        stage.start(0.01)
        stage.path.unlink()
        wait_until(lambda: bool(stage.problems()))
        wait_for_more(looks)
        reported, failed = stage.problems(), stage.metrics()
        stage.path.write_bytes(stage.content)
        wait_until(lambda: 1 == stage.metrics()[0])

        assert 1 == len(reported)
        assert (0, 0) == failed

    def test_reloaded_on_request(self, stage: Stage, looks: list[Path]) -> None:
        """What was reloaded on request is not reloaded again."""
        stage.start(0.01)
        stage.write(organization(slug="globex"))
        stage.reload()
        before = len(stage.logged)
        wait_for_more(looks)

        assert ["globex"] == stage.names()
        assert before == len(stage.logged)

    @pytest.mark.parametrize("error", [StateError("the disk is full"), RuntimeError("unforeseen")])
    def test_tries_again(
        self,
        stage: Stage,
        looks: list[Path],
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
    ) -> None:
        """What fails for another reason than the file is tried again, and reported once."""

        def fail(*_: object) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(Exporter, "apply", fail)
            stage.start(0.01)
            stage.write(organization(slug="globex"))
            wait_until(lambda: bool(stage.problems()))
            wait_for_more(looks, 12)
        wait_until(lambda: ["globex"] == stage.names())
        wait_for_more(looks)
        events = [record["event"] for record in stage.logged]

        assert 1 == len(stage.problems())
        assert 1 == events.count("configuration reloaded")
        assert (1, 0) == stage.metrics()

    def test_unforeseen_error_before_a_reload(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A look at the file that fails is reported once; a later one sees the change."""

        def fail(*_: object) -> None:
            tries.append(1)
            raise RuntimeError("unforeseen")

        tries: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr("exporter.reload.read", fail)
            stage.start(0.01)
            wait_until(lambda: len(tries) > 9)
        stage.write(organization(slug="globex"))
        wait_until(lambda: ["globex"] == stage.names())

        assert ["internal error: RuntimeError: unforeseen"] == stage.problems()
