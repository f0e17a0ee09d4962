"""The command ``backfill``: kills, messages, and that it does what it has planned."""

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from exporter.app import Exporter
from exporter.backfill import reader
from exporter.cli import main
from exporter.config import load
from exporter.moments import iso
from exporter.simulator import SCALE_TOKEN, Fault, Simulator, scale_world
from tests.end_to_end.stage import COMMAND, clock_for_commands, run
from tests.support.configuration import OUTCOMES, PROJECTS, document, organization
from tests.support.exporters import poll_all
from tests.support.programs import TIMEOUT, wait_until
from tests.support.serving import serving

DAY: Final = 86400
KILLS: Final = 20


def scale_entry(**settings: object) -> dict[str, object]:
    """Return the organization of `scale_world` as a configuration file has it."""
    return dict(organization(OUTCOMES, PROJECTS, slug="scale", token=SCALE_TOKEN, **settings))


@pytest.fixture
def sentry() -> Iterator[Simulator]:
    """Serve a small organization, whose data do not change while commands run."""
    world = scale_world(4, 6, deleted=0.25)
    with Simulator(world, clock=clock_for_commands(), rate_limit=None) as simulator:
        yield simulator


@pytest.fixture
def arguments(sentry: Simulator, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that returns the arguments of a backfill of two days."""
    config = tmp_path / "config.yaml"
    config.write_text(document(sentry.url, scale_entry()), "utf-8")
    midnight = int(time.time()) // DAY * DAY

    def written(*more: str, name: str = "history.om", start: str = "") -> list[str]:
        """Return the arguments, ``more`` after them."""
        times = ["--start", start or iso(midnight - 3 * DAY), "--end", iso(midnight - DAY)]
        files = ["--config.file", str(config), "--output", str(tmp_path / name)]
        return ["backfill", *files, *times, *more]

    return written


def invoked(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Return exit status, standard output and standard error of a command in this process."""
    ended = CliRunner().invoke(main, list(arguments))
    return ended.exit_code, ended.stdout, ended.stderr


def planned_in(printed: str) -> tuple[int, int]:
    """Return how many requests are planned, and how many were needed to plan them."""
    (numbers,) = re.findall(
        r"^To send: (\d+) .* planning took (\d+) requests? more$", printed, re.MULTILINE
    )
    return int(numbers[0]), int(numbers[1])


def in_this_process(arguments: Sequence[str]) -> None:
    """Run a command; its output goes nowhere."""
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until it is killed
    main(list(arguments))


def test_twenty_kills_change_no_byte(
    sentry: Simulator, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """A backfill that is killed again and again writes the file of one that was not."""
    assert 0 == invoked(arguments(name="expected.om"))[0]
    planned = len(sentry.requests)
    picker = random.Random(5)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["exporter.cli", "tests.end_to_end.test_end_to_end_backfill_command"]
    )
    output, kills = tmp_path / "history.om", 0
    sentry.latency = 0.02
    while not output.exists():
        victim = context.Process(target=in_this_process, args=(arguments(),))
        victim.start()
        # After the last kill, it may run as long as it takes.
        victim.join(picker.uniform(0.05, 0.5) if kills < KILLS else TIMEOUT)
        kills += victim.is_alive()
        victim.kill()
        victim.join()
        victim.close()

    assert KILLS == kills
    assert (tmp_path / "expected.om").read_bytes() == output.read_bytes()
    # Of what had been answered before a kill, nothing is asked again but the round that was out.
    assert len(sentry.requests) - planned < planned + kills * 30
    assert ["config.yaml", "expected.om", "history.om"] == sorted(
        each.name for each in tmp_path.iterdir()
    )


def test_requests_are_those_of_the_dry_run(
    sentry: Simulator, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """The dry run writes nothing, and names the requests that the real run needs."""
    status, printed, _ = invoked(arguments("--dry-run"))
    tried = len(sentry.requests)
    planned, made = planned_in(printed)
    files = [each.name for each in tmp_path.iterdir()]
    assert 0 == status
    assert 0 == invoked(arguments())[0]

    # One more is for the list of projects.
    assert made + 1 == tried
    assert planned + made + 1 == len(sentry.requests) - tried
    assert ["config.yaml"] == files


def test_large_organizations_are_read_as_planned(tmp_path: Path) -> None:
    """Where an hour by project is more than Sentry answers at once, the parts are planned too."""
    world = scale_world(700, 20, deleted=0.01)
    with Simulator(world, clock=clock_for_commands(), rate_limit=None) as sentry:
        config = tmp_path / "config.yaml"
        config.write_text(document(sentry.url, scale_entry()), "utf-8")
        end = int(time.time()) // DAY * DAY - DAY
        flags = ["--start", iso(end - 3 * 3600), "--end", iso(end), "--query", "projects"]
        files = ["--config.file", str(config), "--output", str(tmp_path / "history.om")]
        status, printed, _ = invoked(["backfill", *files, *flags])
        asked = len(sentry.requests)
    planned, made = planned_in(printed)

    assert 0 == status
    assert 3 * 3 + 2 == planned
    assert planned + made + 1 == asked
    assert " 0 " not in {
        line[-14:-11]
        for line in (tmp_path / "history.om").read_text("utf-8").splitlines()
        if line.startswith("sentry_stats_complete")
    }


def test_plan_and_end(arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    """It prints what it will take, how far it is, what is left out, and the command to run."""
    status, printed, progress = invoked(arguments())
    path = tmp_path / "history.om"

    assert 0 == status
    assert re.search(r"^scale/outcomes: 48 buckets of 1h, \S+ to \S+: 1 request, ", printed)
    assert "Left out: everything after " in printed
    assert "Prometheus has the last 3 hours in memory" in printed
    assert f"\npromtool tsdb create-blocks-from --max-block-duration=162h openmetrics {path} " in (
        printed
    )
    for what in ("Reading", "Writing"):
        assert re.search(rf"{what}: ([\d,]+) of \1, [\d,]+\.\d per second\n", progress)


def test_json(arguments: Callable[..., list[str]]) -> None:
    """Where the log is JSON, all of standard error is."""
    status, _, said = invoked(arguments("--log.format", "json", "--log.level", "info"))
    events = [json.loads(line)["event"] for line in said.splitlines()]

    assert 0 == status
    assert [event for event in events if event.startswith("Reading: ")]
    assert [event for event in events if event.startswith("Writing ")]


def test_interrupted(sentry: Simulator, arguments: Callable[..., list[str]]) -> None:
    """SIGINT ends it with the status of an interrupted program, and it says how to go on."""
    sentry.latency = 0.2
    with subprocess.Popen(  # noqa: S603 - the product's own command
        [*COMMAND, *arguments()], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        wait_until(lambda: len(sentry.requests) > 12)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT)
    sentry.latency = 0

    assert 128 + signal.SIGINT == process.returncode
    assert said.endswith("interrupted; repeat the same command to go on\n")
    assert 0 == run(*arguments()).returncode


def test_full_disk(sentry: Simulator, arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    """A file system that is full is named; what was read is not read again."""
    unfinished = tmp_path / "history.om.unfinished"
    unfinished.symlink_to("/dev/full")
    status, _, said = invoked(arguments())
    asked = len(sentry.requests)

    assert 1 == status
    assert "history.om cannot be written: No space left on device\n" in said
    assert said.endswith("repeat the same command to go on\n")
    assert not (tmp_path / "history.om").exists()
    unfinished.unlink()
    assert 0 == invoked(arguments())[0]
    assert asked == len(sentry.requests)


def test_failures_that_may_pass_are_tried_again(
    sentry: Simulator, arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that fails for a while costs a pause."""
    # Growing, because the list of projects is not asked for again at once.
    monkeypatch.setattr(reader, "pause_after", lambda failures: 0.01 * 2**failures)
    sentry.faults.add(Fault("status", 502, after=1, times=3))
    status, _, said = invoked(arguments())

    assert 0 == status
    assert "request failed, trying again" in said


def test_a_token_without_rights_ends_it(
    sentry: Simulator, arguments: Callable[..., list[str]]
) -> None:
    """What somebody has to fix is no reason to try again."""
    sentry.world.revoke_token(SCALE_TOKEN)
    status, _, said = invoked(arguments())

    assert 1 == status
    assert "401: Invalid token" in said
    assert len(sentry.requests) < 3


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--query", "outcome"], "no query 'outcome' (did you mean outcomes?)"),
        (["--start", "95d"], "is too old: Sentry has buckets of less than a day for 90 days"),
        (["--start", "soon"], "'soon' is not a time: expected a date such as 2026-08-01"),
        (["--start", "1h"], "--start must be before the end"),
        (["--join", "http://127.0.0.1:9"], "http://127.0.0.1:9 cannot be read (ConnectionError)"),
    ],
)
def test_what_cannot_be_done(
    more: list[str], expected: str, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """It says why, exits with status 1, and leaves nothing behind."""
    status, _, said = invoked(arguments(*more))

    assert 1 == status
    assert expected in said
    assert ["config.yaml"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize("label", ["job", "=x", "a-b=c", "ä=b"])
def test_what_is_no_label(label: str, arguments: Callable[..., list[str]]) -> None:
    """A label is a name and a value."""
    status, _, said = invoked(arguments("--label", label))

    assert 2 == status
    assert f"{label!r} is not NAME=VALUE, such as job=sentry" in said


def test_labels_of_the_exporter(arguments: Callable[..., list[str]]) -> None:
    """A label that a series has already cannot be added to it."""
    status, _, said = invoked(arguments("--label", "query=outcomes"))

    assert 2 == status
    assert "query is a label of the exporter's own" in said


def test_existing_files_are_left_alone(
    sentry: Simulator, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """An output that exists is never overwritten, and nothing is asked for it."""
    (tmp_path / "history.om").write_text("mine", "utf-8")
    status, _, said = invoked(arguments())

    assert 1 == status
    assert "history.om exists already: delete it, or write another file" in said
    assert "mine" == (tmp_path / "history.om").read_text("utf-8")
    assert [] == sentry.requests


def test_another_command_does_not_go_on(
    sentry: Simulator, arguments: Callable[..., list[str]]
) -> None:
    """The progress file of another range is not used."""
    sentry.faults.add(Fault("status", 404, after=9))
    assert 1 == invoked(arguments())[0]
    status, _, said = invoked(arguments(start="5d"))

    assert 1 == status
    assert "history.om.progress belongs to another command" in said


def test_an_exporter_that_was_just_started(
    sentry: Simulator, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Everything is read; the same command writes it once Prometheus has let go of the seam."""
    clock = clock_for_commands()
    config = load(tmp_path / "config.yaml")
    exporter = Exporter(config, clock=clock)
    poll_all(exporter, clock())
    command = [each for each in arguments() if each != "--end"][:-1]
    with serving(exporter) as url:
        status, _, said = invoked([*command, "--join", url])
        asked = len(sentry.requests)
        again, _, _ = invoked([*command, "--join", url])

    assert 1 == status == again
    assert "the exporter was started less than 3 hours ago" in said
    assert "everything is read; repeat the same command after 20" in said
    assert asked == len(sentry.requests)
    assert not (tmp_path / "history.om").exists()


def test_the_umask_decides_who_reads_the_history(
    arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Prometheus may run as another user: the output is not its owner's alone."""
    before = os.umask(0o027)
    try:
        status, *_ = invoked(arguments())
    finally:
        os.umask(before)

    assert 0 == status
    assert 0o640 == (tmp_path / "history.om").stat().st_mode & 0o777
