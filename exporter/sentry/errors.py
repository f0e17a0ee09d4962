"""Everything that can go wrong between this exporter and Sentry.

::

    SentryError
    ├── TokenError            token               no usable token
    ├── NetworkError          network             no connection, or it broke
    │   └── TLSError          tls                 no TLS, or a certificate is not accepted
    ├── DeadlineError         timeout             no complete answer within the timeout
    ├── RedirectError         redirect            3xx: may lead to another organization's data
    ├── StatusError           unexpected_status   any other answer that is not 200
    │   ├── InterceptedError  unexpected_status   401 or 403 of something in front of Sentry
    │   ├── BadRequestError   bad_request         400
    │   │   └── NoProjectsError   bad_request     400: the token can read no project
    │   ├── UnauthorizedError unauthorized        401
    │   ├── ForbiddenError    forbidden           403
    │   ├── NotFoundError     not_found           404
    │   ├── RateLimitError    rate_limited        429 of the endpoint, after the retries too
    │   ├── ServerError       server_error        5xx, 408
    │   └── TooHeavyError     too_heavy           429 or 504 of the store: ask for less
    ├── TooLargeError         too_large           the body is too large, or holds too much
    ├── BadAnswerError        bad_answer          not the shape or the range that was asked for
    └── UnknownProjectError   unknown_project     a filter names a project that the list lacks

The second column is the ``reason`` label of the metrics: a closed set. Where more is known, an
error has a ``cause`` too, which determines its remedy: `exporter.sentry.remedies` has them.
"""

from typing import ClassVar, Self

from exporter.sentry.remedies import Cause, remedy


class SentryError(Exception):
    """A question that Sentry did not answer. Messages never hold a secret.

    ``cause`` is None where it is not known, and ``about`` what its remedy names. ``asked`` is the
    address of the request and its proxy, and ``request`` its id in the log; both are ``""`` where
    none was sent. The client sets them.
    """

    reason: ClassVar[str] = "internal"
    lasting: ClassVar[bool] = False
    """Whether a retry cannot help until somebody repairs something."""

    def __init__(self, message: str = "", *, cause: Cause | None = None, about: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.about = about
        self.asked = ""
        self.request = ""

    # The address is added here, not by whoever raises: what fails deep inside does not know it.
    def __str__(self) -> str:
        return f"{self.message} [{self.asked}]" if self.asked else self.message

    def copied(self) -> Self:
        """Return the same error without a traceback, whose frames hold the answers of Sentry."""
        # Not by calling the class: the parameters of `__init__` differ among the errors.
        copy = type(self).__new__(type(self), *self.args)
        copy.__dict__.update(self.__dict__)
        return copy

    @property
    def message(self) -> str:
        """The message without the address of the request."""
        return super().__str__()

    @property
    def code(self) -> int:
        """The HTTP status of the answer, 0 where it is not what is wrong."""
        return 0

    @property
    def remedy(self) -> str:
        """What an operator can do about it, ``""`` where the message says it."""
        return remedy(self.cause, self.reason, self.about)


class TokenError(SentryError):
    """No usable token."""

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
    """The complete answer did not arrive within the timeout."""

    reason = "timeout"


class RedirectError(SentryError):
    """A redirect, which may lead to another organization's data and is never followed."""

    reason = "redirect"
    lasting = True


class StatusError(SentryError):
    """An answer that is not 200.

    ``status`` is the HTTP status, ``detail`` the text in the body, shortened.
    """

    reason = "unexpected_status"

    def __init__(self, status: int, detail: str, *, cause: Cause | None = None) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status}: {detail}" if detail else f"{status}", cause=cause)

    @property
    def code(self) -> int:
        """The HTTP status of the answer."""
        return self.status


# Not a ForbiddenError: a 403 of Sentry's own makes a plan look for the project that was refused.
class InterceptedError(StatusError):
    """401 or 403 of something in front of Sentry; it says nothing about token or projects."""

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
    """429 of the endpoint, in spite of waits and retries."""

    reason = "rate_limited"


class ServerError(StatusError):
    """5xx or 408."""

    reason = "server_error"


class TooHeavyError(StatusError):
    """The store behind the endpoint refused or timed out: a smaller question may pass."""

    reason = "too_heavy"


class TooLargeError(SentryError):
    """The body is larger than ``max_response_size``, or holds more than Sentry sends."""

    reason = "too_large"


class BadAnswerError(SentryError):
    """An answer that does not have the shape, or the range, that was asked for.

    ``path`` is the place in the document, ``""`` where it is none.
    """

    reason = "bad_answer"

    def __init__(self, path: str, message: str, *, cause: Cause | None = None) -> None:
        self.path = path
        super().__init__(f"{path}: {message}" if path else message, cause=cause)


class UnknownProjectError(SentryError):
    """A project filter names a project that the projects list does not have."""

    reason = "unknown_project"
    lasting = True


Refusal = TooHeavyError | ForbiddenError
"""What comes in place of an answer: ask for less, or not about one of these projects."""


def reasons() -> tuple[str, ...]:
    """Return every ``reason`` there is, sorted."""
    kinds: list[type[SentryError]] = [SentryError]
    for kind in kinds:  # which grows on the way
        kinds.extend(kind.__subclasses__())
    return tuple(sorted({kind.reason for kind in kinds}))
