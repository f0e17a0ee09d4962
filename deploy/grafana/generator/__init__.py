"""The dashboards, built from the table of metrics.

``python -m deploy.grafana.generator`` writes them; the files it writes are committed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.generator import health, organization, overview, project, quotas

FOLDER: Final = Path(__file__).parent.parent / "dashboards"


def rendered() -> Mapping[str, str]:
    """Return the text of every dashboard by the name of its file."""
    dashboards = {
        "overview": overview.built(),
        "organization": organization.built(),
        "project": project.built(),
        "quotas": quotas.built(),
        "health": health.built(),
    }
    return {
        f"{name}.json": json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, dashboard in dashboards.items()
    }
