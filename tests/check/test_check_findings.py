"""Findings: their place in the file and their remedy."""

import pytest

from exporter.check.findings import Finding, failure
from exporter.config import loads
from exporter.sentry.errors import (
    BadRequestError,
    DeadlineError,
    ForbiddenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    SentryError,
    ServerError,
    TLSError,
    TooHeavyError,
    TooLargeError,
    UnauthorizedError,
    UnknownProjectError,
)
from exporter.sentry.remedies import Cause

CONFIG = loads(
    """\
defaults:
  url: https://sentry.example.com
  token_env: STATS_TOKEN
  ca_file: ca.pem
  max_response_size: 1MiB
organizations:
  - slug: acme
    queries:
      - name: outcomes
        groupBy: [outcome]
        filter:
          category: [errors, log_byte, rubbish]
          project: web
        field: sum(times_seen)
  - slug: globex
    token_file: token
""",
    "config.yaml",
)
ACME, GLOBEX = CONFIG.organizations
(QUERY,) = ACME.queries


def category(name: str) -> BadRequestError:
    """Return the refusal of a category."""
    return BadRequestError(400, f'Invalid category: "{name}"')


@pytest.mark.parametrize(
    ("error", "line", "path"),
    [
        (UnauthorizedError(401, ""), 3, "defaults.token_env"),
        (ForbiddenError(403, ""), 3, "defaults.token_env"),
        (NotFoundError(404, ""), 7, "organizations[0].slug"),
        (NotFoundError(404, "", cause=Cause.NOT_SENTRY), 2, "defaults.url"),
        (NetworkError(), 2, "defaults.url"),
        (DeadlineError(), 2, "defaults.url"),
        (ServerError(502, ""), 2, "defaults.url"),
        (TLSError(), 4, "defaults.ca_file"),
        (TooLargeError(), 5, "defaults.max_response_size"),
        (RateLimitError(429, ""), 9, "organizations[0].queries[0]"),
        (TooHeavyError(429, ""), 9, "organizations[0].queries[0]"),
        (BadRequestError(400, ""), 9, "organizations[0].queries[0]"),
        (
            BadRequestError(400, "Invalid category"),
            12,
            "organizations[0].queries[0].filter.category",
        ),
        (category("errors"), 12, "organizations[0].queries[0].filter.category[0]"),
        (category("rubbish"), 12, "organizations[0].queries[0].filter.category[2]"),
        (UnknownProjectError(), 13, "organizations[0].queries[0].filter.project"),
    ],
    ids=lambda value: value.reason if isinstance(value, SentryError) else None,
)
def test_place(error: SentryError, line: int, path: str) -> None:
    """A failure has the place of the setting that is behind it."""
    finding = failure(CONFIG, ACME, error, QUERY)

    assert ("config.yaml", line, path) == (finding.file, finding.line, finding.path)


def test_own_setting() -> None:
    """The place is that of the setting in effect."""
    finding = failure(CONFIG, GLOBEX, UnauthorizedError(401, ""))

    assert "organizations[1].token_file" == finding.path


def test_setting_that_is_not_in_the_file() -> None:
    """Without a place of its own, a failure has that of the organization."""
    config = loads("organizations: [{slug: acme, token: x}]", "config.yaml")
    (organization,) = config.organizations

    assert "organizations[0].slug" == failure(config, organization, NetworkError()).path


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("errors", "use error"),
        ("log_byte", "this Sentry does not have the category log_byte: upgrade it, or remove the"),
        ("rubbish", "remove the category"),
        ("elsewhere", "Sentry does not accept the query"),
    ],
)
def test_category(name: str, remedy: str) -> None:
    """The remedy for a refused category names the one that is meant."""
    finding = failure(CONFIG, ACME, category(name), QUERY)

    assert finding.remedy.startswith(remedy)


def test_line() -> None:
    """A finding is one line, with its severity, its place, its message and its remedy."""
    finding = Finding("error", "it fails", "repair it", file="f.yaml", line=3, path="a.b")

    assert "error: f.yaml:3: a.b: it fails (repair it)" == str(finding)


def test_address_that_names_a_setting() -> None:
    """What Sentry refuses is read from its answer, not from the address with the slug."""
    error = BadRequestError(400, "Invalid interval")
    error.asked = "https://sentry.example.com/api/0/organizations/category-shop/stats_v2/"

    assert "organizations[0].queries[0]" == failure(CONFIG, ACME, error, QUERY).path


def test_line_of_a_default_query() -> None:
    """A query that the file does not have has the place of its organization."""
    (query,) = GLOBEX.queries
    error = BadRequestError(400, "Invalid interval")

    assert "organizations[1].slug" == failure(CONFIG, GLOBEX, error, query).path
