"""Which query a ledger of the file belongs to."""

import pytest

from exporter.collect.ledger import Ledger
from exporter.config import Filter, Organization, Query
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from exporter.state import State
from tests.state.polls import ACME, OUTCOMES, counted, poll, polled
from tests.support.rows import HOUR, NOON, reading, series
from tests.support.settings import NOW, organization, query


@pytest.mark.parametrize(
    "same",
    [
        {"group_by": ("outcome", "category")},
        {"poll_interval": 300},
        {"lookback": HOUR},
        {"counters": False},
    ],
)
def test_goes_on(state: State, same: dict[str, object]) -> None:
    """A query that asks the same goes on, however often it asks."""
    before = polled(state).ledger

    after = state.restore(ACME, OUTCOMES.model_copy(update=same))

    assert before == after.ledger


@pytest.mark.parametrize(
    ("acme", "outcomes"),
    [
        (ACME, OUTCOMES.model_copy(update={"name": "renamed"})),
        (organization(name="acme-eu"), OUTCOMES),
    ],
)
def test_renamed(state: State, acme: Organization, outcomes: Query) -> None:
    """Under a new name nothing is counted twice or lost: its counters begin at 0."""
    before = polled(state).ledger

    renamed = state.restore(acme, outcomes)
    poll(renamed, {NOON: reading({series(): 9, series(outcome="abuse"): 2})}, NOW + 120)

    assert before.buckets.keys() == renamed.ledger.buckets.keys()
    assert {series(): 5, series(outcome="abuse"): 0} == counted(renamed)
    assert {series(), series(outcome="abuse")} == renamed.ledger.in_grace.keys()


def test_renamed_and_back(state: State) -> None:
    """Under its old name a query's counters go on from where they were."""
    polled(state)
    renamed = state.restore(ACME, OUTCOMES.model_copy(update={"name": "renamed"}))
    poll(renamed, {NOON: reading({series(): 9})}, NOW + 120)

    restored = state.restore(ACME, OUTCOMES)
    poll(restored, {NOON: reading({series(): 11})}, NOW + 180)

    assert {series(): 5, series(outcome="abuse"): 2} == counted(restored)


def test_new_address(state: State) -> None:
    """An organization whose server has another address goes on."""
    before = polled(state).ledger

    moved = organization(url="https://us.sentry.example")

    assert before == state.restore(moved, OUTCOMES).ledger


def test_another_organizations_address(state: State) -> None:
    """The buckets of an organization that is gone do not fall to another one that moves."""
    polled(state)
    other = organization(name="other", url="https://other.example")
    restored = state.restore(other, OUTCOMES, elsewhere=[ACME.url])
    poll(restored, {NOON: reading({series(): 700})}, NOW + 120)

    moved = organization(name="other", url="https://us.other.example")

    assert restored.ledger.buckets == state.restore(moved, OUTCOMES).ledger.buckets


def test_two_servers(state: State) -> None:
    """Organizations of the same slug on two servers have a ledger each."""
    polled(state)
    other = organization(name="other", url="https://other.example")

    assert Ledger() == state.restore(other, OUTCOMES, elsewhere=[ACME.url]).ledger


@pytest.mark.parametrize(
    "other",
    [
        {"group_by": ("category",)},
        {"interval": 6 * HOUR},
        {"fields": (TIMES_SEEN,)},
        {"fields": (QUANTITY, TIMES_SEEN)},
        {"filter": Filter(category=("error",))},
        {"filter": Filter(outcome=("abuse",))},
        {"filter": Filter(reason="none")},
        {"filter": Filter(project=("web",))},
    ],
)
def test_starts_anew(state: State, other: dict[str, object]) -> None:
    """A query that asks something else starts anew, and leaves the old ledger alone."""
    before = polled(state).ledger

    after = state.restore(ACME, OUTCOMES.model_copy(update=other))

    assert {} == after.ledger.buckets
    assert after.ledger.counts_from is None
    assert before == state.restore(ACME, OUTCOMES).ledger


def test_organizations_apart(state: State) -> None:
    """The same question to another organization is another one."""
    polled(state)

    globex = organization(slug="globex", name="globex")

    assert Ledger() == state.restore(globex, OUTCOMES).ledger


def test_order_of_filters(state: State) -> None:
    """The order of a filter's values makes no difference."""
    there = query(filter=Filter(category=("error", "span")))
    back = query(filter=Filter(category=("span", "error")))
    restored = state.restore(ACME, there)
    poll(restored, {NOON: reading({series(): 4})})

    assert restored.ledger == state.restore(ACME, back).ledger


TWIN = OUTCOMES.model_copy(update={"name": "twin"})
NAMES = {OUTCOMES.name: [(ACME.name, TWIN.name)], TWIN.name: [(ACME.name, OUTCOMES.name)]}


def test_twins(state: State) -> None:
    """Queries that ask the same under two names have a ledger each."""
    polled(state)

    assert Ledger() == state.restore(ACME, TWIN, NAMES["twin"]).ledger


def test_twins_in_any_order(state: State) -> None:
    """Each of two queries that ask the same finds its own ledger, whichever comes first."""
    twin = state.restore(ACME, TWIN, NAMES["twin"])
    poll(twin, {NOON: reading({series(): 7})})
    first = state.restore(ACME, OUTCOMES, NAMES[OUTCOMES.name])
    poll(first, {NOON: reading({series(): 5})})

    for _ in range(2):
        assert first.ledger == state.restore(ACME, OUTCOMES, NAMES[OUTCOMES.name]).ledger
        assert twin.ledger == state.restore(ACME, TWIN, NAMES["twin"]).ledger


def test_without_its_twin(state: State) -> None:
    """When one of two queries that ask the same is removed, the other one goes on as it was."""
    polled(state)
    restored = state.restore(ACME, TWIN, NAMES["twin"])
    poll(restored, {NOON: reading({series(): 7})})

    assert restored.ledger == state.restore(ACME, TWIN).ledger
