"""What a configuration names on this host, as ``check`` reports it."""

import os
import time
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest
import trustme
from click.testing import CliRunner, Result

from exporter.cli import main
from exporter.config import HostReport, host_report, load, loads, with_token_file

NOW = time.time()
IN_A_THOUSAND_YEARS = 32_503_680_000.0 + 86400
"""After the end of the certificates that are made here."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority for these tests."""
    return trustme.CA()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, which paths of configurations begin from."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(text: str, now: float = NOW) -> HostReport:
    """Return the report about the configuration in ``text``."""
    return host_report(loads(text, "config.yaml"), now)


def lines(report: HostReport) -> list[str]:
    """Return the problems as ``check`` prints them."""
    return [str(problem) for problem in report.problems]


def about_token(keys: str) -> list[str]:
    """Return the messages about the token of an organization with ``keys``."""
    return [
        problem.message for problem in report(f"organizations: [{{slug: acme, {keys}}}]").problems
    ]


def about_certificates(content: bytes, now: float = NOW) -> list[str]:
    """Return the messages about a file of certificates."""
    Path("ca.pem").write_bytes(content)
    text = "organizations: [{slug: acme, token: x, ca_file: ca.pem}]"
    return [problem.message for problem in report(text, now).problems]


def write_token(path: Path, content: str = "sntryu_0123456789abcdef", mode: int = 0o600) -> None:
    """Write a token file."""
    path.write_text(content)
    path.chmod(mode)


@pytest.mark.usefixtures("here")
class TestTokens:
    """Token files and variables."""

    def test_good_file_is_no_problem(self, here: Path) -> None:
        """A token file that only its user can read is fine."""
        write_token(here / "token")

        assert HostReport((), (), frozenset()) == report(
            "organizations: [{slug: acme, token_file: token}]"
        )

    def test_missing_file(self) -> None:
        """A token file that is not there is a problem where the file names it."""
        text = "organizations:\n  - slug: acme\n    token_file: token\n"

        assert [
            (
                "config.yaml:3: organizations[0].token_file: token: No such file or directory "
                "(create it with the token, or correct the path)"
            )
        ] == lines(report(text))

    def test_directory(self, here: Path) -> None:
        """A directory in the place of a token file is a problem."""
        (here / "token").mkdir()

        assert ["token: Is a directory"] == about_token("token_file: token")

    def test_unreadable_file(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that may not be read is reported with its owner and this process's user."""
        write_token(here / "token")

        def deny(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", deny)
        uid = os.geteuid()

        assert [
            (
                f"token: Permission denied: the file belongs to uid {uid} (mode 0600), "
                f"and this process runs as uid {uid}"
            )
        ] == about_token("token_file: token")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "token is empty"),
            ("\n", "token is empty"),
            ("one\ntwo\n", "token holds more than one line"),
        ],
    )
    def test_content(self, here: Path, content: str, message: str) -> None:
        """What makes the content useless is reported in the words of a failed poll."""
        write_token(here / "token", content)

        assert [message] == about_token("token_file: token")

    def test_token_is_never_shown(self, here: Path) -> None:
        """A flaw in the content does not show the content."""
        write_token(here / "token", "sntrys_abc_def")
        (message,) = about_token("token_file: token")

        assert "cannot read stats" in message
        assert "abc_def" not in message

    @pytest.mark.parametrize("mode", [0o644, 0o604])
    def test_file_for_everybody_is_a_warning(self, here: Path, mode: int) -> None:
        """A token that every user can read works, with a warning."""
        write_token(here / "token", mode=mode)
        result = report("defaults: {token_file: token}\norganizations: [{slug: acme}]")

        assert [
            (
                "config.yaml:1: defaults.token_file: token can be read by every user of this host "
                f"(mode {mode:04o}); run chmod o-r token"
            )
        ] == [str(warning) for warning in result.warnings]
        assert () == result.problems
        assert frozenset() == result.unusable

    def test_credential_of_a_unit_that_is_not_running(self) -> None:
        """A credential of systemd can only be read while its unit is running."""
        result = report(
            "defaults: {token_file: /run/credentials/no-such-unit.service/token}\n"
            "organizations: [{slug: acme}]"
        )

        assert () == result.problems
        assert [
            (
                "config.yaml:1: defaults.token_file: not checked: systemd provides this file only "
                "while its unit is running (to check it earlier, use --token.file with the file "
                "that the unit loads)"
            )
        ] == [str(warning) for warning in result.warnings]

    def test_credential_that_is_needed(self) -> None:
        """If the token is needed, that it cannot be read is a problem."""
        text = (
            "defaults: {token_file: /run/credentials/no-such-unit.service/token}\n"
            "organizations: [{slug: acme}]"
        )
        result = host_report(loads(text, "config.yaml"), NOW, needed=True)

        assert ["defaults.token_file"] == [problem.path for problem in result.problems]
        assert () == result.warnings
        assert frozenset({"acme"}) == result.unusable

    def test_credential_that_cannot_be_looked_at(self) -> None:
        """A path that the file system refuses is treated alike."""
        unit = "x" * 300
        result = report(
            f"organizations: [{{slug: acme, token_file: /run/credentials/{unit}/token}}]"
        )

        assert () == result.problems
        assert 1 == len(result.warnings)

    def test_file_for_a_group_is_fine(self, here: Path) -> None:
        """A group may read the token, as Kubernetes' fsGroup does."""
        write_token(here / "token", mode=0o440)

        assert () == report("organizations: [{slug: acme, token_file: token}]").warnings

    def test_variable_that_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that is not set is a problem."""
        monkeypatch.delenv("STATS_TOKEN", raising=False)

        assert ["STATS_TOKEN: this environment variable is not set"] == about_token(
            "token_env: STATS_TOKEN"
        )

    def test_variable_without_a_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that is set to nothing is a problem."""
        monkeypatch.setenv("STATS_TOKEN", "")

        assert ["STATS_TOKEN is empty"] == about_token("token_env: STATS_TOKEN")

    def test_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that holds a token is fine."""
        monkeypatch.setenv("STATS_TOKEN", "abc")

        assert [] == about_token("token_env: STATS_TOKEN")


@pytest.mark.usefixtures("here")
class TestCertificates:
    """Files of trusted certificates."""

    def test_authority(self, authority: trustme.CA) -> None:
        """The certificate of an authority is fine."""
        assert [] == about_certificates(authority.cert_pem.bytes())

    def test_authority_behind_comments(self, authority: trustme.CA) -> None:
        """Bundles may explain themselves between certificates."""
        certificate = authority.cert_pem.bytes()

        assert [] == about_certificates(b"# ours\n" + certificate + b"\n# again\n" + certificate)

    def test_missing_file(self) -> None:
        """A file that is not there is a problem where the file names it."""
        text = "defaults:\n  token: x\n  ca_file: ca.pem\norganizations: [{slug: acme}]\n"

        assert [
            "config.yaml:3: defaults.ca_file: ca.pem cannot be read: No such file or directory"
        ] == lines(report(text))

    def test_unreadable_file(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that may not be read is reported with its owner and this process's user."""
        (here / "ca.pem").touch(0o600)

        def deny(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", deny)
        (problem,) = report("organizations: [{slug: acme, token: x, ca_file: ca.pem}]").problems

        assert problem.message.startswith(
            "ca.pem cannot be read: Permission denied: the file belongs to uid "
        )

    def test_file_whose_owner_is_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the directory hides even the owner, only the refusal is reported."""

        def deny(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("exporter.sentry.tls.read_file", deny)
        monkeypatch.setattr(Path, "stat", deny)
        (problem,) = report("organizations: [{slug: acme, token: x, ca_file: ca.pem}]").problems

        assert "ca.pem cannot be read: Permission denied" == problem.message

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"hello\n", "holds no certificate: none begins with -----BEGIN CERTIFICATE-----"),
            (
                b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
                "holds a private key and no certificate",
            ),
        ],
    )
    def test_no_certificate(self, content: bytes, message: str) -> None:
        """A file without any certificate is reported with what it holds instead."""
        assert [f"ca.pem {message}"] == about_certificates(content)

    def test_damaged_certificate(self, authority: trustme.CA) -> None:
        """A certificate that was cut is reported as damaged."""
        (message,) = about_certificates(authority.cert_pem.bytes()[:300])

        assert message.startswith("ca.pem holds a certificate that is damaged (")

    def test_other_form(self, authority: trustme.CA) -> None:
        """A certificate in DER is reported with the command that turns it into PEM."""
        (message,) = about_certificates(PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode()))

        assert message.startswith("ca.pem holds a certificate in DER, but PEM is needed: openssl ")

    def test_directory(self, here: Path, authority: trustme.CA) -> None:
        """A directory whose files are named as OpenSSL looks for them is fine."""
        (here / "ca").mkdir()
        authority.cert_pem.write_to_path(here / "ca" / "5ed36f99.0")

        assert HostReport((), (), frozenset()) == report(
            "organizations: [{slug: acme, token: x, ca_file: ca}]"
        )

    def test_directory_without_hashes(self, here: Path, authority: trustme.CA) -> None:
        """A directory without names that OpenSSL looks for is a warning."""
        (here / "ca").mkdir()
        authority.cert_pem.write_to_path(here / "ca" / "ours.pem")
        result = report("organizations: [{slug: acme, token: x, ca_file: ca}]")

        assert () == result.problems
        assert ["ca holds no certificate under the name of its hash: run openssl rehash ca"] == [
            warning.message for warning in result.warnings
        ]

    def test_directory_that_cannot_be_listed(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """OpenSSL need not list a directory: that it cannot be listed is only a warning."""
        (here / "ca").mkdir()

        def deny(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "listdir", deny)
        result = report("organizations: [{slug: acme, token: x, ca_file: ca}]")

        assert () == result.problems
        assert ["ca cannot be listed: Permission denied"] == [
            warning.message for warning in result.warnings
        ]

    def test_name_that_is_too_long(self) -> None:
        """A path that cannot be looked at at all is a problem like any other."""
        name = "x" * 300
        (problem,) = report(f"organizations: [{{slug: acme, token: x, ca_file: {name}}}]").problems

        assert f"{name} cannot be read: File name too long" == problem.message

    def test_expired_authority(self, authority: trustme.CA) -> None:
        """A file with only expired certificates is reported with the last day."""
        certificate = authority.cert_pem.bytes()

        assert [
            "ca.pem holds only certificates that have expired, the last on 3000-01-01"
        ] == about_certificates(certificate, IN_A_THOUSAND_YEARS)


@pytest.mark.usefixtures("here")
class TestAnotherTokenFile:
    """A token file that takes the place of every token of the configuration."""

    TEXT = (
        "defaults: {token_file: /run/credentials/no-such-unit.service/token}\n"
        "organizations: [{slug: a}, {slug: b, token_env: STATS_TOKEN_B}, {slug: c, token: x}]"
    )

    def test_it_is_every_token(self, here: Path) -> None:
        """Every organization has its token from the file, and no other token is looked at."""
        write_token(here / "token")
        config = with_token_file(loads(self.TEXT), here / "token")

        assert {"sntryu_0123456789abcdef"} == {
            each.token.read().reveal() for each in config.organizations
        }
        assert HostReport((), (), frozenset()) == host_report(config, NOW, needed=True)

    def test_it_is_checked_once(self) -> None:
        """What is wrong with the file is one problem, at the flag."""
        result = host_report(with_token_file(loads(self.TEXT), Path("token")), NOW)

        assert [
            (
                "--token.file: token: No such file or directory "
                "(create it with the token, or correct the path)"
            )
        ] == lines(result)
        assert frozenset("abc") == result.unusable


@pytest.mark.usefixtures("here")
class TestOrganizations:
    """Several organizations in one file."""

    def test_what_is_shared_is_reported_once(self) -> None:
        """A token file under ``defaults`` is one problem, however many organizations use it."""
        result = report(
            "defaults: {token_file: token}\norganizations: [{slug: a}, {slug: b}, {slug: c}]"
        )

        assert ["defaults.token_file"] == [problem.path for problem in result.problems]
        assert frozenset("abc") == result.unusable

    def test_what_nobody_uses_is_not_reported(self) -> None:
        """A token file under ``defaults`` that every organization overrides is never read."""
        result = report(
            "defaults: {token_file: token, ca_file: ca.pem}\n"
            "organizations: [{slug: a, token: x, ca_file: own.pem}]"
        )

        assert ["organizations[0].ca_file"] == [problem.path for problem in result.problems]

    def test_problems_are_in_file_order(self) -> None:
        """Problems follow the lines of the file, whatever they are about."""
        result = report(
            "organizations:\n"
            "  - {slug: a, ca_file: none.pem, token_env: STATS_TOKEN_A}\n"
            "  - {slug: b, name: bee, ca_file: none.pem, token: x}\n"
            "  - {slug: c, token: x}\n"
        )

        assert [(2, "ca_file"), (2, "token_env"), (3, "ca_file")] == [
            (problem.line, problem.path.split(".")[1]) for problem in result.problems
        ]
        assert frozenset({"a", "bee"}) == result.unusable

    def test_nothing_of_it_stops_the_exporter(self, here: Path) -> None:
        """A configuration whose token file is yet to come can be loaded."""
        path = here / "config.yaml"
        path.write_text("organizations: [{slug: acme, token_file: later, ca_file: later.pem}]")

        assert ["acme"] == [each.name for each in load(path).organizations]


@pytest.mark.usefixtures("here")
class TestCommand:
    """What ``check`` prints of it."""

    def check(self, text: str, *flags: str) -> Result:
        """Return what ``check`` says of the configuration in ``text``."""
        Path("config.yaml").write_text(text)
        return CliRunner().invoke(main, ["check", "--config.file", "config.yaml", *flags])

    def test_problem_ends_with_1(self) -> None:
        """A missing token file is a line, and the exit status is 1."""
        result = self.check("defaults: {token_file: token}\norganizations: [{slug: acme}]")

        assert 1 == result.exit_code
        assert (
            "error: config.yaml:1: defaults.token_file: token: No such file or directory "
            "(create it with the token, or correct the path)\n"
            "config.yaml: errors: 1, warnings: 0\n"
        ) == result.output

    def test_warning_ends_with_0(self, here: Path) -> None:
        """A token file that everybody can read is a warning, and the file is valid."""
        write_token(here / "token", mode=0o644)
        result = self.check("defaults: {token_file: token}\norganizations: [{slug: acme}]")
        warning, verdict = result.output.splitlines()

        assert 0 == result.exit_code
        assert warning.startswith("warning: config.yaml:1: defaults.token_file: token can be read")
        assert warning.endswith("run chmod o-r token")
        assert "config.yaml: valid; organizations: 1, queries: 1" == verdict

    def test_online_does_not_repeat_it(self) -> None:
        """Organizations that cannot be asked are not tried; the problem is the only finding."""
        result = self.check(
            "defaults: {token_file: token}\norganizations: [{slug: acme}]", "--online"
        )
        _, verdict = result.output.splitlines()

        assert 1 == result.exit_code
        assert "config.yaml: errors: 1, warnings: 0" == verdict

    def test_another_token_file(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file of ``--token.file``, or of its variable, is checked in place of the others."""
        text = "organizations: [{slug: a, token_file: none}, {slug: b, token_env: NONE}]"
        missing = self.check(text, "--token.file", "token")
        write_token(here / "token")
        monkeypatch.setenv("SENTRY_STATS_EXPORTER_TOKEN_FILE", "token")
        there = self.check(text)

        assert (1, 0) == (missing.exit_code, there.exit_code)
        assert (
            "error: --token.file: token: No such file or directory "
            "(create it with the token, or correct the path)\n"
            "config.yaml: errors: 1, warnings: 0\n"
        ) == missing.output
        assert "config.yaml: valid; organizations: 2, queries: 2\n" == there.output
