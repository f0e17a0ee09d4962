"""Categories, outcomes, reasons and names of projects that nobody expects are shown as they are."""

from collections.abc import Callable
from typing import Final

import pytest

from exporter.app import Exporter
from exporter.categories import KNOWN_CATEGORIES
from exporter.simulator import Organization, Project, Row, Simulator, Token, World
from tests.end_to_end.exposition import Samples, data, read_openmetrics, read_text, values
from tests.end_to_end.stage import polled
from tests.end_to_end.truth import Truth
from tests.reliability.upstream.world import HOUR, START, token_of
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, configuration
from tests.support.exporters import page_text

VALUES: Final = {
    "unknown": "quantum_flux",
    "empty": "",
    "quotes": "\"'`",
    "lines": "a\nb\n# EOF\n",
    "carriage returns": "a\r\nb\r",
    "backslashes": "\\n\\\\",
    "NUL": "a\0b",
    "the character for what is none": "a\ufffdb",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x85",
    "10 kB": "x" * 10_000,
    "a line of the page": '"} 5\nsentry_stats_up{organization="acme"} 0',
    "beyond the first plane": "\U0001f600\U0010ffff",
    "from right to left": "\u202eabc\u2066",
    "separators": "a\u2028b\u2029c",
    "a number": "NaN",
    "spaces": "  ",
    "a template": "{{ .Labels.token }}%s%n",
    "HTML": "<script>alert(1)</script>",
}

DIMENSIONS: Final = 4
"""Category, outcome, reason and project."""


def world_of(value: str) -> World:
    """Return an organization with rows that have ``value`` in each place, among usual ones."""
    made = World(
        [Organization(1, "acme")],
        [Project(11, 1, "web"), Project(12, 1, value or "-")],
        tokens=[Token(token_of("acme"), organization=1)],
        categories=[*KNOWN_CATEGORIES, value],
    )
    by = [
        ("transaction", "accepted", None),
        (value, "accepted", None),
        ("transaction", value, None),
        ("transaction", "filtered", value),
    ]
    made.add_rows(
        *(
            Row(1, project, *labels, START + hour * HOUR, 1 + project * number)
            for hour in range(-3, 3)
            for project in (11, 12)
            for number, labels in enumerate(by)
        )
    )
    return made


def shown(samples: Samples) -> Samples:
    """Return ``samples`` as they are shown: without the character that ends a page for some."""

    def text(value: str) -> str:
        return value.replace("\ufffd", "\ufffd\ufffd").replace("\0", "\ufffd0")

    return {
        (name, frozenset((label, text(value)) for label, value in labels)): number
        for (name, labels), number in samples.items()
    }


@pytest.mark.parametrize("name", VALUES)
def test_value(name: str, tried: Callable[[str, int], None]) -> None:
    """Every parser reads what Sentry has."""
    clock, made = Clock(START), world_of(VALUES[name])
    with Simulator(made, clock=clock, rate_limit=None) as sentry:
        entry = {"slug": "acme", "token": token_of("acme"), "queries": [PROJECTS]}
        config = configuration(sentry.url, entry)
        exporter = Exporter(config, clock=clock)
        polled(exporter, START)
        samples = polled(exporter, START + HOUR)
        text, open_text = (page_text(exporter, openmetrics=one) for one in (False, True))
    truth = Truth(made, config.organizations[0], config.organizations[0].queries[0])
    tried("faults of Sentry and the network", DIMENSIONS)

    assert {(1.0)} == set(values(samples, "up", "query").values())
    assert shown(truth.bucket(START + HOUR)) == data(samples, prefix="sentry_stats_bucket_")
    assert read_text(text) == read_openmetrics(open_text)
