"""What the counters of one series gain by a reading of one bucket. Pure.

Single gains can exceed what the organization's own number has grown: values shrink and come back,
or move between projects and the remainder. Then gains are reduced, and what has been counted is
remembered where that is not the value.
"""

from dataclasses import dataclass, field

from exporter.collect.series import NO_PROJECT, Values


@dataclass(frozen=True, slots=True)
class Scope:
    """Which projects a reading is about, where the query's filter names some.

    A project that the last reading was not about brings values of hours that the query did not
    cover: they are not counted. A project that this reading is not about keeps what was counted of
    it until it comes back. A sum of several projects cannot be divided: where it is of other
    projects than before, what it holds is not counted.
    """

    asked: frozenset[int] | None
    before: frozenset[int] | None
    by_project: bool = True

    @property
    def changed(self) -> bool:
        """Whether this reading is about other projects than the last one."""
        return self.before is not None and self.asked != self.before

    def take_uncovered(self, counted: dict[int, int], now: Values) -> dict[int, int]:
        """Take out of ``counted`` what this reading does not cover, and return it.

        What the last reading did not cover is put in as if it had been counted, which is nothing
        where it has no value.
        """
        if self.asked is None:
            return {}
        asked = self.asked
        uncovered = {
            project: amount
            for project, amount in counted.items()
            if project != NO_PROJECT and project not in asked
        }
        for project in uncovered:
            del counted[project]
        if self.before is not None and self.changed:
            new = asked - self.before - counted.keys()
            counted |= {project: now[project] for project in new & now.keys()}
            if not self.by_project:
                counted[NO_PROJECT] = now.get(NO_PROJECT, 0)
        return uncovered


@dataclass(frozen=True, slots=True)
class PostedSeries:
    """What one series of a bucket becomes, and what the counters of its projects gain by it.

    ``counted`` is as in `exporter.collect.ledger.ledger.Bucket`.
    """

    values: Values
    changed: bool = False
    gains: Values = field(default_factory=dict)
    counted: Values = field(default_factory=dict)
    revisions: int = 0
    regressions: int = 0


def post_series(
    now: Values, before: Values, recorded: Values, scope: Scope, *, finished: bool
) -> PostedSeries:
    """Post the values ``now`` of one series over those ``before``.

    ``recorded`` is the bucket's ``counted`` of the series: the amounts counted where they are not
    the values before.
    """
    if now == before and not recorded:
        return PostedSeries(now)
    counted = {**before, **recorded}
    uncovered = scope.take_uncovered(counted, now)
    gains = _growth(now, counted)
    # What all projects together may gain: the sum that is conserved.
    growth = sum(now.values()) - sum(counted.values())
    # If the gains are all of it, nothing has shrunk, and every value is now counted as it is.
    to_record = {} if sum(gains.values()) == growth else _limited(now, counted, gains, growth)
    # A series that is gone stays in its bucket, as 0: its label is still seen.
    gone = before.keys() - now.keys() - uncovered.keys()
    values = {**dict.fromkeys(sorted(gone), 0), **now} if gone else now
    to_record |= uncovered
    revisions = regressions = 0
    if finished and not scope.changed:
        # Only if something has been counted differently can a gain be a move and no late data.
        moved = recorded or to_record
        revisions, regressions = _revised(now, before, uncovered) if moved else (len(gains), 0)
    changed = values != before or to_record != recorded
    return PostedSeries(values, changed, gains, to_record, revisions, regressions)


def _limited(
    now: Values, counted: dict[int, int], gains: dict[int, int], growth: int
) -> dict[int, int]:
    """Reduce ``gains`` to ``growth``; return the amounts counted where they are not the values."""
    # Counters never decrease: what has shrunk is recorded below as overcounted.
    _reduce(gains, max(growth, 0))
    # In place: the next line needs the amounts after the gains.
    counted |= {project: counted.get(project, 0) + gain for project, gain in gains.items()}
    get = now.get
    to_record = {
        project: amount for project, amount in counted.items() if amount != get(project, 0)
    }
    # What has moved to a project that is new here was counted for another one.
    return to_record | {
        project: 0 for project, value in now.items() if value and project not in counted
    }


def _growth(values: Values, before: Values) -> dict[int, int]:
    """Return by how much ``values`` are larger than ``before``, where they are."""
    get = before.get
    return {
        project: value - amount
        for project, value in values.items()
        if value > (amount := get(project, 0))
    }


def _reduce(gains: dict[int, int], growth: int) -> None:
    """Reduce single gains until all of them together are ``growth``.

    The remainder yields first: least is known of it. After it, the largest gain is the likeliest to
    have moved here from where it has been counted.
    """
    excess = sum(gains.values()) - growth
    # The id is the tie-breaker: Sentry's order is arbitrary, and who gains must not depend on it.
    order = sorted(gains, key=lambda project: (project != NO_PROJECT, -gains[project], project))
    for project in order:
        reduction = min(gains[project], excess)
        gains[project] -= reduction
        excess -= reduction
        if not gains[project]:
            del gains[project]
        if not excess:
            return


def _revised(now: Values, before: Values, uncovered: Values) -> tuple[int, int]:
    """Return how many values grew and how many shrank.

    What only moved between a project and the remainder did neither.
    """
    grown, shrunk = _growth(now, before), _growth(before, now)
    for project in uncovered:
        shrunk.pop(project, None)
    _subtract_moved(grown, shrunk)
    _subtract_moved(shrunk, grown)
    return sum(map(bool, grown.values())), sum(map(bool, shrunk.values()))


def _subtract_moved(changes: dict[int, int], opposite: dict[int, int]) -> None:
    """Take out of ``changes`` what the ``opposite`` change of the remainder explains."""
    moved = opposite.get(NO_PROJECT, 0)
    for project in sorted(changes, key=changes.__getitem__, reverse=True) if moved else ():
        taken = min(moved, changes[project])
        changes[project] -= taken
        opposite[NO_PROJECT] = moved = moved - taken
