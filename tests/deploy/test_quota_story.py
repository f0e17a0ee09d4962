"""A quota runs out: every message, in its order, from real Prometheus and Alertmanager processes.

They run the shipped files, changed only by the overlay. The scenario says what happens: errors
reach their limit on 18 March, spans on 19 March, the budget is spent on 20 March, logs reach their
limit on 22 March, and the next period begins on 29 March.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import pytest

from exporter.simulator import DAY
from tests.deploy.incident_links import LINK, unresolved
from tests.deploy.incident_receiver import Message
from tests.deploy.quota_stage import START, TEAM, Delivered, Scene, Stage, staged

pytestmark = [pytest.mark.slow, pytest.mark.programs]

ENDS: Final = "its period ends on 28 March"
CHAT: Final = "acme-chat"
PAGE: Final = "acme-page"
PAYMENTS: Final = "payments-chat"
CHANNELS: Final = {CHAT: "#acme-sentry", PAGE: "#acme-sentry", PAYMENTS: "#payments-sentry"}

HALF: Final = (
    "Nothing is lost yet. Compare this share with the share of the period that is over. The"
    " dashboard shows when the quota is used up, and which projects use most."
)
NEARLY: Final = (
    "Nothing is lost yet. Reduce what the largest projects send, or raise the limit, before it is"
    " reached."
)
USED_UP: Final = (
    "What exceeds the quota costs pay-as-you-go money. Without a budget, Sentry drops it until the"
    " period ends. If the quota is an allocation of your own, nothing is dropped."
)
ALLOCATION: Final = (
    "The team's projects have used what is allotted to them. Sentry drops nothing because of this,"
    " but what they use now is taken from the volume that all projects share."
)
RUNS_OUT: Final = (
    "Nothing is lost yet. Reduce what the largest projects send, raise the limit, or plan the"
    " budget for what is above it."
)
BUDGET_RUNS_OUT: Final = (
    "Nothing is lost yet. Raise the budget, or reduce the use of the quotas that are above their"
    " limit."
)
BUDGET_SPENT: Final = (
    "Raise the budget, or reduce the use of the quotas that are above their limit. Until the period"
    " ends, each quota drops what exceeds its limit."
)


def message(receiver: str, advice: str, *summaries: str) -> Message:
    """Return the message about alerts of one name."""
    severity, color = ("CRITICAL", "danger") if receiver == PAGE else ("WARNING", "warning")
    first, *others = (f"acme: {one}" for one in summaries)
    title = f"{severity}: {first}" + (f", and {len(others)} more" if others else "")
    listed = "".join(f"• {one}\n" for one in (first, *others) if others)
    return Message(CHANNELS[receiver], color, title, f"{advice}\n{listed}")


def used(share: int, quota: str, team: str = "") -> str:
    """Return the summary of an alert about a share."""
    return f"{share} % of quota {quota} is used{team}, {ENDS}"


def runs_out(quota: str, day: int, team: str = "") -> str:
    """Return the summary of an alert about a day in March."""
    return f"quota {quota} runs out on {day} March at the pace of last week{team}, {ENDS}"


def over(name: str, *quotas: str, receiver: str = CHAT) -> frozenset[Delivered]:
    """Return alerts that end."""
    team = TEAM if receiver == PAYMENTS else ""
    return frozenset(Delivered(receiver, name, each, team) for each in quotas)


class Expected(NamedTuple):
    """What is delivered at a moment, in days from `START` on."""

    days: float
    messages: list[Message]
    over: frozenset[Delivered] = frozenset()

    @property
    def moment(self) -> float:
        """The moment in epoch seconds."""
        return START + self.days * DAY


BY: Final = f" (team {TEAM})"
BUDGET: Final = "the pay-as-you-go budget (45.83 USD)"

STORY: Final[Mapping[str, Expected]] = {
    "29 February": Expected(
        -20,
        [
            message(
                CHAT,
                RUNS_OUT,
                runs_out("errors", 18),
                runs_out("logBytes", 22),
                runs_out("spans", 19),
            ),
            message(PAYMENTS, RUNS_OUT, runs_out("payments", 11, BY)),
            message(
                CHAT,
                BUDGET_RUNS_OUT,
                f"{BUDGET} will be spent on 20 March at the pace of last week, and drops begin",
            ),
        ],
    ),
    "10 March": Expected(
        -10.25,
        [
            message(PAYMENTS, NEARLY, used(95, "payments", BY)),
            message(CHAT, HALF, used(55, "errors"), used(52, "spans")),
        ],
    ),
    "11 March": Expected(
        -9,
        [message(PAYMENTS, ALLOCATION, used(105, "payments", BY))],
        over("SentryQuotaRunsOut", "payments", receiver=PAYMENTS)
        | over("SentryQuotaNearlyUsed", "payments", receiver=PAYMENTS),
    ),
    "16 March": Expected(
        -4.25,
        [
            message(CHAT, NEARLY, used(88, "errors"), used(83, "spans")),
            message(CHAT, HALF, used(70, "logBytes")),
        ],
        over("SentryQuotaHalfUsed", "errors", "spans"),
    ),
    "19 March": Expected(
        -0.5,
        [
            message(CHAT, USED_UP, used(107, "errors"), used(102, "spans")),
            message(CHAT, NEARLY, used(86, "logBytes")),
            message(CHAT, RUNS_OUT, runs_out("logBytes", 22)),
        ],
        over("SentryQuotaNearlyUsed", "errors", "spans")
        | over("SentryQuotaRunsOut", "errors", "spans")
        | over("SentryQuotaHalfUsed", "logBytes"),
    ),
    "21 March": Expected(
        1,
        [
            message(
                PAGE,
                BUDGET_SPENT,
                f"{BUDGET} was spent on 20 March, Sentry drops what exceeds the limits",
            )
        ],
        over("SentryQuotaBudgetRunsOut", ""),
    ),
    "24 March": Expected(
        4,
        [
            message(CHAT, USED_UP, used(110, "errors"), used(100, "logBytes"), used(104, "spans")),
            message(CHAT, HALF, used(53, "attachments"), used(51, "replays")),
        ],
        over("SentryQuotaNearlyUsed", "logBytes") | over("SentryQuotaRunsOut", "logBytes"),
    ),
    "29 March": Expected(
        8.77,
        [],
        over("SentryQuotaUsedUp", "errors", "logBytes", "spans")
        | over("SentryQuotaHalfUsed", "attachments", "replays")
        | over("SentryQuotaBudgetSpent", "", receiver=PAGE)
        | over("SentryQuotaAllocationExceeded", "payments", receiver=PAYMENTS),
    ),
}


class Played(NamedTuple):
    """The stage after the last scene, and all scenes."""

    stage: Stage
    scenes: Mapping[str, Scene]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Run all programs, and play the scenes one after the other."""
    with staged(tmp_path_factory.mktemp("stage")) as stage:
        scenes = {
            day: stage.play(scene.moment, scene.messages, scene.over)
            for day, scene in STORY.items()
        }
        yield Played(stage, scenes)


@pytest.mark.parametrize("day", STORY)
def test_messages_of_a_day(played: Played, day: str) -> None:
    """Exactly these are sent, in full, and no alert ends that is not over."""
    scene = played.scenes[day]

    assert sorted(STORY[day].messages) == sorted(scene.messages)
    assert STORY[day].over == scene.over


def test_warnings_come_days_before(played: Played) -> None:
    """Each alert comes before the next, the first ones when the period has just begun."""
    first: dict[str, float] = {}
    for day, scene in played.scenes.items():
        for one, _ in scene.fired:
            if one.quota in {"errors", ""}:
                first.setdefault(one.name, STORY[day].days)

    assert {
        "SentryQuotaRunsOut": -20,
        "SentryQuotaBudgetRunsOut": -20,
        "SentryQuotaHalfUsed": -10.25,
        "SentryQuotaNearlyUsed": -4.25,
        "SentryQuotaUsedUp": -0.5,
        "SentryQuotaBudgetSpent": 1,
    } == first


def test_only_the_team_gets_what_is_the_teams(played: Played) -> None:
    """Its receiver gets all alerts of its allocation and nothing else, and no other gets them."""
    fired = {one for scene in played.scenes.values() for one, _ in scene.fired}
    everything = fired.union(*(scene.over for scene in played.scenes.values()))

    assert {PAYMENTS} == {one.receiver for one in everything if one.team == TEAM}
    assert {TEAM} == {one.team for one in everything if one.receiver == PAYMENTS}


def test_each_alert_is_one_incident(played: Played) -> None:
    """No alert ends and fires again."""
    began = {each for scene in played.scenes.values() for each in scene.fired}

    assert sorted(one for one, _ in began) == sorted({one for one, _ in began})


def test_the_page(played: Played) -> None:
    """The spent budget is paged once, in full, and resolved with the next period."""
    pages = [page for scene in played.scenes.values() for page in scene.pages]
    trigger, resolve = pages
    summary = f"acme: {BUDGET} was spent on 20 March, Sentry drops what exceeds the limits"
    details, _, _ = trigger["payload"]["custom_details"]["firing"].partition("Dashboard: ")

    assert summary == trigger["payload"]["summary"]
    assert f"{BUDGET_SPENT}\n- {summary}\n" == details
    assert ["trigger", "resolve"] == [page["event_action"] for page in pages]
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert [resolve] == played.scenes["29 March"].pages


def test_links_are_resolved(played: Played) -> None:
    """Runbook, dashboard and Sentry's page are where links lead."""
    texts = [text for scene in played.scenes.values() for text in scene.texts]
    linked = [{name: address for address, name in LINK.findall(text)} for text in texts]
    # What an alert that is over asks for is not there any more.
    checked = {pair for links in linked for pair in links.items() if pair[0] != "Prometheus"}

    assert {("runbook", "dashboard", "Sentry", "Prometheus")} == {tuple(links) for links in linked}
    assert [] == [
        problem
        for name, address in checked
        for problem in unresolved({name: address}, played.stage.prometheus)
    ]


def test_all_is_over_with_the_new_period(played: Played) -> None:
    """No alert about data is left."""
    assert {} == played.stage.active()
