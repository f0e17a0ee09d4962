"""The web configuration in effect, which follows its files."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from exporter.config import ConfigError
from exporter.config.errors import Problem
from exporter.fingerprint import Fingerprint, file_fingerprint
from exporter.web.config import WebConfig, load_web_config
from exporter.web.worker import Worker

GRACE: Final = 5.0
"""Seconds for which files may be wrong before that is logged: a certificate is written before its
key, and a file may be read while it is being written."""

RETRY: Final = 1.0
"""Seconds until files that are wrong are read again, though none seems to have changed."""

MAX_WAIT: Final = 1.0
"""Seconds that a connection or a request waits for files of a slow disk; then it goes on."""

_log = structlog.get_logger(__name__)


class LiveWebConfig:
    """The settings in ``path``, read again whenever it or a file that it names has changed.

    Files with errors change nothing: the settings before stay in effect, and the errors are
    logged once. ``clock`` returns monotonic seconds. Raises `ConfigError` if the files have errors
    at the start.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._worker = Worker("web configuration")
        self._reading: asyncio.Future[WebConfig] | None = None
        self._seen = _fingerprints(load_web_config(path).files)
        # Again: only what is read after the fingerprints were taken is what they stand for.
        self.config = load_web_config(path)
        self._wrong_since: float | None = None
        self._read_at = clock()
        self._logged = ""

    async def refresh(self) -> None:
        """Read the files again if they have changed; return when that is done."""
        self.begin_refresh()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=MAX_WAIT)

    def begin_refresh(self) -> None:
        """Begin to read the files again if they have changed.

        To look at four files takes 10 µs. They are read in another thread.
        """
        if self._reading is not None or not self._is_due():
            return
        self._read_at = self._clock()
        # Taken before the files are read: what is written meanwhile is another change.
        seen = _fingerprints(self.config.files)
        loop = asyncio.get_running_loop()
        self._reading = loop.run_in_executor(self._worker, load_web_config, self._path)
        self._reading.add_done_callback(partial(self._finish, seen))

    def _is_due(self) -> bool:
        if self._wrong_since is not None and self._clock() - self._read_at >= RETRY:
            # The new file may name others, which appear later.
            return True
        return _fingerprints(self.config.files) != self._seen

    def _finish(
        self, seen: Mapping[Path, Fingerprint | None], reading: asyncio.Future[WebConfig]
    ) -> None:
        self._reading = None
        self._seen = seen
        try:
            config = reading.result()
            self._check_switches(config)
        except ConfigError as error:
            self._reject(str(error))
        else:
            self.config = config
            self._wrong_since, self._logged = None, ""
            _log.info("web configuration read again", file=str(self._path))

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

    def _reject(self, problems: str) -> None:
        now = self._clock()
        if self._wrong_since is None:
            self._wrong_since = now
        if now - self._wrong_since >= GRACE and problems != self._logged:
            self._logged = problems
            _log.error(
                "web configuration not read again, the one before stays in effect",
                file=str(self._path),
                error=problems,
            )


def _fingerprints(paths: Iterable[Path]) -> Mapping[Path, Fingerprint | None]:
    """Return what changes with each file; None for one that cannot be looked at."""
    return {path: file_fingerprint(path) for path in paths}
