"""Whatever rows a page is made of, parsers read the same rows in it."""

import gzip
import subprocess
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.categories import Unit, unit_of
from exporter.collect.series import Series
from exporter.collect.snapshot import ProjectInfo, Report, View
from exporter.publish.families import DATA_FAMILIES, PROJECT_INFO
from exporter.publish.page import Page
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from tests.publish.reports import START, Samples, page, samples_of, text_of
from tests.support.programs import find_program

NAMES = {family.name for family in (*DATA_FAMILIES, PROJECT_INFO)}

awkward = st.sampled_from(
    [
        *(
            '"',
            "\\",
            "\n",
            "\\n",
            '\\"',
            "\0",
            "\ufffd",
            "\r",
            "\r\n",
            "\x85",
            "\u2028",
            "}",
            "{a=",
        ),
        *("# EOF", " 1", "\x7f", "\ufeff", "a\u0301", "\U0001f600", "\t", "", "a" * 300),
    ]
)
texts = st.builds("".join, st.lists(awkward | st.text(max_size=4), max_size=3))
labels = texts.filter(bool)
categories = st.sampled_from(["error", "log_byte", "profile_duration", ""]) | texts
serieses = st.builds(Series, st.sampled_from([QUANTITY, TIMES_SEEN]), categories, texts, texts)
projects = st.integers(0, 3) | st.integers(0, 10**18)
values = st.integers(0, 9) | st.integers(0, 2**60)


def rows_by(key: st.SearchStrategy[int]) -> st.SearchStrategy[dict[Series, dict[int, int]]]:
    """Return rows whose values are by ``key``."""
    by_key = st.dictionaries(key, values, min_size=1, max_size=4)
    return st.dictionaries(serieses, by_key, max_size=4)


views = st.builds(
    View,
    start=st.just(START),
    interval=st.just(3600),
    complete=st.booleans(),
    bucket=rows_by(projects),
    running=st.none() | rows_by(projects),
    counters=st.none() | rows_by(st.integers(0, 2)),
    projects=st.none()
    | st.lists(labels, max_size=4, unique=True).map(lambda names: dict(enumerate(names, 1))),
    counter_labels=st.lists(labels, min_size=2, max_size=2, unique=True).map(lambda x: ("", *x)),
    unit=st.sampled_from(Unit),
)
infos = st.builds(ProjectInfo, labels, projects, texts, texts)
pages = st.tuples(
    st.dictionaries(st.tuples(texts, texts), views, max_size=3),
    st.dictionaries(texts, st.lists(infos, max_size=3, unique_by=lambda one: one.id), max_size=2),
)

Pages = tuple[Mapping[tuple[str, str], View], Mapping[str, list[ProjectInfo]]]


class Labels(NamedTuple):
    """The labels of a data sample, and the end of its family's name."""

    prefix: str
    series: Series
    project: str


def marked(text: str) -> str:
    """Return how a label is read back: NUL, which no parser takes, is marked."""
    return text.replace("\ufffd", "\ufffd\ufffd").replace("\0", "\ufffd0")


def expected_data(organization: str, query: str, view: View) -> Samples:
    """Return the samples that a view means, one value after another."""
    by_label: Counter[Labels] = Counter()
    for prefix, rows in (("bucket", view.bucket), ("running_bucket", view.running or {})):
        for series, by_project in rows.items():
            for project, value in by_project.items():
                names = {0: ""} if view.projects is None else view.projects
                other = str(project) if view.projects is None else ""
                by_label[Labels(prefix, series, names.get(project, other))] += value
    for series, by_number in (view.counters or {}).items():
        for number, value in by_number.items():
            by_label[Labels("", series, view.counter_labels[number])] += value
    return dict(sample(organization, query, view.unit, *one) for one in by_label.items())


def sample(
    organization: str, query: str, unit: Unit, one: Labels, value: int
) -> tuple[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return one sample as parsers give it."""
    series = one.series
    measure: str = unit_of(series.category) if series.category else unit
    if series.field == TIMES_SEEN:
        measure = "times_seen"
    name = "_".join(["sentry_stats", *filter(None, [one.prefix]), measure])
    name += "" if one.prefix else "_total"
    labels = {
        "organization": organization,
        "query": query,
        "category": series.category,
        "outcome": series.outcome,
        "reason": series.reason,
        "project": one.project,
    }
    key = name, frozenset((label, marked(text)) for label, text in labels.items())
    return key, value / 1000 if measure == "seconds" else float(value)


def expected(drawn: Pages) -> Samples:
    """Return the samples of the data families that a page has to have."""
    samples: Samples = {}
    for (organization, query), view in drawn[0].items():
        samples |= expected_data(organization, query, view)
    for organization, listed in drawn[1].items():
        for one in listed:
            labels = {
                "organization": organization,
                "project": one.label,
                "id": str(one.id),
                "platform": one.platform,
                "team": one.team,
            }
            pairs = frozenset((label, marked(text)) for label, text in labels.items())
            samples[PROJECT_INFO.name, pairs] = 1.0
    return samples


def shown(drawn: Pages) -> Page:
    """Return the page."""
    one = page()
    reports = [Report(*names, up=True, view=view) for names, view in drawn[0].items()]
    one.publish(*reports, projects=drawn[1])
    return one


@given(pages)
@settings(max_examples=100, derandomize=True)
def test_parsers_read_what_was_put_in(drawn: Pages) -> None:
    """Both parsers of client_python read every sample, and no other, in either format."""
    one = shown(drawn)

    for openmetrics in (False, True):
        samples = samples_of(one, openmetrics=openmetrics)
        # One parser reads integers as such, which are more exact than what Prometheus holds.
        read = {key: float(value) for key, value in samples.items() if key[0] in NAMES}
        assert expected(drawn) == read
        packed = b"".join(one.chunks(openmetrics=openmetrics, compressed=True))
        # The lines about the process, at the end, differ from one moment to the next.
        text = text_of(one, openmetrics=openmetrics).partition("# HELP process_")[0]
        assert gzip.decompress(packed).decode().startswith(text)


@pytest.mark.programs
@given(pages)
@settings(max_examples=20, derandomize=True)
def test_promtool_reads_what_was_put_in(drawn: Pages) -> None:
    """Prometheus's own parser has no complaint, and counts as many samples of each family."""
    promtool = find_program("promtool", "prometheus")
    checked = subprocess.run(  # noqa: S603 - a test's own command
        [promtool, "check", "metrics", "--extended"],
        input=text_of(shown(drawn)).encode(),
        capture_output=True,
        check=False,
    )
    lines = (line.split() for line in checked.stdout.decode().splitlines()[1:])
    counted = {fields[0]: int(fields[1]) for fields in lines if fields}

    assert (0, b"") == (checked.returncode, checked.stderr)
    assert Counter(name for name, _ in expected(drawn)) == {
        name: number for name, number in counted.items() if name in NAMES
    }
