# ruff: noqa: INP001 (a script next to the file that it writes, not a package)
"""Write the Prometheus rules as PrometheusRule objects, one for each rule file.

Run it after every change in deploy/prometheus/rules.
"""

from pathlib import Path
from textwrap import indent
from typing import Final

RULES: Final = Path(__file__).parents[1] / "prometheus" / "rules"
"""The folder with the rule files."""

OBJECTS: Final = Path(__file__).parent / "components" / "operator" / "prometheusrules.yaml"
"""The file that this script writes."""

_HEADER: Final = "# Written by deploy/kubernetes/prometheusrules.py from deploy/prometheus/rules.\n"

_OBJECT: Final = """\
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sentry-stats-exporter-{name}
spec:
"""


def prometheus_rules(folder: Path) -> str:
    """Return a PrometheusRule for each rule file in ``folder``, sorted by file name."""
    return _HEADER + "".join(_object(path) for path in sorted(folder.glob("*.yml")))


def _object(path: Path) -> str:
    name = path.stem.replace("_", "-")
    return _OBJECT.format(name=name) + indent(path.read_text("utf-8"), "  ")


if __name__ == "__main__":
    OBJECTS.write_text(prometheus_rules(RULES), "utf-8")
