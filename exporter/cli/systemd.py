"""Messages to systemd in the protocol of sd_notify(3): ready, reloading, stopping, watchdog.

Without a socket in ``NOTIFY_SOCKET`` nothing is sent. What cannot be sent is dropped.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
"""An interval of up to 30,000 years; Python converts no number of unlimited length."""

STATUS_INTERVAL: Final = 5_000_000
"""Microseconds between two looks at what ``systemctl status`` shows."""


class Notifier:
    """Sends messages to the service manager that started this process.

    ``microseconds`` returns the time of CLOCK_MONOTONIC, which systemd reads too.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        microseconds: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ is how the environment, which cannot hold a null, writes an abstract socket.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._microseconds = microseconds
        self._watchdog = _watchdog_interval(environment) // 2
        self._alive_at = self._status_at = microseconds()
        self._status = ""

    def ready(self, status: str) -> None:
        """Report that the service is available; ``status`` is a line for ``systemctl status``."""
        self._status = status
        self._send("READY=1", f"STATUS={status}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Report that a reload takes as long as the block, successful or not."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._microseconds()}")
        try:
            yield
        finally:
            self._send("READY=1")

    def stopping(self) -> None:
        """Report that the service has begun to stop."""
        self._send("STOPPING=1")

    def tick(self, alive: Callable[[], bool], status: Callable[[], str]) -> None:
        """Report from time to time that the service is ``alive``, and its ``status``.

        To be called at least as often as the watchdog, if any, expects a message. A service that
        is not alive sends none, and so is restarted.
        """
        if not self._address:
            return
        now = self._microseconds()
        if self._watchdog and now - self._alive_at >= self._watchdog and alive():
            self._alive_at = now
            self._send("WATCHDOG=1")
        if now - self._status_at >= STATUS_INTERVAL:
            self._status_at = now
            self._show(status())

    def _show(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # A manager that does not read must not hold up the exporter.
            sender.settimeout(0)
            sender.sendto("\n".join(lines).encode(), self._address)


def _watchdog_interval(environment: Mapping[str, str]) -> int:
    """Return within how many microseconds a message is expected, 0 if none is."""
    interval = environment.get("WATCHDOG_USEC", "")
    # Set for another process if this one was started by it.
    is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(interval) if is_ours and _NUMBER.fullmatch(interval) else 0
