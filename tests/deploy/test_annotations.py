"""The texts and links of the alerts, in full, as promtool expands them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.kit import read_yaml
from tests.deploy.rule_world import (
    GROUPS,
    HOUR,
    MINUTE,
    RULES,
    Flow,
    World,
    duration,
    during,
    files_of,
    steady,
)
from tests.support.programs import find_program, finished

RUNBOOKS: Final = "https://example.com/sentry-stats-exporter/docs/runbooks.md"
GRAFANA: Final = "http://localhost:3000/d"
SENTRY: Final = "https://sentry.io/organizations"
FOREVER: Final = 10**9
ODD: Final = 'we"i<r>d & `co\\de` *100%*'
"""A name with all characters that could break a query, a template, a link or the format."""

ODD_IN_LINKS: Final = "we%22i%3Cr%3Ed+%26+%60co%5Cde%60+%2A100%25%2A"

_RULES: Final = [
    rule
    for path in sorted(RULES.glob("*.yml"))
    for group in read_yaml(path)["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
_PRINTED: Final = re.compile(r"Labels:\{(.*)\}\s+Annotations:\{(.*)\}")
_VALUE: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


def is_about_an_organization(rule: Mapping[str, Any]) -> bool:
    """Return whether an alert has the label ``organization``."""
    return "$labels.organization" in rule["annotations"]["summary"]


class TestAnnotations:
    """What every alert has."""

    @pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule["alert"])
    def test_are_complete(self, rule: dict[str, Any]) -> None:
        """Every alert has its texts and links; those about an organization, a link to Sentry."""
        expected = {"summary", "description", "runbook_url", "dashboard_url"}
        if is_about_an_organization(rule):
            expected.add("sentry_url")

        assert expected == set(rule["annotations"]) - {"affected"}

    @pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule["alert"])
    def test_say_what_to_do_in_a_line_or_two(self, rule: dict[str, Any]) -> None:
        """A description is short, and ends like a sentence."""
        description = rule["annotations"]["description"]

        assert len(description) <= 240
        assert description.endswith(".")
        assert "\n" not in description


def lost(project: str, start: float, rate: float, **labels: str) -> list[Flow]:
    """Return the flows of a project that loses everything from ``start`` on."""
    spans = [(start, FOREVER)]
    category = labels.get("category", "error")
    return [
        Flow(project, during(spans, 0, rate), category=category),
        Flow(project, during(spans, rate, 0), **labels),
    ]


def quoted(name: str) -> str:
    """Return a name as a label's value in promtool's input."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


Texts = Mapping[str, str]


def texts_of(
    worlds: Sequence[World],
    time: float,
    names: Iterable[str],
    folder: Path,
    groups: Sequence[str] = GROUPS,
) -> dict[tuple[str, ...], Texts]:
    """Return the annotations of the alerts that fire, by name, severity and what they are about.

    promtool prints them, because it is asked for alerts that do not exist.
    """
    expected = [{"exp_labels": {"does_not": "exist"}}]
    document = {
        "rule_files": [str(path) for path in files_of(groups, folder)],
        "evaluation_interval": duration(worlds[0].step),
        "group_eval_order": list(groups),
        "tests": [
            {
                "interval": duration(worlds[0].step),
                "input_series": [one for world in worlds for one in world.input_series()],
                "alert_rule_test": [
                    {"eval_time": duration(time), "alertname": name, "exp_alerts": expected}
                    for name in names
                ],
            }
        ],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(document, width=10**9), "utf-8")
    output = finished(find_program("promtool", "prometheus"), "test", "rules", path).stdout

    assert "err:" not in output, output
    return dict(_printed(output))


def _printed(output: str) -> Iterator[tuple[tuple[str, ...], Texts]]:
    for labels, annotations in _PRINTED.findall(output):
        values = _values(labels)
        if "does_not" not in values:
            names = ("alertname", "severity", "organization", "category", "project", "job", "quota")
            yield tuple(filter(None, map(values.get, names))), _values(annotations)


def _values(printed: str) -> dict[str, str]:
    return {name: json.loads(value) for name, value in _VALUE.findall(printed)}


def about(texts: Mapping[tuple[str, ...], Texts], *place: str) -> Texts:
    """Return the texts of the alert about an organization, a category and a project."""
    (only,) = [text for key, text in texts.items() if key[1:] == place]
    return only


START: Final = 2 * HOUR + 8 * MINUTE
"""Between two polls: the one before was at 2:05, of the organization too."""

LIMITED: Final = "SentryEventsRateLimited"


@pytest.mark.slow
class TestLosses:
    """What is said about data that is lost."""

    def test_of_a_project_and_of_its_organization(self, tmp_path: Path) -> None:
        """The share, since when, how much and why, what to do, which projects, and links."""
        spans = [(START, FOREVER)]
        flows = [
            Flow("web", steady(3000)),
            Flow("checkout", during(spans, 12_000, 24_000)),
            Flow("checkout", during(spans, 10_800, 0), "rate_limited", "key_quota"),
            Flow("checkout", during(spans, 1200, 0), "client_discard", "ratelimit_backoff"),
            Flow("checkout", steady(1000), "client_discard", "sample_rate"),
        ]
        world = World(flows, 4 * HOUR, teams={"checkout": "payments"})
        texts = texts_of([world], 3 * HOUR, [LIMITED], tmp_path)

        # 42 minutes until the poll at 2:50, of a share that began three minutes after a poll.
        assert {
            "summary": "acme / checkout: 47 % of error events rate limited since 02:05 UTC"
            " (8,400 lost), reason key_quota",
            "description": "A rate limit of a key (key_quota), a project or the organization drops"
            " data. Fix the client that sends too much, or raise the limit in Sentry.",
            "affected": "Lost most in the last 30 minutes: checkout 5,400",
            "runbook_url": f"{RUNBOOKS}#sentryeventsratelimited",
            "dashboard_url": f"{GRAFANA}/sentry-stats-project?var-organization=acme"
            "&var-project=checkout&var-category=error&var-project_query=projects"
            "&from=now-24h&to=now",
            "sentry_url": f"{SENTRY}/acme/stats/?statsPeriod=24h&dataCategory=errors"
            "&project=checkout",
        } == about(texts, "warning", "acme", "error", "checkout")
        # 52 minutes until the poll at 3:00. At 2:10 the share was still below its threshold.
        assert (
            "acme: 45 % of error events rate limited since 02:10 UTC (10,400 lost),"
            " reason key_quota"
        ) == about(texts, "warning", "acme", "error")["summary"]

    def test_in_each_unit(self, tmp_path: Path) -> None:
        """Bytes are GB, seconds are hours, everything else has its plain name."""
        start = 4 * HOUR
        refused = {"outcome": "rate_limited", "reason": "usage_exceeded"}
        rates = {
            "error": 3e6,
            "span": 360.0,
            "replay": 1200.0,
            "snapshot_image": 600.0,
            "log_byte": 6e9,
            "attachment": 300e6,
            "profile_duration": 36_000.0,
        }
        flows = [
            flow
            for category, rate in rates.items()
            for flow in lost("web", start, rate, category=category, **refused)
        ]
        world = World(flows, 5 * HOUR, step=300)
        texts = texts_of([world], start + 25 * MINUTE, ["SentryQuotaExceeded"], tmp_path)
        said = {
            category: about(texts, "warning", "acme", category, "web")["summary"]
            for category in rates
        }
        form = "acme / web: 100 % of {} over quota since 04:05 UTC ({} lost), reason usage_exceeded"

        assert {
            "error": form.format("error events", "1,000,000"),
            "span": form.format("spans", "120"),
            "replay": form.format("replays", "400"),
            "snapshot_image": form.format("snapshot_image events", "200"),
            "log_byte": form.format("log bytes", "2 GB"),
            "attachment": form.format("attachment bytes", "100 MB"),
            "profile_duration": form.format("profile hours", "3.3 hours"),
        } == said

    def test_names_the_first_five_projects(self, tmp_path: Path) -> None:
        """The projects that lose most, and how many others, of 1, 5, 6 and 300."""
        worlds = [
            World(
                [
                    flow
                    for number in range(1, count + 1)
                    for flow in (
                        Flow(f"p{number}", steady(2000)),
                        Flow(
                            f"p{number}",
                            during([(START, FOREVER)], 20 + 0.06 * number + 100 * (count == 1), 0),
                            "rate_limited",
                            "spike_protection",
                        ),
                    )
                ],
                3 * HOUR,
                step=300,
                organization=f"of-{count}",
            )
            for count in (1, 5, 6, 300)
        ]
        texts = texts_of(worlds, 3 * HOUR, ["SentrySpikeProtectionActive"], tmp_path)
        named = {key[2]: text["affected"].partition(": ")[2] for key, text in texts.items()}

        assert {
            "of-1": "p1 60",
            "of-5": "p5 10, p4 10, p3 10, p2 10, p1 10",
            "of-6": "p6 10, p5 10, p4 10, p3 10, p2 10 and 1 more",
            "of-300": "p300 19, p299 19, p298 19, p297 19, p296 19 and 295 more",
        } == named

    def test_of_many_projects_is_short(self, tmp_path: Path) -> None:
        """Where more than 20 projects have the alert, only the organization's has all details."""
        refused = {"outcome": "rate_limited", "reason": "key_quota"}
        flows = [flow for number in range(21) for flow in lost(f"p{number}", START, 600, **refused)]
        texts = texts_of([World(flows, 3 * HOUR, step=300)], 3 * HOUR, [LIMITED], tmp_path)

        assert (
            "acme / p7: 100 % of error events rate limited in the last 30 minutes"
            == (about(texts, "warning", "acme", "error", "p7")["summary"])
        )
        assert (
            "acme: 100 % of error events rate limited since 02:10 UTC (10,920 lost)"
            in (about(texts, "warning", "acme", "error")["summary"])
        )

    def test_survives_any_name(self, tmp_path: Path) -> None:
        """A name may have quotes, backslashes, and what is special in templates or links."""
        refused = {"outcome": "rate_limited", "reason": quoted(ODD)}
        flows = [Flow("web", steady(10)), *lost(quoted(ODD), START, 6000, **refused)]
        world = World(flows, 4 * HOUR, organization=quoted(ODD))
        texts = texts_of([world], 3 * HOUR, [LIMITED], tmp_path)
        text = about(texts, "warning", ODD, "error", ODD)

        assert (
            f"{ODD} / {ODD}: 93 % of error events rate limited since 02:05 UTC (4,200 lost),"
            f" reason {ODD}"
        ) == text["summary"]
        assert f"Lost most in the last 30 minutes: {ODD} 3,000" == text["affected"]
        assert text["dashboard_url"].startswith(
            f"{GRAFANA}/sentry-stats-project?var-organization={ODD_IN_LINKS}"
            f"&var-project={ODD_IN_LINKS}&var-category=error"
        )
        assert text["sentry_url"].startswith(f"{SENTRY}/{ODD_IN_LINKS}/stats/")

    def test_while_nothing_is_known(self, tmp_path: Path) -> None:
        """While the exporter is down, the alert says since when, and no amount."""
        refused = {"outcome": "rate_limited", "reason": "key_quota"}
        flows = [Flow("web", steady(3000)), *lost("checkout", START, 6000, **refused)]
        world = World(flows, 4 * HOUR, gaps=[(3 * HOUR, FOREVER)])
        texts = texts_of([world], 3.5 * HOUR, [LIMITED], tmp_path)

        assert (
            "acme / checkout: 100 % of error events rate limited since 02:05 UTC"
            == (about(texts, "critical", "acme", "error", "checkout")["summary"])
        )


@pytest.mark.slow
def test_silences_and_volumes(tmp_path: Path) -> None:
    """Since when there is nothing, and how much is usual; how much more than usual there is."""
    start = 30 * HOUR
    spans = [(start, FOREVER)]
    flows = [
        Flow("web", steady(3000)),
        Flow("web", during([(start + HOUR, FOREVER)], 36_000, 0)),
        Flow("api", steady(400)),
        Flow("dead", during(spans, 0, 400)),
        Flow("dead", during(spans, 0, 4e9), category="attachment"),
        Flow("app", during(spans, 0, 200)),
        Flow("app", steady(50), category="replay"),
    ]
    silent = [Flow(project, during(spans, 0, 900)) for project in ("web", "api", "ios")]
    worlds = [
        World(flows, 34 * HOUR, step=300),
        World(silent, 34 * HOUR, step=300, organization="nobody"),
    ]
    names = [
        "SentryAcceptsNothing",
        "SentryCategorySilent",
        "SentryProjectSilent",
        "SentryVolumeFarAboveUsual",
    ]
    texts = texts_of(worlds, 33 * HOUR, names, tmp_path)

    assert {
        ("SentryAcceptsNothing", "critical", "nobody", "error"): "nobody: almost no error events"
        " accepted from any project since 05:55 UTC, usually at least 2,700 an hour",
        ("SentryCategorySilent", "warning", "acme", "error", "app"): "acme / app: almost no error"
        " events since 06:05 UTC, usually at least 200 an hour",
        ("SentryProjectSilent", "critical", "acme", "dead"): "acme / dead: almost nothing since"
        " 06:05 UTC, usually at least 4 GB of attachments and 400 error events an hour",
        ("SentryVolumeFarAboveUsual", "warning", "acme", "error"): "acme: 39,400 error events in"
        " the last hour, far above the usual (at most 4,000)",
        ("SentryVolumeFarAboveUsual", "warning", "acme", "error", "web"): "acme / web: 39,000 error"
        " events in the last hour, far above the usual (at most 3,000)",
    } == {key: text["summary"] for key, text in texts.items()}
    assert "Grown most: web +36,000" == about(texts, "warning", "acme", "error")["affected"]
