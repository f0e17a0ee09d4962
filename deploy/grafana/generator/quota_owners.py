"""Panels about whose the use of quotas is: projects, teams, and allocations of one's own."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel, VariableModel

from deploy.grafana.generator.expressions import (
    MEASURES,
    Choice,
    Measure,
    Recorded,
    named,
    top_steps,
)
from deploy.grafana.generator.panels import (
    CHANGE,
    SPENT,
    Figure,
    Target,
    bars,
    data_table,
    measured,
    measured_columns,
)
from deploy.grafana.generator.projects import NO_PROJECT, NO_TEAM
from deploy.grafana.generator.quota_series import (
    MAX_ROWS,
    Quotas,
    by_team,
    money,
)
from deploy.grafana.generator.quota_usage import expected
from deploy.grafana.generator.variables import projects_in
from deploy.grafana.generator.volumes import RANGE, STEP
from exporter.publish.quota_families import (
    QUOTA_COST,
    QUOTA_LIMIT,
    QUOTA_PERIOD_START,
    QUOTA_PROJECT_COST,
    QUOTA_PROJECT_USED,
    QUOTA_USED,
)

QUOTA_EXCEEDED: Final[Choice] = (
    'outcome="rate_limited",reason=~".*usage_exceeded|grace_period|.*_disabled"',
)
"""What Sentry drops because a quota is used up; the alerts read the same reasons."""

_DROPPED: Final = "What Sentry dropped because a quota was used up, in any category."

_TOP_USED: Final = "most_used"
_TOP_OF_DAY: Final = "most_used_in_a_day"
_TOP_ALLOTTED: Final = "most_allotted"
_MIN_DAYS: Final = 3
"""How old a period is when its average day says something."""

_PROJECT_LINK: Final = (
    "/d/sentry-stats-project?${datasource:queryparam}&${organization:queryparam}"
    "&${project_query:queryparam}&var-project=${__value.raw:percentencode}&${__url_time_range}"
)
_LINKS: Final = {"project": _PROJECT_LINK}
_REMAINDER: Final = f"'{NO_PROJECT}' stands for deleted and unreadable projects."
_MEMBERS: Final = (
    f"'{NO_TEAM}' has the projects of no team or of several, and deleted and unreadable ones."
)


def hidden(quotas: Quotas) -> list[VariableModel]:
    """Return the variables for the projects that panels are about; each reads all projects once."""
    shares = {
        _TOP_USED: quotas.of_organization(_share(quotas, _used(quotas))),
        _TOP_OF_DAY: quotas.of_organization(_share(quotas, _last_day(quotas))),
        _TOP_ALLOTTED: quotas.allotted(_share(quotas, _used(quotas))),
    }
    return [projects_in(name, f"topk({MAX_ROWS}, {share})") for name, share in shares.items()]


def projects(quotas: Quotas) -> list[Panel]:
    """Return which projects use most of each quota: in the period, and in the last day."""
    return [_of_period(_only(quotas, _TOP_USED)), _of_day(_only(quotas, _TOP_OF_DAY))]


def _only(quotas: Quotas, variable: str) -> Quotas:
    return replace(quotas, projects=f'project=~"${variable}|"')


def _of_period(quotas: Quotas) -> Panel:
    share = quotas.of_organization(_share(quotas, _used(quotas)))
    return _projects(
        "Which projects use most of each quota?",
        "What each project has used since the beginning of the period, its share of the use of "
        f"the quota, and of its cost: the {MAX_ROWS} largest shares.",
        (
            *_measured(quotas, "Used", _used(quotas), share),
            Target(_top(quotas, share), "Share of the quota", "percentunit"),
            money(_top(quotas, f"{_cost(quotas)} > 0", share), "Cost"),
        ),
    )


def _of_day(quotas: Quotas) -> Panel:
    share = quotas.of_organization(_share(quotas, _last_day(quotas)))
    return _projects(
        "Which projects used most in the last 24 hours?",
        "What each project has used in the last 24 hours, or since a period that is younger "
        "began, and how much more that is than on an average day of the period before: the "
        f"{MAX_ROWS} that used the largest share of their quota.",
        (
            *_measured(quotas, "Last 24 hours", _last_day(quotas), share),
            Target(_top(quotas, share), "Share of the quota", "percentunit"),
            _change(quotas, share),
        ),
    )


def _projects(title: str, what: str, targets: tuple[Target, ...], height: int = 12) -> Panel:
    return data_table(
        Figure(
            title,
            f"{what} {_REMAINDER} Click a project to open it.",
            targets,
            height=height,
            links=_LINKS,
            sort="Share of the quota",
            empty="Nobody",
        )
    )


def _used(quotas: Quotas) -> str:
    return quotas.current(QUOTA_PROJECT_USED, "project")


def _last_day(quotas: Quotas) -> str:
    used, before = _used(quotas), _used(replace(quotas, before="1d"))
    # In the first day of a period, less is used than a day before.
    return f"({used} - {before} >= 0 or {used})"


def _change(quotas: Quotas, share: str) -> Target:
    """Return the column of how much more is used than on an average day of the period before."""
    used, day = _used(quotas), _last_day(quotas)
    days = f"((time() - {quotas.current(QUOTA_PERIOD_START)}) / 86400 > {_MIN_DAYS})"
    average = f"(({used} - {day}) / {quotas.on} group_left () ({days} - 1) > 0)"
    change = _top(quotas, f"{day} / {average} - 1", share)
    return Target(change, "Change", "percentunit", thresholds=CHANGE)


def _cost(quotas: Quotas) -> str:
    return quotas.current(QUOTA_PROJECT_COST, "project", "currency")


def _share(quotas: Quotas, used: str) -> str:
    total = quotas.current(QUOTA_USED)
    return f"{used} / {quotas.on} group_left () ({total} > 0) > 0"


def _top(quotas: Quotas, vector: str, share: str = "") -> str:
    """Return ``vector`` where ``share``, by default itself, is largest."""
    largest = f"topk({MAX_ROWS}, {share or vector})"
    labels = ", ".join((*quotas.key, "project"))
    return _named(f"({vector}) and on ({labels}) {largest}" if share else largest)


def _measured(quotas: Quotas, title: str, vector: str, share: str) -> tuple[Target, ...]:
    """Return a column of ``vector`` for each unit, where ``share`` is largest."""
    return tuple(
        replace(target, expression=_top(quotas, target.expression, share))
        for target in quotas.measured(title, f"{vector} > 0")
    )


def teams(quotas: Quotas) -> list[Panel]:
    """Return which teams use most of each quota, one table per unit."""
    kinds = ("events", "bytes", "time")
    return [_teams(quotas, *each) for each in zip(MEASURES, kinds, strict=True)]


def _teams(quotas: Quotas, measure: Measure, kind: str) -> Panel:
    used = f"({quotas.counted_in(_used(quotas), measure.name)})"
    owned = by_team(used, quotas.organization, quotas.listed(), *quotas.key)
    share = f"topk({MAX_ROWS}, {quotas.of_organization(_share(quotas, owned))})"
    by_currency = f"{', '.join(quotas.key)}, currency"
    costs = f"sum by ({by_currency}) ({quotas.current(QUOTA_COST, 'currency', 'kind')})"
    # Amounts are shares of that of the quota: to add up the projects once more would take longer.
    columns = (
        Target(
            f"{share} * {quotas.on} group_left () {quotas.current(QUOTA_USED)}",
            "Used",
            measure.unit,
        ),
        Target(share, "Share of the quota", "percentunit"),
        money(f"{share} * {quotas.on} group_left (currency) ({costs} > 0)", "Cost"),
    )
    return data_table(
        Figure(
            f"Which teams use most of quotas counted in {kind}?",
            "What the projects of each team have used since the beginning of the period, their "
            f"share of the use of the quota, and of its cost: the {MAX_ROWS} largest shares. "
            f"{_MEMBERS}",
            tuple(
                replace(one, expression=named(one.expression, "team", NO_TEAM)) for one in columns
            ),
            width=8,
            height=12,
            sort="Share of the quota",
            empty="Nobody",
        )
    )


def allocations(quotas: Quotas) -> list[Panel]:
    """Return how the allocations of projects and teams are used, and by which projects."""
    return [_allocations(quotas), _of_allocations(_only(quotas, _TOP_ALLOTTED))]


def _of_allocations(quotas: Quotas) -> Panel:
    share = quotas.allotted(_share(quotas, _used(quotas)))
    return _projects(
        "Which projects use most of each allocation?",
        "What each project has used of the quotas that only some projects count for, since "
        "the beginning of the period and in the last 24 hours, and how much more that is than "
        f"on an average day of the period before: the {MAX_ROWS} largest shares.",
        (
            *_measured(quotas, "Used", _used(quotas), share),
            *_measured(quotas, "Last 24 hours", _last_day(quotas), share),
            Target(_top(quotas, share), "Share of the quota", "percentunit"),
            _change(quotas, share),
        ),
        height=8,
    )


def _allocations(quotas: Quotas) -> Panel:
    share = quotas.allotted(quotas.used_share())
    return data_table(
        Figure(
            "Do allocations of projects and teams last?",
            "The quotas of the configuration that only some projects count for (`team`, "
            "`project`): what is used, and what is used beyond the limit. Sentry drops nothing "
            "because of them.",
            (
                Target(
                    quotas.described(f"({share})", "team"), "Used", "percentunit", thresholds=SPENT
                ),
                *(
                    replace(target, expression=quotas.allotted(target.expression))
                    for target in expected(quotas)
                ),
                *quotas.measured("Limit", quotas.allotted(quotas.limit())),
                *quotas.measured("Beyond the limit", quotas.allotted(_excess(quotas))),
            ),
            height=8,
            sort="Used",
            empty="There are no allocations",
        )
    )


def _excess(quotas: Quotas) -> str:
    return f"({quotas.current(QUOTA_USED)} - {quotas.current(QUOTA_LIMIT)} > 0)"


def lost(source: Recorded, organization: str) -> list[Panel]:
    """Return what was dropped because a quota was used up: when, and whose it was."""
    when = "When was data dropped because a quota was used up, by"
    who = "lost most because a quota was used up?"
    sums = partial(source.over_range, choice=QUOTA_EXCEEDED, by=("category", "project"))

    def of_teams(measure: str) -> str:
        return by_team(sums(measure), organization, sums(measure), "category")

    return [
        _drops(source, f"{when} category?", "category"),
        _drops(source, f"{when} project?", "category", "project"),
        _losers(f"Which projects {who}", _REMAINDER, sums, "project", NO_PROJECT, _LINKS),
        _losers(f"Which teams {who}", _MEMBERS, of_teams, "team", NO_TEAM),
    ]


def _drops(source: Recorded, title: str, *by: str) -> Panel:
    def build(measure: str) -> str:
        return _named(top_steps(source, measure, QUOTA_EXCEEDED, *by))

    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    what = f"{_DROPPED} The ten largest. {STEP}"
    return bars(Figure(title, what, measured(build, legend), empty="Nothing was dropped"))


def _losers(
    title: str,
    about: str,
    build: Callable[[str], str],
    label: str,
    nobody: str,
    links: Mapping[str, str] = MappingProxyType({}),
) -> Panel:
    def largest_of(measure: str) -> str:
        return named(f"topk({MAX_ROWS}, {build(measure)} > 0)", label, nobody)

    return data_table(
        Figure(
            title,
            f"{_DROPPED} The {MAX_ROWS} largest. {about} {RANGE}",
            measured_columns([("Dropped", largest_of)]),
            links=links,
            sort="Dropped",
            empty="Nobody",
        )
    )


def _named(vector: str) -> str:
    return named(vector, "project", NO_PROJECT)
