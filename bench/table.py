"""Rows of results, and the plain table that they are printed as. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.distribution import Distribution

HEADINGS: Final = (
    "work",
    "runs",
    "ours: median",
    "p99",
    "against: median",
    "p99",
    "figure",
    "target",
    "verdict",
)
BASE_HEADINGS: Final = ("base: median", "base: figure", "ours / base")

_GAP: Final = "  "
_LARGE: Final = 100


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit for printing; a measurement times ``scale`` is in the unit called ``name``."""

    name: str
    scale: float = 1.0

    def written(self, value: float) -> str:
        """Return a measurement as it is printed."""
        return f"{significant(value * self.scale)} {self.name}"


MILLISECONDS: Final = Unit("ms", 1e3)
MEGABYTES: Final = Unit("MB", 1e-6)
PER_SECOND: Final = Unit("/s")


@dataclass(frozen=True, slots=True)
class Target:
    """The limit of a figure: the least, or with ``at_most`` the most; ``unit`` is printed."""

    value: float
    at_most: bool = False
    unit: str = "x"

    def is_met(self, figure: float) -> bool:
        """Return whether ``figure`` is within the limit."""
        return figure <= self.value if self.at_most else figure >= self.value

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.value:g}{self.unit}"


def at_least(value: float) -> Target:
    """Return the target of a ratio that should be high."""
    return Target(value)


def at_most(value: float, unit: str = "x") -> Target:
    """Return the target of a figure that should be low."""
    return Target(value, at_most=True, unit=unit)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: both sides are measured in seconds, bytes or the like.

    A figure without ``target`` is a ratio. ``base`` is the same comparison with an earlier
    revision on our side.
    """

    work: str
    ours: Distribution
    against: Distribution
    unit: Unit
    figure: float
    target: Target | None
    base: "Row | None" = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row, under `HEADINGS`."""
        return (
            self.work,
            str(len(self.ours.values)),
            *(
                self.unit.written(value)
                for side in (self.ours, self.against)
                for value in (side.median, side.p99)
            ),
            self._written_figure(),
            *self._judgement(),
        )

    def base_cells(self) -> tuple[str, ...]:
        """Return the cells about the earlier revision, under `BASE_HEADINGS`."""
        if self.base is None:
            return ("-",) * len(BASE_HEADINGS)
        ours, base = self.ours.median, self.base.ours.median
        return (
            self.unit.written(base),
            self.base._written_figure(),  # noqa: SLF001 - of the same class
            f"{significant(ours / base)}x" if base else "-",
        )

    def _written_figure(self) -> str:
        return f"{significant(self.figure)}{self.target.unit if self.target else 'x'}"

    def _judgement(self) -> tuple[str, str]:
        if self.target is None:
            return "-", "-"
        return str(self.target), "met" if self.target.is_met(self.figure) else "MISSED"


def beside(rows: Sequence[Row]) -> Row:
    """Return the first of ``rows``, with the second, if there is one, as its base."""
    ours, *base = rows
    return replace(ours, base=base[0]) if base else ours


def significant(value: float) -> str:
    """Return ``value`` with at least three digits."""
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.3g}"


def table(rows: Iterable[Row], *, with_base: bool = False) -> str:
    """Return ``rows`` under their headings, in columns."""
    headings = (*HEADINGS, *BASE_HEADINGS) if with_base else HEADINGS
    lines = [(*row.cells(), *(row.base_cells() if with_base else ())) for row in rows]
    return aligned([headings, *lines])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return ``lines`` with the first column to the left and all others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        _GAP.join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    )
