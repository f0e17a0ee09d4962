"""The web configuration in effect, which follows its files."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from exporter.config import ConfigError
from exporter.config.errors import Problem
from exporter.fingerprint import Fingerprint, file_fingerprint
from exporter.log import log_warnings
from exporter.sentry.token import described
from exporter.web.config import WebConfig, load_web_config
from exporter.web.worker import NoThreadError, Worker

GRACE: Final = 5.0
"""Seconds for which files may be wrong before that is logged: a certificate is written before its
key, and a file may be read while it is being written."""

RETRY: Final = 1.0
"""Seconds until files that are wrong are read again, though none seems to have changed."""

MAX_WAIT: Final = 1.0
"""Seconds that connections and requests wait for the files of a disk that hangs.

They are counted from the first that waits; those that come later do not wait again.
"""

DAY: Final = 86400.0
"""Seconds between two warnings that a certificate has expired or soon will."""

_Fingerprints = Mapping[Path, Fingerprint | None]

_log = structlog.get_logger(__name__)


class LiveWebConfig:
    """The settings in ``path``, read again whenever it or a file that it names has changed.

    Files with errors change nothing: the settings before stay in effect, and the errors are
    logged once. The files are read in another thread, which may replace ``config`` at any time.
    ``clock`` returns monotonic seconds, ``wall`` those since the epoch. Raises `ConfigError` if the
    files have errors at the start.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall = wall
        self._worker = Worker()
        self._is_queued = False
        self._is_late = False
        self.config, self._seen = _load(path, (path,))
        self._wrong_since: float | None = None
        self._read_at = clock()
        self._logged: Sequence[str] = ()
        self._report: Callable[[bool], None] = lambda _: None
        self._reported = True
        self._warned: object = None
        self._warned_at = 0.0

    def report_to(self, report: Callable[[bool], None]) -> None:
        """Call ``report`` with whether the files can be used: now, and whenever that changes.

        To be called before the first look at the files, in whose thread the later calls are made.
        """
        self._report = report
        report(self._reported)

    async def refresh(self) -> None:
        """Read the files again if they have changed; return when that is done."""
        self.begin_refresh()
        remaining = self._asked_at + MAX_WAIT - self._clock()
        if remaining > 0:
            await asyncio.wait([self._look], timeout=remaining)

    def begin_refresh(self) -> None:
        """Begin to read the files again if they have changed."""
        # Who asks while a look at the files is running needs the next one, since this one may have
        # missed a change. All of them share it: however many ask, one look runs and one waits.
        if self._is_queued:
            self._warn_if_late()
            return
        self._is_queued, self._is_late = True, False
        self._asked_at = self._clock()
        loop = asyncio.get_running_loop()
        try:
            self._look = loop.run_in_executor(self._worker, self._look_at_files)
        except NoThreadError:
            # The next one who asks tries again; until then, what was read last holds.
            self._is_queued, self._look = False, loop.create_future()
            self._look.set_result(None)

    def _warn_if_late(self) -> None:
        """Log, once, that a look at the files has to wait for the one before it."""
        waited = self._clock() - self._asked_at
        if waited >= GRACE and not self._is_late:
            self._is_late = True
            _log.warning(
                "web configuration not checked for changes, its disk does not answer",
                file=str(self._path),
                seconds=round(waited),
            )

    def _look_at_files(self) -> None:
        """Read the files if they have changed; only the worker's thread does this."""
        # First: whoever asks from now on needs another look.
        self._is_queued = False
        try:
            if self._is_due():
                self._read()
        except ConfigError as error:
            self._reject([str(problem) for problem in error.problems])
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the rotation
            self._reject([f"internal error: {described(error)}"])
        self._warn_of_expiry()
        # As the log says it: not before the grace has passed.
        usable = not self._logged
        if usable != self._reported:
            self._report(usable)
            self._reported = usable

    def _is_due(self) -> bool:
        """Return whether to read the files, and note what has been seen of them."""
        before, self._seen = self._seen, _fingerprints(self.config.files)
        # Files that are wrong may name others, which appear later.
        is_retry = self._wrong_since is not None and self._clock() - self._read_at >= RETRY
        return is_retry or self._seen != before

    def _read(self) -> None:
        self._read_at = self._clock()
        config, seen = _load(self._path, self.config.files)
        self._check_switches(config)
        known, self.config, self._seen = self.config.warnings, config, seen
        self._wrong_since, self._logged = None, ()
        _log.info("web configuration reloaded", file=str(self._path), **config.about())
        log_warnings(warning for warning in config.warnings if warning not in known)

    def _check_switches(self, config: WebConfig) -> None:
        """Raise `ConfigError` if ``config`` has what takes a restart.

        A file that is read while it is being written must not switch off TLS or login.
        """
        if (config.context is None) != (self.config.context is None):
            message = "TLS is switched on and off only by a restart"
            raise ConfigError([Problem("tls_server_config", None, message, str(self._path))])
        if self.config.users and not config.users:
            message = "login is switched off only by a restart"
            raise ConfigError([Problem("basic_auth_users", None, message, str(self._path))])

    def _reject(self, problems: Sequence[str]) -> None:
        now = self._clock()
        if self._wrong_since is None:
            self._wrong_since = now
        if now - self._wrong_since >= GRACE and problems != self._logged:
            self._logged = problems
            for problem in problems:
                _log.error(
                    "web configuration not reloaded, the previous one stays in effect",
                    file=str(self._path),
                    error=problem,
                )

    def _warn_of_expiry(self) -> None:
        """Log at once, and then once a day, that the certificate has expired or soon will."""
        expiry, now = self.config.expiry, self._wall()
        problem = expiry and expiry.problem(now)
        if not expiry or not problem:
            self._warned = None
            return
        has_expired = expiry.has_passed(now)
        warned = expiry, has_expired
        if warned != self._warned or self._clock() - self._warned_at >= DAY:
            self._warned, self._warned_at = warned, self._clock()
            event = "certificate has expired" if has_expired else "certificate expires soon"
            _log.warning(event, warning=str(problem))


def _load(path: Path, files: Iterable[Path]) -> tuple[WebConfig, _Fingerprints]:
    """Return the settings in ``path``, and the fingerprints of the files that they were read from.

    Expects them to be read from ``files``. Raises `ConfigError`.
    """
    while True:
        # Taken before the files are read: what is written meanwhile is another change.
        seen = _fingerprints(files)
        config = load_web_config(path)
        if seen.keys() == set(config.files):
            return config, seen
        files = config.files


def _fingerprints(paths: Iterable[Path]) -> _Fingerprints:
    return {path: file_fingerprint(path) for path in paths}
