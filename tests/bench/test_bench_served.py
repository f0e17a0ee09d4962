"""A process of ``serve`` under a simulated clock."""

from pathlib import Path

import pytest

from bench.samples import FAMILY
from bench.served import BEFORE, by_project, hours_later, samples_of, served_series, started
from bench.trees import measured
from bench.upstream import serving

PAGE = b"""# HELP some_family Some.
# TYPE some_family gauge
some_family{query="a b"} 1
some_family{query="c"} 1.5
# HELP other Another one.
# TYPE other gauge
other{query="c"} 3
"""


@pytest.mark.parametrize(
    ("family", "expected"), [("some_family", [1, 1.5]), ("other", [3]), ("missing", [])]
)
def test_samples_are_found_by_their_family(family: str, expected: list[float]) -> None:
    """Labels may contain spaces, and a family may be missing."""
    assert expected == samples_of(b"\n" + PAGE, family)


def test_series_of_the_compared_family_are_counted() -> None:
    """Other families do not count."""
    page = f'\n{FAMILY}{{a="b"}} 1\n{FAMILY}{{a="c"}} 2\nother{{}} 1\n'.encode()

    assert 2 == served_series(page)


def test_the_process_polls_when_its_clock_is_set(tmp_path: Path) -> None:
    """Hours have data once they have ended, and each poll takes some CPU."""
    with (
        measured() as (tree,),
        serving(40, hours=2) as sentry,
        started(tree, tmp_path / "served", by_project(sentry), state=tmp_path / "state") as served,
    ):
        first = served_series(served.page()), served.polled(BEFORE)
        seconds = [served.poll(hours_later(number)) for number in (1, 2)]
        second = served_series(served.page()), served.polled(hours_later(2))
        polls = served.polls()
        served.stop()

    assert (0, True) == first
    assert (40, True) == second
    assert all(one > 0 for one in seconds)
    assert polls >= 3
