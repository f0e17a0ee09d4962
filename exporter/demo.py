"""The configuration of ``demo``: the queries that README shows, against the simulated Sentry."""

from exporter.config import Config, loads
from exporter.simulator import DEMO_TOKENS

_CONFIGURATION = """
defaults:
  url: {url}
  requests_per_second: 18
organizations:
  - slug: acme
    token: {acme}
    queries: &queries
      - name: outcomes
        groupBy: [category, outcome, reason]
        poll_interval: 5m
      - name: projects
        groupBy: [project, category, outcome, reason]
        poll_interval: 15m
  - slug: globex
    token: {globex}
    queries: *queries
"""


def demo_configuration(url: str) -> Config:
    """Return a configuration for the simulated Sentry at ``url``."""
    text = _CONFIGURATION.format(url=url, acme=DEMO_TOKENS["acme"], globex=DEMO_TOKENS["globex"])
    return loads(text, "demo")
