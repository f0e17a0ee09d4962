"""Everything that can go wrong between this exporter and Sentry.

::

    SentryError
    ├── TokenError            token               no usable token at hand
    ├── NetworkError          network             no connection, or it broke
    │   └── TLSError          tls                 no TLS, or a certificate not accepted
    ├── DeadlineError         timeout             the whole answer did not come in time
    ├── RedirectError         redirect            3xx: may lead to another organization's data
    ├── StatusError           unexpected_status   any other answer that is not 200
    │   ├── InterceptedError  unexpected_status   401 or 403 of something in front of Sentry
    │   ├── BadRequestError   bad_request         400
    │   │   └── NoProjectsError   bad_request     400: the token can read no project
    │   ├── UnauthorizedError unauthorized        401
    │   ├── ForbiddenError    forbidden           403
    │   ├── NotFoundError     not_found           404
    │   ├── RateLimitError    rate_limited        429 of the endpoint, still there after waiting
    │   ├── ServerError       server_error        5xx, 408
    │   └── TooHeavyError     too_heavy           429 or 504 of the store: ask for less
    ├── TooLargeError         too_large           the body is larger than max_response_size
    ├── BadAnswerError        bad_answer          not the shape or the range that was asked for
    └── UnknownProjectError   unknown_project     a filter names a project that the list lacks

The second column is the ``reason`` label of the metrics: a closed set. What is known beyond it is
an error's ``cause``.
"""

from typing import ClassVar

from exporter.sentry.remedies import Cause, remedy


class SentryError(Exception):
    """A question that Sentry did not answer. Messages never hold a secret.

    ``cause`` is the concrete one where it is known, and ``about`` what its remedy names. ``asked``
    is the address, and the proxy on the way there, ``""`` where nobody was asked; whoever asks
    sets it.
    """

    reason: ClassVar[str] = "internal"
    lasting: ClassVar[bool] = False
    """Asking again soon cannot help: somebody has to mend something first."""

    def __init__(self, message: str = "", *, cause: Cause | None = None, about: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.about = about
        self.asked = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} [{self.asked}]" if self.asked else message

    @property
    def remedy(self) -> str:
        """What somebody can do about it, ``""`` where the message says it all."""
        return remedy(self.cause, self.reason, self.about)


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

    def __init__(self, status: int, detail: str, *, cause: Cause | None = None) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status}: {detail}" if detail else f"{status}", cause=cause)


class InterceptedError(StatusError):
    """401 or 403 of something in front of Sentry: it says nothing about token or projects."""

    lasting = True


class BadRequestError(StatusError):
    """400."""

    reason = "bad_request"
    lasting = True


class NoProjectsError(BadRequestError):
    """400 to a question about all projects that the token can read: there are none."""


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

    def __init__(self, path: str, message: str, *, cause: Cause | None = None) -> None:
        self.path = path
        super().__init__(f"{path}: {message}", cause=cause)


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
