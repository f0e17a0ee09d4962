"""Money that is divided among projects adds up to the cent."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporter.quota.sharing import CENT, rounded, shared

money = st.decimals(0, 10**7, places=4)
weights = st.dictionaries(st.text(max_size=5), st.integers(0, 10**15), min_size=1, max_size=50)


def test_cents_that_are_left_go_to_the_largest_remainders() -> None:
    """Of a dollar in three parts, one gets the cent that is left."""
    assert {"a": Decimal("0.34"), "b": Decimal("0.33"), "c": Decimal("0.33")} == shared(
        Decimal(1), {"a": 1, "b": 1, "c": 1}
    )


def test_unused_quota_is_nobodys() -> None:
    """What nobody has used is paid under the first label, which is that of no project."""
    assert {"": Decimal(29), "web": Decimal(0)} == shared(Decimal(29), {"": 0, "web": 0})


def test_nobody() -> None:
    """Without anybody to share it, there are no parts."""
    assert {} == shared(Decimal(29), {})


@given(money, weights)
def test_sum_is_exact(amount: Decimal, weights: dict[str, int]) -> None:
    """The parts add up to the rounded amount, whatever the weights."""
    assert rounded(amount) == sum(shared(amount, weights).values())


@given(money, weights)
def test_parts_are_in_proportion(amount: Decimal, weights: dict[str, int]) -> None:
    """Each part differs from its exact share by less than a cent."""
    total = sum(weights.values()) or 1
    parts = shared(amount, weights)

    assert weights.keys() == parts.keys()
    assert all(
        abs(parts[key] - rounded(amount) * weight / total) < CENT
        for key, weight in weights.items()
        if sum(weights.values())
    )
