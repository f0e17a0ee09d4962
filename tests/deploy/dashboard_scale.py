"""Measures the dashboards with 30 days of an organization with 2,000 projects.

``python -m tests.deploy.dashboard_scale`` prints what each panel costs Prometheus. It takes some
minutes, most of them for writing the database. Gauges by project are written for the last hour
only: a panel that read them over 30 days would show nothing, instead of being slow.
"""

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from deploy.grafana.generator.expressions import (
    RECORDED,
    RECORDED_HOURS,
    RECORDED_TOTALS,
    RECORDED_VOLUMES,
)
from exporter.buckets import floor
from exporter.categories import Unit
from exporter.publish import families
from exporter.simulator import demo_world
from tests.deploy.dashboard_history import (
    DAY,
    END,
    HOUR,
    ORGANIZATION,
    Organization,
    process,
    state,
)
from tests.deploy.dashboard_kinds import VOLUMES
from tests.deploy.dashboards import (
    DASHBOARDS,
    HIDDEN,
    NAMES,
    Shown,
    Times,
    built_in,
    chosen,
    panels,
    substituted,
)
from tests.support.prometheus import Prometheus, import_pages
from tests.support.prometheus import prometheus as running

PROJECTS: Final = 2000
START: Final = END - 30 * DAY
TIMES: Final = Times(END, 30 * DAY, 60)
TARGET_SECONDS: Final = 2.0

_MINUTE: Final = 60
_MERGES: Final = 150
"""Seconds; Prometheus looks for blocks to merge every minute."""

_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_BY_VOLUME: Final = ("unit", "organization", "query", "category", "project")


def write(folder: Path) -> None:
    """Write the 30 days into the database in ``folder``."""
    organization = Organization(demo_world(END, projects=PROJECTS), ORGANIZATION)
    moments = range(START, END + 1, _MINUTE)
    import_pages(folder, ((each, "\n".join(_page(organization, each))) for each in moments))
    hours = range(floor(START, HOUR), END - 2 * HOUR, HOUR)
    recorded = ((hour + 117 * _MINUTE, _recorded(organization, hour)) for hour in hours)
    import_pages(folder, recorded, target="")


def merge(folder: Path) -> None:
    """Let Prometheus merge the blocks of scraped and of recorded samples, as it has them itself.

    It begins a minute after its start, and would do so during the measurement.
    """
    with running(folder):
        before: set[str] = set()
        while (blocks := {path.name for path in (folder / "data").glob("01*")}) != before:
            before = blocks
            time.sleep(_MERGES)


def _page(organization: Organization, moment: int) -> Iterator[str]:
    """Yield the samples of a scrape: by project only those that the dashboards read."""
    bucket = floor(moment - 5 * _MINUTE, HOUR) - HOUR
    ending = moment > END - 70 * _MINUTE
    for query in ("outcomes", "projects"):
        yield from state({"organization": ORGANIZATION, "query": query}, moment, moment, bucket)
        if query == "outcomes" or ending:
            yield from organization.data(query, "bucket", bucket, bucket + DAY)
        if ending:
            polled = floor(moment, 5 * _MINUTE)
            yield from organization.data(query, "running", bucket + HOUR, polled)
    # Now, and a day before: nothing reads the use of projects at other times.
    by_project = (END - moment) % DAY < 10 * _MINUTE and END - moment < 2 * DAY
    yield organization.quotas(moment, by_project=by_project)
    if ending:
        yield from organization.projects()
        yield from organization.last_events(bucket + HOUR, floor(moment, 5 * _MINUTE))
        yield from process(moment)


def _recorded(organization: Organization, hour: int) -> str:
    """Return the samples that the rule records of a bucket."""
    lines = organization.data("projects", "bucket", hour, hour + DAY)
    families_of_units = {families.BUCKET[unit.value].name: unit for unit in Unit}
    recorded = (
        f'{RECORDED}{{unit="{families_of_units[name]}",{labels}'
        for name, _, labels in (line.partition("{") for line in lines)
        if not labels.endswith(" 0.0")
    )
    start = f'{RECORDED_HOURS}{{organization="{ORGANIZATION}",query="projects"}} {hour}'
    each = list(recorded)
    return "\n".join((start, *each, *_sums(each)))


def _sums(recorded: Sequence[str]) -> Iterator[str]:
    """Yield the volumes of each project, and the totals of all projects, of recorded samples."""
    sums: dict[str, float] = {}
    for line in recorded:
        series, _, value = line.rpartition(" ")
        for one in _summed(series):
            sums[one] = sums.get(one, 0) + float(value)
    yield from (f"{one} {value}" for one, value in sums.items())


@cache
def _summed(series: str) -> Sequence[str]:
    """Return the series in which a recorded one is added up."""
    labels = dict(_LABEL.findall(series))
    of_project = {name: labels[name] for name in _BY_VOLUME}
    volumes = (name for name, kind in VOLUMES.items() if kind(labels["outcome"], labels["reason"]))
    return (
        *(
            _written(RECORDED_VOLUMES, {**of_project, "volume": name.split()[0].lower()})
            for name in volumes
        ),
        _written(RECORDED_TOTALS, {**labels, "project": ""}),
    )


def _written(name: str, labels: Mapping[str, str]) -> str:
    written = ",".join(f'{key}="{one}"' for key, one in labels.items() if one)
    return f"{name}{{{written}}}"


def measure(server: Prometheus, name: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield the title, seconds, millions of samples and of peak samples of each panel.

    And of each variable that is found among all projects, under its name.
    """
    values = chosen(server, name, TIMES, {"organization": ORGANIZATION})
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable.get("hide") == HIDDEN:
            query = variable["query"]["query"].removeprefix("query_result(").removesuffix(")")
            query = substituted(query, {**values, **built_in(TIMES, _MINUTE)})
            seconds, samples, peak = _cost(server, "query", query=query, time=END)
            yield f"${variable['name']}", seconds, samples / 1e6, peak / 1e6
    for panel in panels(name):
        costs = [
            _of_target(server, Shown(name, panel, target), values) for target in panel["targets"]
        ]
        of_all, samples_of_all, peaks = (list(each) for each in zip(*costs, strict=True))
        yield panel["title"], sum(of_all), sum(samples_of_all) / 1e6, max(peaks) / 1e6


def _of_target(
    server: Prometheus, shown: Shown, values: Mapping[str, str]
) -> tuple[float, float, float]:
    times = TIMES.of(shown.panel)
    step = times.step(shown.panel)
    query = substituted(shown.expression, {**values, **built_in(times, step)})
    end = times.end // step * step
    if shown.target["instant"]:
        return _cost(server, "query", query=query, time=end)
    start = (times.end - times.length) // step * step
    return _cost(server, "query_range", query=query, start=start, end=end, step=step)


def _cost(server: Prometheus, path: str, **parameters: object) -> tuple[float, float, float]:
    """Return the CPU seconds of a query, the samples that it reads, and holds at once."""
    began = _cpu_seconds(server.program.process.pid)
    samples = server.ask(path, stats="all", **parameters)["stats"]["samples"]
    cost = _cpu_seconds(server.program.process.pid) - began
    return cost, samples["totalQueryableSamples"], samples["peakSamples"]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main(arguments: Sequence[str]) -> None:
    """Write the database, or use that in the folder given, and print a table."""
    with TemporaryDirectory() as temporary:
        folder = Path(arguments[0] if arguments else temporary)
        if not (folder / "data").exists():
            write(folder)
            merge(folder)
        with running(folder) as server:
            for name in NAMES:
                for title, seconds, samples, peak in measure(server, name):
                    late = " !" * (seconds > TARGET_SECONDS)
                    print(  # noqa: T201 - what the program is for
                        f"{name:13}{seconds:6.2f} s {samples:7.1f} M {peak:6.1f} M  {title}{late}",
                        flush=True,
                    )


if __name__ == "__main__":
    began_writing = time.monotonic()
    main(sys.argv[1:])
    print(f"in {time.monotonic() - began_writing:.0f} s")  # noqa: T201
