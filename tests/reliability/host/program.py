"""The exporter's command on a clock that a test sets, and on a host that fails on demand.

``python -m tests.reliability.host.program FOLDER ARGUMENT…`` runs ``python -m exporter ARGUMENT…``.
In FOLDER, the file ``clock`` holds the time in seconds since the epoch, as text. While there is a
file ``no-threads``, no thread begins; while there is a file ``slow-disk``, the state file hangs.
The poll loop looks at the clock twenty times a second.
"""

import sys

from exporter import signals

signals.watch(sys.argv[2:])

import _thread  # noqa: E402 - the signals come first
import threading  # noqa: E402
import time  # noqa: E402
from contextlib import suppress  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, Final  # noqa: E402

TICK: Final = 0.05

_FOLDER: Final = Path(sys.argv.pop(1)) if __name__ == "__main__" else Path()
_seen = 0.0


def _now() -> float:
    # Without a free descriptor, or memory, the clock stands still.
    global _seen  # noqa: PLW0603 - it is the clock of the process
    with suppress(OSError, MemoryError):
        _seen = float((_FOLDER / "clock").read_text("ascii"))
    return _seen


def _run() -> None:
    # Only now: functions have taken over what `time.time` is when they are defined.
    from exporter.cli import main  # noqa: PLC0415
    from exporter.collect.poll import loop  # noqa: PLC0415
    from exporter.state.ledgers import LedgerPersistence  # noqa: PLC0415

    start = _thread.start_new_thread
    persist = LedgerPersistence.persist

    def start_thread(*arguments: Any) -> Any:
        if (_FOLDER / "no-threads").exists():
            raise RuntimeError("can't start new thread")
        return start(*arguments)

    def persist_slowly(*arguments: Any, **options: Any) -> None:
        while (_FOLDER / "slow-disk").exists():
            time.sleep(TICK)
        persist(*arguments, **options)

    _thread.start_new_thread = start_thread
    vars(threading)["_start_new_thread"] = start_thread
    LedgerPersistence.persist = persist_slowly  # type: ignore[method-assign]
    loop.TICK = TICK  # type: ignore[misc,assignment]
    main()


if __name__ == "__main__":
    time.time = _now
    _run()
