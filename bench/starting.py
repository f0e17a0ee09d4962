"""From the command to the first page with data, and what of it is imports."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bench.distribution import Distribution, in_turns
from bench.processes import Channel, timed, worker
from bench.samples import FAMILY
from bench.scraper import Scraper
from bench.served import free_port
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most, beside
from bench.trees import Tree
from exporter.simulator import SCALE_TOKEN, RecordedRequest, Simulator, scale_world
from exporter.simulator.messages import Request

_PROJECTS: Final = 20
_LOOK: Final = 0.002
_TIMEOUT: Final = 30.0
_CONFIGURATION: Final = """
organizations:
  - slug: scale
    url: {url}
    token: {token}
"""

_NOTHING: Final = "import os; os._exit(0)"
_IMPORTS: Final = f"from exporter.cli import main; main.commands['serve']; {_NOTHING}"
"""Programs that skip the interpreter's clean-up at the end, which no start has to wait for."""


def measure(sizes: Sizes, trees: Sequence[Tree]) -> Iterator[Row]:
    """Yield the time to the first page minus that of the upstream, and that of the imports."""
    with tempfile.TemporaryDirectory() as folder, worker(upstream) as sentry:
        file = Path(folder) / "config.yaml"
        file.write_text(_CONFIGURATION.format(url=sentry.recv(), token=SCALE_TOKEN), "utf-8")
        starts = [partial(_start, tree, file, sentry) for tree in trees]
        for start in starts:
            # Bytecode is written once.
            start()
        started = in_turns(starts, sizes.starts)
        programs = [
            partial(_run, tree, program) for tree in trees for program in (_IMPORTS, _NOTHING)
        ]
        run = in_turns(programs, sizes.starts)
    work = "start to first page with data, minus upstream"
    yield beside([_row(work, *zip(*one, strict=True), most=0.6) for one in started])
    work = "imports of serve, minus the bare interpreter"
    pairs = zip(run[::2], run[1::2], strict=True)
    yield beside([_row(work, *pair, most=0.3) for pair in pairs])


def upstream(parent: Channel) -> None:
    """Serve a simulated Sentry and send its address.

    For each message, send the seconds that the requests since the last one take it by themselves.
    """
    with Simulator(scale_world(_PROJECTS), rate_limit=None) as sentry:
        parent.send(sentry.url)
        while parent.recv():
            requests = sentry.requests.copy()
            sentry.requests.clear()
            parent.send(sum(timed(partial(_answer, sentry, one)) for one in requests))


def _answer(sentry: Simulator, request: RecordedRequest) -> None:
    headers = {"authorization": f"Bearer {SCALE_TOKEN}"}
    query = urlencode(request.query)
    sentry.application.reply(Request(request.method, request.path, query, headers))


def _start(tree: Tree, configuration: Path, sentry: Channel) -> tuple[float, float]:
    """Return the seconds from the command to its page, and those that are the upstream's."""
    port = free_port()
    arguments = ["serve", "--config.file", str(configuration)]
    arguments += ["--web.listen-address", f"127.0.0.1:{port}"]
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - the exporter's own command
        tree.command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=tree.environment(),
    ) as process:
        try:
            _wait_for_data(port, began + _TIMEOUT)
            seconds = time.perf_counter() - began
        finally:
            process.kill()
    sentry.send("measure")
    return seconds, sentry.recv()


def _wait_for_data(port: int, deadline: float) -> None:
    wanted = f"\n{FAMILY}{{".encode()
    with closing(Scraper(port, compressed=False)) as scraper:
        while wanted not in _page(scraper):
            if time.perf_counter() > deadline:
                raise TimeoutError("no page with data")
            time.sleep(_LOOK)


def _page(scraper: Scraper) -> bytes:
    """Return the page, an empty one while nothing listens."""
    try:
        return scraper.page()
    except ConnectionRefusedError:
        return b""


def _run(tree: Tree, program: str) -> float:
    """Return the seconds that a fresh interpreter takes to run ``program``."""
    command = [tree.python, "-P", "-c", program]
    run = partial(subprocess.run, command, env=tree.environment(), check=True)
    return timed(run)


def _row(work: str, seconds: Sequence[float], other: Sequence[float], *, most: float) -> Row:
    ours, against = Distribution(tuple(seconds)), Distribution(tuple(other))
    return Row(work, ours, against, MILLISECONDS, ours.median - against.median, at_most(most, " s"))
