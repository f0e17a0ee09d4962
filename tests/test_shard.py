"""Shards: every query is on exactly one, evenly, and few move when there is one more."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Config, loads
from exporter.shard import UNSHARDED, Shard, ShardError, chosen_shard, stable_hash

MANY = [(f"organization-{number % 40}", f"query-{number}") for number in range(4000)]

names = st.text(min_size=1, max_size=20)
totals = st.integers(1, 12)


def owners(total: int, organization: str, query: str) -> list[int]:
    """Return the ordinals of all shards that poll a query."""
    return [shard for shard in range(total) if Shard(shard, total).owns(organization, query)]


def owner(total: int, organization: str, query: str) -> int:
    """Return the ordinal of the one shard that polls a query."""
    (ordinal,) = owners(total, organization, query)
    return ordinal


def config_of(**queries: list[str]) -> Config:
    """Return a configuration of organizations with queries of these names."""
    organizations = [
        {"slug": slug, "queries": [{"name": name, "groupBy": ["category"]} for name in some]}
        for slug, some in queries.items()
    ]
    defaults = {"token": "opens-nothing"}
    return loads(json.dumps({"defaults": defaults, "organizations": organizations}))


class TestOwns:
    """Which shard polls a query."""

    @given(total=totals, organization=names, query=names)
    def test_exactly_one(self, total: int, organization: str, query: str) -> None:
        """Every query is on exactly one shard, however many there are."""
        assert 1 == len(owners(total, organization, query))

    @given(organization=names, query=names)
    def test_unsharded(self, organization: str, query: str) -> None:
        """The only shard has every query."""
        assert UNSHARDED.owns(organization, query)

    @given(total=totals, organization=names, query=names)
    def test_one_more(self, total: int, organization: str, query: str) -> None:
        """With one more shard a query stays where it is or goes to the new one."""
        before, after = (owner(number, organization, query) for number in (total, total + 1))

        assert after in {before, total}

    @pytest.mark.parametrize("total", [1, 2, 3, 7])
    def test_movement(self, total: int) -> None:
        """The part that moves to one more shard is about its share."""
        moved = sum(owner(total + 1, *query) == total for query in MANY)

        assert pytest.approx(len(MANY) / (total + 1), rel=0.15) == moved

    @pytest.mark.parametrize("total", [2, 3, 8])
    def test_balance(self, total: int) -> None:
        """Each shard has about as many queries as any other."""
        shares = Counter(owner(total, *query) for query in MANY)

        assert [pytest.approx(len(MANY) / total, rel=0.15)] * total == list(shares.values())

    def test_one_organization(self) -> None:
        """The queries of one organization are divided too."""
        assert {0, 1, 2} == {owner(3, "acme", f"query-{number}") for number in range(30)}

    def test_steady(self) -> None:
        """Owners are what they were in every earlier version: nothing moves by an upgrade."""
        asked = ("outcomes", "projects", "errors", "spans", "bytes")

        assert [0, 0, 1, 2, 1] == [owner(3, "acme", query) for query in asked]


class TestStableHash:
    """The hash that everything is divided and spread by."""

    def test_steady(self) -> None:
        """It is the same in every process and version."""
        assert 8_228_368_901_888_951_885 == stable_hash("acme", "outcomes")

    def test_boundaries(self) -> None:
        """Where one name ends and the next begins makes a difference."""
        assert stable_hash("acme", "outcomes") != stable_hash("acmeout", "comes")

    @given(names=st.lists(names))
    def test_range(self, names: list[str]) -> None:
        """It has 64 bits."""
        assert 0 <= stable_hash(*names) < 2**64


class TestShare:
    """The part of a configuration that a shard has to do with."""

    @given(
        total=totals,
        queries=st.dictionaries(
            st.sampled_from(["acme", "globex", "initech"]),
            st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True),
            min_size=1,
        ),
    )
    def test_partition(self, total: int, queries: dict[str, list[str]]) -> None:
        """Together the shards have every query once, and no organization without a query."""
        config = config_of(**queries)
        shares = [Shard(ordinal, total).share(config) for ordinal in range(total)]
        organizations = [one for share in shares for one in share.organizations]

        assert all(one.queries for one in organizations)
        assert sorted((slug, name) for slug, some in queries.items() for name in some) == sorted(
            (one.slug, query.name) for one in organizations for query in one.queries
        )

    def test_unsharded(self) -> None:
        """Without shards the configuration is what it is."""
        config = config_of(acme=["a", "b"], globex=["a"])

        assert config == UNSHARDED.share(config)


class TestChosenShard:
    """What the flags say."""

    @pytest.mark.parametrize(
        ("shard", "total", "host", "expected"),
        [
            (None, None, "name-3", UNSHARDED),
            ("0", 1, "name", UNSHARDED),
            ("2", 3, "name-0", Shard(2, 3)),
            ("02", 3, "name", Shard(2, 3)),
            ("auto", 4, "sentry-stats-exporter-3", Shard(3, 4)),
            ("auto", 12, "name-10", Shard(10, 12)),
            ("auto", 4, "name-3.exporters.monitoring.svc", Shard(3, 4)),
        ],
    )
    def test_good(self, shard: str | None, total: int | None, host: str, expected: Shard) -> None:
        """A number is taken as it is; auto takes the ordinal that the host's name ends in."""
        assert expected == chosen_shard(shard, total, host)

    @pytest.mark.parametrize(
        ("shard", "total", "host", "message"),
        [
            ("1", None, "name-1", "must be used together"),
            ("auto", None, "name-1", "must be used together"),
            (None, 3, "name-1", "must be used together"),
            ("3", 3, "name-1", "--shard is 3; with --total-shards 3 it must be from 0 to 2"),
            ("-1", 3, "name-1", "--shard is '-1'; it must be auto or an integer from 0"),
            ("1.5", 3, "name-1", "--shard is '1.5'"),
            ("", 3, "name-1", "--shard is ''"),
            ("٣", 9, "name-1", "--shard is '٣'"),
            ("9" * 5000, 9, "name-1", "--shard is '999"),
            ("Auto", 3, "name-1", "--shard is 'Auto'"),
            (
                "auto",
                3,
                "name-3",
                "the ordinal of the host name 'name-3' is 3; with --total-shards 3",
            ),
            ("auto", 3, "name", "the host name 'name' does not end in an ordinal"),
            ("auto", 3, "name-01", "the host name 'name-01' does not end in an ordinal"),
            ("auto", 3, "name-", "the host name 'name-' does not end in an ordinal"),
            ("auto", 3, "name1", "the host name 'name1' does not end in an ordinal"),
            ("auto", 3, "name.zone-1", "the host name 'name.zone-1' does not end"),
            ("auto", 3, "", "the host name '' does not end in an ordinal"),
        ],
    )
    def test_bad(self, shard: str | None, total: int | None, host: str, message: str) -> None:
        """Flags that name no shard are refused with their values and what is allowed."""
        with pytest.raises(ShardError) as caught:
            chosen_shard(shard, total, host)

        assert message in str(caught.value)
