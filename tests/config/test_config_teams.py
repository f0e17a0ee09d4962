"""Which team owns a project."""

import pytest

from exporter.config import Teams

TEAMS = Teams(
    (
        ("payments", ("checkout", "billing-*", "4505123")),
        ("platform", ("web", "b*", "api-[12]", "?q")),
        ("others", ("*",)),
    )
)


@pytest.mark.parametrize(
    ("slug", "project_id", "owner"),
    [
        ("checkout", 1, "payments"),
        ("billing-eu", 1, "payments"),
        ("renamed", 4505123, "payments"),
        ("billing", 1, "platform"),
        ("api-2", 1, "platform"),
        ("mq", 1, "platform"),
        ("api-3", 1, "others"),
        ("checkout-2", 45051, "others"),
    ],
)
def test_owner_is_the_first_team_that_has_the_project(
    slug: str, project_id: int, owner: str
) -> None:
    """Slugs, patterns and ids name projects; the order of the file decides."""
    assert owner == TEAMS.owner(slug, project_id)


def test_nobody_owns_what_no_team_names() -> None:
    """A project that no team names has no owner."""
    assert Teams((("payments", ("checkout",)),)).owner("web", 1) is None
    assert Teams().owner("web", 1) is None


def test_patterns_are_for_slugs() -> None:
    """A pattern of digits does not select by id."""
    assert Teams((("payments", ("45*",)),)).owner("web", 4505123) is None


def test_capitals_matter() -> None:
    """Patterns distinguish capital letters on every system, as Sentry does."""
    assert Teams((("payments", ("billing-*",)),)).owner("Billing-eu", 1) is None
