"""Runs the exporter's command under a simulated clock; a program of its own, not to be imported.

``python -P clocked.py CLOCK ARGUMENT…`` runs ``python -m exporter ARGUMENT…``. The file CLOCK holds
the time in seconds since the epoch, as a double. The clock stands still between two writes to it.
This works for any revision of the exporter, since it only replaces ``time.time``.
"""

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_SECONDS = struct.Struct("d")

if __name__ == "__main__":
    with Path(sys.argv[1]).open("rb") as file:
        clock = mmap.mmap(file.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)
    time.time = lambda: float(_SECONDS.unpack_from(clock)[0])
    del sys.argv[1]
    runpy.run_module("exporter", run_name="__main__", alter_sys=True)
