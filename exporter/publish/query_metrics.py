"""What is said about each query, and about the projects of an organization, as lines."""

from collections.abc import Iterator, Mapping, Sequence

from exporter.collect.snapshot import REASONS, ProjectInfo, Report
from exporter.publish import families
from exporter.publish.families import Family
from exporter.publish.text import sample


def query_samples(report: Report, series: int) -> Mapping[Family, str]:
    """Return the samples about one query that publishes ``series`` data series, by family."""
    labels = (report.organization, report.query)
    failures = [
        sample(families.POLL_FAILURES, (*labels, reason), report.failures.get(reason, 0))
        for reason in REASONS
    ]
    return {
        families.QUERY_INFO: sample(families.QUERY_INFO, (*labels, *report.about), 1),
        **{family: sample(family, labels, value) for family, value in _values(report, series)},
        families.POLL_FAILURES: "".join(failures),
    }


def _values(report: Report, series: int) -> Iterator[tuple[Family, float]]:
    yield families.UP, report.up
    yield families.LAST_SUCCESS, report.last_success
    yield families.NEXT_POLL, report.next_poll
    if report.view is not None:
        yield families.BUCKET_START, report.view.start
        yield families.BUCKET_END, report.view.start + report.view.interval
        yield families.COMPLETE, report.view.complete
    yield families.SERIES, series
    yield families.FILTER_PROJECTS_MISSING, len(report.missing)
    yield families.POLLS, report.polls
    yield families.POLL_DURATION, report.duration
    yield families.POLL_REQUESTS, report.requests
    yield families.REVISIONS, report.revisions
    yield families.REGRESSIONS, report.regressions


def project_samples(organization: str, projects: Sequence[ProjectInfo]) -> str:
    """Return the samples that tell who ``projects`` are."""
    return "".join(
        sample(
            families.PROJECT_INFO,
            (organization, one.label, str(one.id), one.platform, one.team),
            1,
        )
        for one in projects
    )
