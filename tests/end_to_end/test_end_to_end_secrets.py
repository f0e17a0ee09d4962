"""No output of the process contains a token, or the credentials of a URL."""

import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests
from click.testing import Result

from exporter import log
from exporter.app import Exporter
from exporter.simulator import DEMO_TOKENS, Simulator
from exporter.state import State
from tests.end_to_end.stage import polled
from tests.support.clock import Clock
from tests.support.configuration import configuration, document, organization
from tests.support.programs import TIMEOUT
from tests.support.scripted_server import ScriptedServer, reply, serve
from tests.support.serving import serving

TOKEN = "sntryu_0123456789abcdef0123456789abcdef"
PASSWORD = "hush-hush"
SECRETS = (TOKEN, PASSWORD, "bob")
OUTSIDE = "https://sentry.example.com"

Run = Callable[..., str]


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Result]) -> Run:
    """Return a function that runs a command, and returns its output and its error output."""

    def output_of(name: str, url: str, *flags: str, proxy: str = "") -> str:
        path = tmp_path / "config.yaml"
        path.write_text(document(url, {**organization(), "token": TOKEN}), "utf-8")
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        result = command(name, "--config.file", path, *flags)

        assert 1 == result.exit_code
        return result.output

    return output_of


@pytest.mark.parametrize("words", [("check", "--online"), ("once", "--log.level", "debug")])
@pytest.mark.parametrize(
    "proxy",
    [
        "http://bob:{}@127.0.0.1:99999",
        "http://bob:{}@127.0.0.1:1",
        "http://bob:/{}@127.0.0.1:1",
        "http://bob:a@b{}@127.0.0.1:1",
        "http://bob:%2F{}%40@127.0.0.1:1",
        "http://bob:{}@",
        "bob:{}@127.0.0.1:1",
        "socks5://bob:{}@127.0.0.1:1",
    ],
)
def test_the_password_of_a_proxy(output: Run, words: tuple[str, ...], proxy: str) -> None:
    """The password is in no message about a proxy, even with debug logs."""
    name, *flags = words
    printed = output(name, OUTSIDE, *flags, proxy=proxy.format(PASSWORD))

    assert "proxy" in printed
    assert [] == [secret for secret in SECRETS if secret in printed]


@pytest.mark.parametrize("words", [("check", "--online"), ("once", "--log.level", "debug")])
@pytest.mark.parametrize(
    ("proxy", "shown", "secrets"),
    [
        ("u:a/b@proxy:3128", "***@proxy:3128", ["u:a", "a/b"]),
        ("user:abc@[bad", "***@[bad", ["user:", "abc@"]),
        ("http://us er:abc@proxy:99999", "http://***@proxy:99999", ["us er", "abc@", ":abc"]),
        ("http://bob:hush", "http://***", ["bob", "hush"]),
        ("http://127.0.0.1:99999", "http://127.0.0.1:99999", []),
    ],
)
def test_a_malformed_address_of_a_proxy(
    output: Run, words: tuple[str, ...], proxy: str, shown: str, secrets: list[str]
) -> None:
    """Of a malformed proxy address, only the part after the last @ is shown."""
    name, *flags = words
    printed = output(name, OUTSIDE, *flags, proxy=proxy)

    assert f"the address of the proxy cannot be used: {shown}" in printed
    assert [] == [secret for secret in secrets if secret in printed]


@pytest.mark.parametrize("words", [("check", "--online"), ("once", "--log.level", "debug")])
@pytest.mark.parametrize("proxy", ["http://q:zqz@127.0.0.1:1", "q:zqz@127.0.0.1:1"])
def test_short_credentials_of_a_proxy(output: Run, words: tuple[str, ...], proxy: str) -> None:
    """A password that is too short to be masked is not shown at all."""
    name, *flags = words
    printed = output(name, OUTSIDE, *flags, proxy=proxy)

    assert "the proxy 127.0.0.1:1" in printed
    assert "zqz" not in printed


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--online"),
        ("check", "--online", "--output", "json"),
        ("once", "--log.level", "debug"),
    ],
)
def test_the_password_in_a_redirect(output: Run, words: tuple[str, ...]) -> None:
    """The password in a redirect's location is not shown."""
    location = f"https://bob:{PASSWORD}@sentry.example.com/{TOKEN}"
    name, *flags = words
    with ScriptedServer(serve(reply(b"", "302 Found", f"Location: {location}"))) as server:
        printed = output(name, server.url, *flags)

    assert "302 to https://sentry.example.com" in printed
    assert [] == [secret for secret in SECRETS if secret in printed]


def test_the_password_in_the_url(output: Run) -> None:
    """A configured URL with a password is refused without showing it."""
    printed = output("check", f"https://bob:{PASSWORD}@sentry.example.com")

    assert "a URL with a user name or password" in printed
    assert [] == [secret for secret in SECRETS if secret in printed]


def test_an_example_of_a_masked_address(output: Run) -> None:
    """A masked proxy address still has its host."""
    printed = output("check", OUTSIDE, "--online", proxy=f"http://bob:{PASSWORD}@127.0.0.1:99999")

    assert "the address of the proxy cannot be used: http://***@127.0.0.1:99999" in printed


def decompressed(state: State) -> bytes:
    """Return what is in the blobs of a state file."""
    with state.transaction() as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        rows = [row for name in tables for row in database.execute(f"SELECT * FROM {name}")]  # noqa: S608
    return b"".join(
        zlib.decompress(value) for row in rows for value in row if isinstance(value, bytes)
    )


def test_a_running_exporter(
    sentry: Simulator,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No token is in a page, in the debug log, or in the state file."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://bob:{PASSWORD}@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    log.configure("debug", "logfmt")
    outside = {**organization(slug="globex"), "url": OUTSIDE, "token": TOKEN}
    with closing(State(tmp_path / "state")) as state:
        exporter = Exporter(
            configuration(sentry.url, organization(), outside), clock=clock, state=state
        )
        polled(exporter, clock.now)
        with serving(exporter) as url:
            paths = ("/metrics", "/", "/-/ready", "/config")
            shown = {path: fetched(f"{url}{path}") for path in paths}
            shown["OpenMetrics"] = fetched(f"{url}/metrics", "application/openmetrics-text")
        files = {path.name: path.read_bytes() for path in tmp_path.glob("state*")}
        blobs = decompressed(state)
    logged = capsys.readouterr().err
    outputs = {**shown, **files, "blobs": blobs, "log": logged.encode()}

    assert {"state", "state-wal"} <= files.keys()
    assert b"accepted" in blobs
    assert b'sentry_stats_up{organization="acme",query="outcomes"} 1\n' in shown["/metrics"]
    assert shown["OpenMetrics"].endswith(b"# EOF\n")
    assert 2 == shown["/config"].count(b"token: <secret>\n")
    assert "the proxy" in logged
    assert "organization=acme api=stats_v2" in logged
    assert [] == [
        (place, secret)
        for place, content in outputs.items()
        for secret in (*SECRETS, DEMO_TOKENS["acme"])
        if secret.encode() in content
    ]


def fetched(url: str, accept: str = "*/*") -> bytes:
    """Return the body at ``url``."""
    return requests.get(url, headers={"Accept": accept}, timeout=TIMEOUT).content
