"""The variables at the top of the dashboards; each restricts the values of the next."""

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import (
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.generator.panels import DATASOURCE


def datasource() -> VariableModel:
    """Return the variable for a Prometheus data source."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus").build()


def choice(name: str, title: str, selector: str, label: str | None = None) -> VariableModel:
    """Return a variable for one value of ``label``, by default ``name``."""
    return _from_labels(name, title, selector, label or name).build()


def choices(name: str, title: str, selector: str, label: str | None = None) -> VariableModel:
    """Return a variable for several values or all; all includes series without the label."""
    variable = _from_labels(name, title, selector, label or name)
    variable.current(VariableOption(text="All", value="$__all"))
    return variable.multi(True).include_all(True).all_value(".*").build()  # noqa: FBT003 - the builder's way


def _from_labels(name: str, title: str, selector: str, label: str) -> QueryVariable:
    query = f"label_values({selector}, {label})"
    variable = QueryVariable(name).label(title).datasource(DATASOURCE)
    variable.query({"query": query, "refId": f"variable-{name}"})
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.sort(VariableSort.ALPHABETICAL_ASC)
