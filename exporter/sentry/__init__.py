"""Sentry's API: what is asked, what comes back, and everything that can go wrong.

Questions, answers, errors and the projects list are here. What sends requests is imported from
its own module, as it needs libraries for HTTP: `exporter.sentry.client` has the client of one
organization, `exporter.sentry.transport` the sessions that clients share.
"""

from exporter.sentry.answer import Answer, By, Group, ProjectsAnswer, SeriesAnswer, Totals, parse
from exporter.sentry.errors import (
    ForbiddenError,
    SentryError,
    TokenError,
    TooHeavyError,
    UnknownProjectError,
    reasons,
)
from exporter.sentry.limits import Allowance, TokenLimits, limits_by_token
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.question import (
    ALL_READABLE,
    ATTRIBUTABLE,
    QUANTITY,
    ROW_LIMIT,
    TIMES_SEEN,
    Question,
)
from exporter.sentry.tls import ca_directory_warning, ca_flaw
from exporter.sentry.token import (
    Secret,
    TokenEnvironment,
    TokenFile,
    TokenLiteral,
    TokenSource,
    flaw,
    holds_token,
    ownership,
    placeholder,
    redact,
)

__all__ = [
    "ALL_READABLE",
    "ATTRIBUTABLE",
    "QUANTITY",
    "ROW_LIMIT",
    "TIMES_SEEN",
    "Allowance",
    "Answer",
    "By",
    "ForbiddenError",
    "Group",
    "Project",
    "ProjectList",
    "ProjectsAnswer",
    "Question",
    "Secret",
    "SentryError",
    "SeriesAnswer",
    "TokenEnvironment",
    "TokenError",
    "TokenFile",
    "TokenLimits",
    "TokenLiteral",
    "TokenSource",
    "TooHeavyError",
    "Totals",
    "UnknownProjectError",
    "ca_directory_warning",
    "ca_flaw",
    "flaw",
    "holds_token",
    "limits_by_token",
    "ownership",
    "parse",
    "placeholder",
    "reasons",
    "redact",
]
