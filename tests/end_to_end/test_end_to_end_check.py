"""``check``: what is wrong with a file, and with what it says, and how to mend it."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from click.testing import Result

import exporter
from exporter.simulator import DEMO_TOKENS, Fault, Simulator, store_timeout
from tests.end_to_end.stage import (
    OUTCOMES,
    PROJECTS,
    Clock,
    Entry,
    clock_for_commands,
    document,
    organization,
    run,
)
from tests.sentry.scripted_server import Peer, ScriptedServer, reply

ROOT = Path(exporter.__file__).parent.parent
BAD = ROOT / "tests" / "config" / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))

Command = Callable[..., Result]
Configured = Callable[..., Path]

LIST = "[%s/projects/]"

FAULTS = {
    "hang": (Fault("hang"), "allow a longer timeout"),
    "garbage": (Fault("garbage"), "something between the exporter and Sentry answers"),
    "reset": (Fault("reset"), "see that url is right, and that this host can reach it"),
    "redirect": (Fault("redirect", location="https://x.test/"), "its current slug"),
    "stats only": (Fault("status", status=403, endpoint="stats_v2"), "the token lacks org:read"),
    "store": (store_timeout(None), "try again later, or filter"),
}
ENTRIES: dict[str, tuple[Entry, str]] = {
    "bad token": (
        {**organization(), "token": "no-such-token"},
        f"organization acme: 401: Invalid token {LIST} (Sentry does not know the token",
    ),
    "token of another organization": (
        {**organization(), "token": DEMO_TOKENS["globex"]},
        f"organization acme: 403: You do not have permission to perform this action. {LIST} (the",
    ),
    "wrong slug": (
        {**organization(), "slug": "acmee"},
        f"organization acmee: 404: The requested resource does not exist {LIST} (see that slug is",
    ),
    "unknown slug of a project": (
        organization({**OUTCOMES, "filter": {"project": "chekout"}}),
        "organization acme, query outcomes: filter.project names 'chekout', which is no slug of",
    ),
}


@pytest.fixture
def clock() -> Clock:
    """Show about the time that a command sees."""
    return clock_for_commands()


def lines(result: Result) -> list[str]:
    """Return what was printed, the advice about tokens in a file left out."""
    printed = result.output.splitlines()
    return [line for line in printed if not line.endswith("(a warning)")]


def test_the_example_passes(command: Command, tmp_path: Path) -> None:
    """The configuration that is published is a good one, once its token is there."""
    example = (ROOT / "config.example.yaml").read_text("utf-8")
    token, path = tmp_path / "token", tmp_path / "config.yaml"
    token.touch(0o600)
    token.write_text("sntryu_0123456789abcdef")
    path.write_text(example.replace("/run/secrets/sentry-token", str(token)))
    result = command("check", "--config.file", path)

    assert 0 == result.exit_code
    assert "good" in result.output


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_file_is_told_in_full(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each bad file ends with 1, and its own message is all that is printed."""
    monkeypatch.chdir(BAD)
    result = command("check", "--config.file", f"{name}.yaml")

    assert 1 == result.exit_code
    assert (BAD / f"{name}.txt").read_text("utf-8") == result.output


def test_as_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself prints the message and ends with 1."""
    monkeypatch.chdir(BAD)
    finished = run("check", "--config.file", "many_mistakes.yaml")

    assert (1, "") == (finished.returncode, finished.stderr)
    assert Path("many_mistakes.txt").read_text("utf-8") == finished.stdout


def test_all_well_online(command: Command, configured: Configured) -> None:
    """Queries that Sentry answers are good, whatever they ask."""
    filtered = {**PROJECTS, "name": "some", "filter": {"project": ["web", "4505123000000005"]}}
    path = configured(
        organization(OUTCOMES, PROJECTS, filtered), organization(OUTCOMES, slug="globex")
    )
    result = command("check", "--online", "--config.file", path)

    assert 0 == result.exit_code
    assert [f"{path}: good, and works online; organizations: 2, queries: 4"] == lines(result)


@pytest.mark.parametrize("name", ENTRIES)
def test_what_does_not_exist_is_one_finding(
    command: Command, configured: Configured, sentry: Simulator, name: str
) -> None:
    """A wrong token, slug or filter is one line that says where, what, and how to mend it."""
    entry, words = ENTRIES[name]
    asked = f"{sentry.url}/api/0/organizations/{entry['slug']}"
    result = command("check", "--online", "--config.file", configured(entry))
    (finding,) = lines(result)

    assert 1 == result.exit_code
    assert finding.startswith(words.replace("%s", asked))
    assert str(entry["token"]) not in result.output


def test_an_id_that_is_no_project(command: Command, configured: Configured) -> None:
    """An unknown id in a filter is told by the list, and by what Sentry says to the query."""
    entry = organization({**OUTCOMES, "filter": {"project": "4505"}})
    result = command("check", "--online", "--config.file", configured(entry))
    first, *_ = lines(result)

    assert 1 == result.exit_code
    assert "filter.project names '4505', which is no id of the organization" in first


@pytest.mark.parametrize("name", FAULTS)
def test_what_fails_is_one_finding(
    command: Command, configured: Configured, sentry: Simulator, name: str
) -> None:
    """Each way in which Sentry fails is one line with its own advice."""
    fault, advice = FAULTS[name]
    sentry.faults.add(fault)
    path = configured(timeout="1s")
    result = command("check", "--online", "--config.file", path)
    (finding,) = lines(result)

    assert 1 == result.exit_code
    assert finding.startswith("organization acme")
    assert advice in finding
    assert DEMO_TOKENS["acme"] not in result.output


def test_every_organization_is_tried(command: Command, configured: Configured) -> None:
    """What fails for one organization does not keep the others from being told."""
    wrong = [organization(slug=slug) for slug in ("first", "second")]
    path = configured(*wrong, organization(slug="acme"))
    found = lines(command("check", "--online", "--config.file", path))

    assert ["organization first", "organization second"] == [each.split(":")[0] for each in found]


def test_a_missing_token_is_a_finding(
    command: Command, configured: Configured, tmp_path: Path
) -> None:
    """A token file that is not there is named."""
    entry = {name: value for name, value in organization().items() if name != "token"}
    path = configured({**entry, "token_file": str(tmp_path / "none")})
    (finding,) = lines(command("check", "--online", "--config.file", path))

    assert f"organizations[0].token_file: {tmp_path / 'none'}: No such file or directory" in finding


def announcing(peer: Peer) -> None:
    """Answer as a Sentry without projects and data that is about to take both APIs away."""
    while head := peer.receive():
        asked = parse_qs(head.split()[1].partition(b"?")[2].decode())
        answer = {"intervals": asked["start"], "groups": []} if "start" in asked else []
        headers = ("X-Sentry-Deprecation-Date: 2026-12-01", "X-Sentry-Replacement-Endpoint: v3")
        peer.send(reply(json.dumps(answer).encode(), "200 OK", *headers))


def test_a_deprecation_is_no_failure(command: Command, tmp_path: Path) -> None:
    """What will go away one day is told, and all is well until then."""
    path = tmp_path / "config.yaml"
    with ScriptedServer(announcing) as server:
        path.write_text(document(server.url, organization()), "utf-8")
        result = command("check", "--online", "--config.file", path)

    ending = "as of 2026-12-01, in favour of v3; see whether there is a newer exporter (a warning)"
    assert 0 == result.exit_code
    assert [
        f"organization acme: Sentry deprecates projects {ending}",
        f"organization acme: Sentry deprecates stats_v2 {ending}",
        f"{path}: good, and works online; organizations: 1, queries: 1",
    ] == result.output.splitlines()[-3:]
