"""The recording rules of the dashboards, evaluated over a time that is past."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.grafana.generator.expressions import RECORDED
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.prometheus import prometheus, record

RULES: Final = DEPLOY / "prometheus" / "rules" / "dashboards.yml"


def record_hours(folder: Path, start: int, end: int) -> None:
    """Record what the dashboards read into the database in ``folder``.

    promtool does not see what other rules record in the same run, so rules that read recorded
    series have a run of their own, after a restart. The file has the same name both times, because
    the instants of a group's evaluations depend on it.
    """
    path = folder / RULES.name
    for rules in _stages():
        path.write_text(yaml.safe_dump(rules), "utf-8")
        with prometheus(folder) as server:
            record(server, folder, path, start, end)


def _stages() -> Iterator[dict[str, Any]]:
    """Yield the rules that read scraped series, and those that read recorded series."""
    (group,) = read_yaml(RULES)["groups"]
    for second in (False, True):
        some = [rule for rule in group["rules"] if (RECORDED in rule["expr"]) is second]
        yield {"groups": [{**group, "rules": some}]}
