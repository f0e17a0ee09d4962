"""The receiver of the compose file, which shows Alertmanager's messages in a browser."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml
from playwright.sync_api import Browser, expect

from deploy.docker.receiver.receiver import MAX_BODY, MAX_MESSAGES, linked
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.browser import Visit, chromium, visiting
from tests.support.programs import find_program, running, wait_until
from tests.support.serving import free_port

pytestmark = pytest.mark.slow

SERVICE: Final = read_yaml(DEPLOY / "docker" / "compose.yaml")["services"]["receiver"]

LIMITED: Final = {
    "channel": "#acme-sentry",
    "username": "Alertmanager",
    "attachments": [
        {
            "color": "danger",
            "title": "critical: acme / checkout: 61 % of error events rate limited",
            "text": "Since 19:40 UTC.\n<https://example.com/runbook?a=1&amp;b=2|What to do>",
            "mrkdwn_in": ["fallback", "pretext", "text"],
        }
    ],
}


def message(text: str) -> dict[str, Any]:
    """Return a message with that text."""
    return {"channel": "#chat", "attachments": [{"title": "a title", "text": text}]}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the compose file's command on a port of this machine; yields its address."""
    folder = tmp_path_factory.mktemp("receiver")
    script = DEPLOY / "docker" / "receiver" / Path(SERVICE["entrypoint"][1]).name
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with running([sys.executable, str(script), "--port", str(port)], folder / "log") as program:
        program.wait_ready(f"{address}/-/healthy")
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium for the tests of this module."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens an address in Chromium."""
    with visiting(browser) as visit:
        yield visit


def post(url: str, document: Any) -> int:
    """Send a message, and return the status of the answer."""
    return requests.post(f"{url}/slack", json=document, timeout=10).status_code


def page(url: str) -> str:
    """Return the page."""
    return requests.get(url, timeout=10).text


def test_the_command_is_the_scripts(url: str) -> None:
    """The compose file's flags are the script's, and its port is the default one."""
    assert ["--host", "0.0.0.0"] == SERVICE["command"]  # noqa: S104 - what compose publishes
    assert ["127.0.0.1:9095:9095"] == SERVICE["ports"]
    assert 200 == requests.get(url, timeout=10).status_code


def test_a_message_is_shown(url: str, visit: Callable[..., Visit]) -> None:
    """The page shows channel, title, text and links, and asks no other host."""
    post(url, LIMITED)
    visited = visit(url)
    article = visited.page.locator("article", has_text="61 %")
    link = article.get_by_role("link", name="What to do")

    expect(article).to_contain_text("#acme-sentry")
    expect(article).to_contain_text("critical: acme / checkout: 61 % of error events rate limited")
    expect(article).to_contain_text("Since 19:40 UTC.")
    expect(link).to_have_attribute("href", "https://example.com/runbook?a=1&b=2")
    assert {url.removeprefix("http://")} == visited.hosts
    assert [] == visited.console


def test_the_newest_message_is_first(url: str) -> None:
    """Messages stand in the order in which a reader wants them."""
    for text in ("the first", "the second"):
        post(url, message(text))
    shown = page(url)

    assert 0 < shown.index("the second") < shown.index("the first")


def test_markup_is_text(url: str, visit: Callable[..., Visit]) -> None:
    """A message cannot add elements to the page."""
    text = "<script>alert(1)</script> <javascript:alert(1)|press me> <b>"
    post(url, message(text) | {"channel": "<i>channel"})
    article = visit(url).page.locator("article", has_text="alert(1)")

    expect(article.locator("pre")).to_have_text(text)
    assert 0 == article.locator("script, b, i, a").count()


def test_memory_is_bounded(url: str) -> None:
    """Only the last messages are stored."""
    many = [{"title": "one of many", "text": str(number)} for number in range(MAX_MESSAGES + 20)]
    post(url, {"attachments": many[:-1]})
    post(url, {"attachments": many[-1:]})
    shown = page(url)

    assert MAX_MESSAGES == shown.count("<article")
    assert f"<pre>{MAX_MESSAGES + 19}</pre>" in shown
    assert "<pre>19</pre>" not in shown


def test_long_bodies_are_refused(url: str) -> None:
    """A request that is too long is answered with 413, and nothing is stored."""
    status = post(url, message("long" * MAX_BODY))

    assert 413 == status
    assert "longlong" not in page(url)


@pytest.mark.parametrize("document", ["no message", {"attachments": [{"text": 1}]}])
def test_other_bodies_are_refused(url: str, document: Any) -> None:
    """What is not a message for Slack is answered with 400."""
    assert 400 == post(url, document)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a & b", "a &amp; b"),
        ("a &amp; b &lt;c&gt;", "a &amp; b &lt;c&gt;"),
        ("<http://a/>", '<a href="http://a/" rel="noreferrer">http://a/</a>'),
        (
            '<http://a/"onclick="x|b>',
            '<a href="http://a/&#34;onclick=&#34;x" rel="noreferrer">b</a>',
        ),
        ("<http://a/|<b>>", '<a href="http://a/" rel="noreferrer">&lt;b</a>&gt;'),
    ],
)
def test_links(text: str, html: str) -> None:
    """Slack's links become links, and everything else stays text."""
    assert html == linked(text)


@pytest.mark.programs
def test_alertmanager_sends_to_it(url: str, tmp_path: Path) -> None:
    """The page shows what a real Alertmanager sends through Slack's webhook."""
    port = free_port()
    slack = {"api_url": f"{url}/slack", "channel": "#chat", "title": "seen by {{ .Receiver }}"}
    route = {"receiver": "page", "group_wait": "10ms"}
    configuration = {"route": route, "receivers": [{"name": "page", "slack_configs": [slack]}]}
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(configuration), "utf-8")
    command = [
        find_program("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, tmp_path / "alertmanager.log") as alertmanager:
        alertmanager.wait_ready(f"http://127.0.0.1:{port}/-/ready")
        alert = [{"labels": {"alertname": "Some"}}]
        requests.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=alert, timeout=10)
        wait_until(lambda: "seen by page" in page(url), alertmanager.output)

    assert "#chat" in page(url)
