"""The text of ``check --online``, word for word."""

from exporter.check import organization_text
from exporter.simulator import DEMO_TOKENS, Simulator
from tests.check.conftest import Learn
from tests.support.configuration import OUTCOMES, PROJECTS, organization

HEALTHY = """\
organization acme
  url         {url}
  token       user or integration (kind not shown), in the configuration file
  reads       acme, id 1, Acme
  projects    12 listed, 12 readable, 0 hidden
  clock       agrees with Sentry's
  rate limit  20 requests per window, 13 left, 25 at once
  plan        can be read: 2026-02-13 to 2026-03-12, budget 300.00 USD; \
errors 2,100,000, then 0.0001875 each; spans 500,000,000, then 0.0000018 each; \
replays 75,000, then 0.003563 each; attachments 90GB, then 0.3125/GB; \
logBytes 40GB, then 0.5/GB; traceMetricBytes 5GB, then 0.5/GB; \
profileDuration 0h, then 0.0315/h; profileDurationUI 0h, then 0.25/h \
(an API that Sentry has not documented)
  query outcomes
    rows      25 from 2026-03-05T08:00:00Z to 2026-03-05T09:00:00Z, proven complete
    requests  1 in the first poll, 1 in a later one, 288 a day
    series    78 on the page
  query projects
    rows      138 from 2026-03-05T08:00:00Z to 2026-03-05T09:00:00Z, proven complete
    requests  5 in the first poll, 3 in a later one, 288 a day, and 1 for each \
other bucket that changes
    series    420 on the page"""

UNAUTHORIZED = """\
organization acme
  url         {url}
  token       user or integration (kind not shown), in the configuration file
  clock       agrees with Sentry's
  rate limit  40 requests per window, 39 left, 25 at once
  query outcomes
    data      not tried
  error: config.yaml:12: organizations[0].token: 401: Invalid token \
[{url}/api/0/organizations/acme/projects/] (Sentry does not know the token: use the token of an \
internal integration with the permission Organization: Read)"""

REFUSED = """\
  query outcomes
    data      none, it failed
  error: config.yaml:7: organizations[0].queries[0].filter.category: 400: Invalid category: \
"errors" [{url}/api/0/organizations/acme/stats_v2/] (use error)"""


def test_healthy(learned: Learn, sentry: Simulator) -> None:
    """Each fact about an organization and its queries is a line."""
    queries = {**OUTCOMES, "poll_interval": "5m"}, {**PROJECTS, "poll_interval": "15m"}
    (checked,) = learned(organization(*queries), max_concurrency=1)

    assert HEALTHY.format(url=sentry.url) == organization_text(*checked)


def test_unauthorized(learned: Learn, sentry: Simulator) -> None:
    """A token that Sentry does not know is one error, and nothing else is tried."""
    (checked,) = learned({**organization(), "token": "unknown"})

    assert UNAUTHORIZED.format(url=sentry.url) == organization_text(*checked)


def test_refused_category(learned: Learn, sentry: Simulator) -> None:
    """A category that Sentry refuses is an error of its query, with the name that is meant."""
    (checked,) = learned(organization({**OUTCOMES, "filter": {"category": "errors"}}))

    assert organization_text(*checked).endswith(REFUSED.format(url=sentry.url))


def test_the_token_is_not_shown(learned: Learn) -> None:
    """The token is not in the text, wherever it comes from."""
    (checked,) = learned(organization())

    assert DEMO_TOKENS["acme"] not in organization_text(*checked)
