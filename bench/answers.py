"""From the bytes of an answer to the page, against reading the same bytes as JSON."""

import json
from collections.abc import Iterator
from functools import partial

from bench.distribution import Distribution
from bench.pipeline import FINISHED, Feed, Pipeline, as_served, configuration
from bench.processes import Channel, timed, worker
from bench.samples import Hour, hour
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for the first answer, and one for the next, in which all values have grown."""
    hours = [hour(sizes.answer, FINISHED, turn) for turn in range(2)]
    bodies = [one.body() for one in hours]
    with worker(publish, sizes.answer, hours) as ours, worker(load, bodies) as against:
        turns = [(_measured(ours), _measured(against)) for _ in range(sizes.answers)]
    for number, (which, most) in enumerate((("first", 2.2), ("next", 2.5))):
        published = Distribution(tuple(seconds[number] for seconds, _ in turns))
        loaded = Distribution(tuple(seconds[number] for _, seconds in turns))
        yield Row(
            f"{which} answer of {sizes.answer:,} rows to published, over json.loads",
            published,
            loaded,
            MILLISECONDS,
            published.median / loaded.median,
            at_most(most),
        )


def publish(parent: Channel, series: int, hours: list[Hour]) -> None:
    """For each message, send the seconds that a fresh pipeline takes to publish each hour."""
    as_served()
    while parent.recv():
        feed = Feed(series, {}, max_rows=series)
        pipeline = Pipeline(feed, configuration())
        seconds = []
        for one in hours:
            feed.hours[FINISHED] = one
            seconds.append(timed(pipeline.poll))
        parent.send(seconds)


def load(parent: Channel, bodies: list[bytes]) -> None:
    """For each message, send the seconds that each body takes to be read as JSON."""
    as_served()
    while parent.recv():
        parent.send([timed(partial(json.loads, body)) for body in bodies])


def _measured(process: Channel) -> list[float]:
    process.send("measure")
    seconds: list[float] = process.recv()
    return seconds
