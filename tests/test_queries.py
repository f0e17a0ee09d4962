"""The queries of a configuration: which ask the same, and what identifies them."""

from typing import Final

import pytest

from exporter.config import Config, loads
from exporter.queries import changes, enumeration, identities, offsets, twins


def config(*queries: str, more: str = "") -> Config:
    """Return a configuration of one organization with ``queries``, in the file's notation."""
    lines = "".join(f"      - {{{query}}}\n" for query in queries)
    return loads(
        f"organizations:\n  - slug: acme\n    token: opens-nothing\n{more}    queries:\n{lines}",
        "-",
    )


class TestTwins:
    """Queries that ask the same."""

    def test_order_of_values(self) -> None:
        """The order of dimensions and of a filter's values makes no difference."""
        asking = config(
            "name: a, groupBy: [outcome, reason], filter: {category: [error, transaction]}",
            "name: b, groupBy: [reason, outcome], filter: {category: [transaction, error]}",
        )

        assert {("acme", "b")} == twins(asking)["acme", "a"]
        assert {("acme", "a")} == twins(asking)["acme", "b"]

    def test_another_question(self) -> None:
        """Queries with other values of a filter, or another interval, are no twins."""
        asking = config(
            "name: a, groupBy: [category]",
            "name: b, groupBy: [category], filter: {outcome: accepted}",
            "name: c, groupBy: [category], interval: 2h",
        )

        assert {frozenset()} == set(twins(asking).values())


class TestIdentities:
    """What has to be equal for a query to go on after a reload."""

    def test_label_of_a_filter(self) -> None:
        """Another label of projects changes a query that a filter pins to a project."""
        pinned = "name: a, groupBy: [category], filter: {project: web}"
        before, after = config(pinned), config(pinned, more="    project_label: id\n")

        assert identities(before) != identities(after)

    def test_label_of_no_project(self) -> None:
        """A query without projects stays the same."""
        query = "name: a, groupBy: [category]"
        before, after = config(query), config(query, more="    project_label: id\n")

        assert identities(before) == identities(after)


class TestOffsets:
    """When queries are polled."""

    def test_among(self) -> None:
        """Few new queries among many are polled at once, though all need a minute."""
        many = config(*(f"name: q{number}, groupBy: [category]" for number in range(600)))
        new = {("acme", "q1"), ("acme", "q2")}

        assert 50 < max(offsets(many).values()) < 60
        assert dict.fromkeys(new, 0) == offsets(many, new)


class TestChanges:
    """What differs between two configurations."""

    BEFORE: Final = config("name: a, groupBy: [category]", "name: b, groupBy: [category]")

    def test_nothing(self) -> None:
        """Equal configurations have no changes."""
        assert {} == changes(self.BEFORE, self.BEFORE)

    def test_queries(self) -> None:
        """Queries that were added, removed and changed are named with their organization."""
        after = config("name: b, groupBy: [outcome, category]", "name: c, groupBy: [category]")

        assert {
            "queries_added": ["acme/c"],
            "queries_removed": ["acme/a"],
            "queries_changed": ["acme/b"],
        } == changes(self.BEFORE, after)

    def test_settings(self) -> None:
        """An organization with other settings has changed; its queries have not."""
        queries = ("name: a, groupBy: [category]", "name: b, groupBy: [category]")
        after = config(*queries, more="    settle: 7m\n")

        assert {"organizations_changed": ["acme"]} == changes(self.BEFORE, after)

    def test_order(self) -> None:
        """Another order of queries is no change."""
        after = config("name: b, groupBy: [category]", "name: a, groupBy: [category]")

        assert {} == changes(self.BEFORE, after)


@pytest.mark.parametrize(
    ("limit", "expected"), [(3, "a, b, c"), (2, "a, b, and 1 more"), (1, "a, and 2 more")]
)
def test_enumeration(limit: int, expected: str) -> None:
    """Only so many names are listed; the others are counted."""
    assert expected == enumeration(["a", "b", "c"], limit)
