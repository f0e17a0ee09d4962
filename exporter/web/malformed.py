"""Malformed requests: one log line for each burst of them, not one for each request.

A scraper that uses TLS on a plain port, or a port scanner, sends hundreds of them.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from exporter.web.handshake_problems import TLS_HANDSHAKE

BURST: Final = 60.0
"""Seconds from a peer's first malformed request until its requests are logged together."""

MAX_PEERS: Final = 100
"""Peers that are counted separately at once; all others are counted together."""

OTHER_PEERS: Final = "others"

_TLS: Final = "TLS handshake, but this port serves plain HTTP"
_QUOTED_BYTES: Final = re.compile(r""":? (?:bytearray\()?b['"].*""", re.DOTALL)
# How a socket for both versions of IP writes an IPv4 address.
_MAPPED_VERSION4: Final = "::ffff:"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Burst:
    began: float
    count: int = 0
    # A dict as an ordered set. The parser has few different complaints.
    problems: dict[str, None] = field(default_factory=dict)


class MalformedRequests:
    """Counts the malformed requests of each peer, for one event loop.

    ``clock`` returns monotonic seconds. A burst is logged by the first call of `log_ended` that
    is at least `BURST` seconds after its first request, or by `log_all`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bursts: dict[str, _Burst] = {}

    def add(self, host: str | None, problem: str) -> None:
        """Count a malformed request from ``host``, an IP address if it is known."""
        peer = (host or "unknown").removeprefix(_MAPPED_VERSION4)
        if peer not in self._bursts and len(self._bursts) >= MAX_PEERS:
            peer = OTHER_PEERS
        burst = self._bursts.setdefault(peer, _Burst(self._clock()))
        burst.count += 1
        burst.problems[problem] = None

    def log_ended(self) -> None:
        """Log every burst that began at least `BURST` seconds ago."""
        now = self._clock()
        for peer, burst in list(self._bursts.items()):
            # Bursts are in the order of their start.
            if now - burst.began < BURST:
                break
            self._log(peer)

    def log_all(self) -> None:
        """Log every burst, because the server stops."""
        for peer in list(self._bursts):
            self._log(peer)

    def _log(self, peer: str) -> None:
        burst = self._bursts.pop(peer)
        _log.warning(
            "malformed requests", peer=peer, error="; ".join(burst.problems), count=burst.count
        )


def problem_of(error: BaseException | None, first_bytes: bytes) -> str:
    """Return what is wrong with a request that the parser refused.

    ``first_bytes`` is the first bytes of what was received last. The result contains nothing that
    was received: that may include a password, and differs from request to request.
    """
    if first_bytes.startswith(TLS_HANDSHAKE):
        return _TLS
    text = _QUOTED_BYTES.sub("", str(error or "")) or "invalid HTTP"
    return text[0].lower() + text[1:]
