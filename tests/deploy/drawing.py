"""Draws the panels of a dashboard, so that a person can see whether they tell something.

This is no Grafana: it reads the same panel and the same answers, and shows what Grafana would show
of the titles, units, legends, colors, sorting and empty panels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from tests.deploy.dashboards import Document, Times, numbers

Answers = Mapping[str, Sequence[Mapping[str, Any]]]
"""The series of each target of a panel, by its letter."""

Cell = tuple[str, str]
"""A text and its background."""

_PALETTE: Final = (
    "#73BF69",
    "#F2CC0C",
    "#8AB8FF",
    "#FF780A",
    "#F2495C",
    "#5794F2",
    "#B877D9",
    "#705DA0",
    "#37872D",
    "#FADE2A",
    "#C4162A",
    "#8F3BB8",
)
_NAMED: Final = {
    "green": "#56A64B",
    "blue": "#3274D9",
    "orange": "#FF780A",
    "red": "#E02F44",
    "dark-red": "#AD0317",
    "purple": "#A352CC",
    "yellow": "#F2CC0C",
    "transparent": "#FFFFFF00",
    "text": "#333333",
}
_MAX_ROWS: Final = 11
_WIDTH: Final = 15.0
_ROW_HEIGHT: Final = 0.38
_DPI: Final = 75
_COLORS: Final = 128
"""Colors of a picture; a palette makes it small."""

_SCALES: Final = {
    "short": ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")),
    "decbytes": ((1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")),
    "bytes": ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")),
    "s": ((604800, " weeks"), (86400, " days"), (3600, " hours"), (60, " mins"), (1, " s")),
    "ops": ((1, " ops/s"),),
}

_CALCULATIONS: Final[Mapping[str, tuple[Callable[[Sequence[float]], float], str]]] = {
    "sum": (sum, "Total"),
    "mean": (mean, "Mean"),
    "lastNotNull": (lambda values: values[-1], "Last"),
}


def draw(path: Path, title: str, panels: Sequence[tuple[Document, Answers]], times: Times) -> None:
    """Draw panels at their places in the grid of their dashboard into a PNG file."""
    tops = [panel["gridPos"]["y"] for panel, _ in panels]
    bottoms = [panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels]
    height = max(bottoms) - min(tops)
    figure = Figure(figsize=(_WIDTH, height * _ROW_HEIGHT + 0.4), dpi=_DPI, layout=None)
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, y=0.995, ha="left", va="top", fontsize=11, weight="bold")
    head = 0.4 / (height * _ROW_HEIGHT + 0.4)
    for panel, answers in panels:
        _draw(
            figure, _box(panel["gridPos"], min(tops), height, head), panel, answers, times.of(panel)
        )
    drawn = BytesIO()
    figure.savefig(drawn)
    Image.open(drawn).convert("RGB").quantize(_COLORS).save(path, optimize=True)


def _box(
    place: Mapping[str, int], top: int, height: int, head: float
) -> tuple[float, float, float, float]:
    """Return left, bottom, width and height of a panel in the figure."""
    tall = place["h"] / height * (1 - head)
    bottom = 1 - head - (place["y"] - top) / height * (1 - head) - tall
    return place["x"] / 24, bottom, place["w"] / 24, tall


def _draw(
    figure: Figure,
    box: tuple[float, float, float, float],
    panel: Document,
    answers: Answers,
    times: Times,
) -> None:
    left, bottom, width, height = box
    frame = figure.add_axes((left + 0.003, bottom + 0.004, width - 0.006, height - 0.008))
    frame.set(xticks=[], yticks=[])
    frame.spines[:].set_color("#CCCCCC")
    line = 0.24 / figure.get_figheight()
    frame.set_title(panel["title"], loc="left", fontsize=9, y=1, pad=-12, x=0.006)
    inner = (left + 0.01, bottom + 0.012, width - 0.02, height - line - 0.02)
    if not any(answers.values()):
        empty = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        frame.text(0.5, 0.42, empty, ha="center", va="center", fontsize=13, color="#777777")
        return
    drawers = {
        "stat": _stat,
        "bargauge": _ranking,
        "timeseries": _chart,
        "table": _table,
        "state-timeline": _states,
    }
    drawers[panel["type"]](figure, inner, panel, answers, times)


def legend(target: Document, labels: Mapping[str, str]) -> str:
    """Return the name of a series, as Grafana makes it from the legend format."""
    text = str(target["legendFormat"])
    for name in ("__name__", *labels):
        text = text.replace(f"{{{{{name}}}}}", labels.get(name, ""))
    return text if "{{" not in text else text.split("{{", maxsplit=1)[0]


def _named_series(
    panel: Document, answers: Answers
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the name, the unit and the data of every series."""
    for target in panel["targets"]:
        for series in answers[target["refId"]]:
            unit = _unit(panel, target["refId"])
            yield legend(target, series["metric"]), unit, series


def _unit(panel: Document, letter: str) -> str:
    overrides = panel["fieldConfig"].get("overrides") or []
    own = (
        str(value["value"])
        for each in overrides
        if each["matcher"] == {"id": "byFrameRefID", "options": letter}
        for value in each["properties"]
        if value["id"] == "unit"
    )
    return next(own, str(panel["fieldConfig"]["defaults"]["unit"]))


def _color(name: str) -> str:
    return _NAMED.get(name, name)


def _fixed_colors(panel: Document) -> dict[str, str]:
    return {
        each["matcher"]["options"]: _color(value["value"]["fixedColor"])
        for each in panel["fieldConfig"].get("overrides") or []
        for value in each["properties"]
        if value["id"] == "color" and "fixedColor" in value["value"]
    }


def _colors(panel: Document, names: Sequence[str]) -> list[str]:
    fixed = _fixed_colors(panel)
    return [fixed.get(name, _PALETTE[at % len(_PALETTE)]) for at, name in enumerate(names)]


def formatted(value: float, unit: str, end: int) -> str:
    """Return a value in its unit, in Grafana's manner."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "none":
        return f"{value:.2f}"
    if unit == "dateTimeAsIso":
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M}"
    if unit == "dateTimeFromNow":
        away = formatted(abs(end - value / 1000), "s", end)
        return f"{away} ago" if value / 1000 <= end else f"in {away}"
    for size, name in _SCALES.get(unit, _SCALES["short"]):
        if abs(value) >= size:
            return f"{value / size:.3g}{name}"
    return f"{value:.3g}{' s' * (unit == 's')}"


def _threshold_color(thresholds: Mapping[str, Any], value: float) -> str:
    color = "transparent"
    for step in thresholds["steps"]:
        if step.get("value") is None or value >= step["value"]:
            color = step["color"]
    return _NAMED[color]


def _stat(figure: Figure, box: Any, panel: Document, answers: Answers, times: Times) -> None:
    shown = list(_named_series(panel, answers))
    axes = figure.add_axes(box)
    axes.axis("off")
    defaults = panel["fieldConfig"]["defaults"]
    for at, (name, unit, series) in enumerate(shown):
        (value,) = numbers(series)
        colored = panel["options"]["colorMode"] == "value"
        color = _threshold_color(defaults["thresholds"], value) if colored else "#333333"
        place = (at + 0.5) / len(shown)
        text = formatted(value, unit, times.end)
        axes.text(place, 0.55, text, ha="center", va="center", fontsize=20, color=color)
        if len(shown) > 1:
            axes.text(place, 0.05, name, ha="center", va="center", fontsize=9)


def _ranking(figure: Figure, box: Any, panel: Document, answers: Answers, times: Times) -> None:
    shown = list(_named_series(panel, answers))
    names = [name for name, _, _ in shown]
    values = [numbers(series)[-1] for _, _, series in shown]
    left, bottom, width, height = box
    axes = figure.add_axes((left + width * 0.4, bottom, width * 0.45, height))
    axes.barh(names, values, color=_colors(panel, names))
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8)
    for at, ((_, unit, _), value) in enumerate(zip(shown, values, strict=True)):
        axes.text(value, at, f" {formatted(value, unit, times.end)}", va="center", fontsize=8)


def _chart(figure: Figure, box: Any, panel: Document, answers: Answers, times: Times) -> None:
    shown = list(_named_series(panel, answers))
    (calculation,) = panel["options"]["legend"]["calcs"]
    reduce, title = _CALCULATIONS[calculation]
    names = [name for name, _, _ in shown]
    units = [unit for _, unit, _ in shown]
    colors = _colors(panel, names)
    sums = [reduce(numbers(series)) for _, _, series in shown]
    left, bottom, width, height = box
    low = 0.2 / figure.get_figheight()
    axes = figure.add_axes((left + 0.035, bottom + low, width * 0.7 - 0.04, height - low))
    style = panel["fieldConfig"]["defaults"].get("custom", {})
    if style.get("drawStyle") == "bars":
        _stack(axes, [series for _, _, series in shown], colors)
    else:
        post = style.get("lineInterpolation") == "stepAfter"
        for (_, _, series), color in zip(shown, colors, strict=True):
            moments = date2num([datetime.fromtimestamp(at, UTC) for at, _ in series["values"]])
            drawn = "steps-post" if post else "default"
            axes.plot(moments, numbers(series), color=color, lw=1.3, drawstyle=drawn)
    axes.set_ylim(bottom=0)
    if "thresholdsStyle" in style:
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=_NAMED[step["color"]], lw=1, ls="--")
    axes.set_xlim(*_limits(times))
    _style(axes, units[0], times.end)
    order = sorted(range(len(shown)), key=lambda at: -sums[at])
    rows = [
        [("■ ", colors[at]), (names[at], ""), (formatted(sums[at], units[at], times.end), "")]
        for at in order
    ]
    _legend(
        figure,
        (left + width * 0.7, bottom, width * 0.3, height),
        rows,
        title,
    )


def _limits(times: Times) -> tuple[float, float]:
    start, end = (datetime.fromtimestamp(at, UTC) for at in (times.end - times.length, times.end))
    return float(date2num(start)), float(date2num(end))


def _stack(axes: Axes, shown: Sequence[Mapping[str, Any]], colors: Sequence[str]) -> None:
    times = sorted({at for series in shown for at, _ in series["values"]})
    width = _shortest_step(times) / 86400 * 0.92
    floor = [0.0] * len(times)
    places = date2num([datetime.fromtimestamp(at, UTC) for at in times])
    for series, color in zip(shown, colors, strict=True):
        values = {at: float(value) for at, value in series["values"]}
        heights = [values.get(at, 0.0) for at in times]
        axes.bar(places, heights, bottom=floor, width=width, align="edge", color=color)
        floor = [low + high for low, high in zip(floor, heights, strict=True)]


def _shortest_step(times: Sequence[float]) -> float:
    return min((after - before for before, after in pairwise(times)), default=3600)


def _style(axes: Axes, unit: str, end: int) -> None:
    locator = AutoDateLocator(tz=UTC, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, show_offset=False))
    axes.yaxis.set_major_formatter(lambda value, _: formatted(value, unit, end))
    axes.tick_params(labelsize=7, length=2)
    axes.grid(axis="y", color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _legend(figure: Figure, box: Any, rows: Sequence[Sequence[Cell]], title: str) -> None:
    axes = figure.add_axes(box)
    axes.axis("off")
    shown = rows[: _MAX_ROWS + 1]
    line = 0.17 / (figure.get_figheight() * box[3])
    axes.text(1, 0.97, title, ha="right", va="top", fontsize=7, color="#3274D9")
    for at, ((mark, color), (name, _), (value, _)) in enumerate(shown, 1):
        place = 0.97 - at * line
        axes.text(0.04, place, mark, va="top", fontsize=7.5, color=color)
        axes.text(0.09, place, name[:33], va="top", fontsize=7.5)
        axes.text(1, place, value, ha="right", va="top", fontsize=7.5)


def _states(figure: Figure, box: Any, panel: Document, answers: Answers, times: Times) -> None:
    left, bottom, width, height = box
    low = 0.2 / figure.get_figheight()
    axes = figure.add_axes((left + width * 0.25, bottom + low, width * 0.75, height - low))
    mapping = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    shown = list(_named_series(panel, answers))
    for at, (_, _, series) in enumerate(shown):
        moments = date2num([datetime.fromtimestamp(each, UTC) for each, _ in series["values"]])
        step = _shortest_step([each for each, _ in series["values"]]) / 86400
        colors = [_NAMED[mapping[str(int(value))]["color"]] for value in numbers(series)]
        axes.barh(at, step, left=moments, color=colors, height=0.7)
    axes.set_yticks(range(len(shown)), [name for name, _, _ in shown])
    axes.invert_yaxis()
    axes.set_xlim(*_limits(times))
    locator = AutoDateLocator(tz=UTC, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, show_offset=False))
    axes.tick_params(labelsize=7, length=2)


def _table(figure: Figure, box: Any, panel: Document, answers: Answers, times: Times) -> None:
    names, rows = table_rows(panel, answers)
    properties = {
        each["matcher"]["options"]: {one["id"]: one["value"] for one in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }
    room = max(int(figure.get_figheight() * box[3] / 0.19) - 2, 1)
    texts: list[list[str]] = []
    backgrounds: list[list[str]] = []
    for row in rows[:room]:
        cells = [_cell(row.get(name), properties.get(name, {}), times.end) for name in names]
        texts.append([text for text, _ in cells])
        backgrounds.append([color for _, color in cells])
    axes = figure.add_axes(box)
    axes.axis("off")
    lengths = [max(len(name), *(len(row[at]) for row in texts), 4) for at, name in enumerate(names)]
    line = 0.19 / (figure.get_figheight() * box[3]) * (len(texts) + 1)
    drawn_table = axes.table(
        cellText=texts,
        cellColours=backgrounds,
        colLabels=names,
        colWidths=[length / sum(lengths) for length in lengths],
        cellLoc="left",
        colLoc="left",
        bbox=Bbox.from_bounds(0, 1 - line, 1, line),
    )
    drawn_table.auto_set_font_size(False)  # noqa: FBT003 - matplotlib's way
    drawn_table.set_fontsize(7.5)
    for cell in drawn_table.get_celld().values():
        cell.set_edgecolor("#EEEEEE")
        cell.PAD = 0.02
    more = len(rows) - len(rows[:room])
    if more:
        axes.text(0, 0, f"and {more} more rows", fontsize=7, color="#777777")


def _cell(value: str | float | None, properties: Mapping[str, Any], end: int) -> Cell:
    if value is None or isinstance(value, str):
        return value or "", "#FFFFFF"
    for mapping in properties.get("mappings", ()):
        mapped = mapping["options"].get(str(int(value)))
        if mapped:
            return mapped["text"], _NAMED[mapped["color"]]
    color = "#FFFFFF"
    if "thresholds" in properties:
        color = _threshold_color(properties["thresholds"], value)
    return formatted(value, properties.get("unit", "short"), end), color


def table_rows(panel: Document, answers: Answers) -> tuple[list[str], list[dict[str, str | float]]]:
    """Return the columns and rows of a table, merged by labels, renamed and sorted."""
    excluded = panel["transformations"][-1]["options"]["excludeByName"]
    labels: list[str] = []
    columns: list[str] = []
    rows: list[dict[str, str | float]] = []
    for target in panel["targets"]:
        title = str(target["legendFormat"])
        answer = answers[target["refId"]]
        own = sorted({key for series in answer for key in series["metric"]} - {"__name__"})
        labels.extend(key for key in own if key not in labels)
        for series in answer:
            metric = {key: series["metric"].get(key, "") for key in own}
            columns.extend({title}.difference(columns))
            same = (row for row in rows if title not in row and _agree(row, metric))
            row = next(same, None)
            if row is None:
                row = {}
                rows.append(row)
            row |= {**metric, title: numbers(series)[-1]}
    for sort in reversed(panel["options"].get("sortBy") or []):
        if sort["displayName"] in columns:
            rows.sort(key=lambda row: float(row.get(sort["displayName"], -1)), reverse=sort["desc"])
    return [each for each in labels if each not in excluded] + columns, rows


def _agree(row: Mapping[str, str | float], metric: Mapping[str, str]) -> bool:
    """Return whether a row is of the same labels, as far as both have them."""
    return all(row.get(key, value) == value for key, value in metric.items())
