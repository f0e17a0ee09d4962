"""Connections that break, and answers that are no HTTP: in words, not in those of Python."""

import http.client
import os
import ssl
from collections.abc import Sequence
from typing import Final

from urllib3.exceptions import (
    DecodeError,
    IncompleteRead,
    InvalidChunkLength,
    InvalidHeader,
    ProtocolError,
)

from exporter.sentry.errors import NetworkError
from exporter.sentry.remedies import Cause

TLS_BROKEN: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""Errors of TLS that only say that the connection broke."""

_CLOSED: Final = (ConnectionAbortedError, BrokenPipeError, *TLS_BROKEN)


def broken(causes: Sequence[BaseException], peer: str) -> NetworkError | None:
    """Return the error that ``causes`` amount to, None if they are of another kind.

    ``peer`` is what the connection was made to.
    """
    # The innermost one knows most; the outer ones only repeat it as a Python expression.
    for cause in reversed(causes):
        if isinstance(cause, InvalidChunkLength):
            return _no_http("one of its chunks has no length")
        text = _broke(cause, peer)
        if text is not None:
            return NetworkError(text, cause=Cause.CONNECTION_BROKEN)
        if isinstance(cause, (http.client.HTTPException, InvalidHeader)) or _is_length(cause):
            return _no_http(str(cause))
        if isinstance(cause, OSError) and cause.errno:
            return NetworkError(f"{peer}: {os.strerror(cause.errno)}")
    return None


def _broke(cause: BaseException, peer: str) -> str | None:
    match cause:
        case http.client.RemoteDisconnected():
            return f"{peer} closed the connection without an answer"
        case ConnectionResetError():
            return f"{peer} reset the connection"
        case IncompleteRead(partial=read, expected=missing):
            return f"the answer ended after {read} of {read + missing} bytes"
        # Of an answer in chunks, nobody knows how long it should have been.
        case http.client.IncompleteRead() | ProtocolError(args=("Response ended prematurely",)):
            return "the answer ended before it was complete"
        case DecodeError():
            return "the answer cannot be decompressed"
    return f"{peer} closed the connection" if isinstance(cause, _CLOSED) else None


def _is_length(cause: BaseException) -> bool:
    """Return whether a chunk has a negative length: urllib3 reads as many bytes, and fails."""
    return isinstance(cause, ValueError) and str(cause).startswith("read length")


def _no_http(text: str) -> NetworkError:
    return NetworkError(f"the answer is not valid HTTP: {text}", cause=Cause.NOT_SENTRY)
