"""What proves an answer complete. Pure.

Sentry's store cuts every answer at `ROW_LIMIT` rows, in no order and without a word, and the API
adds up rows afterwards: what arrives can be few groups and still be cut.
"""

import operator
from dataclasses import dataclass

from exporter.collect.plan.core import weight
from exporter.collect.series import (
    NO_PROJECT,
    Reading,
    Rows,
    Totals,
    difference,
    lesser,
    totals,
    without_reason,
)
from exporter.sentry.answer import Group, ProjectsAnswer, SeriesAnswer
from exporter.sentry.question import ROW_LIMIT


@dataclass(frozen=True, slots=True)
class References:
    """What the sums of a bucket's projects are compared with.

    ``total`` is the organization total, read before any project. ``attributable`` is what the
    token's projects hold of it, ``None`` where that has not been read, or cannot be:
    ``tells_attributable`` says whether the server answers that question.
    """

    total: Reading
    attributable: Reading | None = None
    tells_attributable: bool = True

    @property
    def expected(self) -> Reading:
        """What the projects have to add up to, as far as is known."""
        return self.attributable or self.total

    def remainder(self, sums: Totals) -> Rows:
        """Return the part of the organization total that the projects' ``sums`` do not have.

        By reason only if the reasons are known.
        """
        held, total = sums, totals(self.total.rows)
        if self.attributable is not None and self.attributable.proven:
            # What came in while the projects were read is theirs, and no part of the remainder.
            held = lesser(held, totals(self.attributable.rows))
        if not self.total.proven:
            held, total = without_reason(held), without_reason(total)
        return {series: {NO_PROJECT: value} for series, value in difference(total, held).items()}

    def lacks(self, sums: Totals) -> bool:
        """Return whether the token's projects are known to hold more than ``sums``."""
        one = self.attributable
        return one is not None and one.proven and bool(difference(totals(one.rows), sums))

    def allows(self, sums: Totals) -> bool:
        """Return whether projects with these ``sums`` may be all that the token can read.

        Where what is attributable is not known, what they lack may be the remainder.
        """
        one = self.attributable
        return one is None or (one.proven and not self.lacks(sums))

    def prove(self, answer: ProjectsAnswer, sums: Totals) -> bool:
        """Return whether ``answer``, about every project, is complete; ``sums`` are its own."""
        few = projects_bound(answer) < ROW_LIMIT
        return agrees(self.expected, sums) or (few and self.allows(sums))


def agrees(expected: Reading, sums: Totals) -> bool:
    """Return whether ``sums``, without zeros, equal what is ``expected``, which is proven.

    Then nothing was lost. Two answers that were both cut can be equal too, and prove nothing.
    """
    return expected.proven and sums == totals(expected.rows)


def projects_bound(answer: ProjectsAnswer) -> int:
    """Return how many rows of the store can stand behind ``answer`` at most."""
    groups = answer.totals[answer.question.fields[0]]
    return sum(weight(answer.question, by) * len(values) for by, values in groups.items())


def sampled_share(sample: Rows, expected: Totals) -> float:
    """Return which share of the ``expected`` rows a sample has, each series weighted by rows."""
    weights = {series: len(values) for series, values in sample.items()}
    shares = {
        series: min(1.0, value / expected[series])
        for series, value in totals(sample).items()
        if expected.get(series)
    }
    weighed = sum(weights[series] for series in shares)
    return sum(weights[series] * of for series, of in shares.items()) / weighed if weighed else 1.0


def proves_itself(answer: SeriesAnswer) -> bool:
    """Return whether ``answer`` cannot have been cut.

    The store reads the series and the totals in two queries, and cuts each by itself. If a sum is
    below its total, rows of the series are missing. If all are equal and the groups are fewer than
    the limit, the totals were not cut, and so neither were the series. If sums are above their
    totals, events came in between the two queries: then the rows of the series have to be few.
    """
    sums = [tuple(map(sum, group.series)) for group in answer.groups]
    pairs = [(one, group.totals) for one, group in zip(sums, answer.groups, strict=True)]
    # Totals are read first, and rows are only added: less than a total means a cut
    # (Sentry's src/sentry/snuba/outcomes.py).
    if any(any(map(operator.lt, one, total)) for one, total in pairs):
        return False
    equal = all(one == total for one, total in pairs)
    groups_complete = sum(weight(answer.question, one.by) for one in answer.groups) < ROW_LIMIT
    return (equal and groups_complete) or _series_bound(answer) < ROW_LIMIT


def may_be_cut(answer: SeriesAnswer, arrived: int) -> bool:
    """Return whether ``answer``, which does not prove itself, may have been cut.

    As many rows as have ``arrived`` in another answer are within the server's limit, even if that
    is lower than the usual one. Where fewer rows do not add up to their totals, the server
    disagrees with itself, and no smaller question would change that.
    """
    return _series_bound(answer) >= arrived


def arrived_rows(answer: SeriesAnswer) -> int:
    """Return how many rows of the store stand behind the series of ``answer`` at least."""
    return sum(map(_filled_buckets, answer.groups))


def _series_bound(answer: SeriesAnswer) -> int:
    """Return how many rows of the store can stand behind the series of ``answer`` at most."""
    # A group is there only because it has a row, even if all its values are 0.
    return sum(
        weight(answer.question, one.by) * max(1, _filled_buckets(one)) for one in answer.groups
    )


def _filled_buckets(group: Group) -> int:
    return sum(1 for values in zip(*group.series, strict=True) if any(values))
