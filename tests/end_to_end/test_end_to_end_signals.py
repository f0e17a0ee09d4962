"""Signals at any moment in the life of a process."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Fault, Simulator
from tests.deploy.kit import require_root
from tests.end_to_end.stage import COMMAND, clock_for_commands
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, document, organization
from tests.support.programs import TIMEOUT, Program, find_program, running, wait_until

PROMPTLY: Final = 2.0
"""Seconds within which a process must end."""

DELAYS: Final = tuple(step * 0.05 for step in range(42))
AT_ONCE: Final = 4
"""Processes that run side by side."""

WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Configured = Callable[..., Path]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: when its signal was sent, its exit status, and how long that took."""

    delay: float
    status: int
    seconds: float
    output: str


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


@pytest.fixture
def serve(configured: Configured) -> Sequence[str]:
    """Return the command line of the daemon with the simulated Sentry."""
    flags = ("--config.file", str(configured()), "--web.listen-address", "127.0.0.1:0")
    return (*COMMAND, "serve", *flags)


@pytest.fixture(params=[False, True], ids=["answers", "hangs"])
def hang(request: pytest.FixtureRequest, sentry: Simulator) -> None:
    """Let the simulated Sentry answer, or accept requests without answering."""
    if request.param:
        sentry.faults.add(Fault("hang"))


@pytest.fixture(params=[False, True], ids=["", "PID 1"])
def namespace(request: pytest.FixtureRequest) -> Sequence[str]:
    """Return what a command line begins with to run as PID 1, or as any process."""
    if not request.param:
        return ()
    require_root()
    unshare = find_program("unshare", "util-linux")
    return (unshare, "--pid", "--fork", "--mount-proc", "--kill-child")


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block the signals in this thread; a process that it starts has them blocked too.

    The entry point of the image does the same with ``env --block-signal``.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def waiting(address: str, request: str) -> socket.socket:
    """Return a connection that has sent a request, such as ``GET /``, and reads no answer."""
    host, _, port = address.rpartition(":")
    client = socket.create_connection((host, int(port)), TIMEOUT)
    client.sendall(f"{request} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n".encode())
    return client


def child_of(process: subprocess.Popen[str]) -> int:
    """Return the process that ``unshare`` starts."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: bool(children.read_text("ascii")))
    return int(children.read_text("ascii"))


def ended_by(number: signal.Signals, delay: float, command: Sequence[str]) -> Ended:
    """Start ``command``, send it the signal after ``delay`` seconds, and return how it ended."""
    with (
        blocked_signals(),
        subprocess.Popen(  # noqa: S603 - a test's own command
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        try:
            # The moment is what is tested: whatever the process is doing then is interrupted.
            time.sleep(delay)
            pid = child_of(process) if "unshare" in command[0] else process.pid
            sent = time.monotonic()
            os.kill(pid, number)
            status = process.wait(TIMEOUT)
            seconds = time.monotonic() - sent
            output = process.stdout.read() if process.stdout else ""
        finally:
            process.kill()
    return Ended(delay, status, seconds, output)


@pytest.mark.usefixtures("hang")
def test_serve_ends_cleanly_at_any_moment(
    serve: Sequence[str], namespace: Sequence[str], tried: Callable[[str, int], None]
) -> None:
    """SIGTERM ends the daemon with status 0 within two seconds, from its first instant."""
    # As PID 1 at the moments in between: the same code runs, only ignored signals differ.
    delays = DELAYS[len(namespace) > 0 :: 2]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = pool.map(lambda delay: ended_by(signal.SIGTERM, delay, [*namespace, *serve]), delays)

    assert [] == [end for end in ends if end.status or end.seconds > PROMPTLY]
    tried("faults of the host", len(delays))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["simulate", "demo"])
def test_other_servers_end_cleanly_at_any_moment(name: str, number: signal.Signals) -> None:
    """The servers that need no configuration end as cleanly."""
    flag = "--listen-address" if name == "simulate" else "--web.listen-address"
    command = (*COMMAND, name, flag, "127.0.0.1:0")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = pool.map(lambda delay: ended_by(number, delay, command), DELAYS[::8])

    assert [] == [end for end in ends if end.status or end.seconds > PROMPTLY]


@pytest.mark.parametrize("delay", [0, 0.1, 3])
@pytest.mark.parametrize("words", [("once",), ("check", "--online")], ids=" ".join)
def test_an_interrupted_result_is_no_success(
    sentry: Simulator, configured: Configured, words: Sequence[str], delay: float
) -> None:
    """What has a result ends with 128 and the signal's number if it is interrupted."""
    sentry.faults.add(Fault("hang"))
    command = [*COMMAND, *words, "--config.file", str(configured())]
    ended = ended_by(signal.SIGTERM, delay, command)

    assert 128 + signal.SIGTERM == ended.status
    assert ended.seconds < PROMPTLY


def test_a_second_signal_ends_at_once(
    serve: Sequence[str], tmp_path: Path, tried: Callable[[str, int], None]
) -> None:
    """The second signal does not wait for the end that the first one has begun."""
    with running(serve, tmp_path / "serve.log") as program:
        program.wait_for(r"event=(listening) ")
        program.process.send_signal(signal.SIGTERM)
        program.process.send_signal(signal.SIGINT)

        # Which of them comes first is up to the kernel.
        assert program.process.wait(TIMEOUT) in {128 + signal.SIGTERM, 128 + signal.SIGINT}
        assert "event=stopped" not in program.output()
    tried("faults of the host", 1)


def write_large(path: Path) -> None:
    """Write a configuration that takes many seconds to parse."""
    queries = [{**OUTCOMES, "name": f"query-{number}"} for number in range(8000)]
    path.write_text(document("http://127.0.0.1:9", organization(*queries)), "utf-8")


def wait_busy(program: Program, seconds: float) -> None:
    """Wait until the program has computed for ``seconds`` more."""

    def used() -> float:
        """Return for how long it has computed."""
        user, system = Path(f"/proc/{program.process.pid}/stat").read_text("ascii").split()[13:15]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    before = used()
    wait_until(lambda: used() >= before + seconds)


def test_reading_the_configuration_is_interrupted(tmp_path: Path) -> None:
    """A configuration that takes long to read does not delay the end."""
    path = tmp_path / "config.yaml"
    write_large(path)
    command = [*COMMAND, "serve", "--config.file", str(path)]
    with running(command, tmp_path / "serve.log") as program:
        # The start itself takes less.
        wait_busy(program, 2)
        program.process.send_signal(signal.SIGTERM)

        assert 0 == program.process.wait(PROMPTLY)
    assert "event=stopped signal=SIGTERM" in program.output()


def end_of(program: Program) -> tuple[int, str, list[str]]:
    """Send SIGTERM; return the status, the last event of the log, and errors in the log.

    A poll that was out may fail just before the process ends, and say so as the last one.
    """
    program.process.send_signal(signal.SIGTERM)
    status = program.process.wait(TIMEOUT)
    lines = program.output().splitlines()
    events = re.findall(r"event=(\"poll|\S+)", "\n".join(lines))
    last = [event for event in events if event != '"poll'][-1]
    return status, last, [line for line in lines if "level=error" in line or "Traceback" in line]


def test_a_reload_does_not_delay_the_end(
    serve: Sequence[str], configured: Configured, tmp_path: Path
) -> None:
    """A request that waits for a reload, and a reload that waits for its file, end quietly."""
    with running(serve, tmp_path / "serve.log") as program, ExitStack() as clients:
        address = program.wait_for(r"event=listening .*address=(\S+)")
        write_large(configured())
        for _ in range(3):
            clients.enter_context(waiting(address, "POST /-/reload"))
        wait_busy(program, 1)

        assert (0, "stopped", []) == end_of(program)


@pytest.mark.parametrize("path", ["/config", "/"])
def test_rendering_does_not_delay_the_end(
    configured: Configured, tmp_path: Path, path: str
) -> None:
    """Requests for pages, which take seconds to render together, end quietly."""
    queries = [{**OUTCOMES, "name": f"query-{number}"} for number in range(200)]
    file = configured(organization(*queries, url="http://127.0.0.1:9"))
    flags = ("--config.file", str(file), "--web.listen-address", "127.0.0.1:0")
    command = (*COMMAND, "serve", *flags, "--state.path", str(tmp_path / "state"))
    with running(command, tmp_path / "serve.log") as program, ExitStack() as clients:
        address = program.wait_for(r"event=listening .*address=(\S+)")
        for _ in range(16):
            clients.enter_context(waiting(address, f"GET {path}"))
        program.wait_ready(f"http://{address}/-/healthy")

        assert (0, "stopped", []) == end_of(program)


def test_a_hangup_never_ends_the_daemon(
    serve: Sequence[str], tmp_path: Path, tried: Callable[[str, int], None]
) -> None:
    """SIGHUP at any moment does not end the daemon, as PID 1 or not."""
    with blocked_signals(), running(serve, tmp_path / "serve.log") as program:
        for _ in range(20):
            program.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        program.wait_for(r"event=(listening) ")
        program.process.send_signal(signal.SIGHUP)
        program.process.send_signal(signal.SIGTERM)

        assert 0 == program.process.wait(TIMEOUT)
    tried("faults of the host", 21)


def test_a_hangup_ends_other_commands(tmp_path: Path) -> None:
    """SIGHUP ends a command that has nothing to reload."""
    command = [*COMMAND, "demo", "--web.listen-address", "127.0.0.1:0"]
    with blocked_signals(), running(command, tmp_path / "demo.log") as program:
        program.wait_for(r"(Ctrl-C stops both\.)")
        program.process.send_signal(signal.SIGHUP)

        assert -signal.SIGHUP == program.process.wait(TIMEOUT)


def test_the_signal_is_logged(serve: Sequence[str], tmp_path: Path) -> None:
    """The last line of the log says which signal has stopped the daemon."""
    with running(serve, tmp_path / "serve.log") as program:
        program.wait_for(r"event=(listening) ")
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(TIMEOUT)

    assert (
        program.output().rstrip().endswith("event=stopped signal=SIGTERM logger=exporter.cli.exit")
    )


def test_systemd_is_notified(serve: Sequence[str], tmp_path: Path) -> None:
    """The daemon reports that it listens, that it is alive, and that it stops."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(TIMEOUT)
        environment = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "100000"}
        with running(serve, tmp_path / "serve.log", environment) as program:
            ready, alive = (manager.recv(4096).decode() for _ in range(2))
            program.process.send_signal(signal.SIGTERM)
            status = program.process.wait(TIMEOUT)
        messages = list(iter(lambda: manager.recv(4096).decode(), "STOPPING=1"))

    assert ready.startswith("READY=1\nSTATUS=")
    assert (0, "WATCHDOG=1") == (status, alive)
    assert {"WATCHDOG=1"} >= {message for message in messages if "STATUS" not in message}
