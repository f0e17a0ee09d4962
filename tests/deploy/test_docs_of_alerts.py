"""The table of docs/alerts.md, compared with the thresholds and the rules."""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from exporter.collect.poll import POLL_INTERVAL
from exporter.collect.poll.plan import PAUSE
from tests.deploy.kit import read_yaml
from tests.deploy.rule_world import RULES
from tests.support.programs import REPOSITORY

TEXT: Final = (REPOSITORY / "docs" / "alerts.md").read_text("utf-8")
RECORDING: Final = (RULES / "recording.yml").read_text("utf-8")
HEADER: Final = "| what happens |"

THRESHOLDS: Final[Mapping[tuple[str, str, str], float]] = {
    (
        rule["record"].rpartition(":")[2],
        rule.get("labels", {}).get("outcome", ""),
        rule.get("labels", {}).get("category", ""),
    ): float(re.fullmatch(r"vector\((.+)\)", rule["expr"])[1])  # type: ignore[index]
    for group in read_yaml(RULES / "thresholds.yml")["groups"]
    for rule in group["rules"]
}
"""The thresholds by name, outcome and category."""

ALERTS: Final[list[dict[str, Any]]] = [
    rule for group in read_yaml(RULES / "alerts.yml")["groups"] for rule in group["rules"]
]
OF_QUOTAS: Final[list[dict[str, Any]]] = [
    rule
    for group in read_yaml(RULES / "quotas.yml")["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
SCRAPE_AND_EVALUATION: Final = 2
"""Minutes until a fault of the exporter is seen."""


def rows() -> list[list[str]]:
    """Return the cells of each row of the first table."""
    return _rows_from(TEXT.index(HEADER))


def rows_about_quotas() -> list[list[str]]:
    """Return the cells of each row of the second table."""
    return _rows_from(TEXT.rindex(HEADER))


def _rows_from(start: int) -> list[list[str]]:
    lines = TEXT[start:].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def threshold(name: str, outcome: str = "", category: str = "") -> float:
    """Return a threshold."""
    return THRESHOLDS[name, outcome, category]


def percent(name: str, outcome: str = "") -> str:
    """Return a threshold as percentage."""
    return f"{100 * threshold(name, outcome):g} %"


def test_shares_are_the_thresholds() -> None:
    """The first cells have the shares and factors of thresholds.yml."""
    warning, critical = ("warning_ratio", "critical_ratio")
    quota = "is dropped because the quota is used up"
    both = {each: f"{percent(warning, each)}, or {percent(critical, each)}," for each in _BOTH}
    factor = f"more than {threshold('growth_factor'):g} times as much as a week ago"
    silent = percent("silence_ratio")
    share = percent("volume_share")
    slack = f"{threshold('slack_seconds') / 60:g} minutes"
    volume = f"more than {threshold('volume_factor'):g} times the usual volume"
    organization = "the organization's usual volume"
    expected = [
        f"more than {percent(warning, 'quota')} {quota}",
        f"more than {percent(critical, 'quota')} {quota}",
        f"more than {both['limit']} by a limit of a key, a project or the organization",
        f"more than {both['abuse']} by abuse or cardinality limits",
        f"spike protection drops more than {percent(warning, 'spike_protection')}",
        f"more than {both['invalid']} is invalid",
        f"more than {percent('growth_ratio', 'invalid')} of a day is invalid, and {factor}",
        f"clients discard more than {percent(warning, 'discarded')}",
        f"clients discard more than {percent('growth_ratio', 'discarded')} of a day, and {factor}",
        f"filters drop more than {percent(warning, 'filtered')}",
        f"a project sends less than {silent} of its usual hour",
        f"a project sends less than {silent} of its usual day",
        f"a project sends less than {silent} of its usual hour, or day, of one category",
        f"less than {silent} of the usual hour of all projects together is accepted",
        f"{volume} of the organization, in an hour",
        f"{volume} of a project, which has also grown by {share} of {organization}",
        f"no poll succeeds for `poll_interval`, `settle` and {slack} together, or for `max_age`",
        f"requests wait for more than {threshold('throttled_seconds') / 60:g} minutes in an hour",
    ]

    assert [] == [each for each in expected if each not in [what for what, *_ in rows()]]


_BOTH: Final = ("limit", "abuse", "invalid")


def test_volumes_are_the_thresholds() -> None:
    """The volumes from which on alerts fire are those of the thresholds and rules."""
    lost = f"{threshold('minimum_quantity'):g} lost in 30 minutes"
    lost_in_a_day = f"{5 * threshold('minimum_quantity'):g} lost in a day"
    hour, day = (threshold(name) for name in ("silence_quantity", "silence_day_quantity"))
    seen = {alert.split("`")[1]: set[str]() for _, alert, *_ in rows() if "`" in alert}
    for _, alert, volume, _ in rows():
        if "`" in alert:
            seen[alert.split("`")[1]].add(volume)
    expected = {
        "SentryQuotaExceeded": {lost},
        "SentryEventsRateLimited": {lost},
        "SentryAbuseLimited": {lost},
        "SentrySpikeProtectionActive": {lost},
        "SentryFiltersDropMost": {lost},
        "SentryInvalidUp": {lost, lost_in_a_day},
        "SentryClientDiscardsUp": {lost, lost_in_a_day},
        "SentryProjectSilent": {f"usually {hour:g} an hour", f"usually {day:g} a day"},
        "SentryCategorySilent": {f"usually {hour:g} an hour, or {day:g} a day"},
        "SentryAcceptsNothing": {f"usually {hour:g} an hour, three projects"},
        "SentryVolumeFarAboveUsual": {f"{threshold('volume_quantity'):g} an hour"},
    }

    assert expected == {name: some for name, some in seen.items() if some != {""}}
    assert {"5 lost in 6 hours"} == {cells[2] for cells in rows() if "less than 960" in cells[0]}
    assert 2 == RECORDING.count("increase1d) < 960)")


def test_units_are_scaled_as_documented() -> None:
    """A million bytes or 36 seconds stand for an event, in every threshold of a category."""
    scales = {"attachment": 1e6, "log_byte": 1e6, "trace_metric_byte": 1e6}
    scales |= {"profile_duration": 36, "profile_duration_ui": 36}
    scaled = {key: value for key, value in THRESHOLDS.items() if key[2]}

    assert "a million bytes count as an event; for profiles in seconds, 36 seconds do." in TEXT
    assert scaled
    assert scaled == {
        (name, outcome, category): THRESHOLDS[name, outcome, ""] * scales[category]
        for name, outcome, category in scaled
    }


def test_every_alert_is_in_the_table() -> None:
    """Every alert has a row with each of its severities."""
    cells = [alert for _, alert, *_ in rows()]
    missing = [
        (rule["alert"], rule["labels"]["severity"])
        for rule in ALERTS
        if not any(
            f"`{rule['alert']}`" in cell and rule["labels"]["severity"] in cell for cell in cells
        )
    ]

    assert [] == missing


def test_times_of_the_exporter_are_those_of_the_rules() -> None:
    """What is seen at once fires after ``for`` and two minutes, for a scrape and an evaluation."""
    at_once = {"SentryStatsExporterDown", "SentryStatsExporterMissing", "SentryStatsShardMissing"}
    at_once |= {"SentryStatsShardMismatch", "SentryStatsQueryStale", "SentryStatsThrottled"}
    at_once |= {"SentryStatsExporterRestarting", "SentryStatsConfigNotReloaded"}
    at_once |= {"SentryStatsWebConfigNotReloaded"}
    waits = {
        rule["alert"]: int(rule.get("for", "0m").removesuffix("m"))
        for rule in ALERTS
        if rule["alert"] in at_once
    }
    times = {
        alert.split("`")[1]: int(re.match(r"\d+", after)[0])  # type: ignore[index]
        for _, alert, _, after in rows()
        if "`" in alert and alert.split("`")[1] in at_once
    }

    assert {name: wait + SCRAPE_AND_EVALUATION for name, wait in waits.items()} == times


def test_shares_of_quotas_are_the_thresholds() -> None:
    """The second table has the shares and the factor of thresholds.yml, and how long it waits."""
    half, nearly, full = (percent(f"quota_{name}_ratio") for name in ("half", "nearly", "full"))
    lasts = "before its period ends"
    factor = f"{threshold('quota_burn_factor'):g} times"
    much = f"the last 24 hours used more than {factor} as much as is usual"
    difference = percent("quota_disagreement_ratio")
    differ = f"the plan and Sentry's stats differ by more than {difference}"
    (waits,) = {rule["for"] for rule in OF_QUOTAS if rule["alert"] == "SentryQuotaPlanDisagrees"}
    expected = [
        f"{half} of a quota is used",
        f"{nearly} of a quota is used",
        f"{full} of a quota is used",
        f"{full} of what is allotted to a team is used",
        f"at the pace of last week, a quota is used up {lasts}",
        f"{much}, and at their pace a quota is used up {lasts}",
        "at the pace of last week, the pay-as-you-go budget is spent before the period ends",
        "the pay-as-you-go budget is spent, and drops begin",
        f"{differ} of what is used, for {waits.removesuffix('h')} hours",
    ]

    assert expected == [cells[0] for cells in rows_about_quotas()]


def test_times_of_quotas_are_those_of_the_rules() -> None:
    """Each alert of quotas.yml has a row, with a poll, a scrape, an evaluation and ``for``."""
    first = POLL_INTERVAL // 60 + SCRAPE_AND_EVALUATION
    expected = []
    for rule in OF_QUOTAS:
        minutes = first + in_minutes(rule["for"])
        if rule["alert"] == "SentryQuotaPlanDisagrees":
            minutes += PAUSE // 60
        name = f"`{rule['alert']}` {rule['labels']['severity']}"
        expected.append((name, f"{minutes} minutes"))

    assert expected == [(cells[1].partition(",")[0], cells[2]) for cells in rows_about_quotas()]


def in_minutes(length: str) -> int:
    """Return a duration of hours or minutes in minutes."""
    return int(length[:-1]) * {"m": 1, "h": 60}[length[-1]]


def test_example_of_a_threshold_is_in_force_for_a_quota() -> None:
    """The rule that is shown names a threshold of quotas, and the labels that select it."""
    (text,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (rule,) = yaml.safe_load(text)["groups"][0]["rules"]
    quotas = (RULES / "quotas.yml").read_text("utf-8")

    assert {"organization", "quota"} == set(rule["labels"])
    assert f'{rule["record"]}{{organization!="", quota!=""}}' in quotas
