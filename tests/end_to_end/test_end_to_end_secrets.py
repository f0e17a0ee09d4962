"""What leaves the process: no token, and nothing that URLs have before their host."""

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
from tests.end_to_end.stage import Clock, configuration, document, organization, polled, serving
from tests.programs import PATIENCE
from tests.sentry.scripted_server import ScriptedServer, reply, serve

TOKEN = "sntryu_0123456789abcdef0123456789abcdef"
PASSWORD = "hush-hush"
SECRETS = (TOKEN, PASSWORD, "bob")
OUTSIDE = "https://sentry.example.com"

Run = Callable[..., str]


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Result]) -> Run:
    """Return a function that runs a command, and returns what it says on both its outputs."""

    def said(name: str, url: str, *flags: str, proxy: str = "") -> str:
        path = tmp_path / "config.yaml"
        path.write_text(document(url, {**organization(), "token": TOKEN}), "utf-8")
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        result = command(name, "--config.file", path, *flags)

        assert 1 == result.exit_code
        return result.output

    return said


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
    """Whatever is wrong with a proxy and its address, nobody reads its password, at debug too."""
    name, *flags = words
    said = output(name, OUTSIDE, *flags, proxy=proxy.format(PASSWORD))

    assert "proxy" in said
    assert [] == [secret for secret in SECRETS if secret in said]


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
    """Of an address that cannot be read only what is after the last @ is shown."""
    name, *flags = words
    said = output(name, OUTSIDE, *flags, proxy=proxy)

    assert f"the address of the proxy cannot be used: {shown}" in said
    assert [] == [secret for secret in secrets if secret in said]


@pytest.mark.parametrize("words", [("check", "--online"), ("once", "--log.level", "debug")])
@pytest.mark.parametrize("proxy", ["http://q:zqz@127.0.0.1:1", "q:zqz@127.0.0.1:1"])
def test_short_credentials_of_a_proxy(output: Run, words: tuple[str, ...], proxy: str) -> None:
    """A password too short to be masked wherever it occurs is not told to begin with."""
    name, *flags = words
    said = output(name, OUTSIDE, *flags, proxy=proxy)

    assert "the proxy 127.0.0.1:1" in said
    assert "zqz" not in said


@pytest.mark.parametrize("words", [("check", "--online"), ("once", "--log.level", "debug")])
def test_the_password_in_a_redirect(output: Run, words: tuple[str, ...]) -> None:
    """So it is with what a server sends."""
    location = f"https://bob:{PASSWORD}@sentry.example.com/{TOKEN}"
    name, *flags = words
    with ScriptedServer(serve(reply(b"", "302 Found", f"Location: {location}"))) as server:
        said = output(name, server.url, *flags)

    assert "302 to https://sentry.example.com" in said
    assert [] == [secret for secret in SECRETS if secret in said]


def test_the_password_in_the_url(output: Run) -> None:
    """A URL of the configuration that holds one is refused without showing it."""
    said = output("check", f"https://bob:{PASSWORD}@sentry.example.com")

    assert "a URL with a user name or password" in said
    assert [] == [secret for secret in SECRETS if secret in said]


def test_an_example_of_a_masked_address(output: Run) -> None:
    """What is left of the address of a proxy says enough to mend it."""
    said = output("check", OUTSIDE, "--online", proxy=f"http://bob:{PASSWORD}@127.0.0.1:99999")

    assert "the address of the proxy cannot be used: http://***@127.0.0.1:99999" in said


@pytest.mark.usefixtures("logging_put_back")
def test_a_running_exporter(
    sentry: Simulator,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither pages nor the debug log nor the state file hold a token, one that opens included."""
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
            shown = {path: fetched(f"{url}{path}") for path in ("/metrics", "/", "/-/ready")}
            shown["OpenMetrics"] = fetched(f"{url}/metrics", "application/openmetrics-text")
        kept = {path.name: path.read_bytes() for path in tmp_path.glob("state*")}
    logged = capsys.readouterr().err
    everything = {**shown, **kept, "log": logged.encode()}

    assert {"state", "state-wal"} <= kept.keys()
    assert b"accepted" in b"".join(kept.values())
    assert b'sentry_stats_up{organization="acme",query="outcomes"} 1\n' in shown["/metrics"]
    assert shown["OpenMetrics"].endswith(b"# EOF\n")
    assert "the proxy" in logged
    assert "/api/0/organizations/acme/" in logged
    assert [] == [
        (place, secret)
        for place, content in everything.items()
        for secret in (*SECRETS, DEMO_TOKENS["acme"])
        if secret.encode() in content
    ]


def fetched(url: str, accept: str = "*/*") -> bytes:
    """Return what is served at ``url``."""
    return requests.get(url, headers={"Accept": accept}, timeout=PATIENCE).content
