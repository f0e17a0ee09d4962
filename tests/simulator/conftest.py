"""A small organization, for the tests that need no particular one."""

import pytest

from exporter.simulator import Organization, Project, ProjectStatus, Token, World


@pytest.fixture
def world() -> World:
    """One organization with two active projects and a deleted one, and an integration's token."""
    return World(
        organizations=[Organization(1, "acme"), Organization(2, "other")],
        projects=[
            Project(11, 1, "web", "javascript"),
            Project(12, 1, "api", "python"),
            Project(13, 1, "gone", None, ProjectStatus.DELETED),
        ],
        tokens=[Token("right", organization=1)],
    )
