"""What is said about each query, and about the projects of an organization, as lines."""

from collections.abc import Iterator

from exporter.collect.report import REASONS, ProjectInfo, Report
from exporter.publish import families
from exporter.publish.families import Family
from exporter.publish.text import sample


def query_samples(report: Report, series: int) -> Iterator[tuple[Family, str]]:
    """Yield the samples about one query that publishes ``series`` data series."""
    labels = (report.organization, report.query)
    for family, value in _values(report, series):
        yield family, sample(family, labels, value)
    for reason in REASONS:
        value = report.failures.get(reason, 0)
        yield families.POLL_FAILURES, sample(families.POLL_FAILURES, (*labels, reason), value)


def _values(report: Report, series: int) -> Iterator[tuple[Family, float]]:
    yield families.UP, report.up
    yield families.LAST_SUCCESS, report.last_success
    yield families.NEXT_POLL, report.next_poll
    if report.view is not None:
        yield families.BUCKET_START, report.view.start
        yield families.BUCKET_END, report.view.start + report.view.interval
        yield families.COMPLETE, report.view.whole
    yield families.SERIES, series
    yield families.POLLS, report.polls
    yield families.POLL_DURATION, report.duration
    yield families.POLL_REQUESTS, report.requests
    yield families.REVISIONS, report.revisions
    yield families.REGRESSIONS, report.regressions


def project_sample(organization: str, project: ProjectInfo) -> str:
    """Return the sample that tells who ``project`` is."""
    labels = (organization, project.label, str(project.id), project.platform)
    return sample(families.PROJECT_INFO, labels, 1)
