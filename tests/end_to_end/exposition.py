"""Expositions, parsed with the parsers of prometheus_client."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.publish.families import DATA_FAMILIES, DATA_LABELS

Sample = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Sample, float]
"""Values by name and labels."""

# prometheus_client has no annotations for this one.
_openmetrics_families: Callable[[str], Iterator[Metric]] = (
    openmetrics.text_string_to_metric_families
)

_DATA: Final = frozenset(family.name for family in DATA_FAMILIES)
_OF_THE_PROCESS: Final = ("process_", "python_")


def sample(name: str, **labels: str) -> Sample:
    """Return the key of a sample."""
    return name, frozenset(labels.items())


def data_sample(name: str, *values: str) -> Sample:
    """Return the key of a sample with the six labels of data."""
    return sample(name, **dict(zip(DATA_LABELS, values, strict=True)))


def read_text(text: str) -> Samples:
    """Return the samples of a page in the text format, except those about the process."""
    return _samples(text_string_to_metric_families(text))


def read_openmetrics(text: str) -> Samples:
    """Return the samples of an OpenMetrics page, except those about the process."""
    return _samples(_openmetrics_families(text))


def lines_of(text: str, *names: str) -> str:
    """Return the lines of a page whose samples have these names: parsing all takes long."""
    wanted = tuple(f"{name}{end}" for name in names for end in "{ ")
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(wanted))


def data(samples: Samples, *, prefix: str = "", query: str | None = None) -> Samples:
    """Return the samples of data families whose names begin with ``prefix``."""
    return {
        each: value
        for each, value in samples.items()
        if each[0] in _DATA
        and each[0].startswith(prefix)
        and query in (None, dict(each[1])["query"])
    }


def values(samples: Samples, family: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a family, without ``sentry_stats_``, by some of their labels."""
    return {
        tuple(dict(pairs)[label] for label in labels): value
        for (name, pairs), value in samples.items()
        if name == f"sentry_stats_{family}"
    }


def sums(samples: Samples, family: str) -> dict[str, float]:
    """Return the sums over the projects of a family about quotas, by quota."""
    total: dict[str, float] = {}
    for (quota, _), value in values(samples, family, "quota", "project").items():
        total[quota] = total.get(quota, 0.0) + value
    return total


def nonzero(samples: Samples) -> Samples:
    """Return ``samples`` without zeros."""
    return {each: value for each, value in samples.items() if value}


def _samples(families: Iterable[Metric]) -> Samples:
    pairs = [
        (sample(each.name, **each.labels), each.value)
        for family in families
        if not family.name.startswith(_OF_THE_PROCESS)
        for each in family.samples
    ]
    assert len(pairs) == len(dict(pairs)), "duplicate sample"
    return dict(pairs)
