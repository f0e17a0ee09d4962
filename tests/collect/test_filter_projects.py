"""The projects of a filter: which are read, and for how long one that was refused is left out."""

import pytest

from exporter.collect.plan.resolved import ChosenProjects
from exporter.collect.poll.filter_projects import RETRY_REFUSED_AFTER, FilterProjects
from tests.support.rows import API, WEB
from tests.support.sentry import listed
from tests.support.settings import NOW

BOTH = FilterProjects(("project-1", "project-2"))


def test_all() -> None:
    """Without refusals all that the list has are chosen."""
    assert ChosenProjects((WEB,), ("project-2",)) == BOTH.choose(listed(WEB))


def test_refused() -> None:
    """A project that was refused is missing, whatever the list says; others stay refused."""
    refusing = BOTH.refusing([API], NOW).refusing([WEB], NOW + 1)

    assert ChosenProjects((), ("project-1", "project-2")) == refusing.choose(listed(WEB, API))
    assert {API: NOW, WEB: NOW + 1} == refusing.refused


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (0, (WEB,)),
        (RETRY_REFUSED_AFTER - 1, (WEB,)),
        (RETRY_REFUSED_AFTER, (WEB, API)),
        (-1, (WEB, API)),
    ],
)
def test_retried(later: float, expected: tuple[int, ...]) -> None:
    """It is tried again after an hour, or once the clock shows a time before the refusal."""
    chosen = BOTH.refusing([API], NOW).at(NOW + later).choose(listed(WEB, API))

    assert expected == chosen.ids


def test_retrying() -> None:
    """All can be tried again at once."""
    assert BOTH == BOTH.refusing([API], NOW).retrying()


def test_unknown() -> None:
    """The error names every project, and why each cannot be read."""
    assert (
        'filter.project: the token cannot read the project "project-1"; '
        'no project "project-2" (did you mean project-1?)'
    ) == str(BOTH.unknown(listed(WEB)))
