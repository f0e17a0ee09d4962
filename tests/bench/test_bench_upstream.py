"""The organization that is served in Sentry's place."""

import json
from urllib.parse import urlencode
from urllib.request import urlopen

from bench.pipeline import FINISHED
from bench.samples import FIRST_HOUR, HOUR, KINDS, hour, project_id, written
from bench.upstream import Organization, serving

SERIES = 60
PROJECTS = 3


def parameters(start: int, hours: int, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the parameters of a request about some hours, the last one inclusive."""
    return [("start", written(start)), ("end", written(start + hours * HOUR - 1)), *more]


def by_project(*numbers: int) -> list[tuple[str, str]]:
    """Return the parameters of a request about projects, with none about all of them."""
    ids = [("project", str(project_id(number))) for number in numbers] or [("project", "-1")]
    return parameters(FINISHED, 1, ("groupBy", "project"), *ids)


def organization(max_rows: int = 10_000) -> Organization:
    """Return an organization with data in one hour."""
    return Organization(SERIES, {FINISHED: hour(SERIES, FINISHED)}.get, max_rows)


def test_without_project_each_hour_has_its_sums() -> None:
    """Hours without data are zeros."""
    answer = json.loads(organization().stats(parameters(FINISHED - HOUR, 2)))
    series = [tuple(group["series"]["sum(quantity)"]) for group in answer["groups"]]

    assert [written(FINISHED - HOUR), written(FINISHED)] == answer["intervals"]
    assert [(0, value) for value in hour(SERIES, FINISHED).sums] == series


def test_by_project_only_the_named_ones_are_there() -> None:
    """A request that names projects is answered about these."""
    groups = json.loads(organization().stats(by_project(2)))["groups"]

    assert {project_id(2)} == {group["by"]["project"] for group in groups}


def test_an_answer_about_all_projects_is_cut() -> None:
    """No more rows come than the store gives."""
    most = PROJECTS * len(KINDS) - 1
    groups = json.loads(organization(most).stats(by_project()))["groups"]

    assert (PROJECTS - 1) * len(KINDS) == len(groups)


def test_an_hour_without_data_has_no_projects() -> None:
    """Its answer is empty."""
    empty = Organization(SERIES, lambda _start: None)

    assert [] == json.loads(empty.stats(by_project()))["groups"]


def test_the_server_counts_and_holds_requests() -> None:
    """What is held is answered once it is released."""
    with serving(SERIES, hours=1) as sentry:
        base = f"{sentry.url}/api/0/organizations/bench"
        query = urlencode(parameters(FIRST_HOUR, 1))
        with urlopen(f"{base}/projects/") as listed:  # noqa: S310
            projects = json.load(listed)
        with sentry.held() as release:
            release()
            with urlopen(f"{base}/stats_v2/?{query}") as answer:  # noqa: S310
                groups = json.load(answer)["groups"]

        assert 2 == sentry.requests()
    assert PROJECTS == len(projects)
    assert len(KINDS) == len(groups)
