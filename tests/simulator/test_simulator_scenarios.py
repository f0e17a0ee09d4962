"""The prepared worlds: the demo with its scenarios, and organizations of any size."""

from collections import Counter
from urllib.parse import urlencode

import pytest

from exporter.categories import KNOWN_CATEGORIES, OUTCOMES
from exporter.simulator import (
    DEMO_TOKENS,
    SCALE_TOKEN,
    SCALE_USER_TOKEN,
    SCENARIOS,
    ProjectStatus,
    Scenario,
    World,
    demo_world,
    scale_world,
    scenario_faults,
)
from exporter.simulator.application import Application
from exporter.simulator.limited import LimitedTraffic
from exporter.simulator.messages import Answer, Request
from tests.support.clock import Clock

HOUR = 3600
DAY = 24 * HOUR
NOW = 1_790_000_000 // DAY * DAY + 12 * HOUR
LATER = NOW + 2 * DAY
ACME, GLOBEX = 1, 2


def per_hour(
    world: World,
    *,
    organization: int = ACME,
    project: int,
    outcome: str,
    reason: str | None = None,
) -> list[int]:
    """Return a project's final errors in each of the hours around ``NOW``."""
    return [
        sum(
            world.store.totals(
                organization,
                hour,
                hour + HOUR,
                at=LATER,
                category=["error"],
                outcome=[outcome],
                reason=[reason] if reason else None,
                project=[project],
            ).values()
        )
        for hour in (NOW - HOUR, NOW, NOW + HOUR)
    ]


def acme_project(world: World, slug: str) -> int:
    """Return the id of a project of acme."""
    return next(each.id for each in world.projects(ACME) if each.slug == slug)


def test_the_demo_has_two_organizations_of_different_size() -> None:
    """The projects of both have ids of 16 digits and unique slugs."""
    world = demo_world(NOW)
    counts = {each.slug: len(world.active_projects(each.id)) for each in world.organizations()}
    projects = [*world.projects(ACME), *world.projects(GLOBEX)]

    assert counts == {"acme": 12, "globex": 150}
    assert all(len(str(each.id)) == 16 for each in projects)
    assert max(Counter((each.organization, each.slug) for each in projects).values()) == 1


@pytest.mark.parametrize("organization", [ACME, GLOBEX])
def test_projects_have_up_to_two_teams(organization: int) -> None:
    """There are projects with none, one and two teams, and fewer teams than projects."""
    projects = demo_world(NOW).active_projects(organization)
    teams = {team for project in projects for team in project.teams}

    assert {0, 1, 2} == {len(project.teams) for project in projects}
    assert 1 < len(teams) < len(projects) / 2 + 1


@pytest.mark.parametrize("projects", [0, 1, 400])
def test_the_number_of_globex_projects(projects: int) -> None:
    """The second organization may have no projects, or more than there are names."""
    world = demo_world(NOW, projects=projects)
    slugs = {each.slug for each in world.active_projects(GLOBEX)}
    world.store.totals(GLOBEX, NOW - HOUR, NOW, at=NOW)

    assert projects == len(slugs)


def test_the_history_uses_sentrys_names() -> None:
    """A day has every category and outcome of interest, with Sentry's names."""
    totals = demo_world(NOW).store.totals(ACME, NOW - DAY, NOW, at=NOW)
    categories, outcomes = {key[1] for key in totals}, {key[2] for key in totals}

    assert categories <= set(KNOWN_CATEGORIES)
    assert {"error", "transaction", "span", "attachment", "log_byte", "profile_duration"} <= (
        categories
    )
    assert outcomes <= set(OUTCOMES)
    assert {"accepted", "filtered", "rate_limited", "invalid", "client_discard"} == outcomes


def test_a_deleted_project_is_still_counted() -> None:
    """The organization total includes the events of a project that is not listed."""
    world = demo_world(NOW)
    deleted = next(each for each in world.projects(ACME) if each.status is ProjectStatus.DELETED)
    totals = world.store.totals(ACME, NOW - DAY, NOW, at=NOW, group_by=["project"])

    assert totals[deleted.id,] > 0
    assert deleted.id not in {each.id for each in world.active_projects(ACME)}


def test_every_day_has_an_hour_of_rate_limiting() -> None:
    """Errors are rate limited in about one hour of a day."""
    store = demo_world(NOW).store
    limited = [
        hour
        for hour in range(NOW - DAY, NOW, HOUR)
        if store.totals(
            ACME, hour, hour + HOUR, at=LATER, category=["error"], outcome=["rate_limited"]
        )
    ]

    assert 1 <= len(limited) <= 3


def test_incident_scenario() -> None:
    """In the incident, checkout has more errors and is then rate limited, and ios stops."""
    calm, incident = demo_world(NOW), demo_world(NOW, scenario="incident")
    checkout, ios = acme_project(calm, "checkout"), acme_project(calm, "ios")
    usual = per_hour(calm, project=checkout, outcome="accepted")
    broken = per_hour(incident, project=checkout, outcome="accepted")
    limited = per_hour(incident, project=checkout, outcome="rate_limited")
    silent = per_hour(incident, project=ios, outcome="accepted")

    assert usual[0] == broken[0]
    assert broken[1] > 3 * usual[1]
    assert 0 == limited[0] < limited[1]
    assert silent[0] > silent[1] > silent[2] == 0


def test_quota_scenario() -> None:
    """In the quota scenario, errors are rate limited as soon as the budget is spent."""
    calm, quota = demo_world(NOW), demo_world(NOW, scenario="quota")
    web = acme_project(calm, "web")
    usual = per_hour(calm, project=web, outcome="accepted")
    accepted = per_hour(quota, project=web, outcome="accepted")
    limited = per_hour(quota, project=web, outcome="rate_limited", reason="error_usage_exceeded")
    backoff = per_hour(quota, project=web, outcome="client_discard", reason="ratelimit_backoff")

    assert usual[0] == accepted[0]
    assert 0 < accepted[1] < usual[1] * 0.1
    assert 0 == accepted[2]
    assert usual[2] == limited[2] + backoff[2]


def test_the_quota_scenario_is_a_story() -> None:
    """Errors and spans exceed their volumes, the budget is spent, logs are the last drop."""
    world = demo_world(NOW, scenario="quota")
    subscription, traffic = world.subscription(ACME), world.store.traffic(ACME)
    assert subscription
    assert isinstance(traffic, LimitedTraffic)

    plan, period = subscription.plan(NOW), subscription.plan(NOW).period(NOW)
    drops = {key: (end - NOW) / HOUR for key, end in traffic.drops(NOW).items()}
    used = {
        moment: world.store.totals(
            ACME,
            period.start,
            NOW + moment,
            at=LATER,
            group_by=["category"],
            outcome=["accepted"],
        )
        for moment in (-2 * DAY, -DAY)
    }

    assert plan.categories["errors"].prepaid == pytest.approx(used[-2 * DAY]["error",], abs=100)
    assert plan.categories["spans"].prepaid == pytest.approx(used[-DAY]["span",], rel=0.001)
    assert {"errors", "spans", "profileDuration", "logBytes"} == drops.keys()
    assert 0.05 == pytest.approx(drops["errors"], abs=0.02)
    assert drops["errors"] == drops["spans"]
    assert 48 <= drops["logBytes"] < 7 * 24


def test_the_usual_plan_is_never_used_up() -> None:
    """In the other scenarios nothing would be dropped, had the plan a say in it."""
    world = demo_world(NOW)
    subscription, traffic = world.subscription(ACME), world.store.traffic(ACME)
    assert subscription
    assert traffic

    assert {} == LimitedTraffic(traffic, subscription).drops(NOW)
    assert {} == LimitedTraffic(traffic, subscription).drops(NOW - 31 * DAY)


def test_the_quota_scenario_ends_with_the_period() -> None:
    """In the next period everything is accepted."""
    world = demo_world(NOW, scenario="quota")
    subscription, traffic = world.subscription(ACME), world.store.traffic(ACME)
    assert subscription
    assert isinstance(traffic, LimitedTraffic)

    assert {} == traffic.drops(subscription.plan(NOW).period(NOW).end)


LIMITS = {
    "quota": ("web", "error_usage_exceeded", 0.0),
    "key-limit": ("checkout", "key_quota", 0.1),
    "project-limit": ("checkout", "project_quota", 0.1),
    "spike-protection": ("checkout", "spike_protection", 1.0),
}
"""A limited project, the reason and the accepted part of the usual traffic, by scenario."""


@pytest.mark.parametrize("scenario", LIMITS)
def test_a_limit_drops_events_for_its_reason(scenario: Scenario) -> None:
    """A scenario of rate limiting lets in the part that it says, and drops more than that."""
    slug, reason, part = LIMITS[scenario]
    calm, limited = demo_world(NOW), demo_world(NOW, scenario=scenario)
    project = acme_project(calm, slug)
    usual = per_hour(calm, project=project, outcome="accepted")[2]
    accepted = per_hour(limited, project=project, outcome="accepted")[2]
    before, _, dropped = per_hour(limited, project=project, outcome="rate_limited", reason=reason)

    assert pytest.approx(part * usual, rel=0.02, abs=2) == accepted
    assert 0 == before
    assert dropped > max(usual / 2, accepted)


@pytest.mark.parametrize("scenario", ["quota", "incident"])
def test_other_projects_are_limited_only_by_the_quota(scenario: Scenario) -> None:
    """The quota concerns every project, deleted ones too, a limit of a key only its own."""
    world = demo_world(NOW, scenario=scenario)
    limited = world.store.totals(
        ACME,
        NOW,
        NOW + HOUR,
        at=LATER,
        group_by=["project"],
        category=["error"],
        outcome=["rate_limited"],
    )

    assert (13 if scenario == "quota" else 1) == len(limited)


@pytest.mark.parametrize(
    ("scenario", "slug"),
    [
        ("incident", "checkout"),
        ("quota", "web"),
        ("quota", "api"),
        ("quota", "android"),
        ("key-limit", "checkout"),
        ("project-limit", "checkout"),
        ("spike-protection", "checkout"),
    ],
)
def test_sdks_discard_events_while_rate_limited(scenario: Scenario, slug: str) -> None:
    """A scenario with rate limiting has more events discarded with ``ratelimit_backoff``."""
    calm, limited = demo_world(NOW), demo_world(NOW, scenario=scenario)
    project = acme_project(calm, slug)

    def backoff(world: World) -> list[int]:
        return per_hour(
            world, project=project, outcome="client_discard", reason="ratelimit_backoff"
        )

    usual, more = backoff(calm), backoff(limited)

    assert usual[0] == more[0]
    assert usual[1] < more[1]


def test_sdks_discard_events_in_no_other_hour() -> None:
    """Events are discarded with ``ratelimit_backoff`` only while their project is limited."""
    store = demo_world(NOW).store
    mobile = {acme_project(demo_world(NOW), slug) for slug in ("ios", "android")}

    def present(outcome: str, reason: str | None = None) -> set[tuple[int | str, ...]]:
        return {
            (hour, *key)
            for hour in range(NOW - 3 * DAY, NOW, HOUR)
            for key in store.totals(
                ACME,
                hour,
                hour + HOUR,
                at=LATER,
                group_by=["project"],
                category=["error"],
                outcome=[outcome],
                reason=[reason] if reason else None,
            )
            if key[0] not in mobile
        }

    backoff = present("client_discard", "ratelimit_backoff")

    assert backoff
    assert backoff <= present("rate_limited")


def test_silence_scenario() -> None:
    """In the silence scenario, checkout sends nothing, of any outcome."""
    world = demo_world(NOW, scenario="silence")
    rows = world.store.totals(ACME, NOW + HOUR, NOW + 2 * HOUR, at=LATER, group_by=["project"])

    assert (acme_project(world, "checkout"),) not in rows
    assert len(rows) == 12


def test_filter_scenario() -> None:
    """An inbound filter drops more than 99 % of what a project sends, which is as much as usual."""
    calm, filtering = demo_world(NOW), demo_world(NOW, scenario="filter")
    checkout = acme_project(calm, "checkout")
    usual = per_hour(calm, project=checkout, outcome="accepted")[2]
    accepted = per_hour(filtering, project=checkout, outcome="accepted")[2]
    filtered = per_hour(filtering, project=checkout, outcome="filtered", reason="error-message")[2]

    assert accepted < 0.01 * filtered
    assert pytest.approx(usual, rel=0.5) == filtered


@pytest.mark.parametrize("organization", [ACME, GLOBEX])
def test_accepts_nothing_scenario(organization: int) -> None:
    """Nothing is accepted from any project, and the other outcomes are as usual."""
    calm, dead = demo_world(NOW), demo_world(NOW, scenario="accepts-nothing")

    def outcomes(world: World) -> dict[tuple[str | int, ...], int]:
        hour = (NOW + HOUR, NOW + 2 * HOUR)
        return world.store.totals(organization, *hour, at=LATER, group_by=["outcome"])

    usual = outcomes(calm)
    del usual["accepted",]

    assert usual == outcomes(dead)


@pytest.mark.parametrize(
    ("scenario", "statuses"),
    [
        ("api-down", {"acme": 503, "globex": 503}),
        ("token-revoked", {"acme": 401, "globex": 200}),
        ("silence", {"acme": 200, "globex": 200}),
    ],
)
@pytest.mark.parametrize("endpoint", ["stats_v2", "projects"])
def test_the_exporter_cannot_know(
    scenario: Scenario, statuses: dict[str, int], endpoint: str
) -> None:
    """The API fails from three minutes after the start on, for a day."""
    clock = Clock(NOW + 180.0 - 1)
    application = Application(demo_world(NOW, scenario=scenario), clock, lambda _: None)
    for fault in scenario_faults(scenario, NOW):
        application.faults.add(fault)

    def status(organization: str) -> int:
        query = urlencode({"field": "sum(quantity)", "category": "error", "statsPeriod": "1d"})
        path = f"/api/0/organizations/{organization}/{endpoint}/"
        headers = {"authorization": f"Bearer {DEMO_TOKENS[organization]}"}
        return application.reply(Request("GET", path, query, headers)).answer.status

    before = {each: status(each) for each in statuses}
    clock.now += 1
    during = {each: status(each) for each in statuses}
    clock.now += DAY
    afterwards = {each: status(each) for each in statuses}

    assert {"acme": 200, "globex": 200} == before == afterwards
    assert statuses == during


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenarios_do_not_change_the_past(scenario: Scenario) -> None:
    """The sums of the past are the same in every scenario."""
    day = (ACME, NOW - DAY, NOW)

    assert demo_world(NOW).store.totals(*day, at=NOW) == (
        demo_world(NOW, scenario=scenario).store.totals(*day, at=NOW)
    )


@pytest.mark.parametrize(
    ("token", "organization", "status"),
    [
        (DEMO_TOKENS["acme"], "acme", 200),
        (DEMO_TOKENS["acme"], "globex", 403),
        (DEMO_TOKENS["globex"], "globex", 200),
        (DEMO_TOKENS["both"], "acme", 200),
        (DEMO_TOKENS["both"], "globex", 200),
        (DEMO_TOKENS["useless"], "acme", 403),
        (SCALE_TOKEN, "acme", 401),
    ],
)
def test_demo_tokens(token: str, organization: str, status: int) -> None:
    """There is a token for each organization, one for both, and one for neither."""
    application = Application(demo_world(NOW), lambda: float(NOW), lambda _: None)
    path = f"/api/0/organizations/{organization}/stats_v2/"
    query = urlencode({"field": "sum(quantity)", "category": "error", "statsPeriod": "1d"})
    request = Request("GET", path, query, {"authorization": f"Bearer {token}"})

    assert status == application.reply(request).answer.status


@pytest.mark.parametrize("rows", [1, 20, 40])
def test_the_rows_per_hour(rows: int) -> None:
    """Every hour has the given number of rows per project."""
    store = scale_world(30, rows).store

    for hour in (NOW - HOUR, NOW - 2 * HOUR):
        assert 30 * rows == len(store.totals(1, hour, hour + HOUR, at=LATER))


def get_scale(world: World, endpoint: str, token: str, **parameters: str) -> Answer:
    """Return an endpoint's answer about the organization ``scale``."""
    application = Application(world, lambda: float(NOW), lambda _: None, rate_limit=None)
    path = f"/api/0/organizations/scale/{endpoint}/"
    headers = {"authorization": f"Bearer {token}"}
    request = Request("GET", path, urlencode(parameters), headers)
    return application.reply(request).answer


def readable(world: World, token: str) -> set[int]:
    """Return the projects for which a token gets groups in the last finished hour."""
    hour = {"start": str(NOW - HOUR), "end": str(NOW), "interval": "1h"}
    query = {"field": "sum(quantity)", "category": "error", "groupBy": "project", **hour}
    groups = get_scale(world, "stats_v2", token, **query).document()["groups"]
    return {group["by"]["project"] for group in groups}


def test_a_share_of_the_projects_is_deleted() -> None:
    """Deleted projects are not listed, but their rows are counted."""
    world = scale_world(200, 2, deleted=0.05)
    counted = world.store.totals(1, NOW - HOUR, NOW, at=LATER, group_by=["project"])
    listed = get_scale(world, "projects", SCALE_TOKEN, all_projects="1").document()

    assert 190 == len(listed)
    assert 200 == len(counted)
    assert {int(each["id"]) for each in listed} == readable(world, SCALE_TOKEN)


def test_a_share_of_the_projects_is_hidden_from_a_user() -> None:
    """Hidden projects are readable for an integration, but not for the user."""
    world = scale_world(200, 2, deleted=0.05, hidden=0.1)
    listed = get_scale(world, "projects", SCALE_USER_TOKEN, all_projects="1").document()
    accessible = {int(each["id"]) for each in listed if each["hasAccess"]}

    assert (190, 170) == (len(listed), len(accessible))
    assert accessible == readable(world, SCALE_USER_TOKEN)
    assert 190 == len(readable(world, SCALE_TOKEN))


def test_membership_can_be_closed_without_hidden_projects() -> None:
    """Without Open Membership, the list marks nothing as accessible for an integration."""
    worlds = scale_world(5, 2), scale_world(5, 2, open_membership=False)
    flags = [
        {each["hasAccess"] for each in get_scale(world, "projects", SCALE_TOKEN).document()}
        for world in worlds
    ]

    assert [{True}, {False}] == flags
    assert readable(worlds[1], SCALE_USER_TOKEN) == readable(worlds[1], SCALE_TOKEN)


def test_shares_do_not_change_the_numbers() -> None:
    """The sums are the same with and without deleted and hidden projects."""
    hour = (1, NOW - HOUR, NOW)
    plain, other = scale_world(50, 3), scale_world(50, 3, deleted=0.1, hidden=0.1)

    assert plain.store.totals(*hour, at=NOW) == other.store.totals(*hour, at=NOW)


def test_shares_above_one_are_refused() -> None:
    """No project is both deleted and hidden, so that the shares cannot exceed 1."""
    with pytest.raises(ValueError, match="larger than population"):
        scale_world(10, deleted=0.6, hidden=0.6)


def test_too_many_rows_are_refused() -> None:
    """There are at most 40 combinations of labels per project."""
    with pytest.raises(ValueError, match="at most 40 rows"):
        scale_world(1, 41)
