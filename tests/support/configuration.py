"""Configuration files as tests write them, about the organizations of a simulated Sentry."""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from exporter.config import Config, loads
from exporter.simulator import DEMO_TOKENS
from tests.support.exporters import unpaced

OUTCOMES: Final = {"name": "outcomes", "groupBy": ["category", "outcome", "reason"]}
PROJECTS: Final = {"name": "projects", "groupBy": ["project", "category", "outcome", "reason"]}

Entry = Mapping[str, Any]


def organization(*queries: Entry, slug: str = "acme", **settings: Any) -> Entry:
    """Return an organization of the demo as a configuration file has it."""
    token = {"token": DEMO_TOKENS.get(slug, "unknown")}
    return {"slug": slug, **token, "queries": list(queries or [OUTCOMES]), **settings}


def document(url: str, *organizations: Entry, **defaults: Any) -> str:
    """Return the text of a configuration file."""
    settings = {"url": url, "requests_per_second": 20, **defaults}
    entries = list(organizations or [organization()])
    return yaml.safe_dump({"defaults": settings, "organizations": entries})


def configuration(url: str, *organizations: Entry, **defaults: Any) -> Config:
    """Return the configuration of `document`, with practically unlimited requests per second."""
    config = loads(document(url, *organizations, **defaults))
    return unpaced(config)
