"""Which of several exporters polls a query. Pure, and the same in every process and version.

This is rendezvous hashing: each shard has a hash for each query, and the highest one owns it. One
more shard therefore takes its share from all the others, and moves nothing among them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from exporter.config import QUOTAS_QUERY, BillingSettings, Config, Organization

AUTO: Final = "auto"
"""Means the ordinal at the end of the host's name."""

_STATEFUL_NAME: Final = re.compile(r"[^.]*-(0|[1-9][0-9]{0,8})(\..*)?")


class ShardError(ValueError):
    """Flags that do not define a shard. The message says why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` exporters with the same configuration; ``ordinal`` counts from 0."""

    ordinal: int
    total: int

    def owns(self, organization: str, query: str) -> bool:
        """Return whether this shard polls ``query`` of ``organization``, both by name."""
        hashes = [stable_hash(organization, query, str(shard)) for shard in range(self.total)]
        return hashes.index(max(hashes)) == self.ordinal

    def share(self, config: Config) -> Config:
        """Return ``config`` with only this shard's queries, quotas and their organizations."""
        return replace(config, organizations=tuple(self._organizations(config)))

    def _organizations(self, config: Config) -> Iterator[Organization]:
        for one in config.organizations:
            queries = tuple(query for query in one.queries if self.owns(one.name, query.name))
            share: dict[str, object] = {"queries": queries}
            if not (has_quotas := one.has_quotas and self.owns(one.name, QUOTAS_QUERY)):
                share |= {"quotas": (), "billing": BillingSettings()}
            if queries or has_quotas:
                yield one.model_copy(update=share)


UNSHARDED: Final = Shard(0, 1)
"""The shard of an exporter that polls everything."""


def chosen_shard(shard: str | None, total: int | None, host: str) -> Shard:
    """Return the shard that ``--shard`` and ``--total-shards`` define on ``host``.

    Without both it is `UNSHARDED`; raises `ShardError` if they do not define one.
    """
    if shard is None and total is None:
        return UNSHARDED
    if shard is None or total is None:
        raise ShardError("--shard and --total-shards must be used together: give both, or neither")
    ordinal = _ordinal_of_host(host) if shard == AUTO else _ordinal(shard)
    if ordinal >= total:
        origin = f"the ordinal of the host name {host!r}" if shard == AUTO else "--shard"
        raise ShardError(
            f"{origin} is {ordinal}; with --total-shards {total} it must be from 0 to {total - 1}"
        )
    return Shard(ordinal, total)


def stable_hash(*names: str) -> int:
    """Return a 64-bit hash of ``names`` that is the same in every process."""
    # Not hash(), which Python seeds anew in each process. No name contains the separator.
    return int.from_bytes(blake2b("\0".join(names).encode(), digest_size=8).digest(), "big")


def _ordinal(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ShardError(f"--shard is {text!r}; it must be {AUTO} or an integer from 0")
    return int(text)


def _ordinal_of_host(host: str) -> int:
    """Return the ordinal in the name that a StatefulSet gives its pods, such as ``name-3``."""
    named = _STATEFUL_NAME.fullmatch(host)
    if named is None:
        raise ShardError(
            f"--shard is {AUTO}, but the host name {host!r} does not end in an ordinal, as "
            "the names of a StatefulSet's pods do (name-3); give --shard a number"
        )
    return int(named[1])
