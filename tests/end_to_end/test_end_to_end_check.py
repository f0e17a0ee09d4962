"""``check``: problems of a file and of what it refers to, each with advice."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

import exporter
from exporter.simulator import DEMO_TOKENS, Deprecation, Fault, Simulator, store_timeout
from tests.end_to_end.stage import COMMAND, clock_for_commands, run
from tests.support.certificates import Authority, tls_section, write_web_config
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, Entry, organization
from tests.support.programs import TIMEOUT

ROOT = Path(exporter.__file__).parent.parent
BAD = ROOT / "tests" / "config" / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))

Command = Callable[..., Result]
Configured = Callable[..., Path]

LIST = "[%s/projects/]"

FAULTS = {
    "hang": (Fault("hang"), "set a longer timeout"),
    "garbage": (Fault("garbage"), "something between the exporter and Sentry answers"),
    "reset": (Fault("reset"), "look for a proxy or firewall between it and Sentry"),
    "redirect": (Fault("redirect", location="https://x.test/"), "its current slug"),
    "stats only": (Fault("status", status=403, endpoint="stats_v2"), "the token lacks org:read"),
    "store": (store_timeout(None), "try again later, or add a filter"),
}
ENTRIES: dict[str, tuple[Entry, str]] = {
    "bad token": (
        {**organization(), "token": "no-such-token"},
        f"organizations[0].token: 401: Invalid token {LIST} (Sentry does not know the token",
    ),
    "token of another organization": (
        {**organization(), "token": DEMO_TOKENS["globex"]},
        f"organizations[0].token: 403: You do not have permission to perform this action. {LIST} (",
    ),
    "wrong slug": (
        {**organization(), "slug": "acmee"},
        f"organizations[0].slug: 404: The requested resource does not exist {LIST} (check that",
    ),
    "unknown slug of a project": (
        organization({**OUTCOMES, "filter": {"project": "chekout"}}),
        (
            'queries[0].filter.project: no project "chekout" (did you mean checkout?); '
            "use the slug from Settings > Projects, or the id"
        ),
    ),
}


@pytest.fixture
def clock() -> Clock:
    """Return a clock that fits the host's clock, which commands read."""
    return clock_for_commands()


def errors(result: Result) -> list[str]:
    """Return the lines about errors, without the mark."""
    lines = map(str.strip, result.output.splitlines())
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


def marked(text: str) -> str:
    """Return the messages in ``text`` as ``check`` prints them, with its last line."""
    lines = text.splitlines()
    file = lines[0].partition(":")[0]
    return "".join(f"error: {line}\n" for line in lines) + (
        f"{file}: errors: {len(lines)}, warnings: 0\n"
    )


def test_the_example_passes(command: Command, tmp_path: Path) -> None:
    """The example configuration is valid once its token file exists."""
    example = (ROOT / "config.example.yaml").read_text("utf-8")
    token, path = tmp_path / "token", tmp_path / "config.yaml"
    token.touch(0o600)
    token.write_text("sntryu_0123456789abcdef")
    path.write_text(example.replace("/run/secrets/sentry-token", str(token)))
    result = command("check", "--config.file", path)

    assert 0 == result.exit_code
    assert ": valid; " in result.output


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_file(command: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """For each bad file, exactly its expected messages are printed, and the status is 1."""
    monkeypatch.chdir(BAD)
    result = command("check", "--config.file", f"{name}.yaml")

    assert 1 == result.exit_code
    assert marked((BAD / f"{name}.txt").read_text("utf-8")) == result.output


@pytest.mark.parametrize(("days", "status", "severity"), [(-1, 1, "error"), (5, 0, "warning")])
def test_a_certificate_that_ends(
    command: Command, configured: Configured, tmp_path: Path, days: int, status: int, severity: str
) -> None:
    """An expired certificate is an error, one that soon expires a warning."""
    end = datetime.now(UTC) + timedelta(days=days)
    web = write_web_config(tmp_path, tls_section(Authority(tmp_path).issue(not_after=end)))
    result = command("check", "--config.file", configured(), "--web.config.file", web)

    assert status == result.exit_code
    assert f"{severity}: {web}:2: tls_server_config.cert_file: " in result.output
    assert f"{end:%Y-%m-%dT%H:%M:%SZ}" in result.output


def test_a_bad_web_configuration(command: Command, tmp_path: Path) -> None:
    """Mistakes of the web configuration are findings beside those of the configuration."""
    path, web = tmp_path / "config.yaml", tmp_path / "web.yaml"
    path.write_text("organizations:\n  - slug: acme\n    token_env: NO_SUCH_VARIABLE\n")
    web.write_text("tls_server_config:\n  cert_file: absent.crt\n  key_file: absent.key\n")
    result = command("check", "--config.file", path, "--web.config.file", web)

    assert 1 == result.exit_code
    assert "NO_SUCH_VARIABLE" in result.output
    assert f"error: {web}:2: tls_server_config.cert_file: " in result.output
    assert f"error: {web}:3: tls_server_config.key_file: " in result.output
    assert [f"{path}: errors: 1, warnings: 0", f"{web}: errors: 2, warnings: 0"] == (
        result.output.splitlines()[-2:]
    )


def test_each_file_has_its_own_verdict(
    command: Command, configured: Configured, tmp_path: Path
) -> None:
    """A web configuration with mistakes leaves the configuration valid, but not the status 0."""
    path, web = configured(), tmp_path / "web.yaml"
    web.write_text("basic_auth_user: {}\n")
    wrong = command("check", "--config.file", path, "--web.config.file", web)
    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    right = command("check", "--config.file", path, "--web.config.file", web)
    valid = f"{path}: valid; organizations: 1, queries: 1"

    assert (1, [valid, f"{web}: errors: 1, warnings: 0"]) == (
        wrong.exit_code,
        wrong.output.splitlines()[-2:],
    )
    assert (0, [valid, f"{web}: valid"]) == (right.exit_code, right.output.splitlines()[-2:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["check", "once"])
def test_an_output_that_is_full(configured: Configured, sentry: Simulator, name: str) -> None:
    """An output that cannot be written is one line on standard error."""
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(  # noqa: S603 - the product's own command
            [*COMMAND, name, "--config.file", str(configured())],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    assert (1, "cannot write to standard output: No space left on device\n") == (
        finished.returncode,
        finished.stderr,
    )


def test_as_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed program prints the message and ends with status 1."""
    monkeypatch.chdir(BAD)
    finished = run("check", "--config.file", "many_mistakes.yaml")

    assert (1, "") == (finished.returncode, finished.stderr)
    assert marked(Path("many_mistakes.txt").read_text("utf-8")) == finished.stdout


def test_success_online(command: Command, configured: Configured) -> None:
    """Queries that Sentry answers are reported as valid."""
    filtered = {**PROJECTS, "name": "some", "filter": {"project": ["web", "4505123000000005"]}}
    path = configured(
        organization(OUTCOMES, PROJECTS, filtered), organization(OUTCOMES, slug="globex")
    )
    result = command("check", "--online", "--config.file", path)

    assert 0 == result.exit_code
    assert (
        f"{path}: valid, tested against Sentry; organizations: 2, queries: 4"
    ) == result.output.splitlines()[-1]


@pytest.mark.parametrize("name", ENTRIES)
def test_a_wrong_reference_is_one_finding(
    command: Command, configured: Configured, sentry: Simulator, name: str
) -> None:
    """A wrong token, slug or filter is one line that says where, what, and how to fix it."""
    entry, words = ENTRIES[name]
    url = f"{sentry.url}/api/0/organizations/{entry['slug']}"
    result = command("check", "--online", "--config.file", configured(entry))
    (finding,) = errors(result)

    assert 1 == result.exit_code
    assert words.replace("%s", url) in finding
    assert str(entry["token"]) not in result.output


def test_an_unknown_project_id(command: Command, configured: Configured) -> None:
    """An unknown project id in a filter is reported."""
    entry = organization({**OUTCOMES, "filter": {"project": "4505"}})
    result = command("check", "--online", "--config.file", configured(entry))
    (first,) = errors(result)

    assert 1 == result.exit_code
    assert "filter.project: no project with the id 4505 (use the slug from" in first


def test_some_projects_of_a_filter(command: Command, configured: Configured) -> None:
    """What a filter names in vain is a warning while the query has another project to read."""
    entry = organization({**OUTCOMES, "filter": {"project": ["web", "chekout", "4505"]}})
    result = command("check", "--online", "--config.file", configured(entry))
    warnings = [line for line in result.output.splitlines() if "  warning: " in line]

    assert (0, []) == (result.exit_code, errors(result))
    assert ["chekout", "4505"] == [
        name for line in warnings for name in ("chekout", "4505") if name in line
    ]


@pytest.mark.parametrize("name", FAULTS)
def test_a_failure_of_sentry_is_one_finding(
    command: Command,
    configured: Configured,
    sentry: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Each failure of Sentry is one line with its own advice."""
    fault, advice = FAULTS[name]
    monkeypatch.setattr("exporter.sentry.limits.STORE_PAUSE", 0.1)
    sentry.faults.add(fault)
    path = configured(timeout="1s")
    result = command("check", "--online", "--config.file", path)
    (finding,) = errors(result)

    assert 1 == result.exit_code
    assert finding.startswith(f"{path}:")
    assert advice in finding
    assert DEMO_TOKENS["acme"] not in result.output


def test_every_organization_is_tried(command: Command, configured: Configured) -> None:
    """The failure of one organization does not prevent the check of the others."""
    wrong = [organization(slug=slug) for slug in ("first", "second")]
    path = configured(*wrong, organization(slug="acme"))
    result = command("check", "--online", "--config.file", path)

    assert ["organizations[0].token", "organizations[1].token"] == [
        each.split(": ")[1] for each in errors(result)
    ]
    assert "organization acme\n" in result.output


def test_a_missing_token_file(command: Command, configured: Configured, tmp_path: Path) -> None:
    """A missing token file is named."""
    entry = {name: value for name, value in organization().items() if name != "token"}
    path = configured({**entry, "token_file": str(tmp_path / "none")})
    (finding,) = errors(command("check", "--online", "--config.file", path))

    assert f"organizations[0].token_file: {tmp_path / 'none'}: No such file or directory" in finding


def test_a_deprecation_is_no_failure(
    command: Command, configured: Configured, sentry: Simulator
) -> None:
    """A deprecation is reported, and the status is 0."""
    for api in ("projects", "stats_v2"):
        sentry.deprecations.append(Deprecation(api, "2026-12-01", "v3"))
    path = configured()
    result = command("check", "--online", "--config.file", path)
    (warned, also_warned) = (
        line.strip() for line in result.output.splitlines() if "Sentry removes" in line
    )
    place = f"warning: {path}:11: organizations[0].slug: Sentry removes"
    ending = "on 2026-12-01; its replacement is v3 (check whether there is a newer exporter)"
    assert 0 == result.exit_code
    assert f"{place} projects {ending}" == warned
    assert f"{place} stats_v2 {ending}" == also_warned


class TestCategories:
    """Categories that the file's own check does not know, and what Sentry says of them."""

    def lines(self, result: Result) -> list[str]:
        """Return the findings about the filter."""
        lines = map(str.strip, result.output.splitlines())
        return [line for line in lines if "filter.category" in line]

    def test_refused(self, command: Command, configured: Configured) -> None:
        """One that Sentry refuses is one finding, and another one keeps its warning."""
        entry = organization({**OUTCOMES, "filter": {"category": ["errors", "rubbish"]}})
        result = command("check", "--online", "--config.file", configured(entry))
        refused, unknown = self.lines(result)

        assert 1 == result.exit_code
        assert refused.startswith("error: ")
        assert "filter.category[0]: 400: Invalid category" in refused
        assert unknown.startswith("warning: ")
        assert "filter.category[1]: unknown category" in unknown

    def test_accepted(
        self, command: Command, configured: Configured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that Sentry knows needs no warning."""
        monkeypatch.setattr("exporter.config.checks._CATEGORIES", ("attachment",))
        entry = organization({**OUTCOMES, "filter": {"category": "error"}})
        offline = command("check", "--config.file", configured(entry))
        online = command("check", "--online", "--config.file", configured(entry))

        assert 1 == len(self.lines(offline))
        assert [] == self.lines(online)

    def test_not_tried(self, command: Command, configured: Configured) -> None:
        """The warning stays if Sentry could not be asked."""
        query = {**OUTCOMES, "filter": {"category": "errors"}}
        entry = {**organization(query), "token": "no-such-token"}
        result = command("check", "--online", "--config.file", configured(entry))
        (warned,) = self.lines(result)

        assert "warning: " in warned

    def test_offline(self, command: Command, configured: Configured) -> None:
        """Without Sentry, there is the warning alone."""
        entry = organization({**OUTCOMES, "filter": {"category": "errors"}})
        result = command("check", "--config.file", configured(entry))
        (warned,) = self.lines(result)

        assert (0, True) == (result.exit_code, warned.startswith("warning: "))
