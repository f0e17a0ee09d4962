"""The queries of a configuration: which ask the same, and what identifies them."""

from exporter.config import Config, loads
from exporter.queries import identities, twins


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
