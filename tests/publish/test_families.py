"""The table of families: Prometheus's rules, and a page that follows the table."""

import re
from typing import Final

import pytest

from exporter.categories import Unit
from exporter.collect.snapshot import ProjectInfo
from exporter.publish import families
from exporter.publish.families import FAMILIES
from exporter.publish.family import Family, Type
from exporter.publish.page import Page
from exporter.publish.quota_families import QUOTA_FAMILIES
from exporter.publish.self_metrics import SelfMetrics
from exporter.sentry.question import TIMES_SEEN
from tests.publish.reports import families_of, report, series, text_of, view
from tests.support.quotas import account

UNITS: Final = ("bytes", "seconds", "events")
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@pytest.fixture(scope="module")
def everything() -> Page:
    """Return a page on which every family has a sample."""
    own = SelfMetrics()
    own.configuration_read(1_772_000_000.5)
    own.web_configuration(usable=True)
    meter = own.meter("acme")
    meter.request("stats_v2", 200, 0.25)
    meter.failure("projects", "timeout")
    meter.rate_limit(20, 19)
    meter.throttled(1.5)
    meter.clock_skew(0.5)
    meter.deprecation("stats_v2", 1_800_000_000)
    shown = Page(own)
    shown.publish_projects("acme", [ProjectInfo("web", 1, "python")])
    rows = {series(category): 5 for category in ("error", "log_byte", "profile_duration")}
    rows[series(field=TIMES_SEEN)] = 5
    last_events = {"web": 1_772_000_000}
    shown.publish(
        report(view=view(bucket=rows, running=rows, counters=rows, last_events=last_events))
    )
    shown.publish(report("quotas", view=None, quotas=account()))
    return shown


def parsed_name(family: Family) -> str:
    """Return the name of ``family`` in parsers: that of a counter lacks ``_total``."""
    return family.name.removesuffix("_total")


class TestRules:
    """What Prometheus's conventions require of names, units, labels and help."""

    def test_unique(self) -> None:
        """No two families have the same name, in either format."""
        names = [parsed_name(family) for family in FAMILIES]

        assert len(names) == len(set(names))

    @each_family
    def test_name(self, family: Family) -> None:
        """Names are snake_case and have the exporter's prefix."""
        assert re.fullmatch(r"sentry_stats(_[a-z0-9]+)+", family.name)

    @each_family
    def test_ending(self, family: Family) -> None:
        """Only counters end in ``_total``; no name ends in another suffix of the formats."""
        assert (family.type is Type.COUNTER) is family.name.endswith("_total")
        assert not re.search(r"_(sum|count|bucket|created)$", parsed_name(family))

    @each_family
    def test_unit(self, family: Family) -> None:
        """The unit is the end of the name, and a name that ends in a unit has that unit."""
        ending = parsed_name(family).rsplit("_", 1)[1]

        assert (ending if ending in UNITS else "") == family.unit

    @each_family
    def test_labels(self, family: Family) -> None:
        """Labels are plain words, unique, and not reserved by the formats or Prometheus."""
        assert len(family.labels) == len(set(family.labels))
        assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in family.labels)
        assert not {"le", "quantile", "type", "job", "instance"} & set(family.labels)

    @each_family
    def test_help(self, family: Family) -> None:
        """Help is one line of sentences that needs no escaping."""
        assert re.fullmatch(r"[^\\\n]+\.", family.help)

    @pytest.mark.parametrize("family", families.DATA_FAMILIES, ids=lambda family: family.name)
    def test_data(self, family: Family) -> None:
        """Data families have all six labels, and say that they are polled on a timer."""
        assert ("organization", "query", "category", "outcome", "reason", "project") == (
            family.labels
        )
        assert "timer" in family.help
        assert "stats_v2" in family.help

    def test_measures(self) -> None:
        """Each unit of a category has its families."""
        for kind in (families.BUCKET, families.RUNNING, families.COUNTED):
            assert {*Unit, "times_seen"} == set(kind)


class TestPage:
    """The page follows the table."""

    @each_family
    def test_type_and_help(self, everything: Page, family: Family) -> None:
        """Each family is on the page in both formats, with its type and help."""
        for openmetrics in (False, True):
            parsed = families_of(everything, openmetrics=openmetrics)[parsed_name(family)]

            assert (family.type, family.help) == (parsed.type, parsed.documentation)

    @pytest.mark.parametrize(
        "family",
        [
            *families.DATA_FAMILIES,
            families.PROJECT_INFO,
            *families.QUERY_FAMILIES,
            *QUOTA_FAMILIES,
        ],
        ids=lambda family: family.name,
    )
    def test_unit(self, everything: Page, family: Family) -> None:
        """OpenMetrics has the unit of each family."""
        parsed = families_of(everything, openmetrics=True)[parsed_name(family)]

        assert family.unit == parsed.unit

    @each_family
    def test_labels(self, everything: Page, family: Family) -> None:
        """Every sample has the family's labels, and ``le`` where it is a histogram's bucket."""
        samples = families_of(everything)[parsed_name(family)].samples

        assert samples
        assert all(set(family.labels) == sample.labels.keys() - {"le"} for sample in samples)

    @pytest.mark.parametrize("openmetrics", [False, True])
    def test_nothing_else(self, everything: Page, openmetrics: bool) -> None:  # noqa: FBT001 - the parameter is the test
        """The page has no family that is not in the table, except those of the process."""
        parsed = families_of(everything, openmetrics=openmetrics)

        assert {parsed_name(family) for family in FAMILIES} == {
            name for name in parsed if not name.startswith(("process_", "python_"))
        }

    def test_no_timestamps(self, everything: Page) -> None:
        """No sample has a timestamp, and no counter a sample about its creation."""
        parsed = families_of(everything, openmetrics=True).values()

        assert all(sample.timestamp is None for family in parsed for sample in family.samples)
        assert "_created" not in text_of(everything, openmetrics=True)
