"""Which release of Sentry is simulated, and what the older ones do differently."""

from typing import Final, NamedTuple


class Release(NamedTuple):
    """A release by its calendar version: ``Release(24, 5)`` is 24.5.

    The boundary of 2023 is approximate; the others are those of the changes in Sentry's source.
    """

    year: int
    month: int

    @property
    def has_stats_v2(self) -> bool:
        """Whether the endpoint exists; elsewhere it is no route."""
        return self >= (21, 4)

    @property
    def has_inclusive_end(self) -> bool:
        """Whether a given ``end`` is moved by a second before it is rounded."""
        return self < (23, 1)

    @property
    def ignores_ids_beside_all(self) -> bool:
        """Whether ``project=-1`` together with ids is every readable project, rather than a 403."""
        return self >= (23, 1)

    @property
    def has_numeric_ids(self) -> bool:
        """Whether a path may name its organization by id."""
        return self >= (24, 5)


CURRENT: Final = Release(25, 11)
"""The release whose source the rules were read from."""
