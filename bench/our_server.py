"""Our side over a socket: the page of a pipeline, served as the exporter serves it."""

import threading

from bench.pipeline import FINISHED, Feed, Pipeline, as_served, configuration
from bench.processes import Channel, timed
from bench.samples import hour
from exporter.web.address import Address, bind
from exporter.web.app import make_app
from exporter.web.landing import Landing
from exporter.web.server import Server


def serve(parent: Channel, series: int) -> None:
    """Serve a page with so many series, all of one gauge, send the port, and wait for the end."""
    as_served()
    feed = Feed(series, {FINISHED: hour(series, FINISHED)})
    _serve(parent, Pipeline(feed, configuration(counters=False)))


def serve_and_poll(parent: Channel, series: int, polls: int) -> None:
    """Serve a page with gauges and counters; send the port, then the seconds of each poll.

    A poll, with values that have grown, is done for each thing that comes in.
    """
    as_served()
    turns = [hour(series, FINISHED, turn) for turn in range(polls + 1)]
    feed = Feed(series, {FINISHED: turns[0]})
    pipeline = Pipeline(feed, configuration())

    def poll_on_demand() -> None:
        for turn in turns[1:]:
            parent.recv()
            feed.hours[FINISHED] = turn
            parent.send(timed(pipeline.poll))

    threading.Thread(target=poll_on_demand, daemon=True).start()
    _serve(parent, pipeline)


def _serve(parent: Channel, pipeline: Pipeline) -> None:
    pipeline.poll()
    landing = Landing("bench", "", "")
    listener = bind(Address("127.0.0.1", 0))
    server = Server(make_app(pipeline.page, pipeline, landing), [listener])
    parent.send(server.addresses[0].port)
    server.run()
