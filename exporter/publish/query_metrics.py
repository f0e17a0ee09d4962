"""The lines about each query, and about the projects of an organization."""

from collections.abc import Iterator, Mapping, Sequence

from exporter.collect.snapshot import REASONS, ProjectInfo, Report
from exporter.publish import families
from exporter.publish.family import Family
from exporter.publish.text import label_set, line, sample


def query_lines(report: Report, series: int) -> Mapping[Family, bytes]:
    """Return the lines about a query that publishes ``series`` data series, by family."""
    labels = (report.organization, report.query)
    # Quotas are no question of one interval and some dimensions: dashboards choose those by it.
    has_question = report.quotas is None
    info = sample(families.QUERY_INFO, (*labels, *report.about), 1) if has_question else ""
    failures = [
        sample(families.POLL_FAILURES, (*labels, reason), report.failures.get(reason, 0))
        for reason in REASONS
    ]
    last_events = [
        sample(families.PROJECT_LAST_EVENT, (*labels, project), start)
        for project, start in (report.view.last_events if report.view else {}).items()
    ]
    written = label_set(families.QUERY_LABELS, labels)
    lines = {
        families.QUERY_INFO: info,
        families.PROJECT_LAST_EVENT: "".join(last_events),
        families.POLL_FAILURES: "".join(failures),
        **{family: line(family.name, written, value) for family, value in _values(report, series)},
    }
    # A family without lines must be there, empty: that takes its last block off the page.
    return {family: lines.get(family, "").encode() for family in families.QUERY_FAMILIES}


def _values(report: Report, series: int) -> Iterator[tuple[Family, float]]:
    yield families.QUERY_INTERVAL, report.timing.interval
    yield families.QUERY_POLL_INTERVAL, report.timing.poll_interval
    yield families.QUERY_SETTLE, report.timing.settle
    yield families.QUERY_MAX_AGE, report.timing.max_age
    yield families.UP, report.up
    yield families.LAST_SUCCESS, report.last_success
    yield families.NEXT_POLL, report.next_poll
    if report.view is not None:
        yield families.BUCKET_START, report.view.start
        yield families.BUCKET_END, report.view.start + report.view.interval
        yield families.COMPLETE, report.view.complete
    if report.quotas is not None and report.quotas.period is not None:
        yield families.COMPLETE, report.quotas.complete
    yield families.SERIES, series
    yield families.FILTER_PROJECTS_MISSING, len(report.missing)
    yield families.POLLS, report.polls
    yield families.POLL_DURATION, report.duration
    yield families.POLL_REQUESTS, report.requests
    yield families.REVISIONS, report.revisions
    yield families.REGRESSIONS, report.regressions


def project_lines(organization: str, projects: Sequence[ProjectInfo]) -> bytes:
    """Return the lines that describe ``projects``."""
    lines = [
        sample(
            families.PROJECT_INFO,
            (organization, one.label, str(one.id), one.platform, one.team),
            1,
        )
        for one in projects
    ]
    return "".join(lines).encode()
