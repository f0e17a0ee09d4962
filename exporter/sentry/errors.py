"""Everything that can go wrong between this exporter and Sentry.

::

    SentryError
    ├── TokenError            token               no usable token at hand
    ├── NetworkError          network             no connection, or it broke
    │   └── TLSError          tls                 no TLS, or a certificate not accepted
    ├── DeadlineError         timeout             the whole answer did not come in time
    ├── RedirectError         redirect            3xx: may lead to another organization's data
    ├── StatusError           unexpected_status   any other answer that is not 200
    │   ├── BadRequestError   bad_request         400
    │   ├── UnauthorizedError unauthorized        401
    │   ├── ForbiddenError    forbidden           403
    │   ├── NotFoundError     not_found           404
    │   ├── RateLimitError    rate_limited        429 of the endpoint, still there after waiting
    │   ├── ServerError       server_error        5xx, 408
    │   └── TooHeavyError     too_heavy           429 or 504 of the store: ask for less
    ├── TooLargeError         too_large           the body is larger than max_response_size
    ├── BadAnswerError        bad_answer          not the shape or the range that was asked for
    └── UnknownProjectError   unknown_project     a filter names a project that the list lacks

The second column is the ``reason`` label of the metrics: a closed set.
"""

from typing import ClassVar


class SentryError(Exception):
    """A question that Sentry did not answer. Messages never hold a token."""

    reason: ClassVar[str] = "internal"
    lasting: ClassVar[bool] = False
    """Asking again soon cannot help: somebody has to mend something first."""


class TokenError(SentryError):
    """No usable token at hand."""

    reason = "token"
    lasting = True


class NetworkError(SentryError):
    """No connection, or it broke."""

    reason = "network"


class TLSError(NetworkError):
    """The server speaks no TLS, its certificate is not accepted, or the CA file is unusable."""

    reason = "tls"
    lasting = True


class DeadlineError(SentryError):
    """The whole answer did not come within the timeout."""

    reason = "timeout"


class RedirectError(SentryError):
    """A redirect, which may lead to another organization's data and is never followed."""

    reason = "redirect"
    lasting = True


class StatusError(SentryError):
    """An answer that is not 200.

    ``status`` is the HTTP status, ``detail`` what the body says, shortened.
    """

    reason = "unexpected_status"

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status}: {detail}" if detail else f"{status}")


class BadRequestError(StatusError):
    """400."""

    reason = "bad_request"
    lasting = True


class UnauthorizedError(StatusError):
    """401."""

    reason = "unauthorized"
    lasting = True


class ForbiddenError(StatusError):
    """403."""

    reason = "forbidden"
    lasting = True


class NotFoundError(StatusError):
    """404."""

    reason = "not_found"
    lasting = True


class RateLimitError(StatusError):
    """429 of the endpoint that is still there after waiting as told."""

    reason = "rate_limited"


class ServerError(StatusError):
    """5xx or 408."""

    reason = "server_error"


class TooHeavyError(StatusError):
    """The store behind the endpoint refused or timed out: a smaller question may pass."""

    reason = "too_heavy"


class TooLargeError(SentryError):
    """The body is larger than ``max_response_size``."""

    reason = "too_large"


class BadAnswerError(SentryError):
    """An answer that does not have the shape, or the range, that was asked for.

    ``path`` is where in the document.
    """

    reason = "bad_answer"

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}")


class UnknownProjectError(SentryError):
    """A project filter names a project that the projects list does not have."""

    reason = "unknown_project"
    lasting = True


def reasons() -> tuple[str, ...]:
    """Return every ``reason`` there is, sorted."""
    found = set()
    waiting: list[type[SentryError]] = [SentryError]
    while waiting:
        kind = waiting.pop()
        found.add(kind.reason)
        waiting.extend(kind.__subclasses__())
    return tuple(sorted(found))
