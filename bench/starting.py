"""From the command to the first page with data, and what of it is imports."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bench.distribution import Distribution, in_turns
from bench.processes import Channel, timed, worker
from bench.samples import FAMILY
from bench.scraper import Scraper
from bench.sizes import Sizes
from bench.table import MILLISECONDS, Row, at_most
from exporter.simulator import SCALE_TOKEN, Asked, Simulator, scale_world
from exporter.simulator.messages import Request
from exporter.web.address import Address, bind, bound_address

_PROJECTS: Final = 20
_GLANCE: Final = 0.002
_PATIENCE: Final = 30.0
_CONFIGURATION: Final = """
organizations:
  - slug: scale
    url: {url}
    token: {token}
"""

_NOTHING: Final = "import os; os._exit(0)"
_IMPORTS: Final = f"from exporter.cli import main; main.commands['serve']; {_NOTHING}"
"""Programs that leave out tidying up at the end, which no start has to wait for."""


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield the time to the first page beyond the upstream's own, and that of the imports."""
    with tempfile.TemporaryDirectory() as folder, worker(upstream) as sentry:
        file = Path(folder) / "config.yaml"
        file.write_text(_CONFIGURATION.format(url=sentry.recv(), token=SCALE_TOKEN), "utf-8")
        environment = _as_installed(folder)
        _start(file, sentry, environment)
        starts = [_start(file, sentry, environment) for _ in range(sizes.starts)]
        imports, nothing = in_turns(
            partial(_run, _IMPORTS, environment), partial(_run, _NOTHING, environment), sizes.starts
        )
    until_page, own = zip(*starts, strict=True)
    yield _row("start to first page with data, minus upstream", until_page, own, 0.6)
    yield _row("imports of serve, minus the bare interpreter", imports, nothing, 0.3)


def _as_installed(folder: str) -> dict[str, str]:
    """Return an environment in which bytecode is kept, as an installation has it."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def upstream(parent: Channel) -> None:
    """Serve a simulated Sentry and send its address.

    Whenever asked, send the seconds that the requests since then take it by themselves.
    """
    with Simulator(scale_world(_PROJECTS), rate_limit=None) as sentry:
        parent.send(sentry.url)
        while parent.recv():
            asked = sentry.requests.copy()
            sentry.requests.clear()
            parent.send(sum(timed(partial(_answer, sentry, one)) for one in asked))


def _answer(sentry: Simulator, asked: Asked) -> None:
    headers = {"authorization": f"Bearer {SCALE_TOKEN}"}
    query = urlencode(asked.query)
    sentry.application.reply(Request(asked.method, asked.path, query, headers))


def _start(
    configuration: Path, sentry: Channel, environment: Mapping[str, str]
) -> tuple[float, float]:
    """Return the seconds from the command to its page, and those that are the upstream's."""
    port = _free_port()
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - the exporter's own command
        [
            *(sys.executable, "-m", "exporter", "serve"),
            *("--config.file", str(configuration)),
            *("--web.listen-address", f"127.0.0.1:{port}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        try:
            _wait_for_data(port, began + _PATIENCE)
            seconds = time.perf_counter() - began
        finally:
            process.kill()
    sentry.send("told")
    return seconds, sentry.recv()


def _wait_for_data(port: int, deadline: float) -> None:
    wanted = f"\n{FAMILY}{{".encode()
    with closing(Scraper(port, compressed=False)) as scraper:
        while wanted not in _page(scraper):
            if time.perf_counter() > deadline:
                raise TimeoutError("no page with data")
            time.sleep(_GLANCE)


def _page(scraper: Scraper) -> bytes:
    """Return the page, an empty one while nobody listens."""
    try:
        return scraper.page()
    except ConnectionRefusedError:
        return b""


def _free_port() -> int:
    with bind(Address("127.0.0.1", 0)) as listener:
        return bound_address(listener).port


def _run(program: str, environment: Mapping[str, str]) -> float:
    """Return the seconds that a fresh interpreter takes over ``program``."""
    command = [sys.executable, "-c", program]
    return timed(partial(subprocess.run, command, env=environment, check=True))


def _row(work: str, seconds: Sequence[float], other: Sequence[float], most: float) -> Row:
    ours, against = Distribution(tuple(seconds)), Distribution(tuple(other))
    return Row(work, ours, against, MILLISECONDS, ours.median - against.median, at_most(most, " s"))
