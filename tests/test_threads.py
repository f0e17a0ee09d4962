"""Threads that nothing waits for."""

import subprocess
import sys
import threading

from exporter.threads import start_thread
from tests.support.programs import REPOSITORY, TIMEOUT


def test_runs() -> None:
    """The work is done in another thread."""
    threads: list[int] = []
    done = threading.Event()

    def work() -> None:
        threads.append(threading.get_ident())
        done.set()

    start_thread(work)

    assert done.wait(TIMEOUT)
    assert [threading.get_ident()] != threads


def test_the_process_ends() -> None:
    """A thread that hangs does not prevent the process from ending."""
    program = (
        "import threading; from exporter.threads import start_thread;"
        "start_thread(threading.Event().wait)"
    )
    command = [sys.executable, "-c", program]

    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=TIMEOUT)  # noqa: S603 - as it stands
