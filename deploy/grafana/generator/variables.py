"""The variables at the top of the dashboards; each restricts the values of the next.

Organizations, queries and projects come from the ``_info`` families, which the exporter publishes
before the first poll has brought any data.
"""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.generator.expressions import ALL_PROJECTS, TARGETS
from deploy.grafana.generator.panels import DATASOURCE
from exporter.publish.families import BUILD_INFO, PROJECT_INFO, QUERY_INFO
from exporter.publish.quota_families import QUOTA_INFO

HOURLY: Final = 'interval="1h",field=~"(.+,)?sum[(]quantity[)](,.+)?"'
"""Matchers of the queries that the dashboards can show."""

BY_PROJECT: Final = 'group_by=~"(.+,)?project(,.+)?"'
NOT_BY_PROJECT: Final = 'group_by!~"(.+,)?project(,.+)?"'

_QUANTITIES: Final = "sentry_stats_bucket_(events|bytes|seconds)"


def targets() -> tuple[VariableModel, ...]:
    """Return the variables of the data source, and of what Prometheus scrapes there."""
    return (
        DatasourceVariable("datasource").label("Data source").type("prometheus").build(),
        _choices("job", "Job", BUILD_INFO.name, ".+"),
        _choices("instance", "Instance", f'{BUILD_INFO.name}{{job=~"$job"}}', ".+"),
    )


def organization() -> VariableModel:
    """Return the variable for one organization."""
    return _choice("organization", "Organization", _info(HOURLY))


def organizations() -> VariableModel:
    """Return the variable for several organizations or all."""
    return _choices("organizations", "Organization", _info(), ".*", "organization")


def billed_organization() -> VariableModel:
    """Return the variable for one organization with quotas."""
    return _choice("organization", "Organization", f"{QUOTA_INFO.name}{{{TARGETS}}}")


def quota(organization: str) -> VariableModel:
    """Return the variable for several quotas of an organization or all."""
    return _choices("quota", "Quota", f"{QUOTA_INFO.name}{{{TARGETS},{organization}}}", ".+")


def query(*matchers: str) -> VariableModel:
    """Return the variable for a query that is not by project."""
    selector = _info(HOURLY, NOT_BY_PROJECT, *matchers)
    return _choice("query", "Query", selector, default="outcomes")


def project_query(organization: str) -> VariableModel:
    """Return the variable for a query by project."""
    selector = _info(HOURLY, BY_PROJECT, organization)
    return _choice("project_query", "Query by project", selector, "query", default="projects")


def category(*matchers: str) -> VariableModel:
    """Return the variable for a category of any unit."""
    selector = ",".join((f'__name__=~"{_QUANTITIES}"', TARGETS, *matchers))
    return _choice("category", "Category", f"{{{selector}}}", default="error")


def project(*matchers: str) -> VariableModel:
    """Return the variable for projects; all includes deleted and unreadable ones."""
    selector = f"{PROJECT_INFO.name}{{{','.join((TARGETS, *matchers))}}}"
    return _choices("project", "Project", selector, ALL_PROJECTS)


def projects_in(name: str, expression: str) -> VariableModel:
    """Return a hidden variable: the projects that ``expression`` returns.

    Panels about the largest of thousands of projects then read no others.
    """
    variable = _queried(name, name, f"query_result({expression})")
    variable.regex('/project="([^"]+)"/').hide(VariableHide.HIDE_VARIABLE)
    variable.current(VariableOption(text="All", value="$__all"))
    return variable.multi(True).include_all(True).build()  # noqa: FBT003 - the builder's way


def _info(*matchers: str) -> str:
    return f"{QUERY_INFO.name}{{{','.join((TARGETS, *matchers))}}}"


def _choice(
    name: str, title: str, selector: str, label: str | None = None, default: str = ""
) -> VariableModel:
    """Return a variable for one value of ``label``, by default ``name``."""
    variable = _from_labels(name, title, selector, label or name)
    if default:
        variable.current(VariableOption(text=default, value=default))
    return variable.build()


def _choices(
    name: str, title: str, selector: str, everything: str, label: str | None = None
) -> VariableModel:
    """Return a variable for several values or all, which is the regular expression given."""
    variable = _from_labels(name, title, selector, label or name)
    variable.current(VariableOption(text="All", value="$__all"))
    return variable.multi(True).include_all(True).all_value(everything).build()  # noqa: FBT003 - the builder's way


def _from_labels(name: str, title: str, selector: str, label: str) -> QueryVariable:
    return _queried(name, title, f"label_values({selector}, {label})")


def _queried(name: str, title: str, query: str) -> QueryVariable:
    variable = QueryVariable(name).label(title).datasource(DATASOURCE)
    variable.query({"query": query, "refId": f"variable-{name}"})
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.sort(VariableSort.ALPHABETICAL_ASC)
