"""The kinds of panels, each with its display options. All functions return built panels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    FieldColor,
    FieldColorModeId,
    GridPos,
    MatcherConfig,
    Panel,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.generator.descriptions import described
from deploy.grafana.generator.expressions import MEASURES

DATASOURCE: Final = DataSourceRef("prometheus", "${datasource}")

HOUR: Final = "1h"
"""The shortest step of a chart of buckets: Sentry's stats are hourly."""

DAY: Final = "1d"

_POINTS: Final = 11_000
"""The most points that Grafana asks for. It rounds the time of an instant query down to a step, and
the step is the time range divided by the points."""

_BARS: Final = 180

_COLORS: Final = {
    "accepted": "green",
    "filtered": "blue",
    "rate_limited": "orange",
    "invalid": "red",
    "abuse": "dark-red",
    "client_discard": "purple",
    "cardinality_limited": "yellow",
    "a week earlier": "#8e8e8e",
}

Steps = tuple[tuple[float | None, str], ...]
"""Thresholds: from which value on which color; the first value is ``None``."""

LOSS: Final[Steps] = ((None, "green"), (0.01, "yellow"), (0.05, "orange"), (0.2, "red"))
"""Shares that are dropped. The alerts warn at 5 % by default."""


SPENT: Final[Steps] = ((None, "green"), (0.5, "yellow"), (0.8, "orange"), (1, "red"))
"""Shares of a limit, as the alerts about quotas have them by default."""

CHANGE: Final[Steps] = ((None, "red"), (-0.5, "transparent"), (1, "orange"), (4, "red"))
"""How much more than before; the alerts call three times as much far more."""


@dataclass(frozen=True, slots=True)
class Target:
    """An expression, and the legend of its series or the title of its column.

    ``mappings`` and ``thresholds`` apply to tables only, where they can differ by column.
    ``decimals`` are as many as the value needs by default.
    """

    expression: str
    legend: str = ""
    unit: str = ""
    mappings: tuple[ValueMapping, ...] = ()
    thresholds: Steps = ()
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """The content of a panel. ``what`` begins its description; sizes are in grid cells.

    ``sort`` is the column of a table with the largest value on top, ``hidden`` are labels that it
    has no column for. ``empty`` is shown instead of "No data", for panels in which no data is good
    news.
    """

    title: str
    what: str
    targets: Sequence[Target]
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: Steps = ()
    links: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    hidden: Sequence[str] = ()
    empty: str = ""


def measured(build: Callable[[str], str], legend: str = "") -> tuple[Target, ...]:
    """Return a target for each unit; a category has data in one of them."""
    return tuple(Target(build(each.name), legend, each.unit) for each in MEASURES)


def measured_columns(
    columns: Sequence[tuple[str, Callable[[str], str]]],
) -> tuple[Target, ...]:
    """Return the columns of a table: each title and expression in each unit."""
    return tuple(
        Target(build(each.name), f"{title}{each.title}", each.unit)
        for each in MEASURES
        for title, build in columns
    )


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
    mode = common_models.BigValueColorMode
    panel.color_mode(mode.VALUE if figure.thresholds else mode.NONE).reduce_options(_last())
    return _completed(panel.build(), figure, PromQueryFormat.TIME_SERIES, instant=True)


def ranking(figure: Figure) -> Panel:
    """Return a horizontal bar for each series, as of the end of the time range."""
    panel = bargauge.Panel().unit(figure.unit).min(0).reduce_options(_last())
    panel.orientation(common_models.VizOrientation.HORIZONTAL)
    panel.display_mode(common_models.BarGaugeDisplayMode.BASIC)
    built = _completed(panel.build(), figure, PromQueryFormat.TIME_SERIES, instant=True)
    built.field_config.overrides += _fixed_colors()
    return built


def bars(figure: Figure, step: str = HOUR) -> Panel:
    """Return stacked bars: one for each hour, or longer step, at the start of its step."""
    panel = _chart(figure, "sum").draw_style(common_models.GraphDrawStyle.BARS)
    stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    panel.stacking(stacking).fill_opacity(80).line_width(0).interval(step)
    # At most so many bars: a month of projects has bars of six hours, which cost a sixth of hours.
    panel.max_data_points(_BARS)
    return _charted(panel.bar_alignment(common_models.BarAlignment.AFTER), figure)


def days(figure: Figure, count: int = 30) -> Panel:
    """Return `bars` of the last ``count`` days, whatever the time range of the page."""
    return longer(bars(figure, DAY), f"{count}d", DAY)


def lines(figure: Figure) -> Panel:
    """Return a line for each series, and one for each threshold."""
    panel = _chart(figure, "lastNotNull").line_width(1).fill_opacity(5)
    if not figure.thresholds:
        return _charted(panel, figure)
    mode = common_models.GraphTresholdsStyleMode.DASHED
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(mode))
    built = _charted(panel, figure)
    # The color of a series is its own.
    built.field_config.defaults.color = FieldColor(mode=FieldColorModeId.PALETTE_CLASSIC)
    return built


def longer(panel: Panel, period: str, step: str) -> Panel:
    """Return ``panel`` with a time range and a shortest step of its own."""
    panel.time_from, panel.interval = period, step
    return panel


def hours(figure: Figure) -> Panel:
    """Return a step line for each series: constant over each hour, or longer step."""
    panel = _chart(figure, "mean")
    panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER)
    return _charted(panel.line_width(2).fill_opacity(5).interval(HOUR), figure)


def states(figure: Figure, mapping: ValueMapping) -> Panel:
    """Return a band for each series, colored by state."""
    panel = statetimeline.Panel().mappings([mapping]).unit(figure.unit)
    panel.show_value(common_models.VisibilityMode.NEVER).row_height(0.8)
    return _completed(panel.build(), figure, PromQueryFormat.TIME_SERIES, instant=False)


def data_table(figure: Figure) -> Panel:
    """Return a table with a column for each target; ``links`` has addresses by column."""
    panel = table.Panel().unit(figure.unit).with_transformation(DataTransformerConfig("merge"))
    panel.with_transformation(_named_columns(figure))
    largest_first = (
        common.TableSortByFieldState().display_name(column).desc(True)  # noqa: FBT003 - the builder's way
        for column in _sorted_by(figure)
    )
    built = _completed(
        panel.sort_by(list(largest_first)).build(), figure, PromQueryFormat.TABLE, instant=True
    )
    built.field_config.overrides = [
        *(_column(target) for target in figure.targets),
        *(_linked(column, url) for column, url in figure.links.items()),
    ]
    return built


def _sorted_by(figure: Figure) -> Iterator[str]:
    if figure.sort:
        titles = {target.legend for target in figure.targets}
        yield from (
            f"{figure.sort}{each.title}"
            for each in MEASURES
            if f"{figure.sort}{each.title}" in titles
        )


def _chart(figure: Figure, calculation: str) -> timeseries.Panel:
    """Return a chart; its legend is a table with the largest series on top."""
    legend = common.VizLegendOptions().show_legend(True)  # noqa: FBT003 - the builder's way
    legend.display_mode(common_models.LegendDisplayMode.TABLE).calcs([calculation])
    legend.placement(common_models.LegendPlacement.RIGHT)
    legend.sort_by({"sum": "Total", "mean": "Mean", "lastNotNull": "Last *"}[calculation])
    legend.sort_desc(True)  # noqa: FBT003
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    tooltip.sort(common_models.SortOrder.DESCENDING)
    panel = timeseries.Panel().unit(figure.unit).legend(legend).tooltip(tooltip).min(0)
    return panel.show_points(common_models.VisibilityMode.NEVER)


def _charted(panel: timeseries.Panel, figure: Figure) -> Panel:
    built = _completed(panel.build(), figure, PromQueryFormat.TIME_SERIES, instant=False)
    built.field_config.overrides += _fixed_colors()
    return built


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
    defaults = panel.field_config.defaults
    if figure.empty:
        defaults.no_value = figure.empty
    if figure.thresholds:
        defaults.thresholds = _thresholds(figure.thresholds)
        defaults.color = FieldColor(mode=FieldColorModeId.THRESHOLDS)
    if instant:
        panel.max_data_points = _POINTS
    panel.field_config.overrides = [
        _override("byFrameRefID", letter, **properties)
        for letter, target in _lettered(figure.targets)
        if (properties := _own_properties(target, figure.unit))
    ]
    return panel


def _own_properties(target: Target, unit: str) -> dict[str, object]:
    """Return how the values of a target are written, as far as it differs from the panel."""
    properties: dict[str, object] = {}
    if target.unit not in {"", unit}:
        properties["unit"] = target.unit
    if target.decimals is not None:
        properties["decimals"] = target.decimals
    return properties


def _thresholds(steps: Steps) -> ThresholdsConfig:
    return ThresholdsConfig(ThresholdsMode.ABSOLUTE, [Threshold(*step) for step in steps])


def _dataquery(
    target: Target, result_format: PromQueryFormat, *, instant: bool
) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(target.expression).legend_format(target.legend)
    query.datasource(DATASOURCE).format(result_format)
    return query.instant() if instant else query.range()


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _fixed_colors() -> list[DashboardFieldConfigSourceOverrides]:
    return [
        _override("byName", name, color={"mode": "fixed", "fixedColor": color})
        for name, color in _COLORS.items()
    ]


def _column(target: Target) -> DashboardFieldConfigSourceOverrides:
    """Return the unit of a column, and the background of its cells."""
    properties: dict[str, object] = {"unit": target.unit or "short"}
    if target.decimals is not None:
        properties["decimals"] = target.decimals
    if target.mappings:
        properties["mappings"] = list(target.mappings)
    if target.thresholds:
        properties["thresholds"] = _thresholds(target.thresholds)
        properties["color"] = {"mode": "thresholds"}
    if target.mappings or target.thresholds:
        properties["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    return _override("byName", target.legend, **properties)


def _linked(column: str, url: str) -> DashboardFieldConfigSourceOverrides:
    return _override("byName", column, links=[{"title": "Drill down", "url": url}])


def _override(matcher: str, name: str, **properties: object) -> DashboardFieldConfigSourceOverrides:
    return DashboardFieldConfigSourceOverrides(
        MatcherConfig(matcher, name),
        [DynamicConfigValue(key, value) for key, value in properties.items()],
    )


def _named_columns(figure: Figure) -> DataTransformerConfig:
    """Return the transformation that names the columns; Grafana numbers several columns."""
    if len(figure.targets) == 1:
        names = {"Value": figure.targets[0].legend}
    else:
        names = {f"Value #{letter}": target.legend for letter, target in _lettered(figure.targets)}
    excluded = dict.fromkeys(("Time", *figure.hidden), True)
    return DataTransformerConfig(
        "organize", options={"excludeByName": excluded, "renameByName": names}
    )


def _lettered(targets: Sequence[Target]) -> Iterator[tuple[str, Target]]:
    return zip(ascii_uppercase[: len(targets)], targets, strict=True)
