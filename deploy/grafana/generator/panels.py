"""The kinds of panels, each with its display options. All functions return built panels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    GridPos,
    MatcherConfig,
    Panel,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.generator.descriptions import described

DATASOURCE: Final = DataSourceRef("prometheus", "${datasource}")

HOUR: Final = "1h"
"""The shortest step of a chart of buckets: Sentry's stats are hourly."""

_COLORS: Final = {
    "accepted": "green",
    "filtered": "blue",
    "rate_limited": "orange",
    "invalid": "red",
    "abuse": "dark-red",
    "client_discard": "purple",
    "cardinality_limited": "yellow",
}


@dataclass(frozen=True, slots=True)
class Target:
    """An expression, and the legend of its series or the title of its column.

    ``unit`` and ``mappings`` apply to tables only, where they can differ by column.
    """

    expression: str
    legend: str = ""
    unit: str = "short"
    mappings: tuple[ValueMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """The content of a panel. ``what`` begins its description; sizes are in grid cells."""

    title: str
    what: str
    targets: Sequence[Target]
    unit: str = "short"
    width: int = 12
    height: int = 8
    links: Mapping[str, str] = field(default_factory=dict)


def state(one: tuple[str, str], zero: tuple[str, str]) -> ValueMapping:
    """Return the mapping of the values 1 and 0, each to a text and a color."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=color)
            for value, (text, color) in (("1", one), ("0", zero))
        }
    )


YES: Final = state(("yes", "green"), ("no", "red"))


def number(figure: Figure) -> Panel:
    """Return one number for each series, as of the end of the time range."""
    panel = stat.Panel().unit(figure.unit).graph_mode(common_models.BigValueGraphMode.NONE)
    panel.color_mode(common_models.BigValueColorMode.NONE).reduce_options(_last())
    return _completed(panel.build(), figure, PromQueryFormat.TIME_SERIES, instant=True)


def ranking(figure: Figure) -> Panel:
    """Return a horizontal bar for each series, as of the end of the time range."""
    panel = bargauge.Panel().unit(figure.unit).min(0).reduce_options(_last())
    panel.orientation(common_models.VizOrientation.HORIZONTAL)
    panel.display_mode(common_models.BarGaugeDisplayMode.BASIC)
    built = panel.overrides([]).build()
    built.field_config.overrides = _outcome_colors()
    return _completed(built, figure, PromQueryFormat.TIME_SERIES, instant=True)


def bars(figure: Figure) -> Panel:
    """Return stacked bars, one for each hour or longer step."""
    panel = _chart(figure).draw_style(common_models.GraphDrawStyle.BARS)
    stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    panel.stacking(stacking).fill_opacity(70).line_width(0).interval(HOUR)
    return _charted(panel, figure)


def lines(figure: Figure) -> Panel:
    """Return a line for each series."""
    return _charted(_chart(figure).line_width(1).fill_opacity(5), figure)


def steps(figure: Figure) -> Panel:
    """Return a step line for each series: constant between two points."""
    panel = _chart(figure).line_interpolation(common_models.LineInterpolation.STEP_AFTER)
    return _charted(panel.line_width(1).interval(HOUR), figure)


def states(figure: Figure, mapping: ValueMapping) -> Panel:
    """Return a band for each series, colored by state."""
    panel = statetimeline.Panel().mappings([mapping]).unit(figure.unit)
    panel.show_value(common_models.VisibilityMode.NEVER).row_height(0.8)
    return _completed(panel.build(), figure, PromQueryFormat.TIME_SERIES, instant=False)


def data_table(figure: Figure) -> Panel:
    """Return a table with a column for each target; ``links`` has addresses by column."""
    panel = table.Panel().unit(figure.unit).with_transformation(DataTransformerConfig("merge"))
    panel.with_transformation(_named_columns(figure.targets))
    built = panel.build()
    built.field_config.overrides = [
        *(_column(target) for target in figure.targets),
        *(_linked(column, url) for column, url in figure.links.items()),
    ]
    return _completed(built, figure, PromQueryFormat.TABLE, instant=True)


def _chart(figure: Figure) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True)  # noqa: FBT003 - the builder's way
    legend.display_mode(common_models.LegendDisplayMode.LIST)
    legend.placement(common_models.LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    tooltip.sort(common_models.SortOrder.DESCENDING)
    panel = timeseries.Panel().unit(figure.unit).legend(legend).tooltip(tooltip).min(0)
    return panel.show_points(common_models.VisibilityMode.NEVER)


def _charted(panel: timeseries.Panel, figure: Figure) -> Panel:
    built = panel.overrides([]).build()
    built.field_config.overrides = _outcome_colors()
    return _completed(built, figure, PromQueryFormat.TIME_SERIES, instant=False)


def _completed(
    panel: Panel, figure: Figure, result_format: PromQueryFormat, *, instant: bool
) -> Panel:
    """Return ``panel`` with the fields that all kinds have."""
    panel.title = figure.title
    panel.description = described(figure.what, [target.expression for target in figure.targets])
    panel.datasource = DATASOURCE
    panel.grid_pos = GridPos(h=figure.height, w=figure.width)
    panel.targets = [
        _dataquery(target, result_format, instant=instant).ref_id(letter).build()
        for letter, target in _lettered(figure.targets)
    ]
    return panel


def _dataquery(
    target: Target, result_format: PromQueryFormat, *, instant: bool
) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(target.expression).legend_format(target.legend)
    query.datasource(DATASOURCE).format(result_format)
    return query.instant() if instant else query.range()


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _outcome_colors() -> list[DashboardFieldConfigSourceOverrides]:
    return [
        _override(outcome, color={"mode": "fixed", "fixedColor": color})
        for outcome, color in _COLORS.items()
    ]


def _column(target: Target) -> DashboardFieldConfigSourceOverrides:
    if not target.mappings:
        return _override(target.legend, unit=target.unit)
    cell = {"custom.cellOptions": {"type": "color-background", "mode": "basic"}}
    return _override(target.legend, unit=target.unit, mappings=list(target.mappings), **cell)


def _linked(column: str, url: str) -> DashboardFieldConfigSourceOverrides:
    return _override(column, links=[{"title": "Drill down", "url": url}])


def _override(column: str, **properties: object) -> DashboardFieldConfigSourceOverrides:
    return DashboardFieldConfigSourceOverrides(
        MatcherConfig("byName", column),
        [DynamicConfigValue(name, value) for name, value in properties.items()],
    )


def _named_columns(targets: Sequence[Target]) -> DataTransformerConfig:
    """Return the transformation that names the columns; Grafana numbers several columns."""
    if len(targets) == 1:
        names = {"Value": targets[0].legend}
    else:
        names = {f"Value #{letter}": target.legend for letter, target in _lettered(targets)}
    return DataTransformerConfig(
        "organize",
        options={"excludeByName": {"Time": True}, "renameByName": names},
    )


def _lettered(targets: Sequence[Target]) -> Iterator[tuple[str, Target]]:
    return zip(ascii_uppercase, targets, strict=False)
