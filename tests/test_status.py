"""What the status page shows: the state of a query, and what is known of an organization."""

from pathlib import Path
from typing import Any

import pytest

from exporter.sentry.api_status import ApiStatus, RateLimit
from exporter.sentry.deprecation import Deprecation
from exporter.sentry.projects import Project, ProjectList
from exporter.sentry.token import Secret, TokenFile, TokenLiteral
from exporter.status import QueryStatus, TokenStatus, organization_status
from tests.support.settings import organization
from tests.support.statuses import failing_query, polls, query_status, view, waiting_query
from tests.support.statuses import organization as organization_of

API = ApiStatus(2.5, RateLimit(40, 12), (Deprecation("stats_v2", "2027-01-31", ""),))


@pytest.mark.parametrize(
    ("states", "report"),
    [
        (["up"], {}),
        (["up", "incomplete"], {"view": view(complete=False)}),
        (["failing"], {"up": False}),
        (["failing", "incomplete"], {"up": False, "view": view(complete=False)}),
        (["failing"], {"up": False, "view": None, "last_success": 0}),
        (["failing"], {"up": False, "view": None}),
        (["waiting"], {"polls": 0, "up": False}),
        (["waiting"], {"polls": 0, "up": False, "view": None}),
    ],
)
def test_states(states: list[str], report: dict[str, Any]) -> None:
    """The states of a query follow from its last poll and its data."""
    assert states == list(query_status(**report).states)


@pytest.mark.parametrize(
    ("lacks_data", "report"),
    [
        (False, {}),
        (False, {"up": False}),
        (True, {"up": False, "view": None}),
        (False, {"up": False, "view": None, "last_success": 0}),
        (False, {"polls": 0, "up": False, "view": None}),
    ],
)
def test_lacks_data(lacks_data: bool, report: dict[str, Any]) -> None:  # noqa: FBT001
    """Data are missed where there were some, and a poll has been tried since."""
    assert lacks_data is query_status(**report).lacks_data


class TestLastFailure:
    """The last poll that failed."""

    def test_failing(self) -> None:
        """It is the last poll."""
        query = failing_query()

        assert query.report.last_polls[-1] is query.last_failure

    @pytest.mark.parametrize("query", [query_status(), waiting_query()])
    def test_none(self, query: Any) -> None:
        """There is none where no remembered poll has failed."""
        assert query.last_failure is None


class TestCommonFailure:
    """The failure that all queries of an organization have."""

    def test_same(self) -> None:
        """It is their last one, and lasts since the first of them failed."""
        first, second = failing_query(failing_since=70), failing_query("projects", failing_since=50)
        shown = organization_of([first, second])

        assert first.last_failure == shown.common_failure
        assert 50 == shown.failing_since

    @pytest.mark.parametrize(
        "queries",
        [
            [],
            [failing_query()],
            [failing_query(), query_status("projects")],
            [failing_query(), waiting_query("projects")],
            [failing_query(), query_status("projects", last_polls=(*polls(1), *polls()))],
            [failing_query(), failing_query("projects", last_polls=polls(3, error="HTTP 502"))],
        ],
    )
    def test_none(self, queries: list[QueryStatus]) -> None:
        """There is none where one of them is well or fails for something else, or is alone."""
        assert organization_of(queries).common_failure is None


class TestToken:
    """Where a token is read from, and of which kind it is."""

    @pytest.mark.parametrize(
        ("token", "kind"),
        [
            ("sntryu_0123", "user token"),
            ("sntryi_0123", "internal integration token"),
            ("sntrya_0123", "token of a user's application"),
            ("0123456789", "user or integration (kind not shown)"),
        ],
    )
    def test_kind(self, token: str, kind: str) -> None:
        """The prefix says the kind."""
        status = TokenStatus.of(TokenLiteral(Secret(token)), None)

        assert TokenStatus("token", kind) == status
        assert "0123" not in repr(status)

    @pytest.mark.parametrize(
        ("token", "kind"),
        [("0123456789", "internal integration token"), ("sntryu_0123", "user token")],
    )
    def test_kind_by_what_it_reads(self, token: str, kind: str) -> None:
        """A token without prefix is an integration's if it reads what is denied to users."""
        projects = ProjectList.of(
            Project(number, f"project-{number}", "", accessible=number < 1) for number in range(2)
        ).all_readable()

        assert kind == TokenStatus.of(TokenLiteral(Secret(token)), projects).kind

    def test_kind_of_a_users_token(self) -> None:
        """Whoever reads what the list allows may be a user or an integration."""
        projects = ProjectList.of(
            Project(number, f"project-{number}", "", accessible=number < 1) for number in range(2)
        )
        status = TokenStatus.of(TokenLiteral(Secret("0123456789")), projects)

        assert "user or integration (kind not shown)" == status.kind

    def test_unreadable(self, tmp_path: Path) -> None:
        """A token that cannot be read has its reason instead."""
        place = tmp_path / "token"

        status = TokenStatus.of(TokenFile(place), None)

        assert (
            TokenStatus(
                f"token_file {place}", flaw=f"token_file {place}: No such file or directory"
            )
            == status
        )

    def test_useless(self) -> None:
        """An organization token is of no use, which is what there is to say about it."""
        status = TokenStatus.of(TokenLiteral(Secret("sntrys_0123")), None)

        assert "cannot read stats" in status.flaw


class TestOrganization:
    """What is known of an organization."""

    def test_projects(self) -> None:
        """Projects that are listed and cannot be read are hidden."""
        projects = ProjectList.of(
            Project(number, f"project-{number}", "", accessible=number < 3) for number in range(5)
        )

        status = organization_status(organization(), API, projects, [query_status()])

        assert (5, 2) == (status.listed, status.hidden)

    def test_api(self) -> None:
        """What the answers of the API said is there; without a list nothing about projects."""
        status = organization_status(organization(), API, None, [])

        assert API is status.api
        assert status.listed is status.hidden is None
