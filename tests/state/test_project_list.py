"""The projects list, which serves where Sentry cannot be asked after a restart."""

from contextlib import closing
from pathlib import Path

import pytest

from exporter.sentry.projects import Project, ProjectList
from exporter.state import State
from tests.state.polls import ACME
from tests.support.settings import organization

LISTED = ProjectList.of(
    [
        Project(1, "web", "python", accessible=True, teams=("a", "b")),
        Project(2, "ключ", "", accessible=False),
    ]
)


def test_restored(path: Path) -> None:
    """A list comes back as it was."""
    with closing(State(path)) as state:
        state.project_list(ACME).persist(LISTED)

    with closing(State(path)) as state:
        assert LISTED == state.project_list(ACME).restore()


@pytest.mark.parametrize("other", [{"name": "b"}, {"slug": "b"}, {"url": "https://b.example"}])
def test_of_another_organization(state: State, other: dict[str, str]) -> None:
    """No other organization gets it."""
    state.project_list(ACME).persist(LISTED)

    assert state.project_list(organization(**other)).restore() is None


def test_damaged(state: State) -> None:
    """A list that cannot be read is as good as none: Sentry has it."""
    state.project_list(ACME).persist(LISTED)

    with state.transaction() as database:
        database.execute("UPDATE projects SET list = x'00'")

    assert state.project_list(ACME).restore() is None
