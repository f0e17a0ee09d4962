"""Malformed requests: one line in the log for each burst of them, not one for each request.

A scraper that speaks TLS to a plain port, or a port scanner, sends them by the hundred.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

BURST: Final = 60.0
"""Seconds from a peer's first malformed request until they are logged together."""

MAX_PEERS: Final = 100
"""Peers counted apart at once; those beyond are counted together."""

OTHER_PEERS: Final = "others"

_TLS: Final = "TLS handshake, but this port serves plain HTTP"
# The type of a TLS record that holds a handshake message. No HTTP method begins with this byte.
_TLS_HANDSHAKE: Final = b"\x16"
_QUOTED_BYTES: Final = re.compile(r""":? (?:bytearray\()?b['"].*""", re.DOTALL)
_MAPPED_VERSION4: Final = "::ffff:"

log = structlog.get_logger()


@dataclass(slots=True)
class _Burst:
    began: float
    count: int = 0
    # A dict for its order and its uniqueness; what parsers complain of is a short list.
    problems: dict[str, None] = field(default_factory=dict)


class MalformedRequests:
    """Counts the malformed requests of each peer, for one event loop.

    ``clock`` returns monotonic seconds. A burst is logged by the first `log_ended` that comes
    `BURST` seconds after its first request, or by `log_all`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bursts: dict[str, _Burst] = {}

    def add(self, host: str | None, problem: str) -> None:
        """Count a malformed request from ``host``, an IP address where it is known."""
        peer = (host or "unknown").removeprefix(_MAPPED_VERSION4)
        if peer not in self._bursts and len(self._bursts) >= MAX_PEERS:
            peer = OTHER_PEERS
        burst = self._bursts.setdefault(peer, _Burst(self._clock()))
        burst.count += 1
        burst.problems[problem] = None

    def log_ended(self) -> None:
        """Log every burst that has lasted long enough."""
        now = self._clock()
        for peer, burst in list(self._bursts.items()):
            # Bursts are in the order in which they began.
            if now - burst.began < BURST:
                break
            self._log(peer)

    def log_all(self) -> None:
        """Log every burst, because the server ends."""
        for peer in list(self._bursts):
            self._log(peer)

    def _log(self, peer: str) -> None:
        burst = self._bursts.pop(peer)
        log.warning(
            "malformed requests", peer=peer, problem="; ".join(burst.problems), count=burst.count
        )


def problem_of(error: BaseException | None, beginning: bytes) -> str:
    """Return what is wrong with a request that the parser refused.

    ``beginning`` are the first bytes of what came last. Nothing that came is in the result: it
    may hold a password, and would make each request's problem another one.
    """
    if beginning.startswith(_TLS_HANDSHAKE):
        return _TLS
    text = _QUOTED_BYTES.sub("", str(error or "")) or "invalid HTTP"
    return text[0].lower() + text[1:]
