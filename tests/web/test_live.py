"""The web configuration in effect: what is read again, and what a bad file does."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.config import ConfigError
from exporter.fingerprint import file_fingerprint
from exporter.web.config import WebConfig, load_web_config
from exporter.web.live import DAY, GRACE, RETRY, LiveWebConfig
from exporter.web.server import Server
from tests.support.certificates import (
    Authority,
    Pair,
    get,
    hashed,
    tls_section,
    write_web_config,
)
from tests.support.clock import Clock
from tests.support.programs import wait_until
from tests.support.serving import serving_app

HANG = 10.0
"""Seconds after which a test fails because something hangs."""

Records = Sequence[MutableMapping[str, Any]]
Began = Callable[[float], LiveWebConfig]

USERS = {"basic_auth_users": {"alice": hashed("secret")}}
HEADERS = {"http_server_config": {"headers": {"X-Frame-Options": "deny"}}}


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    await PlainTextResponse("hello")(scope, receive, send)


def events(records: Records) -> list[str]:
    """Return what was logged."""
    return [record["event"] for record in records]


def errors(records: Records) -> list[str]:
    """Return the errors that were logged about files."""
    return [record["error"] for record in records if record["log_level"] == "error"]


def fail(_path: Path) -> NoReturn:
    """Fail as nothing is expected to."""
    raise RuntimeError("https://alice:hunter2@example.com/")


class TestReading:
    """When files are read again, by a clock that is set by hand."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock."""
        return Clock()

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        """Return an authority."""
        return Authority(tmp_path)

    @pytest.fixture
    def live(self, tmp_path: Path, authority: Authority, clock: Clock) -> LiveWebConfig:
        """Return settings with TLS and a user."""
        path = write_web_config(tmp_path, tls_section(authority.issue()), USERS)
        return LiveWebConfig(path, clock)

    def refreshed(self, live: LiveWebConfig) -> LiveWebConfig:
        """Return the settings after they have been refreshed."""
        asyncio.run(live.refresh())
        return live

    def test_errors_at_the_start(self, tmp_path: Path) -> None:
        """A file with errors is refused at the start."""
        path = write_web_config(tmp_path, {"tls_server_config": {}})
        with pytest.raises(ConfigError, match="missing one of cert or cert_file"):
            LiveWebConfig(path)

    def test_unchanged(self, live: LiveWebConfig) -> None:
        """Files that have not changed are not read again."""
        before = live.config

        assert before is self.refreshed(live).config

    def test_changed_file(self, tmp_path: Path, live: LiveWebConfig, authority: Authority) -> None:
        """A changed web configuration takes effect at once."""
        write_web_config(tmp_path, tls_section(authority.issue()), USERS, HEADERS)

        assert ((b"x-frame-options", b"deny"),) == self.refreshed(live).config.headers

    def test_changed_certificate(self, live: LiveWebConfig, authority: Authority) -> None:
        """A changed certificate takes effect at once, though the web configuration is the same."""
        before = live.config.context
        authority.issue()
        with capture_logs() as records:
            after = self.refreshed(live).config.context

        assert before is not after
        assert ["web configuration reloaded"] == [record["event"] for record in records]

    def test_exposed_key(self, live: LiveWebConfig, authority: Authority, tmp_path: Path) -> None:
        """A key that every user can read gives a warning, once until it is protected."""
        (tmp_path / "server.key").chmod(0o604)
        with capture_logs() as records:
            for _ in range(2):
                authority.issue()
                self.refreshed(live)
        (warning,) = (record["warning"] for record in records if "warning" in record)

        assert warning.startswith(f"{tmp_path}/web.yaml:5: tls_server_config.key_file: ")
        assert "can be read by every user of this host (mode 0604)" in warning

    def test_other_certificate(
        self, tmp_path: Path, live: LiveWebConfig, authority: Authority
    ) -> None:
        """A file that names other files than before is read once, and then these are followed."""
        other = authority.issue(name="other")
        write_web_config(tmp_path, tls_section(other), USERS)
        with capture_logs() as records:
            for _ in range(5):
                self.refreshed(live)
        between = live.config
        authority.issue(name="other")

        assert ["web configuration reloaded"] == [record["event"] for record in records]
        assert other.certificate in between.files
        assert between is not self.refreshed(live).config

    def test_unforeseen_error(
        self,
        tmp_path: Path,
        live: LiveWebConfig,
        authority: Authority,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An error of another kind is logged once, without secrets, and the next change is read."""
        before = live.config
        with capture_logs() as records, monkeypatch.context() as patch:
            patch.setattr("exporter.web.live.load_web_config", fail)
            authority.issue()
            for _ in range(10):
                self.refreshed(live)
                clock.now += RETRY
        authority.issue()
        after = self.refreshed(live).config
        (error,) = errors(records)

        assert error.startswith("internal error: RuntimeError: https://")
        assert "hunter2" not in error
        assert [str(tmp_path / "web.yaml")] == [record["file"] for record in records]
        assert before is not after

    def test_replaced_by_a_link(
        self, tmp_path: Path, live: LiveWebConfig, authority: Authority
    ) -> None:
        """A certificate that a link points to is read when the link is changed."""
        before = live.config.context
        pair = authority.issue(name="next")
        for name, path in (("server.crt", pair.certificate), ("server.key", pair.key)):
            (tmp_path / "link").symlink_to(path)
            (tmp_path / "link").replace(tmp_path / name)

        assert before is not self.refreshed(live).config.context

    def test_certificate_before_its_key(
        self, live: LiveWebConfig, authority: Authority, tmp_path: Path, clock: Clock
    ) -> None:
        """Until a new key follows its certificate, the old pair is served, and nothing logged."""
        before = live.config.context
        key = (tmp_path / "server.key").read_bytes()
        pair = authority.issue()
        new_key = pair.key.read_bytes()
        pair.key.write_bytes(key)
        with capture_logs() as records:
            between = self.refreshed(live).config.context
            clock.now += GRACE / 2
            pair.key.write_bytes(new_key)
            after = self.refreshed(live).config.context

        assert between is before
        assert after is not before
        assert [] == errors(records)

    def test_bad_file_is_logged_once(
        self, tmp_path: Path, live: LiveWebConfig, clock: Clock
    ) -> None:
        """A bad file changes nothing; each of its errors is logged, once, after the grace."""
        before = live.config
        path = write_web_config(tmp_path, {"tls_server_config": {"cert_fil": "a"}})
        with capture_logs() as records:
            for _ in range(100):
                self.refreshed(live)
                clock.now += RETRY

        lines = errors(records)

        assert before is live.config
        assert 3 == len(lines)
        assert all(line.startswith(f"{path}:") for line in lines)

    def test_other_errors_are_logged_again(
        self, tmp_path: Path, live: LiveWebConfig, clock: Clock
    ) -> None:
        """Errors that replace others are logged too."""
        with capture_logs() as records:
            for unknown in ("one", "two"):
                write_web_config(tmp_path, {unknown: 1})
                for _ in range(10):
                    self.refreshed(live)
                    clock.now += RETRY

        assert ["one" in text for text in errors(records)] == [True, False]

    def test_good_again(
        self, tmp_path: Path, live: LiveWebConfig, authority: Authority, clock: Clock
    ) -> None:
        """A repaired file takes effect, and a later error is logged as the first one was."""
        with capture_logs() as records:
            for _ in range(2):
                write_web_config(tmp_path, {"unknown": 1})
                self.refreshed(live)
                clock.now += GRACE
                self.refreshed(live)
                write_web_config(tmp_path, tls_section(authority.issue()), USERS)
                self.refreshed(live)

        assert 2 == len(errors(records))
        assert 2 == [record["event"] for record in records].count("web configuration reloaded")

    def test_reported(
        self, tmp_path: Path, live: LiveWebConfig, authority: Authority, clock: Clock
    ) -> None:
        """Whether the files can be used is reported at first, and whenever that changes."""
        reported: list[bool] = []
        live.report_to(reported.append)
        write_web_config(tmp_path, {"unknown": 1})
        for _ in range(10):
            self.refreshed(live)
            clock.now += RETRY
        write_web_config(tmp_path, tls_section(authority.issue()), USERS)
        self.refreshed(live)
        self.refreshed(live)

        assert [True, False, True] == reported

    def test_named_file_appears_later(
        self, tmp_path: Path, live: LiveWebConfig, authority: Authority, clock: Clock
    ) -> None:
        """A new file may name a certificate that is written after it."""
        before = live.config.context
        later = authority.issue(name="later")
        hidden = later.certificate.rename(tmp_path / "hidden")
        write_web_config(tmp_path, tls_section(later), USERS)
        self.refreshed(live)
        hidden.rename(later.certificate)
        clock.now += RETRY

        assert before is not self.refreshed(live).config.context

    @pytest.mark.parametrize("content", ["", "basic_auth_users:\n", "{}"])
    def test_half_written_file_opens_nothing(self, live: LiveWebConfig, content: str) -> None:
        """A file that is read while it is being written switches off neither TLS nor login."""
        before = live.config
        live.config.files[0].write_text(content)

        assert before is self.refreshed(live).config

    def test_login_stays_on(
        self, tmp_path: Path, live: LiveWebConfig, authority: Authority, clock: Clock
    ) -> None:
        """To switch off login takes a restart, as the log says."""
        write_web_config(tmp_path, tls_section(authority.issue()))
        with capture_logs() as records:
            self.refreshed(live)
            clock.now += GRACE
            self.refreshed(live)

        assert live.config.users
        assert [
            f"{tmp_path}/web.yaml: basic_auth_users: login is switched off only by a restart"
        ] == errors(records)

    def test_slow_disk(
        self,
        live: LiveWebConfig,
        authority: Authority,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A disk that hangs delays nothing for long, and its files take effect when it answers."""
        answers = threading.Event()
        before = live.config

        def slow(path: Path) -> WebConfig:
            """Read the files once the disk answers."""
            answers.wait(HANG)
            return load_web_config(path)

        monkeypatch.setattr("exporter.web.live.load_web_config", slow)
        monkeypatch.setattr("exporter.web.live.MAX_WAIT", 0.01)
        authority.issue()

        async def refresh() -> WebConfig:
            """Refresh while the disk hangs, and return what is in effect then."""
            await live.refresh()
            meanwhile = live.config
            answers.set()
            while live.config is before:
                await live.refresh()
            return meanwhile

        assert before is asyncio.run(refresh())

    def test_disk_that_hangs(
        self, live: LiveWebConfig, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While no file can even be looked at, the event loop goes on; only the first wait."""
        answers = threading.Event()
        monkeypatch.setattr("exporter.web.live.file_fingerprint", lambda _: answers.wait(HANG))
        monkeypatch.setattr("exporter.web.live.MAX_WAIT", 0.2)
        turns: list[bool] = []

        async def take_turns() -> None:
            """Note that the event loop goes on."""
            while True:
                turns.append(answers.is_set())
                await asyncio.sleep(0)

        async def refresh() -> list[int]:
            """Refresh while the disk hangs; return how many turns passed each time."""
            others = asyncio.create_task(take_turns())
            counts = []
            for _ in range(3):
                before = len(turns)
                await live.refresh()
                counts.append(len(turns) - before)
                clock.now += 1
            others.cancel()
            return counts

        first, second, third = asyncio.run(refresh())
        answers.set()

        assert not any(turns)
        assert first
        assert second
        assert 0 == third

    def test_disk_that_hangs_is_logged_once(
        self, tmp_path: Path, live: LiveWebConfig, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that does not answer is logged, once for as long as it hangs."""
        answers, began = threading.Event(), threading.Event()

        def look(_path: Path) -> None:
            """Wait for the disk."""
            began.set()
            answers.wait(HANG)

        async def ask() -> list[int]:
            """Begin looks while the disk hangs; return how many records there are each time."""
            live.begin_refresh()
            await asyncio.to_thread(began.wait, HANG)
            counts = []
            for _ in range(5):
                live.begin_refresh()
                counts.append(len(records))
                clock.now += GRACE / 2
            return counts

        monkeypatch.setattr("exporter.web.live.file_fingerprint", look)
        with capture_logs() as records:
            counts = asyncio.run(ask())
            answers.set()

        assert [0, 0, 1, 1, 1] == counts
        assert {
            "event": "web configuration not checked for changes, its disk does not answer",
            "log_level": "warning",
            "file": str(tmp_path / "web.yaml"),
            "seconds": GRACE,
        } == records[0]

    def test_shared_look(self, live: LiveWebConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many ask while the files are looked at, they are looked at once more."""
        answers = threading.Event()
        began = threading.Event()
        files, looks = list(live.config.files), list[Path]()

        def look(path: Path) -> Hashable:
            """Note which file is looked at, once the disk answers."""
            # What looked at the files of an earlier test may still go on.
            if path in files:
                looks.append(path)
                began.set()
                answers.wait(HANG)
            return file_fingerprint(path)

        monkeypatch.setattr("exporter.web.live.file_fingerprint", look)

        async def ask() -> None:
            """Ask many times while the first look is running."""
            first = asyncio.create_task(live.refresh())
            await asyncio.to_thread(began.wait, HANG)
            others = [asyncio.create_task(live.refresh()) for _ in range(100)]
            await asyncio.sleep(0)
            answers.set()
            await asyncio.gather(first, *others)

        asyncio.run(ask())
        # On a busy machine, those that ask do not wait for the end of the second look.
        wait_until(lambda: len(looks) >= 2 * len(files))

        assert 2 * files == looks

    def test_pipe(self, live: LiveWebConfig, authority: Authority, clock: Clock) -> None:
        """A pipe in the place of a certificate is refused at once, and the next file is read."""
        before = live.config
        certificate = before.files[1]
        certificate.unlink()
        os.mkfifo(certificate)
        with capture_logs() as records:
            self.refreshed(live)
            clock.now += GRACE
            self.refreshed(live)
        certificate.unlink()
        authority.issue()

        assert ["is a pipe, not a file" in text for text in errors(records)] == [True]
        assert before is not self.refreshed(live).config

    def test_file_is_removed(self, live: LiveWebConfig, clock: Clock) -> None:
        """A file that is gone changes nothing, and is logged."""
        before = live.config
        live.config.files[0].unlink()
        with capture_logs() as records:
            self.refreshed(live)
            clock.now += GRACE
            self.refreshed(live)

        assert before is live.config
        assert ["No such file or directory" in text for text in errors(records)] == [True]


class TestExpiry:
    """When a certificate that has expired, or soon will, is logged."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock, which tells both times."""
        return Clock(time.time())

    @pytest.fixture
    def issue(self, tmp_path: Path, clock: Clock) -> Callable[[float], Pair]:
        """Return a function that writes a certificate, which ends after so many days."""
        authority = Authority(tmp_path)

        def issue(days: float) -> Pair:
            """Write it."""
            end = datetime.fromtimestamp(clock.now + days * DAY, UTC)
            return authority.issue(not_after=end)

        return issue

    @pytest.fixture
    def began(self, tmp_path: Path, clock: Clock, issue: Callable[[float], Pair]) -> Began:
        """Return a function that returns settings whose certificate ends after so many days."""

        def begin(days: float) -> LiveWebConfig:
            """Make them."""
            path = write_web_config(tmp_path, tls_section(issue(days)))
            return LiveWebConfig(path, clock, clock)

        return begin

    def test_expired(self, tmp_path: Path, began: Began) -> None:
        """An expired certificate is logged at the first look, with its place."""
        live = began(-1)
        with capture_logs() as records:
            asyncio.run(live.refresh())
        place = f"{tmp_path}/web.yaml:2: tls_server_config.cert_file: {tmp_path}/server.crt"

        assert ["certificate has expired"] == events(records)
        assert records[0]["warning"].startswith(f"{place} holds a certificate that has expired")

    def test_once_a_day(self, clock: Clock, began: Began) -> None:
        """It is logged once a day, and again when it has expired."""
        live = began(2.25)
        with capture_logs() as records:
            for _ in range(8):
                asyncio.run(live.refresh())
                clock.now += DAY / 2

        assert 3 * ["certificate expires soon"] + ["certificate has expired"] == events(records)[:4]
        assert 5 == len(records)

    def test_rotation(self, began: Began, issue: Callable[[float], Pair]) -> None:
        """A rotation to another one that has expired is logged at once, with its end."""
        live = began(100)
        with capture_logs() as records:
            asyncio.run(live.refresh())
            issue(-3)
            asyncio.run(live.refresh())

        assert ["web configuration reloaded", "certificate has expired"] == events(records)
        assert records[0]["certificate_not_after"] in records[1]["warning"]


class TestServing:
    """What clients get after a change."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        """Return an authority."""
        return Authority(tmp_path)

    @pytest.fixture
    def server(self, tmp_path: Path, authority: Authority) -> Iterator[Server]:
        """Serve over TLS."""
        path = write_web_config(tmp_path, tls_section(authority.issue()))
        with serving_app(hello, web=LiveWebConfig(path)) as server:
            yield server

    def test_next_connection_has_the_new_certificate(
        self, tmp_path: Path, server: Server, authority: Authority
    ) -> None:
        """The first connection after the change gets the certificate of the new authority."""
        before = get(server, authority).text
        following = Authority(tmp_path, "following")
        following.issue()

        assert "hello" == before == get(server, following).text

    def test_open_connection_goes_on(self, server: Server, authority: Authority) -> None:
        """A connection that is open is not interrupted."""
        url = f"https://{server.addresses[0]}/"
        with requests.Session() as session:
            session.trust_env, session.verify = False, str(authority.path)
            session.get(url)
            authority.issue("another.example")

            assert "hello" == session.get(url).text

    def test_next_request_needs_the_login(
        self, tmp_path: Path, server: Server, authority: Authority
    ) -> None:
        """Users that are added have an effect on the next request, also of open connections."""
        url = f"https://{server.addresses[0]}/"
        with requests.Session() as session:
            session.trust_env, session.verify = False, str(authority.path)
            before = session.get(url).status_code
            write_web_config(tmp_path, tls_section(authority.issue()), USERS)
            after = session.get(url).status_code

        assert (200, 401) == (before, after)
