"""Panels about the projects of an organization, which several dashboards share.

``project=""`` stands for deleted projects and those that the token cannot read, so that rows add up
to the organization's total. Its name in panels is `NO_PROJECT`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from grafana_foundation_sdk.models.dashboard import Panel, VariableModel

from deploy.grafana.generator.expressions import (
    ACCEPTED,
    DROPPED,
    MEASURES,
    RECORDED,
    SPIKE_PROTECTION,
    SUBMITTED,
    WEEK,
    Choice,
    Recorded,
    known,
    latest,
    named,
    once,
    running,
    series,
    steps,
    top_steps,
)
from deploy.grafana.generator.panels import CHANGE, Figure, Target, data_table, measured_columns
from deploy.grafana.generator.variables import projects_in
from deploy.grafana.generator.volumes import RANGE, VOLUMES, columns, top
from exporter.publish.families import PROJECT_INFO, PROJECT_LAST_EVENT

NO_PROJECT: Final = "no project"
"""The legend of deleted projects and of those that the token cannot read."""

NO_TEAM: Final = "no team"

_REMAINDER: Final = f"'{NO_PROJECT}' stands for deleted and unreadable projects."
_DRILL_DOWN: Final = (
    "/d/sentry-stats-project?${datasource:queryparam}&${organization:queryparam}"
    "&${project_query:queryparam}&${category:queryparam}&var-project=${__value.raw:percentencode}"
    "&${__url_time_range}"
)
_LINKS: Final = {"project": _DRILL_DOWN}
_TOP_SUBMITTED: Final = "most_submitted"
_TOP_DROPPED: Final = "most_dropped"
_LARGEST: Final = "largest"
_MAX_LARGEST: Final = 50
"""Of each kind. Prometheus tries each of their names on each project: 400 names take 3 seconds."""

_CHANGED: Final = "most_changed"
_SILENT: Final = "silent"
_MAX_CHANGED: Final = 50
_MAX_SILENT: Final = 100
_MIN_MISSED: Final = 20
"""A project counts as silent when more than these were to be expected. If 20 events are expected,
the probability of none is about 2 in a billion."""


def hidden(source: Recorded) -> Sequence[VariableModel]:
    """Return the variables for the projects that panels are about; each reads all projects once."""

    def largest(choice: Choice, count: int = 10) -> str:
        sums = (source.over_range(each.name, choice, ("project",)) for each in MEASURES)
        return f"topk({count}, {' or '.join(sums)})"

    both = " or ".join(largest(choice, _MAX_LARGEST) for choice in (SUBMITTED, DROPPED))

    differences = " or ".join(f"{_difference(source, each.name)} > 0" for each in MEASURES)
    changes = f"topk({_MAX_CHANGED}, {differences}) and on () {source.has_week()}"
    return [
        projects_in(_TOP_SUBMITTED, largest(SUBMITTED)),
        projects_in(_TOP_DROPPED, largest(DROPPED)),
        projects_in(_LARGEST, both),
        projects_in(_CHANGED, changes),
        projects_in(
            _SILENT,
            f"topk({_MAX_SILENT}, {_usual(source)} unless on (project) ({_accepting(source)}))",
        ),
    ]


def ranked(source: Recorded) -> Sequence[Panel]:
    """Return which projects submitted and lost most: two charts and a table."""
    return [
        _largest(source, "Which projects sent the most?", "submitted", SUBMITTED, _TOP_SUBMITTED),
        _largest(source, "Which projects lost the most?", "dropped", DROPPED, _TOP_DROPPED),
        _table(source),
    ]


def _largest(source: Recorded, title: str, what: str, choice: Choice, variable: str) -> Panel:
    some = source.of(f'project=~"${variable}|"')

    def build(measure: str) -> str:
        return _named(steps(some, measure, choice, "project"))

    return top("project", title, f"What the ten largest {what}. {_REMAINDER}", build)


def _named(vector: str) -> str:
    return named(vector, "project", NO_PROJECT)


def _table(source: Recorded) -> Panel:
    return data_table(
        Figure(
            "What did each project send and lose?",
            f"{RANGE} 'Last hour' and 'This hour so far' are what was submitted in the latest "
            "finished and in the running bucket. The row without a name stands for deleted and "
            f"unreadable projects. Shown are the {_MAX_LARGEST} projects that submitted most, and "
            f"the {_MAX_LARGEST} that lost most; up to {_MAX_LARGEST} projects, the rows add up to "
            "the total. Click a name to open the project.",
            columns(source.of(f'project=~"${_LARGEST}|"'), "project"),
            width=24,
            height=12,
            links=_LINKS,
            sort="Dropped",
        )
    )


def teams(source: Recorded, organization: str) -> Panel:
    """Return the volumes of each team of an organization, which matchers select."""
    owner = once(series(PROJECT_INFO, organization), "project", "team")

    def build(choice: Choice, measure: str) -> str:
        by_project = source.over_range(measure, choice, ("project",))
        owned = f"{by_project} * on (project) group_left (team) ({owner} or vector(1))"
        return f"{named(f'sum by (team) ({owned})', 'team', NO_TEAM)} > 0"

    titles = ("Submitted", "Accepted", "Dropped")
    return data_table(
        Figure(
            "How much belongs to each team?",
            f"{RANGE} Teams are those of `teams:` in the configuration, or a project's only team "
            f"in Sentry. '{NO_TEAM}' also has deleted and unreadable projects.",
            measured_columns(
                [(title, partial(build, choice)) for title, _, choice in VOLUMES if title in titles]
            ),
            height=10,
            sort="Submitted",
        )
    )


def changed(source: Recorded) -> Panel:
    """Return the projects whose volume differs most from last week's."""
    some = source.of(f'project=~"${_CHANGED}",project!=""')
    now = partial(_now, some)
    before = partial(_before, some)
    ratios = " or ".join(f"{now(each.name)} / ({before(each.name)} > 0) - 1" for each in MEASURES)
    return data_table(
        Figure(
            "Which projects differ most from last week?",
            "What each project submitted in the hours that were recorded in the time range, and a "
            f"week earlier: the {_MAX_CHANGED} projects with the largest difference. Needs the "
            "hours of the time range and those a week before.",
            (
                *measured_columns(
                    [
                        ("Difference", partial(_difference, some)),
                        ("Submitted", now),
                        ("A week earlier", before),
                    ]
                ),
                Target(ratios, "Change", "percentunit", thresholds=CHANGE),
            ),
            height=10,
            links=_LINKS,
            sort="Difference",
            empty="No earlier week to compare with yet",
        )
    )


def _now(source: Recorded, measure: str) -> str:
    return source.comparable(measure, SUBMITTED, ("project",))


def _before(source: Recorded, measure: str) -> str:
    return source.comparable(measure, SUBMITTED, ("project",), WEEK)


def _difference(source: Recorded, measure: str) -> str:
    # Also of projects that have only one of the two, without reading either twice.
    now = f'label_replace({_now(source, measure)}, "at", "now", "", "")'
    return f"abs(sum by (project) ({now} or -1 * {_before(source, measure)}))"


def silent(source: Recorded) -> Panel:
    """Return the projects from which nothing has been accepted for longer than usual."""
    some = source.of(f'project=~"${_SILENT}",project!=""')
    last_event = once(series(PROJECT_LAST_EVENT, some.query, some.projects), "project")
    return data_table(
        Figure(
            "Who fell silent?",
            "Projects of which nothing is accepted any more, neither in the last finished nor in "
            f"the running bucket, although more than {_MIN_MISSED} were to be expected since the "
            "last one, by the average of the last seven days. In units: events, bytes or seconds. "
            "'Last event' is the newest bucket in which Sentry received anything from the "
            "project, in any category and with any outcome except client_discard: if it is newer, "
            "the project is silent in this category only.",
            (
                Target(_silent(some, _missed(some)), "Expected since then"),
                Target(_silent(some, _usual(some)), "Usual per hour"),
                Target(
                    _silent(some, f"1000 * {_last_bucket(some)}"),
                    "Last accepted bucket",
                    "dateTimeFromNow",
                ),
                Target(_silent(some, known(last_event)), "Last event", "dateTimeFromNow"),
            ),
            height=10,
            links=_LINKS,
            sort="Expected since then",
            empty="Nobody",
        )
    )


def _accepted(source: Recorded) -> str:
    return f"{RECORDED}{{{source.query},{source.matchers()},{ACCEPTED[0]}}}"


def _usual(source: Recorded) -> str:
    return f"sum by (project) (sum_over_time({_accepted(source)}[7d])) / 168"


def _last_bucket(source: Recorded) -> str:
    """Return the start of the last bucket with anything accepted.

    It is recorded between 115 and 120 minutes after its start, and read at 120 minutes.
    """
    # timestamp() would need four times as long.
    moment = f"{_accepted(source)} * 0 + time()"
    return f"(max by (project) (max_over_time(({moment})[7d:1h])) - 7200)"


def _missed(source: Recorded) -> str:
    return f"{_usual(source)} * (time() - 3600 - {_last_bucket(source)}) / 3600"


def _accepting(source: Recorded) -> str:
    return " or ".join(
        f"{shown(source, each.name, ACCEPTED, 'project')} > 0"
        for shown in (latest, running)
        for each in MEASURES
    )


def _silent(source: Recorded, vector: str) -> str:
    missed = f"{_missed(source)} > {_MIN_MISSED}"
    return f"{vector} and on (project) ({missed}) unless on (project) ({_accepting(source)})"


def spike_protection(source: Recorded) -> Sequence[Panel]:
    """Return where spike protection drops data: by hour, and in numbers."""

    def so_far(measure: str) -> str:
        return f"{running(source, measure, SPIKE_PROTECTION, 'project')} > 0"

    def last(measure: str) -> str:
        return f"{latest(source, measure, SPIKE_PROTECTION, 'project')} > 0"

    def over_range(measure: str) -> str:
        return f"{source.over_range(measure, SPIKE_PROTECTION, ('project',))} > 0"

    what = "What spike protection dropped."

    def build(measure: str) -> str:
        return _named(top_steps(source, measure, SPIKE_PROTECTION, "project"))

    title = "When was spike protection active, by project?"
    chart = top("project", title, f"{what} The ten largest. {_REMAINDER}", build)
    table = Figure(
        "Where did spike protection drop data?",
        f"{what} {RANGE}",
        measured_columns(
            [("Dropped", over_range), ("Last hour", last), ("This hour so far", so_far)]
        ),
        links=_LINKS,
        sort="Dropped",
        empty="Nowhere",
    )
    return [chart, data_table(table)]
