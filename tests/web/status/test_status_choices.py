"""What the reader chooses: in the address, and back from it."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.status import QueryState
from exporter.web.status.choices import INTERVALS, Choices
from tests.support.statuses import (
    SCENES,
    exporter,
    failing,
    healthy,
    incomplete,
    organization,
    query,
    query_status,
)

CHOICES = st.builds(
    Choices,
    q=st.text(st.characters(exclude_categories=["Z", "C"]), max_size=50),
    state=st.sampled_from(["", *map(str, QueryState)]),
    organization=st.sampled_from(["", "acme", "a.b-c_D"]),
    query=st.sampled_from(["", "acme/outcomes"]),
    by=st.sampled_from(["outcome", "category"]),
    category=st.sampled_from(["", "all", "span", "brand_new"]),
    refresh=st.sampled_from([0, *INTERVALS]),
    page=st.sampled_from(["", "filter"]),
)


def read(query: str) -> Choices:
    """Return the choices in a query string."""
    return Choices.of(parse_qsl(query, keep_blank_values=True))


def names(status: Any, choices: Choices) -> list[str]:
    """Return the names of the queries that match."""
    return [query.name for one in choices.matching(status) for query in one.queries]


@given(CHOICES)
def test_address_has_all_choices(choices: Choices) -> None:
    """Whoever follows the address has chosen the same."""
    address = choices.address()

    assert address.startswith("?")
    assert choices == read(address[1:])


def test_defaults_are_not_in_the_address() -> None:
    """The address of a page on which nothing was chosen is short."""
    assert "?" == Choices().address()


@given(CHOICES)
def test_prefix_takes_another_choice(choices: Choices) -> None:
    """A choice can be added to the prefix."""
    choices = choices.with_(query="")

    added = read(f"{choices.prefix()}query=acme/projects"[1:])

    assert choices.with_(query="acme/projects") == added


@pytest.mark.parametrize(
    "query",
    [
        "state=unknown",
        "by=colour",
        "refresh=0",
        "refresh=-1",
        "refresh=1e9",
        "nothing=1",
        "q=%20",
        "page=list",
    ],
)
def test_invalid_choices_are_ignored(query: str) -> None:
    """What cannot be chosen has no effect."""
    assert Choices() == read(query)


def test_texts_are_bounded() -> None:
    """A long text is cut off."""
    assert 200 == len(read(f"q={'x' * 100_000}").q)


@given(st.text(max_size=300))
def test_any_query_string_is_read(query: str) -> None:
    """No query string is an error."""
    assert read(query).refresh in {0, *INTERVALS}


class TestMatching:
    """Which queries are shown."""

    @pytest.mark.parametrize("scene", SCENES)
    def test_everything(self, scene: str) -> None:
        """Without a filter all of them."""
        status = SCENES[scene]()

        assert [query.name for query in status.queries] == names(status, Choices())

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("globex", ["globex/outcomes", "globex/projects"]),
            ("GLOBEX outcomes", ["globex/outcomes"]),
            ("outcomes globex", ["globex/outcomes"]),
            ("globex/outcomes", ["globex/outcomes"]),
            ("project", ["acme/projects", "globex/projects"]),
            ("error", ["acme/projects", "globex/projects"]),
            ("checkout globex", ["globex/projects"]),
            ("nowhere", []),
        ],
    )
    def test_text(self, text: str, expected: list[str]) -> None:
        """Each word must be in the name or the question, in upper or lower case."""
        assert expected == names(healthy(), Choices(q=text))

    def test_text_of_the_field(self) -> None:
        """What is summed is searched too."""
        seen = query_status("rows", written=query(field="sum(times_seen)"))
        status = exporter(organization([query_status(), seen]))

        assert ["acme/rows"] == names(status, Choices(q="times_seen"))

    def test_text_of_errors(self) -> None:
        """The text of the last error is searched too, if the query still fails."""
        assert ["acme/outcomes", "acme/projects"] == names(failing(), Choices(q="401 token"))

    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("failing", ["acme/outcomes", "acme/projects"]),
            ("up", ["globex/outcomes"]),
            ("waiting", []),
        ],
    )
    def test_state(self, state: str, expected: list[str]) -> None:
        """Only queries in that state."""
        assert expected == names(failing(), Choices(state=state))

    def test_organization(self) -> None:
        """Only queries of that organization, which must exist."""
        assert ["acme/outcomes", "acme/projects"] == names(healthy(), Choices(organization="acme"))
        assert [] == names(healthy(), Choices(organization="acm"))

    def test_one_query(self) -> None:
        """A query that was chosen is shown whatever the filter is, to which the reader returns."""
        chosen = Choices(query="acme/projects", q="nowhere", state="up", organization="globex")

        assert ["acme/projects"] == names(incomplete(), chosen)
