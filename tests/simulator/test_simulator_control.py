"""The endpoints that control the simulator from another process."""

from typing import Any

import pytest
import requests

from exporter.simulator import Row, Simulator
from tests.simulator.client import HOUR, NOW, PROJECTS


class TestControl:
    """The endpoints that control the simulator from another process."""

    def test_totals_are_true_sums(self, sentry: Simulator) -> None:
        """The totals are the true sums, whatever the row limit is."""
        sentry.row_limit = 0
        rows = [Row(1, 11, name, "accepted", None, NOW - 60, 2) for name in ("error", "default")]
        sentry.world.add_rows(*rows)
        query = {"organization": "acme", "start": str(NOW - HOUR), "end": str(NOW)}
        url = f"{sentry.url}/simulator/totals"
        grouped = requests.get(url, {**query, "groupBy": ["project", "category"]}, timeout=5)
        seen = requests.get(url, {**query, "field": "times_seen"}, timeout=5)
        by = {"project": 11, "category": "error"}

        assert {"groups": [{"by": by, "value": 4}]} == grouped.json()
        assert [group["value"] for group in seen.json()["groups"]] == [2]

    @pytest.mark.parametrize(
        ("invalid", "detail"),
        [
            ({"organization": "nobody"}, 'organization: got "nobody"; expected one of acme'),
            ({"organization": ""}, "organization: is missing; expected one of acme"),
            ({"field": "bytes"}, 'field: got "bytes"; expected one of quantity, times_seen'),
            ({"groupBy": "x"}, "groupBy must be one of "),
            ({"start": "x"}, 'start: got "x"; expected a time such as 2026-'),
            ({"end": ""}, "end: is missing; expected a time such as 2026-"),
        ],
    )
    def test_invalid_requests_for_totals_are_refused(
        self, sentry: Simulator, invalid: dict[str, str], detail: str
    ) -> None:
        """An invalid request for totals is a 400, which names what is wrong."""
        query = {"organization": "acme", "start": "0", "end": "1", **invalid}
        answer = requests.get(f"{sentry.url}/simulator/totals", query, timeout=5)

        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(detail)

    def test_faults_are_added_and_removed(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """A fault given as JSON applies until all faults are removed."""
        url = f"{sentry.url}/simulator/faults"
        added = session.post(url, json={"kind": "status", "status": 504, "body": "slow"})
        failed = session.get(sentry.url + PROJECTS)
        removed = session.delete(url)

        assert (added.status_code, removed.status_code) == (201, 204)
        assert (failed.status_code, failed.text) == (504, "slow")
        assert session.get(sentry.url + PROJECTS).status_code == 200

    @pytest.mark.parametrize(
        ("fault", "detail"),
        [
            (
                {"kind": "boom"},
                (
                    'kind: got "boom"; expected one of'
                    " status, garbage, redirect, hang, drip, cut, reset"
                ),
            ),
            ({"kind": "hang", "colour": "red"}, "colour: there is no such key"),
            ({"status": 503}, "kind: is missing"),
            ([], "expected a JSON object"),
        ],
    )
    def test_invalid_faults_are_refused(self, sentry: Simulator, fault: Any, detail: str) -> None:
        """A fault with an unknown kind or key is a 400, which names it."""
        answer = requests.post(f"{sentry.url}/simulator/faults", json=fault, timeout=5)

        assert answer.status_code == 400
        assert {"detail": detail} == answer.json()

    def test_deprecations_are_added_and_removed(
        self, sentry: Simulator, session: requests.Session
    ) -> None:
        """A deprecation given as JSON is announced until all are removed."""
        url = f"{sentry.url}/simulator/deprecations"
        added = session.post(url, json={"endpoint": "projects", "date": "2027-01-15T00:00:00"})
        during = session.get(sentry.url + PROJECTS).headers
        removed = session.delete(url)
        after = session.get(sentry.url + PROJECTS).headers

        assert (added.status_code, removed.status_code) == (201, 204)
        assert "2027-01-15T00:00:00" == during["X-Sentry-Deprecation-Date"]
        assert "X-Sentry-Deprecation-Date" not in after

    def test_invalid_deprecations_are_refused(self, sentry: Simulator) -> None:
        """A deprecation of an unknown endpoint is a 400."""
        url = f"{sentry.url}/simulator/deprecations"

        assert requests.post(url, json={"endpoint": "all"}, timeout=5).status_code == 400

    def test_other_requests_are_404(self, sentry: Simulator) -> None:
        """Other paths and methods are a 404."""
        assert requests.get(f"{sentry.url}/simulator/faults", timeout=5).status_code == 404
