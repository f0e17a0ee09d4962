"""Reads the configuration file again, and puts it in place of the running configuration."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

import structlog

from exporter.app import Exporter
from exporter.config import Config, ConfigError, parsed, read
from exporter.log import log_warnings
from exporter.queries import changes, enumeration
from exporter.sentry.token import described, redact
from exporter.state import StateError

_MAX_NAMED: Final = 20
"""How many organizations or queries the log names."""

_NO_RELOAD: Final = ("the exporter is stopping",), ()

_log = structlog.get_logger(__name__)

Problems = Sequence[str]
"""Why a reload failed, one line for each problem; nothing if it succeeded."""

Outcome = tuple[Problems, Sequence[str]]
"""The problems of a reload, and what there is to warn of if it succeeded."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file at ``path``, of whose ``content`` the running configuration was made.

    With ``interval``, it is looked at again after that many seconds, and reloaded when it has
    changed.
    """

    path: Path
    content: bytes
    interval: float | None = None


class Reloader:
    """Reloads ``file`` into ``exporter``, in a thread of its own, one at a time.

    Each reload runs within a block that ``reloading`` returns.
    """

    def __init__(
        self,
        exporter: Exporter,
        file: ConfigFile,
        reloading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._exporter = exporter
        self._path = file.path
        self._interval = file.interval
        self._reloading = reloading
        self._seen = _checksum(file.content)
        self._logged: Problems = ()
        # Its `put` may be called by a signal handler, even while the same thread is in `put`.
        self._requests: SimpleQueue[Future[Outcome] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Begin to do what is requested."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Begin no other reload; one that is running gets ``timeout`` seconds to end."""
        self._requests.put(None)
        self._thread.join(timeout)

    def request(self) -> Future[Outcome]:
        """Ask for a reload. Return a future with its problems and warnings.

        Never waits, and may be called by signal handlers. All that is requested while a reload is
        running leads to one other reload after it.
        """
        future: Future[Outcome] = Future()
        self._requests.put(future)
        return future

    def _run(self) -> None:
        ends = False
        while not ends:
            requests = [*self._next_requests()]
            ends = None in requests
            # Those whose client has gone away are left out.
            waiting = [one for one in requests if one and one.set_running_or_notify_cancel()]
            outcome = _NO_RELOAD if ends else self._turn(requested=bool(requests))
            for one in waiting:
                one.set_result(outcome)

    def _next_requests(self) -> Iterator[Future[Outcome] | None]:
        """Wait for a request, and yield it and all others; nothing if the interval ends before."""
        try:
            yield self._requests.get(timeout=self._interval)
            while True:
                yield self._requests.get_nowait()
        except Empty:
            return

    def _turn(self, *, requested: bool) -> Outcome:
        """Reload if that is ``requested`` or the file has changed, and return what came of it."""
        if requested or self._seen:
            # No repetition of a try that failed for something else than the file.
            self._logged = ()
        try:
            if not (requested or self._has_changed()):
                return (), ()
            with self._reloading():
                return self._reload()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end reloads either
            self._seen = ""
            return self._refuse([f"internal error: {described(error)}"], error), ()

    def _has_changed(self) -> bool:
        """Return whether the file differs from how it was seen last."""
        try:
            return _checksum(read(self._path)) != self._seen
        except ConfigError as error:
            return str(error) != self._seen

    def _reload(self) -> Outcome:
        """Reload, and return what came of it; with problems, the exporter goes on as before."""
        # Whatever else than the file is to blame for a failure may pass: the next look at the file
        # tries again.
        self._seen = ""
        try:
            before, (config, seen) = self._exporter.config, self._read()
            changed = changes(before, config)
            self._exporter.apply(config)
        except ConfigError as error:
            return self._refuse([str(problem) for problem in error.problems]), ()
        except StateError as error:
            return self._refuse([str(error)]), ()
        self._seen, self._logged = seen, ()
        # Of the file, what is new; of this host, what is still so.
        new = (one for one in config.warnings if one not in before.warnings)
        warnings = [*new, *self._exporter.host_problems()]
        log_warnings(warnings)
        _log.info("configuration reloaded", **_shortened(changed))
        return (), [redact(str(one)) for one in warnings]

    def _read(self) -> tuple[Config, str]:
        """Return the configuration in the file, and the file's checksum."""
        seen = ""
        try:
            content = read(self._path)
            seen = _checksum(content)
            return parsed(content, self._path), seen
        except ConfigError as error:
            # Not tried again until the file has changed, or can be read.
            self._seen = seen or str(error)
            raise

    def _refuse(self, problems: Iterable[str], unforeseen: Exception | None = None) -> Problems:
        """Log the problems, unless they repeat those of the last try; show that there are some."""
        problems = [redact(problem) for problem in problems]
        if problems != self._logged:
            details = {"reason": "internal", "exc_info": unforeseen} if unforeseen else {}
            for problem in problems:
                _log.error("configuration not reloaded", error=problem, **details)
        self._logged = problems
        try:
            self._exporter.refused(problems)
        except Exception:  # noqa: BLE001 - as above; the next publication shows it
            _log.exception("publishing failed", reason="internal")
        return problems


def _checksum(content: bytes) -> str:
    return sha256(content).hexdigest()


def _shortened(changed: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Return what has changed, as the log says it."""
    if not changed:
        return {"changed": "nothing"}
    return {what: enumeration(names, _MAX_NAMED) for what, names in changed.items()}
