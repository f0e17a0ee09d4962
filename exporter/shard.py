"""Which of several exporters polls a query: pure, the same in every process and version.

Each shard draws a number for each query, and the highest draw has it. One more shard therefore
takes its part from all the others, and moves nothing among them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from exporter.config import Config, Organization

AUTO: Final = "auto"
"""Stands for the ordinal that the host's name ends in."""

_STATEFUL_NAME: Final = re.compile(r"[^.]*-(0|[1-9][0-9]{0,8})(\..*)?")


class ShardError(ValueError):
    """Flags that name no shard. The message says why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` exporters with the same configuration; ``ordinal`` counts from 0."""

    ordinal: int
    total: int

    def owns(self, organization: str, query: str) -> bool:
        """Tell whether this shard polls ``query`` of ``organization``, both by name."""
        draws = [stable_hash(organization, query, str(shard)) for shard in range(self.total)]
        return draws.index(max(draws)) == self.ordinal

    def share(self, config: Config) -> Config:
        """Return ``config`` with this shard's queries only, and the organizations of those."""
        return replace(config, organizations=tuple(self._organizations(config)))

    def _organizations(self, config: Config) -> Iterator[Organization]:
        for one in config.organizations:
            queries = tuple(query for query in one.queries if self.owns(one.name, query.name))
            if queries:
                yield replace(one, queries=queries)


WHOLE: Final = Shard(0, 1)
"""The only shard there is: it polls everything."""


def chosen_shard(shard: str | None, total: int | None, host: str) -> Shard:
    """Return the shard that ``--shard`` and ``--total-shards`` name on ``host``.

    Without either it is `WHOLE`; raises `ShardError` where they name none.
    """
    if shard is None and total is None:
        return WHOLE
    if shard is None or total is None:
        raise ShardError("--shard and --total-shards go together: give both, or neither")
    ordinal = _ordinal_of_host(host) if shard == AUTO else _ordinal(shard)
    if ordinal >= total:
        where = f"the host's name {host} says" if shard == AUTO else "--shard says"
        raise ShardError(
            f"{where} {ordinal}; allowed with --total-shards {total}: 0 to {total - 1}"
        )
    return Shard(ordinal, total)


def stable_hash(*names: str) -> int:
    """Return 64 bits that follow from ``names`` alone."""
    return int.from_bytes(blake2b("\0".join(names).encode(), digest_size=8).digest(), "big")


def _ordinal(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ShardError(f"--shard says {text!r}; allowed: {AUTO}, or a whole number from 0")
    return int(text)


def _ordinal_of_host(host: str) -> int:
    """Return the ordinal in the name that a StatefulSet gives its pods, such as ``name-3``."""
    named = _STATEFUL_NAME.fullmatch(host)
    if named is None:
        raise ShardError(
            f"--shard says {AUTO}, and the host's name {host!r} does not end in the ordinal of a "
            "StatefulSet's pod, as name-3 does; allowed here: --shard with a number"
        )
    return int(named[1])
