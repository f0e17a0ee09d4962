"""PromQL expressions about quotas and their cost. Pure.

All numbers are gauges about the current billing period. Two replicas publish the same series, so
one of them is taken before sums. A replica whose polls fail can still show the period before, so
only those in the newest period count.
"""

from dataclasses import dataclass
from typing import Final

from deploy.grafana.generator.expressions import MEASURES, Labels, once, series
from deploy.grafana.generator.panels import Target
from exporter.publish.families import PROJECT_INFO
from exporter.publish.family import Family
from exporter.publish.quota_families import (
    BUDGET,
    BUDGET_EXHAUSTION,
    BUDGET_PROJECTED,
    BUDGET_SPENT,
    QUOTA_EXHAUSTION,
    QUOTA_INFO,
    QUOTA_LIMIT,
    QUOTA_PERIOD_START,
    QUOTA_PROJECT_USED,
    QUOTA_PROJECTED,
    QUOTA_SUBMITTED,
    QUOTA_USED,
)

PACES: Final = (("week", "last week's pace"), ("day", "the pace of 24 hours"))
"""The values of the label ``pace``, and their names in titles."""

MAX_ROWS: Final = 50
"""Of a table of projects or teams."""

_REMAINDER: Final = 'project=""'
_BUDGETS: Final = frozenset({BUDGET, BUDGET_SPENT, BUDGET_PROJECTED, BUDGET_EXHAUSTION})


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas that matchers select; ``key`` are the labels that distinguish them.

    ``projects`` selects projects where a family has them. ``pinned`` evaluates all at the end of
    the time range in every step of a chart, and ``before`` so much earlier, in PromQL's notation.
    """

    organization: str = ""
    quotas: str = ""
    key: Labels = ("quota",)
    projects: str = ""
    pinned: bool = False
    before: str = ""

    @property
    def on(self) -> str:
        """The clause that matches quotas."""
        return f"on ({', '.join(self.key)})"

    def current(self, family: Family, *labels: str, matchers: str = "") -> str:
        """Return the values in the newest period, by quota and ``labels``."""
        start = self._series(QUOTA_PERIOD_START)
        newest = once(start, "organization", "quota")
        running = f"{start} == on (organization, quota) group_left () {newest}"
        # The budget of all quotas has no quota.
        each = "" if family in _BUDGETS else "quota, "
        chosen = f"{self._series(family, matchers)} and on (organization, {each}job, instance)"
        return once(f"{chosen} ({running})", *self.key, *labels)

    def paced(self, family: Family, pace: str, *labels: str) -> str:
        """Return what is expected at ``pace``."""
        return self.current(family, *labels, matchers=f'pace="{pace}"')

    def limit(self) -> str:
        """Return the limits above 0."""
        return f"({self.current(QUOTA_LIMIT)} > 0)"

    def used_share(self) -> str:
        """Return the share of the limit that is used."""
        return f"{self.current(QUOTA_USED)} / {self.limit()}"

    def expected_share(self, pace: str) -> str:
        """Return the share of the limit that is used at the end of the period."""
        return f"{self.paced(QUOTA_PROJECTED, pace)} / {self.limit()}"

    def exhausted(self, pace: str) -> str:
        """Return when the limit is reached."""
        return self.paced(QUOTA_EXHAUSTION, pace)

    def lost(self) -> str:
        """Return what was rate limited or held back by SDKs, where there is any."""
        return f"({self.current(QUOTA_SUBMITTED)} - {self.current(QUOTA_USED)} > 0)"

    def info(self, *labels: str) -> str:
        """Return 1 for each quota, with labels of its info."""
        described = once(self._series(QUOTA_INFO), *self.key, *labels)
        return f"topk by ({', '.join(self.key)}) (1, {described})"

    def described(self, vector: str, *labels: str) -> str:
        """Return ``vector`` with labels of the info of its quotas."""
        return f"{vector} * {self.on} group_left ({', '.join(labels)}) {self.info(*labels)}"

    def counted_in(self, vector: str, measure: str) -> str:
        """Return those of ``vector`` whose quota has this unit."""
        own = self._series(QUOTA_INFO, f'unit="{measure}"')
        return f"{vector} and {self.on} {own}"

    def measured(self, title: str, vector: str) -> tuple[Target, ...]:
        """Return a column of ``vector`` for each unit."""
        return tuple(
            Target(self.counted_in(vector, each.name), f"{title}{each.title}", each.unit)
            for each in MEASURES
        )

    def of_organization(self, vector: str) -> str:
        """Return those of ``vector`` whose quota counts all projects: no allocation of some.

        Only they have a remainder, which is the use of projects that cannot be read.
        """
        return f"{vector} and {self.on} {self._series(QUOTA_PROJECT_USED, _REMAINDER)}"

    def listed(self) -> str:
        """Return a vector with all projects."""
        return self._series(QUOTA_PROJECT_USED)

    def allotted(self, vector: str) -> str:
        """Return those of ``vector`` whose quota is an allocation of some projects."""
        return f"{vector} unless {self.on} {self._series(QUOTA_PROJECT_USED, _REMAINDER)}"

    def _series(self, family: Family, *matchers: str) -> str:
        # The budget of all quotas is shown whatever quota is chosen.
        quotas = self.quotas.replace('"$quota"', '"$quota|"') if family in _BUDGETS else self.quotas
        projects = self.projects if "project" in family.labels else ""
        selector = series(family, self.organization, quotas, projects, *matchers)
        offset = f" offset {self.before}" if self.before else ""
        return f"{selector}{' @ end()' * self.pinned}{offset}"


def owners(organization: str) -> str:
    """Return 1 for each project of an organization with its team, "" if it has none or several."""
    teams = once(series(PROJECT_INFO, organization), "project", "team")
    return f"topk by (project) (1, {teams})"


def by_team(vector: str, organization: str, listed: str, *by: str) -> str:
    """Return the sum of ``vector``, which is by project, by team and other labels.

    ``listed`` has all of its projects: those that are not in the list of Sentry have no team.
    """
    owner = f"({owners(organization)} or on (project) group by (project) ({listed}))"
    owned = f"{vector} * on (project) group_left (team) {owner}"
    return f"sum by ({', '.join((*by, 'team'))}) ({owned})"


def money(expression: str, title: str) -> Target:
    """Return a column of money, whose currency is a label."""
    return Target(expression, title, "none", decimals=2)
