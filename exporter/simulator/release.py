"""The simulated release of Sentry, and what older releases do differently."""

from typing import Final, NamedTuple


class Release(NamedTuple):
    """A release with its calendar version: ``Release(24, 5)`` is 24.5.

    Two differences are dated to 23.1, which is approximate. The other releases are those in which
    Sentry's source changed.
    """

    year: int
    month: int

    @property
    def has_stats_v2(self) -> bool:
        """Whether the endpoint exists; before, its path is an unknown route."""
        return self >= (21, 4)

    @property
    def has_inclusive_end(self) -> bool:
        """Whether one second is added to a given ``end`` before it is rounded."""
        return self < (23, 1)

    @property
    def ignores_ids_beside_all(self) -> bool:
        """Whether ``project=-1`` with ids selects every readable project; before, it is a 403."""
        return self >= (23, 1)

    @property
    def has_numeric_ids(self) -> bool:
        """Whether a path may have the organization's id instead of its slug."""
        return self >= (24, 5)


CURRENT: Final = Release(25, 11)
"""The release whose source code the simulator follows."""
