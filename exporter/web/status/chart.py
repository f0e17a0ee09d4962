"""The chart of a history: stacked columns, drawn by leather as SVG without any style in it."""

import xml.etree.ElementTree as ET  # nosec B405 # writes XML, and reads none
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final
from xml.sax.saxutils import escape  # nosec B406 # likewise

import leather
from leather import theme

from exporter.categories import OUTCOMES
from exporter.web.status.history import NOT_GROUPED, OTHERS, Column, History
from exporter.web.status.wording import count, short_count, utc

WIDTH: Final = 460
HEIGHT: Final = 150

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_TICKS: Final = (_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 5 * _DAY, 10 * _DAY)
_MAX_TICKS: Final = 8
_GAP: Final = 0.15
"""The share of a column's width that separates it from the next one."""

# leather has no other way to set them; colours and fonts come from the page's style instead.
theme.margin = 0.01
theme.tick_font_char_width = 7


class _Hours(leather.Scale):  # type: ignore[misc]
    """Seconds since the epoch, from left to right, without leather's search for round numbers."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def contains(self, value: int) -> bool:
        """Return whether the chart has a place for ``value``."""
        return self.start <= value <= self.end

    def project(self, value: int, range_min: float, range_max: float) -> float:
        """Return the place of ``value``."""
        share = (value - self.start) / (self.end - self.start)
        return range_min + share * (range_max - range_min)

    def ticks(self) -> Sequence[int]:
        """Return round times, not too many."""
        span = self.end - self.start
        step = next((one for one in _TICKS if span / one <= _MAX_TICKS), _TICKS[-1])
        # Rounded up: the first multiple of the step that is in the chart.
        return range(-(-self.start // step) * step, self.end, step)

    def format_tick(self, value: int, _number: int, _count: int) -> str:
        """Return the time of day, and the date at midnight."""
        return utc(value, "%d %b" if value % _DAY == 0 else "%H:%M")


class _StackedColumns(leather.Shape):  # type: ignore[misc]
    """Columns in which the values of all names stand on each other; leather has none."""

    def __init__(self, history: History) -> None:
        self._history = history

    def validate_series(self, _series: leather.Series) -> None:
        """Accept every series: the history is drawn, and the series only gives the types."""

    def to_svg(
        self,
        width: float,
        height: float,
        x_scale: Any,
        y_scale: Any,
        _series: leather.Series,
        _palette: Any,
    ) -> ET.Element:
        """Return a path for each name, and above them an invisible area per column that says it."""
        group = ET.Element("g")

        def x(moment: int) -> float:
            return float(x_scale.project(moment, 0, width))

        def y(value: float) -> float:
            return float(y_scale.project(value, height, 0))

        # One path for all columns of a name, and one for those not finished, which are pale.
        for at in range(len(self._history.names)):
            for running in (False, True):
                path = "".join(_bars(self._history.columns, at, x, y, running=running))
                if path:
                    look = css_class(self._history, at) + (" running" if running else "")
                    group.append(ET.Element("path", {"d": path, "class": look}))
        for column in self._history.columns:
            left, right = x(column.start), x(column.start + column.length)
            box = {"x": f"{left:.1f}", "y": "0", "width": f"{right - left:.1f}"}
            # Over the full height: a column of a few pixels could not be pointed at.
            area = ET.SubElement(group, "rect", {**box, "height": str(height), "class": "area"})
            ET.SubElement(area, "title").text = _column_text(self._history, column)
        return group


def svg(history: History, identity: str, title: str) -> str:
    """Return the chart as an SVG element; ``identity`` is unique in the page."""
    columns = history.columns
    highest = max(max((column.total for column in columns), default=0), 1)
    start, end = columns[0].start, columns[-1].start + columns[-1].length
    chart = leather.Chart()
    # leather draws nothing without a series: this one only gives the scales their types.
    chart.add_series(leather.Series([(start, 0), (end, 0)]), _StackedColumns(history))
    chart.set_x_scale(_Hours(start, end))
    chart.set_y_scale(_values_up_to(highest))
    chart.add_x_axis()
    chart.add_y_axis(tick_formatter=lambda value, _number, _count: short_count(float(value)))
    drawn = ET.tostring(chart.to_svg_group(WIDTH, HEIGHT), encoding="unicode")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{identity}-title '
        f'{identity}-text"><title id="{identity}-title">{escape(title)}</title>'
        f'<desc id="{identity}-text">{escape(_chart_text(history))}</desc>{drawn}</svg>'
    )


@lru_cache(1024)
def _values_up_to(highest: float) -> leather.Linear:
    """Return a scale; leather takes 2 ms to look for its round numbers."""
    return leather.Linear(0, highest)


def css_class(history: History, at: int) -> str:
    """Return the class of the name at ``at``: an outcome has the same look in every chart."""
    name = history.names[at]
    if history.by == "outcome" and name in OUTCOMES:
        return f"outcome-{OUTCOMES.index(name)}"
    return "others" if name in {OTHERS, NOT_GROUPED} else f"category-{at}"


def _bars(
    columns: Sequence[Column],
    at: int,
    x: Callable[[int], float],
    y: Callable[[float], float],
    *,
    running: bool,
) -> Iterator[str]:
    """Yield the part of each column that the name at ``at`` has, as a piece of a path."""
    for column in columns:
        if column.values is None or column.finished is running or not column.values[at]:
            continue
        below = sum(column.values[:at])
        bottom, top = y(below), y(below + column.values[at])
        left, right = x(column.start), x(column.start + column.length)
        gap = (right - left) * _GAP / 2
        width = right - left - 2 * gap
        yield f"M{left + gap:.1f} {bottom:.1f}h{width:.1f}V{top:.1f}h{-width:.1f}z"


def _column_text(history: History, column: Column) -> str:
    """Return what one column shows, for whoever points at it."""
    when = f"{utc(column.start, '%d %b %H:%M')} to {utc(column.start + column.length, '%H:%M')} UTC"
    if column.values is None:
        return f"{when}: not read"
    parts = [
        f"{name} {count(value)}"
        for name, value in zip(history.names, column.values, strict=True)
        if value
    ]
    notes = "" if column.finished else ", running"
    notes += "" if column.complete else ", incomplete"
    return f"{when}{notes}: {', '.join(parts) or '0'}"


def _chart_text(history: History) -> str:
    """Return the chart in words."""
    sums = zip(history.names, history.totals, strict=True)
    parts = ", ".join(f"{name} {count(value)}" for name, value in sums)
    first, last = history.columns[0], history.columns[-1]
    span = f"{utc(first.start, '%Y-%m-%d %H:%M')} to {utc(last.start + last.length, '%H:%M')} UTC"
    return f"{history.subject} by {history.by}, {span}. In total: {parts or 'nothing'}."
