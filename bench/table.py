"""Rows of results, and the plain table that they are printed as. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

_GAP: Final = "  "
_LARGE: Final = 100


@dataclass(frozen=True, slots=True)
class Unit:
    """What measurements are printed in; one of them is ``scale`` of the unit that has ``name``."""

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
    """What a figure has to reach, or with ``at_most`` must not exceed; ``unit`` is printed."""

    value: float
    at_most: bool = False
    unit: str = "x"

    def is_met(self, figure: float) -> bool:
        """Tell whether ``figure`` is good enough."""
        return figure <= self.value if self.at_most else figure >= self.value

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.value:g}{self.unit}"


def at_least(value: float) -> Target:
    """Return the target of a ratio that cannot be too high."""
    return Target(value)


def at_most(value: float, unit: str = "x") -> Target:
    """Return the target of a figure that cannot be too low."""
    return Target(value, at_most=True, unit=unit)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: both sides are measured in seconds, bytes or the like."""

    work: str
    ours: Distribution
    against: Distribution
    unit: Unit
    figure: float
    target: Target

    def cells(self) -> tuple[str, ...]:
        """Return what the row reads, under `HEADINGS`."""
        return (
            self.work,
            str(len(self.ours.values)),
            *(
                self.unit.written(value)
                for side in (self.ours, self.against)
                for value in (side.median, side.p99)
            ),
            f"{significant(self.figure)}{self.target.unit}",
            str(self.target),
            "met" if self.target.is_met(self.figure) else "MISSED",
        )


def significant(value: float) -> str:
    """Return ``value`` with at least three digits."""
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """Return ``rows`` under their headings, in columns."""
    return aligned([HEADINGS, *(row.cells() for row in rows)])


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
