"""Sentry's side of the measurements: one organization's answers, as bodies or over HTTP.

Nothing here needs the exporter, so that any revision of it can be measured.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl

from bench.processes import Channel, worker
from bench.samples import (
    FIRST_HOUR,
    HOUR,
    KINDS,
    Hour,
    hour,
    moment,
    organization_answer,
    project_id,
    project_number,
    project_slug,
    projects,
)

ROW_LIMIT: Final = 10_000
"""Sentry's store cuts every answer at this many rows."""


class Organization:
    """Answers about one organization with so many series.

    ``hours`` returns the hour that starts at a moment, or None where there is no data. An answer
    about all projects has at most ``max_rows`` rows.
    """

    def __init__(
        self, series: int, hours: Callable[[int], Hour | None], max_rows: int = ROW_LIMIT
    ) -> None:
        self._hours = hours
        self._all = projects(series)
        self._not_cut = self._all[: max_rows // len(KINDS)]

    def stats(self, parameters: Sequence[tuple[str, str]]) -> bytes:
        """Return the answer to a request to ``stats_v2`` with these parameters."""
        values = defaultdict(list)
        for name, value in parameters:
            values[name].append(value)
        starts = range(moment(values["start"][0]), moment(values["end"][0]), HOUR)
        hours = [self._hours(start) for start in starts]
        if "project" in values["groupBy"]:
            ids = [int(project) for project in values["project"]]
            numbers = [project_number(project) for project in ids if project > 0]
            (one,) = hours
            return (one or Hour(starts[0], (), ())).answer(numbers or self._not_cut if one else ())
        nothing = (0,) * len(KINDS)
        return organization_answer(starts, [one.sums if one else nothing for one in hours])

    def projects(self) -> bytes:
        """Return the projects list."""
        return json.dumps(
            [
                {
                    "id": str(project_id(number)),
                    "slug": project_slug(number),
                    "platform": "python",
                    "hasAccess": True,
                    "teams": [],
                }
                for number in self._all
            ]
        ).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: the body as it goes over the wire, and headers about it."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def listen(answer: Callable[[str, str], Answer]) -> int:
    """Serve in a thread what ``answer`` returns for a path and a token; return the port."""
    server = _Server(("127.0.0.1", 0), partial(_Handler, answer))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, answer: Callable[[str, str], Answer], *connection: Any) -> None:
        self._answer = answer
        super().__init__(*connection)

    def do_GET(self) -> None:
        """Answer, without a date: the exporter's clock is a simulated one."""
        answer = self._answer(self.path, self.headers["Authorization"])
        with suppress(ConnectionError):
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response_only(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


class Upstream:
    """An organization that is served by a process of its own at ``url``."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.url = f"http://127.0.0.1:{channel.recv()}"

    def requests(self) -> int:
        """Return how many requests have come in."""
        self._channel.send("count")
        count: int = self._channel.recv()
        return count

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Answer nothing until the end of the block, or until what is given is called."""
        self._send("hold")
        try:
            yield lambda: self._send("release")
        finally:
            self._send("release")

    def _send(self, command: str) -> None:
        self._channel.send(command)
        self._channel.recv()


@contextmanager
def serving(series: int, hours: int) -> Iterator[Upstream]:
    """Serve an organization with so many series in each of ``hours`` hours from `FIRST_HOUR`."""
    with worker(serve, series, hours) as channel:
        yield Upstream(channel)


def serve(parent: Channel, series: int, hours: int) -> None:
    """Serve an organization: send the port, then the number of requests for each command."""
    lock = threading.Lock()

    @cache
    def made(start: int) -> Hour | None:
        number = (start - FIRST_HOUR) // HOUR
        return hour(series, start, number) if 0 <= number < hours else None

    def data(start: int) -> Hour | None:
        with lock:
            return made(start)

    organization = Organization(series, data)
    listed = Answer(organization.projects())
    released = threading.Event()
    released.set()
    paths: list[str] = []

    def answer(target: str, _token: str) -> Answer:
        paths.append(target)
        released.wait()
        path, _, query = target.partition("?")
        if path.endswith("/projects/"):
            return listed
        return Answer(organization.stats(parse_qsl(query)))

    parent.send(listen(answer))
    while True:
        command = parent.recv()
        if command == "hold":
            released.clear()
        elif command == "release":
            released.set()
        parent.send(len(paths))
