# ruff: noqa: INP001 (a script next to the file that it writes, not a package)
"""Write the Prometheus rules as JSON, by the names of their files, for the jsonnet mixin.

Jsonnet's own reader of YAML does not resolve the aliases in alerts.yml. Run it after every change
in deploy/prometheus/rules.
"""

import json
from pathlib import Path
from typing import Final

import yaml

RULES: Final = Path(__file__).parents[1] / "prometheus" / "rules"
"""The folder with the rule files."""

JSON: Final = Path(__file__).parent / "rules.json"
"""The file that this script writes."""


def rules_as_json(folder: Path) -> str:
    """Return the groups of each rule file in ``folder``, sorted by file name."""
    files = sorted(folder.glob("*.yml"))
    groups = {file.stem: yaml.safe_load(file.read_bytes())["groups"] for file in files}
    return json.dumps(groups, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    JSON.write_text(rules_as_json(RULES), "utf-8")
