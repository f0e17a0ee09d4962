"""Reads the configuration file again, and puts it in place of the running configuration."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

import structlog

from exporter.app import Exporter
from exporter.config import Config, ConfigError, parsed, read
from exporter.queries import changes, enumeration
from exporter.sentry.token import described, redact
from exporter.state import StateError

_MAX_NAMED: Final = 20
"""How many organizations or queries the log names."""

_log = structlog.get_logger(__name__)

Problems = Sequence[str]
"""Why a reload failed, one line for each problem; nothing if it succeeded."""


class Reloader:
    """Reloads the file at ``path`` into ``exporter``, in a thread of its own, one at a time.

    The running configuration was read from the ``content`` of the file. With ``interval``, the file
    is looked at again after that many seconds, and reloaded when it has changed. Each reload runs
    within a block that ``reloading`` returns.
    """

    def __init__(
        self,
        exporter: Exporter,
        path: Path,
        content: bytes,
        interval: float | None = None,
        reloading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._exporter = exporter
        self._path = path
        self._interval = interval
        self._reloading = reloading
        self._seen = _checksum(content)
        # Its `put` may be called by a signal handler, even while the same thread is in `put`.
        self._requests: SimpleQueue[Future[Problems] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Begin to do what is requested."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Begin no other reload; one that is running gets ``timeout`` seconds to end."""
        self._requests.put(None)
        self._thread.join(timeout)

    def request(self) -> Future[Problems]:
        """Ask for a reload, and return what comes to hold its problems.

        Never waits, and may be called by signal handlers. All that is requested while a reload is
        running leads to one other reload after it.
        """
        future: Future[Problems] = Future()
        self._requests.put(future)
        return future

    def _run(self) -> None:
        while True:
            requests = [*self._next_requests()]
            if None in requests:
                return
            # Those whose client has gone away are left out.
            waiting = [one for one in requests if one and one.set_running_or_notify_cancel()]
            if requests or self._has_changed():
                with self._reloading():
                    problems = self._reload()
                for one in waiting:
                    one.set_result(problems)

    def _next_requests(self) -> Iterator[Future[Problems] | None]:
        """Wait for a request, and yield it and all others; nothing if the interval ends before."""
        try:
            yield self._requests.get(timeout=self._interval)
            while True:
                yield self._requests.get_nowait()
        except Empty:
            return

    def _has_changed(self) -> bool:
        """Return whether the file differs from how it was seen last."""
        try:
            return _checksum(read(self._path)) != self._seen
        except ConfigError as error:
            return str(error) != self._seen

    def _reload(self) -> Problems:
        """Reload, and return the problems; whatever they are, the exporter goes on."""
        try:
            before, config = self._exporter.config, self._read()
            self._exporter.apply(config)
        except ConfigError as error:
            problems: Problems = [str(problem) for problem in error.problems]
        except StateError as error:
            problems = [str(error)]
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end reloads either
            _log.exception("reload failed", reason="internal")
            problems = [f"internal error: {described(error)}"]
        else:
            _log_changes(before, config)
            return ()
        problems = [redact(problem) for problem in problems]
        self._refuse(problems)
        return problems

    def _read(self) -> Config:
        """Return the configuration in the file, and note what was seen of the file."""
        try:
            content = read(self._path)
        except ConfigError as error:
            self._seen = str(error)
            raise
        self._seen = _checksum(content)
        return parsed(content, self._path)

    def _refuse(self, problems: Problems) -> None:
        for problem in problems:
            _log.error("configuration not reloaded", problem=problem)
        try:
            self._exporter.refused()
        except Exception:  # noqa: BLE001 - as above; the next publication shows it
            _log.exception("publishing failed", reason="internal")


def _checksum(content: bytes) -> str:
    return sha256(content).hexdigest()


def _log_changes(before: Config, after: Config) -> None:
    for warning in after.warnings:
        if warning in before.warnings:
            continue
        _log.warning("configuration warning", warning=str(warning))
    changed = changes(before, after)
    if not changed:
        _log.info("configuration reloaded, nothing has changed")
        return
    named = {what: enumeration(names, _MAX_NAMED) for what, names in changed.items()}
    _log.info("configuration reloaded", **named)
