"""How far two clocks may differ."""

import pytest

from exporter.sentry.api_status import clocks_agree, is_clock_wrong


@pytest.mark.parametrize(("skew", "agrees"), [(0, True), (-1.4, True), (1.6, False), (-2, False)])
def test_agreement(skew: float, *, agrees: bool) -> None:
    """A difference below the resolution of the server's date means nothing."""
    assert agrees is clocks_agree(skew)


@pytest.mark.parametrize(
    ("skew", "settle", "wrong"),
    [(59, 0, False), (61, 0, True), (-61, 0, True), (61, 300, False), (-301, 300, True)],
)
def test_wrong_clock(skew: float, settle: float, *, wrong: bool) -> None:
    """A clock is wrong from a minute on, or from ``settle`` on if that is longer."""
    assert wrong is is_clock_wrong(skew, settle)
