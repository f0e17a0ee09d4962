"""Projects and their slugs: long lists, and changes while the exporter runs."""

from collections.abc import Iterator

import pytest

from exporter.app import Exporter
from exporter.simulator import Fault, Project, Row, Simulator, demo_world
from tests.end_to_end.exposition import Samples, data, data_sample, sample
from tests.end_to_end.stage import polled, truths
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, configuration, organization

QUERY = {**PROJECTS, "lookback": "1h"}
GLOBEX, NEW_PROJECT = 2, 4_505_124_999_999_999


@pytest.fixture
def sentry(clock: Clock) -> Iterator[Simulator]:
    """Serve the demo's organizations; the larger one has 150 projects."""
    with Simulator(demo_world(clock.now), clock=clock, rate_limit=None) as simulator:
        yield simulator


@pytest.fixture
def exporter(sentry: Simulator, clock: Clock) -> Exporter:
    """Return an exporter of the organization with 150 projects."""
    config = configuration(sentry.url, organization(QUERY, slug="globex"))
    return Exporter(config, clock=clock)


def labels_of(samples: Samples, name: str) -> set[str]:
    """Return the values of the label ``name`` in the data."""
    return {dict(labels)[name] for _, labels in data(samples)}


def listings(sentry: Simulator) -> list[dict[str, str]]:
    """Return the parameters of each request for the projects list that select its content."""
    return [
        {name: value for name, value in request.query if name in {"all_projects", "cursor"}}
        for request in sentry.requests
        if request.path.endswith("/projects/")
    ]


def add_new_project(sentry: Simulator, at: float) -> None:
    """Create a project whose first error is at ``at``."""
    sentry.world.add_project(Project(NEW_PROJECT, GLOBEX, "new", "rust"))
    sentry.world.add_rows(Row(GLOBEX, NEW_PROJECT, "error", "accepted", None, at, quantity=7))


def test_every_series_has_its_slug(sentry: Simulator, clock: Clock, exporter: Exporter) -> None:
    """The slugs of 150 projects are read with one request."""
    samples = polled(exporter, clock.now)
    slugs = {project.slug for project in sentry.world.projects(GLOBEX)}

    assert 150 == len(slugs)
    assert slugs == labels_of(samples, "project")
    assert [{"all_projects": "1"}] == listings(sentry)


def test_every_series_has_its_slug_with_pages(clock: Clock) -> None:
    """A server that supports only pages is read in two pages."""
    world = demo_world(clock.now)
    with Simulator(world, clock=clock, rate_limit=None, all_projects=False) as sentry:
        config = configuration(sentry.url, organization(QUERY, slug="globex"))
        samples = polled(Exporter(config, clock=clock), clock.now)

    assert {each.slug for each in world.projects(GLOBEX)} == labels_of(samples, "project")
    assert [{"all_projects": "1"}, {"cursor": "100:1:0"}] == listings(sentry)


def test_a_list_that_fails_is_read_in_pages(
    sentry: Simulator, clock: Clock, exporter: Exporter
) -> None:
    """If the complete list cannot be read, this poll and the next ones read pages."""
    sentry.faults.add(Fault("status", status=504, endpoint="projects", times=1))
    first = polled(exporter, clock.now)
    clock.now += 3600
    second = polled(exporter, clock.now)
    slugs = {project.slug for project in sentry.world.projects(GLOBEX)}
    pages = [{}, {"cursor": "100:1:0"}]

    assert [{"all_projects": "1"}, *pages, {"all_projects": "1"}] == listings(sentry)
    assert [slugs, slugs] == [labels_of(samples, "project") for samples in (first, second)]


def test_every_value_of_150_projects_equals_the_store(sentry: Simulator, clock: Clock) -> None:
    """Each of 150 projects has its stored values."""
    config = configuration(sentry.url, organization(QUERY, slug="globex"))
    samples = polled(Exporter(config, clock=clock), clock.now)
    (truth,) = truths(sentry.world, config)

    assert truth.bucket(clock.now) == data(samples, prefix="sentry_stats_bucket_")


def test_every_project_has_its_info(sentry: Simulator, clock: Clock, exporter: Exporter) -> None:
    """The info metric has each project's id, platform and team."""
    samples = polled(exporter, clock.now)

    for project in sentry.world.projects(GLOBEX):
        (team,) = project.teams if len(project.teams) == 1 else ("",)
        labels = {"project": project.slug, "id": str(project.id), "team": team}
        info = sample(
            "sentry_stats_project_info",
            organization="globex",
            platform=str(project.platform),
            **labels,
        )
        assert 1 == samples[info]


def test_a_new_project_has_its_slug(sentry: Simulator, clock: Clock, exporter: Exporter) -> None:
    """A project created while the exporter runs has its slug at the next poll."""
    polled(exporter, clock.now)
    add_new_project(sentry, at=clock.now + 60)
    clock.now += 3600
    samples = polled(exporter, clock.now)
    labels = ("globex", "projects", "error", "accepted", "none", "new")

    assert 7 == samples[data_sample("sentry_stats_bucket_events", *labels)]


def test_an_unknown_id_reloads_the_list(sentry: Simulator, clock: Clock) -> None:
    """An unknown id in an answer makes the exporter read the list again at once."""
    often = {**QUERY, "poll_interval": "5m"}
    config = configuration(sentry.url, organization(often, slug="globex"))
    exporter = Exporter(config, clock=clock)
    polled(exporter, clock.now)
    add_new_project(sentry, at=clock.now + 60)
    clock.now += 300
    samples = polled(exporter, clock.now)
    labels = ("globex", "projects", "error", "accepted", "none", "new")

    assert 7 == samples[data_sample("sentry_stats_running_bucket_events", *labels)]


def test_a_renamed_project_is_one_series(
    sentry: Simulator, clock: Clock, exporter: Exporter
) -> None:
    """The gauge has the new slug only, and the counter of the old slug no longer changes."""
    polled(exporter, clock.now)
    renamed = sentry.world.projects(GLOBEX)[0]
    sentry.world.add_project(Project(renamed.id, GLOBEX, "renamed", renamed.platform))
    clock.now += 3600
    samples = polled(exporter, clock.now)
    gauges = {each: value for each, value in samples.items() if "_bucket_" in each[0]}

    assert "renamed" in labels_of(gauges, "project")
    assert renamed.slug not in labels_of(gauges, "project")
    assert renamed.slug in labels_of(samples, "project")


def test_ids_as_labels(sentry: Simulator, clock: Clock) -> None:
    """With ``project_label: id``, every series has the project's id as its label."""
    entry = organization(QUERY, slug="globex", project_label="id")
    samples = polled(Exporter(configuration(sentry.url, entry), clock=clock), clock.now)

    assert {str(project.id) for project in sentry.world.projects(GLOBEX)} == labels_of(
        samples, "project"
    )
