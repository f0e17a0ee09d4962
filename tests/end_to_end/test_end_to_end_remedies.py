"""``check --online`` against each failure: the remedy that it prints mends it."""

import gc
import os
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import trustme
import yaml
from click.testing import Result

from exporter.simulator import (
    DEMO_TOKENS,
    Fault,
    Release,
    Simulator,
    Token,
    TokenKind,
    store_rate_limited,
    store_timeout,
)
from tests.end_to_end.stage import clock_for_commands
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, organization
from tests.support.scripted_server import (
    Peer,
    Script,
    ScriptedServer,
    connect_to,
    reply,
    serve,
)
from tests.support.serving import free_port

pytestmark = pytest.mark.slow

HOST = "sentry.example.com"
NEW_TOKEN = "a-new-token"
INTEGRATION = "use the token of an internal integration with the permission Organization: Read"
GLITCHTIP = b'{"detail": [{"loc": ["query", "category"], "msg": "Field required"}]}'
LOGIN = b"<html><title>Sign in to continue</title><input type='password'></html>"
PAGE = b"<html><title>Welcome</title></html>"


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


class Stage:
    """A configuration file that names a simulated Sentry, and what is between the two."""

    def __init__(
        self,
        sentry: Simulator,
        directory: Path,
        command: Callable[..., Result],
        monkeypatch: pytest.MonkeyPatch,
        stack: ExitStack,
    ) -> None:
        self.sentry = sentry
        self.directory = directory
        self.monkeypatch = monkeypatch
        self.authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.settings: dict[str, Any] = {"url": sentry.url, "requests_per_second": 20}
        self.entry: dict[str, Any] = dict(organization(OUTCOMES, PROJECTS))
        self._command = command
        self._stack = stack

    def check(self, *flags: str) -> Result:
        """Return what ``check --online`` says of the configuration as it is now."""
        path = self.directory / "config.yaml"
        document = {"defaults": self.settings, "organizations": [self.entry]}
        path.write_text(yaml.safe_dump(document), "utf-8")
        return self._command("check", "--online", "--config.file", path, *flags)

    def configure(self, **settings: Any) -> None:
        """Change keys of the organization."""
        self.entry |= settings

    def filter(self, **values: Any) -> None:
        """Change the filter of the queries."""
        self.configure(queries=[{**query, "filter": values} for query in (OUTCOMES, PROJECTS)])

    def answers(self, *scripts: Script) -> str:
        """Return the address of another server, which does as the scripts say."""
        return self._stack.enter_context(ScriptedServer(*scripts)).url

    def tls(self, *names: str, authority: trustme.CA | None = None, days: int = 30) -> str:
        """Return the address of a server that speaks TLS in front of Sentry."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        now = datetime.now(UTC)
        (authority or self.authority).issue_cert(
            *(names or ("127.0.0.1", HOST)),
            not_before=now - timedelta(days=60),
            not_after=now + timedelta(days=days),
        ).configure_cert(context)
        server = ScriptedServer(self._to_sentry, context=context)
        return self._stack.enter_context(server).url

    def add_token(self, **properties: Any) -> None:
        """Add the token `NEW_TOKEN` to Sentry."""
        properties = {"organization": 1, **properties}
        self.sentry.world.add_token(Token(NEW_TOKEN, **properties))

    def _to_sentry(self, peer: Peer) -> None:
        peer.tunnel(port_of(self.sentry.url))


@pytest.fixture
def stage(
    sentry: Simulator,
    tmp_path: Path,
    command: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    """Return a configuration that works."""
    # Otherwise a test would wait for half a minute and more.
    monkeypatch.setattr("exporter.sentry.limits.STORE_PAUSE", 0.05)
    monkeypatch.setattr("exporter.sentry.api.RATE_LIMIT_RETRIES", 0)
    for variable in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with ExitStack() as stack:
        yield Stage(sentry, tmp_path, command, monkeypatch, stack)
        # What the commands have left open would let a server with TLS wait for the next request.
        gc.collect()


def port_of(url: str) -> int:
    """Return the port of ``url``."""
    port = urlsplit(url).port
    assert port is not None
    return port


def says(status: str, body: bytes) -> Script:
    """Return a script that answers every request of a connection alike."""
    return serve(*[reply(body, status)] * 9)


def use_fault(fault: Fault) -> Callable[[Stage], None]:
    """Return what adds ``fault`` to Sentry."""

    def add(stage: Stage) -> None:
        stage.sentry.faults.add(fault)

    return add


def refused(code: str) -> Callable[[Stage], None]:
    """Return what makes Sentry refuse with a code."""
    body = b'{"detail": {"code": "%s", "message": "No."}}' % code.encode()
    return use_fault(Fault("status", status=401, body=body))


def until_it_is_over(stage: Stage) -> None:
    """Wait until Sentry works again, or repair what is not the configuration."""
    stage.sentry.faults.clear()


def use(**settings: Any) -> Callable[[Stage], None]:
    """Return what changes keys of the organization."""

    def change(stage: Stage) -> None:
        stage.configure(**settings)

    return change


def use_url_of_sentry(stage: Stage) -> None:
    """Set ``url`` to the address of Sentry."""
    stage.configure(url=stage.sentry.url)


def use_good_token(stage: Stage) -> None:
    """Use the token of an internal integration."""
    for key in ("token_file", "token_env"):
        stage.entry.pop(key, None)
    stage.configure(token=DEMO_TOKENS["acme"])


def revoke(stage: Stage) -> None:
    """Revoke the token."""
    stage.sentry.world.revoke_token(DEMO_TOKENS["acme"])


def create_another(stage: Stage) -> None:
    """Create another token of an internal integration, and use it."""
    stage.add_token()
    stage.configure(token=NEW_TOKEN)


def lack_the_scope(stage: Stage) -> None:
    """Use a token without ``org:read``."""
    stage.add_token(scopes=frozenset({"project:read"}))
    stage.configure(token=NEW_TOKEN)


def use_token_of_stranger(stage: Stage) -> None:
    """Use the token of a user who is not a member."""
    stage.add_token(kind=TokenKind.USER, user="stranger", organization=None)
    stage.configure(token=NEW_TOKEN)


def use_token_of_file(content: str) -> Callable[[Stage], None]:
    """Return what uses a token file with that content."""

    def write(stage: Stage) -> None:
        path = stage.directory / "token"
        path.touch(0o600)
        path.write_text(content)
        stage.entry.pop("token", None)
        stage.configure(token_file=str(path))

    return write


def use_missing_file(stage: Stage) -> None:
    """Name a token file that is not there."""
    stage.entry.pop("token")
    stage.configure(token_file=str(stage.directory / "token"))


def use_unset_variable(stage: Stage) -> None:
    """Name a variable that is not set."""
    stage.entry.pop("token")
    stage.configure(token_env="STATS_TOKEN_OF_THE_TEST")


def set_variable(stage: Stage) -> None:
    """Set the variable."""
    stage.monkeypatch.setenv("STATS_TOKEN_OF_THE_TEST", DEMO_TOKENS["acme"])


def use_filter(**values: Any) -> Callable[[Stage], None]:
    """Return what sets the filter of the queries."""

    def change(stage: Stage) -> None:
        stage.filter(**values)

    return change


def use_hidden_project(stage: Stage) -> None:
    """Filter by a project that the token cannot read."""
    world = stage.sentry.world
    first, *_ = world.active_projects(1)
    world.set_open_membership(1, is_open=False)
    world.set_members(first.id, ())
    stage.sentry.world._roles[1, "reader"] = "member"  # noqa: SLF001 - a world has no such method
    for project in world.active_projects(1)[1:]:
        world.set_members(project.id, ("reader",))
    stage.add_token(kind=TokenKind.USER, user="reader", organization=None)
    stage.configure(token=NEW_TOKEN)
    stage.filter(project=[first.slug])


def use_deleted_project(stage: Stage) -> None:
    """Filter only by a project that was deleted."""
    first, *_ = stage.sentry.world.active_projects(1)
    stage.sentry.world.delete_project(first.id)
    stage.filter(project=[str(first.id)])


def use_another_project(stage: Stage) -> None:
    """Filter by a project that exists."""
    first, *_ = stage.sentry.world.active_projects(1)
    stage.filter(project=[first.slug])


def be_as_of(*release: int) -> Callable[[Stage], None]:
    """Return what gives Sentry a release."""

    def change(stage: Stage) -> None:
        stage.sentry.application.release = Release(*release)

    return change


def use_id_of_old_sentry(stage: Stage) -> None:
    """Name the organization by its id at a Sentry that is too old for that."""
    be_as_of(24, 4)(stage)
    stage.configure(slug="1", name="acme")


def be_slow(stage: Stage) -> None:
    """Let Sentry take longer than the timeout."""
    stage.sentry.latency = 1.3
    stage.configure(timeout="1s")


def drip(stage: Stage) -> None:
    """Let Sentry send its answers byte by byte, for longer than the timeout."""
    stage.sentry.faults.add(Fault("drip", interval=0.3))
    stage.configure(timeout="1s")


def use_closed_port(stage: Stage) -> None:
    """Name a port on which nothing listens."""
    stage.configure(url=f"http://127.0.0.1:{free_port()}")


def use_tls(**settings: Any) -> Callable[[Stage], None]:
    """Return what lets a server with TLS stand in front of Sentry."""

    def change(stage: Stage) -> None:
        stage.configure(url=stage.tls(**settings))

    return change


def trust(stage: Stage) -> None:
    """Set ``ca_file`` to the certificate of the authority."""
    stage.configure(ca_file=str(stage.ca_file))


def trust_another(stage: Stage) -> None:
    """Trust an authority that has not signed the certificate."""
    other = stage.directory / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    stage.configure(url=stage.tls(), ca_file=str(other))


def use_expired(stage: Stage) -> None:
    """Let the certificate be expired."""
    stage.configure(url=stage.tls(days=-1), ca_file=str(stage.ca_file))


def use_certificate_of_another_host(stage: Stage) -> None:
    """Let the certificate be that of ``localhost``."""
    stage.configure(url=stage.tls("localhost"), ca_file=str(stage.ca_file))


def use_host_of_certificate(stage: Stage) -> None:
    """Use the host name of the certificate in ``url``."""
    stage.configure(url=stage.entry["url"].replace("127.0.0.1", "localhost"))


def use_tls_where_there_is_none(stage: Stage) -> None:
    """Let ``url`` begin with https although the server speaks none."""
    stage.configure(url=stage.sentry.url.replace("http://", "https://"))


def redirect_to_tls(stage: Stage) -> None:
    """Let the server redirect to its address with TLS."""
    location = f"{stage.tls()}/api/0/organizations/acme/projects/"
    answer = reply(b"", "301 Moved Permanently", f"Location: {location}")
    stage.configure(url=stage.answers(serve(*[answer] * 9)), ca_file=str(stage.ca_file))


def use_answers_of(status: str, body: bytes) -> Callable[[Stage], None]:
    """Return what puts another server in the place of Sentry."""

    def change(stage: Stage) -> None:
        stage.configure(url=stage.answers(says(status, body)))

    return change


def behind_proxy(stage: Stage, address: str) -> None:
    """Reach Sentry, at a name that only the proxy at ``address`` knows."""
    stage.configure(url=f"https://{HOST}", ca_file=str(stage.ca_file))
    stage.monkeypatch.setenv("HTTPS_PROXY", address)


def use_wrong_proxy(stage: Stage) -> None:
    """Name a proxy that is not running."""
    behind_proxy(stage, f"http://127.0.0.1:{free_port()}")


def use_right_proxy(stage: Stage) -> None:
    """Name the proxy that is running."""
    behind_proxy(stage, stage.answers(connect_to(port_of(stage.tls()))))


def use_proxy_that_requires_login(stage: Stage) -> None:
    """Name a proxy without the password that it requires."""
    port = port_of(stage.tls())

    def script(peer: Peer) -> None:
        request = peer.receive()
        if b"Proxy-Authorization: Basic " not in request:
            peer.send(reply(b"", "407 Proxy Authentication Required"))
            return
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        peer.tunnel(port)

    behind_proxy(stage, stage.answers(script))


def log_in_to_proxy(stage: Stage) -> None:
    """Put user name and password before the proxy's host."""
    address = os.environ["HTTPS_PROXY"]
    stage.monkeypatch.setenv("HTTPS_PROXY", address.replace("//", "//bob:secret@"))


class Case(NamedTuple):
    """A failure: what brings it about, words of the remedy, and how that is carried out."""

    fails: Callable[[Stage], None]
    remedy: str
    mend: Callable[[Stage], None]


CASES = {
    "unknown token": Case(use(token="no-such-token"), INTEGRATION, use_good_token),
    "revoked token": Case(revoke, INTEGRATION, create_another),
    "token without org:read": Case(lack_the_scope, INTEGRATION, use_good_token),
    "user who is no member": Case(use_token_of_stranger, INTEGRATION, use_good_token),
    "token of another organization": Case(
        use(token=DEMO_TOKENS["globex"]), INTEGRATION, use_good_token
    ),
    "organization auth token": Case(
        use_token_of_file("sntrys_demo"), "create an internal integration", use_good_token
    ),
    "quoted token": Case(
        use_token_of_file(f"'{DEMO_TOKENS['acme']}'"),
        "only what is between them belongs in it",
        use_token_of_file(DEMO_TOKENS["acme"]),
    ),
    "missing token file": Case(
        use_missing_file, "No such file or directory", use_token_of_file(DEMO_TOKENS["acme"])
    ),
    "unset variable": Case(
        use_unset_variable, "this environment variable is not set", set_variable
    ),
    "two factors": Case(refused("2fa-required"), "has to set up", until_it_is_over),
    "single sign-on": Case(refused("sso-required"), "has to log in with it", until_it_is_over),
    "too many members": Case(
        refused("member-disabled-over-limit"), "an owner must free a seat", until_it_is_over
    ),
    "wrong slug": Case(use(slug="acmee"), "check that slug is right", use(slug="acme")),
    "id of an organization": Case(
        use_id_of_old_sentry, "knows organizations only by their slug", use(slug="acme")
    ),
    "unknown project": Case(
        use_filter(project="chekout"),
        "(did you mean checkout?); use the slug from Settings > Projects, or the id",
        use_filter(project="checkout"),
    ),
    "hidden project": Case(
        use_hidden_project,
        "which can read every project, or remove the project from the filter",
        use_good_token,
    ),
    "deleted project": Case(use_deleted_project, "no project with the id ", use_another_project),
    "plural of a category": Case(
        use_filter(category="errors"), '"errors"', use_filter(category="error")
    ),
    "rate limit": Case(
        use_fault(Fault("status", status=429, body=b'{"detail": "too frequently"}')),
        "lower requests_per_second, or wait",
        until_it_is_over,
    ),
    "store that refuses": Case(
        use_fault(store_rate_limited(None)),
        "try again later",
        until_it_is_over,
    ),
    "store that is slow": Case(use_fault(store_timeout(None)), "try again later", until_it_is_over),
    "server error": Case(
        use_fault(Fault("status", status=502)), "check Sentry's status page", until_it_is_over
    ),
    "slow answers": Case(be_slow, "set a longer timeout", use(timeout="10s")),
    "dripping answers": Case(
        drip,
        "check that url is right, or set a longer timeout",
        until_it_is_over,
    ),
    "closed port": Case(
        use_closed_port, "check that host and port in url are right", use_url_of_sentry
    ),
    "reset connections": Case(
        use_fault(Fault("reset")), "look for a proxy or firewall", until_it_is_over
    ),
    "cut answers": Case(use_fault(Fault("cut")), "look for a proxy or firewall", until_it_is_over),
    "unknown authority": Case(use_tls(), "set ca_file to the certificate", trust),
    "another authority": Case(trust_another, "add to ca_file", trust),
    "expired certificate": Case(use_expired, "renew the server's certificate", use_tls()),
    "certificate of another host": Case(
        use_certificate_of_another_host,
        "write the host name of the certificate into url",
        use_host_of_certificate,
    ),
    "no TLS": Case(use_tls_where_there_is_none, "begin url with http://", use_url_of_sentry),
    "proxy that is not running": Case(
        use_wrong_proxy, "check that HTTPS_PROXY has the proxy's host and port", use_right_proxy
    ),
    "proxy without a password": Case(
        use_proxy_that_requires_login,
        "put the user name and password for the proxy before its host in HTTPS_PROXY",
        log_in_to_proxy,
    ),
    "login page": Case(
        use_answers_of("200 OK", LOGIN), "set url to Sentry's own address", use_url_of_sentry
    ),
    "another page": Case(
        use_answers_of("200 OK", PAGE), "set url to Sentry's own address", use_url_of_sentry
    ),
    "redirect to another organization": Case(
        use_fault(Fault("redirect", location="https://x.test/api/0/organizations/other/projects/")),
        "slug to that organization's",
        until_it_is_over,
    ),
    "GlitchTip": Case(
        use_answers_of("422 Unprocessable Content", GLITCHTIP),
        "url must be the address of a Sentry server",
        use_url_of_sentry,
    ),
    "deprecated API": Case(
        use_fault(Fault("status", status=410)), "temporarily or permanently", until_it_is_over
    ),
    "Sentry without stats_v2": Case(be_as_of(21, 3), "upgrade it", be_as_of(26, 8)),
    "large answers": Case(
        use(max_response_size="1KiB"), "increase max_response_size", use(max_response_size="1MiB")
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_remedy_mends(stage: Stage, name: str) -> None:
    """The check fails with the remedy; after that was carried out, it passes."""
    case = CASES[name]
    case.fails(stage)
    failing = stage.check()
    case.mend(stage)
    mended = stage.check()

    assert 1 == failing.exit_code
    assert case.remedy in failing.output
    assert 0 == mended.exit_code, mended.output


def test_the_address_of_a_redirect_mends(stage: Stage) -> None:
    """The address in the remedy for a redirect to TLS is the one to use."""
    redirect_to_tls(stage)
    failing = stage.check()
    (url,) = re.findall(r"\(set url to the address that it redirects to: (\S+)\)", failing.output)
    stage.configure(url=url)

    assert 1 == failing.exit_code
    assert 0 == stage.check().exit_code


def test_a_wrong_clock(stage: Stage, clock: Clock) -> None:
    """A clock that differs by more than ``settle`` is a warning, until it is right again."""
    clock.now += 3600
    wrong = stage.check()
    clock.now -= 3600
    right = stage.check()

    assert (0, 0) == (wrong.exit_code, right.exit_code)
    assert re.search(
        r"this host's clock is 1h\w* slow compared with Sentry's: correct", wrong.output
    )
    assert "this host's clock" not in right.output


def test_an_answer_that_is_cut(stage: Stage) -> None:
    """Answers that are not proven complete are a warning, until the query asks for less."""
    stage.sentry.row_limit = 2
    query = {"name": "few", "filter": {"category": "error"}, "lookback": "1h"}
    stage.configure(queries=[{**query, "groupBy": ["outcome", "reason"]}])
    cut = stage.check()
    stage.configure(queries=[{**query, "groupBy": ["outcome"]}])
    complete = stage.check()

    assert (0, 0) == (cut.exit_code, complete.exit_code)
    assert ", not proven complete" in cut.output
    assert "(remove reason from groupBy, or filter by category)" in cut.output
    assert ", proven complete" in complete.output


def test_hidden_projects(stage: Stage) -> None:
    """Projects that the token cannot read are a warning, until another token is used."""
    use_hidden_project(stage)
    stage.filter()
    hiding = stage.check()
    use_good_token(stage)
    showing = stage.check()

    assert (0, 0) == (hiding.exit_code, showing.exit_code)
    assert "the token cannot read 1 of 12 projects" in hiding.output
    assert "12 listed, 11 readable, 1 hidden" in hiding.output
    assert "12 listed, 12 readable, 0 hidden" in showing.output


def test_a_credential_of_systemd(stage: Stage) -> None:
    """Before the unit runs, its token is not there, and ``--token.file`` names another."""
    stage.entry.pop("token")
    stage.configure(token_file="/run/credentials/sentry-stats-exporter.service/sentry-token")
    path = stage.directory / "token"
    path.touch(0o600)
    path.write_text(DEMO_TOKENS["acme"])
    failing = stage.check()
    passing = stage.check("--token.file", str(path))

    assert 1 == failing.exit_code
    assert "use --token.file with the file that the unit loads" in failing.output
    assert 0 == passing.exit_code
