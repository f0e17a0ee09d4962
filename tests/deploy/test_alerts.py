"""Thresholds of the alerts about data, and the alerts about the exporter itself.

When the alerts about data fire and end is in test_alerts_minutes.py, _days.py and _weeks.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.deploy.rule_world import (
    HOUR,
    Flow,
    World,
    steady,
    unit_test,
)
from tests.support.prometheus import promtool

pytestmark = pytest.mark.slow

FIRING = (
    "max by (alertname, severity, organization, category, project, team, query, reason)"
    ' (ALERTS{alertstate="firing"})'
)
FOREVER = 10**9
Alert = Mapping[str, str]


def alert(name: str, severity: str = "warning", organization: str = "acme", **more: str) -> Alert:
    """Return the labels of an alert that fires."""
    return {"alertname": name, "severity": severity, "organization": organization, **more}


def errors(name: str, severity: str = "warning", *, of: str = "acme", **more: str) -> Alert:
    """Return the labels of an alert about errors."""
    return alert(name, severity, of, category="error", **more)


def check(
    folder: Path,
    worlds: Sequence[World],
    expected: Mapping[float, Iterable[Alert]],
    counts: Mapping[tuple[str, float], Iterable[Alert]] | None = None,
    more: Sequence[Mapping[str, str]] = (),
    rules: Sequence[Path] = (),
) -> None:
    """Check which alerts fire at which times."""
    series = [one for world in worlds for one in world.input_series()]
    vectors = {(FIRING, time): list(alerts) for time, alerts in expected.items()}
    path = unit_test([*series, *more], {**vectors, **(counts or {})}, worlds[0].step, folder, rules)

    assert "SUCCESS" in promtool("test", "rules", path)


class TestThresholds:
    """Thresholds of an organization, category, project or team."""

    def test_the_most_specific_is_in_force(self, tmp_path: Path) -> None:
        """8 % of each project is lost, and a higher threshold prevents the alert."""
        rules = tmp_path / "overrides.yml"
        record = {"record": "sentry_stats:threshold:warning_ratio"}
        higher, lower = {**record, "expr": "vector(0.1)"}, {**record, "expr": "vector(0.01)"}
        limit = {"outcome": "limit", "organization": "acme"}
        overrides = [
            {**higher, "labels": limit},
            {**lower, "labels": {**limit, "team": "payments"}},
            {**higher, "labels": {**limit, "project": "checkout"}},
            {**lower, "labels": {**limit, "project": "checkout", "category": "replay"}},
            {**lower, "labels": {"outcome": "limit", "category": "transaction"}},
        ]
        groups = [{"name": "overrides", "rules": overrides}]
        rules.write_text(yaml.safe_dump({"groups": groups}), "utf-8")

        def flows(project: str, category: str = "error") -> list[Flow]:
            return [
                Flow(project, steady(1840), category=category),
                Flow(project, steady(160), "rate_limited", "key_quota", category),
            ]

        of_payments = {"project": "billing", "team": "payments"}
        world = World(
            [
                *flows("web"),
                *flows("web", "transaction"),
                *flows("billing"),
                *flows("checkout"),
                *flows("checkout", "replay"),
            ],
            2 * HOUR,
            step=300,
            teams={"billing": "payments", "checkout": "payments"},
        )
        globex = replace(world, organization="globex", flows=flows("web"), teams={})
        check(
            tmp_path,
            [world, globex],
            {
                2 * HOUR: [
                    errors("SentryEventsRateLimited", **of_payments),
                    alert(
                        "SentryEventsRateLimited",
                        category="replay",
                        project="checkout",
                        team="payments",
                    ),
                    errors("SentryEventsRateLimited", of="globex"),
                    errors("SentryEventsRateLimited", of="globex", project="web"),
                ]
            },
            rules=[rules],
        )

    def test_bytes_have_their_own(self, tmp_path: Path) -> None:
        """A few bytes are no loss; megabytes and hours of profiles are."""

        def flows(project: str, category: str, rate: float) -> list[Flow]:
            reason = f"{category}_usage_exceeded"
            return [Flow(project, steady(rate), "rate_limited", reason, category)]

        flows_of_all = [
            *flows("few", "log_byte", 1e6),
            *flows("many", "attachment", 1e9),
            *flows("many", "profile_duration", 7200),
        ]
        quota = [
            alert("SentryQuotaExceeded", severity, category=category, **place)
            for severity in ("warning", "critical")
            for category in ("attachment", "profile_duration")
            for place in ({}, {"project": "many"})
        ]
        check(tmp_path, [World(flows_of_all, 2 * HOUR, step=300)], {2 * HOUR: quota})
