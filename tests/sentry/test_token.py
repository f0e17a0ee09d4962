"""Secrets and where they are read from."""

import copy
import json
import pickle
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from exporter.sentry.errors import TokenError
from exporter.sentry.token import (
    MAX_ERROR,
    Secret,
    TokenEnvironment,
    TokenFile,
    TokenLiteral,
    TokenSource,
    described,
    redact,
)

TOKEN = "sntryu_0123456789abcdef"
NOT_FOR_A_HEADER = "holds characters that are not allowed in a header: only visible ASCII is"
QUOTED = "holds quotes around the token: only what is between them belongs in it"
NOT_REPLACED = "which nothing has replaced: the token belongs in it"


def complaint(source: TokenSource) -> str:
    """Return the message of the error that reading ``source`` raises."""
    with pytest.raises(TokenError) as caught:
        source.read()
    return str(caught.value)


class TestSecret:
    """The type that holds a token."""

    def test_shows_itself_masked(self) -> None:
        """No way of printing a secret prints it."""
        secret = Secret(TOKEN)
        shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{secret:s}"]

        assert shown == ["<secret>"] * 5
        assert f"{secret:10}" == "<secret>  "

    def test_reveals_on_demand(self) -> None:
        """The token is available to those who ask for it by name."""
        assert Secret(TOKEN).reveal() == TOKEN

    def test_equal_by_value(self) -> None:
        """Two organizations with the same token can be seen to share it."""
        assert {Secret("a"), Secret("b")} == {Secret("a"), Secret("a"), Secret("b")}
        assert Secret("a") != "a"

    def test_dumps_hold_no_token(self) -> None:
        """Dumping a secret as YAML, JSON or pickle fails rather than giving it away."""
        for dump in (json.dumps, pickle.dumps, yaml.dump, yaml.safe_dump):
            with pytest.raises((TypeError, yaml.YAMLError)) as caught:
                dump(Secret(TOKEN))

            assert TOKEN not in str(caught.value)

    def test_survives_taking_apart(self) -> None:
        """A dataclass around it can be taken apart, and still shows nothing."""
        source = TokenLiteral(Secret(TOKEN))

        assert str(asdict(source)) == "{'secret': <secret>}"
        assert source == copy.deepcopy(source)


class TestSources:
    """Files, environment variables, the configuration itself."""

    def test_file_is_read_afresh(self, tmp_path: Path) -> None:
        """A token that changes is seen at the next reading."""
        path = tmp_path / "token"
        source = TokenFile(path)
        path.write_text("old\n")
        old = source.read()
        path.write_text("new\n")

        assert (Secret("old"), Secret("new")) == (old, source.read())

    @pytest.mark.parametrize("content", [b"abc", b"abc\n", b"  abc\r\n", b"\xef\xbb\xbfabc\n\n"])
    def test_space_around_the_token_is_no_matter(self, tmp_path: Path, content: bytes) -> None:
        """Line ends, blanks and a byte order mark around the token are not part of it."""
        path = tmp_path / "token"
        path.write_bytes(content)

        assert Secret("abc") == TokenFile(path).read()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"one\ntwo\n", "holds more than one line"),
            (b"one two", NOT_FOR_A_HEADER),
            (b"caf\xe9", NOT_FOR_A_HEADER),
            (b"x" * 70_000, "is far too large for a token"),
        ],
    )
    def test_unusable_file(self, tmp_path: Path, content: bytes, message: str) -> None:
        """A file that holds no usable token is named, with the reason."""
        path = tmp_path / "token"
        path.write_bytes(content)

        assert f"token_file {path} {message}" == complaint(TokenFile(path))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("SENTRY_TOKEN=%s", "holds SENTRY_TOKEN=…: only the value belongs in it"),
            ('export SENTRY_TOKEN = "%s"', "holds SENTRY_TOKEN=…: only the value belongs in it"),
            ("%s=%s", "holds a name, then =…: only the value belongs in it"),
            ("token: %s", "holds token:…: only the value belongs in it"),
            ('"%s"', QUOTED),
            ("'%s'", QUOTED),
            ("%s'", QUOTED),
            ("${SENTRY_TOKEN}", f"holds the placeholder ${{SENTRY_TOKEN}}, {NOT_REPLACED}"),
            ("$SENTRY_TOKEN", f"holds the placeholder $SENTRY_TOKEN, {NOT_REPLACED}"),
            ("${SENTRY_TOKEN:-%s}", f"holds the placeholder, {NOT_REPLACED}"),
            ("$(cat /run/%s)", f"holds the placeholder, {NOT_REPLACED}"),
            ("${%s}", f"holds the placeholder, {NOT_REPLACED}"),
            ("$%s", f"holds the placeholder, {NOT_REPLACED}"),
            ("{{ .Values.token }}", f"holds the placeholder, {NOT_REPLACED}"),
            ("Bearer %s", "holds the word Bearer before the token: only the token belongs in it"),
            (
                "Authorization: Bearer %s",
                "holds the word Bearer before the token: only the token belongs in it",
            ),
            ('{"token": "%s"}', "holds JSON: only the token itself belongs in it"),
            ('{\n  "token": "%s"\n}', "holds JSON: only the token itself belongs in it"),
        ],
    )
    def test_what_is_around_a_token_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
    ) -> None:
        """What does not belong beside a token is named, without the token."""
        path = tmp_path / "token"
        written = content.replace("%s", TOKEN)
        path.write_text(written + "\n")
        monkeypatch.setenv("STATS_TOKEN", written)

        assert f"token_file {path} {message}" == complaint(TokenFile(path))
        assert f"token_env STATS_TOKEN {message}" == complaint(TokenEnvironment("STATS_TOKEN"))
        assert TOKEN not in complaint(TokenFile(path))

    @pytest.mark.parametrize("token", ["a+b/c==", "abc=", "sntryu_a=", "no-such-token", "x:y"])
    def test_a_token_is_no_assignment(self, token: str) -> None:
        """Padding and other signs in a token are part of it."""
        assert Secret(token) == TokenLiteral(Secret(token)).read()

    def test_organization_token_is_recognized(self, tmp_path: Path) -> None:
        """A token that can never read stats is refused with what to create instead."""
        path = tmp_path / "token"
        path.write_text("sntrys_abc_def")
        message = complaint(TokenFile(path))

        assert "internal integration with the permission Organization: Read" in message
        assert "abc_def" not in message

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is named, with the reason."""
        path = tmp_path / "token"

        assert f"token_file {path}: No such file or directory" == complaint(TokenFile(path))

    def test_directory_is_no_token_file(self, tmp_path: Path) -> None:
        """A directory in the file's place is named, with the reason."""
        assert f"token_file {tmp_path}: Is a directory" == complaint(TokenFile(tmp_path))

    def test_environment_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable is read when the token is wanted, not before."""
        source = TokenEnvironment("STATS_TOKEN")
        monkeypatch.setenv("STATS_TOKEN", TOKEN)

        assert Secret(TOKEN) == source.read()

    def test_missing_environment_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that is not set is named."""
        monkeypatch.delenv("STATS_TOKEN", raising=False)

        assert (
            complaint(TokenEnvironment("STATS_TOKEN"))
            == "token_env STATS_TOKEN: this environment variable is not set"
        )

    def test_literal(self) -> None:
        """A token in the configuration is read like any other, and never described."""
        source = TokenLiteral(Secret(TOKEN))

        assert Secret(TOKEN) == source.read()
        assert source.describe() == "token"
        assert repr(source) == "TokenLiteral(secret=<secret>)"


@pytest.mark.parametrize("token", [TOKEN, "sntrys_eyJ9_a+b/c=", "0123456789abcdef" * 4])
def test_redact_masks_what_looks_like_a_token(token: str) -> None:
    """Tokens of every age are masked, and the words around them are not."""
    assert redact(f"see {token} here") == "see <secret> here"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to http://bob:s3cret@127.0.0.1:99999", "to http://***@127.0.0.1:99999"),
        ("//bob@host", "//***@host"),
        ("http://bob:s/3c@ret@host/x", "http://***@host/x"),
        ("https://bob:s3%40cret%2F@host:1?a=b", "https://***@host:1?a=b"),
        ("'http://it's:\"me@host' and https://host/", "'http://***@host' and https://host/"),
        ("http://:s3cret@[::1]:3128", "http://***@[::1]:3128"),
        ("mail me@host about https://sentry.io/", "mail me@host about https://sentry.io/"),
    ],
)
def test_redact_masks_what_urls_have_before_their_host(text: str, expected: str) -> None:
    """What is between ``//`` and ``@`` is masked, however malformed the URL is."""
    assert expected == redact(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/" * 1_000_000, "/" * 1_000_000),
        ("/" * 1_000_000 + "@host", "//***@host"),
        ("//a@" * 250_000, "//***@"),
        ("@" * 1_000_000 + "//", "@" * 1_000_000 + "//"),
        ("// " * 300_000, "// " * 300_000),
    ],
)
def test_redact_takes_time_in_proportion_to_the_text(text: str, expected: str) -> None:
    """A megabyte of slashes is read once: in quadratic time this test would not end."""
    assert expected == redact(text)


@pytest.mark.parametrize(
    "proxy", ["http://bob:s3 cret@host:3128", "bob:s3 cret@host:3128", "http://bob:s3%20cret@host"]
)
def test_redact_masks_the_password_of_a_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """The credentials of the environment's proxies are masked without a URL around them too."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    assert "it was *** and ***" == redact("it was s3 cret and bob:s3 cret")
    assert "s3" not in redact(proxy)


@pytest.mark.parametrize("user_info", ["u:a/b", "us er:abc", "bob"])
def test_redact_masks_short_credentials_of_a_proxy(
    monkeypatch: pytest.MonkeyPatch, user_info: str
) -> None:
    """What is too short to be masked everywhere is masked before the proxy's host."""
    monkeypatch.setenv("HTTPS_PROXY", f"{user_info}@proxy:3128")

    assert "no ***@proxy:3128 here" == redact(f"no {user_info}@proxy:3128 here")


class TestFingerprint:
    """What shows that another token may be there."""

    def test_it_changes_with_the_file(self, tmp_path: Path) -> None:
        """A file that is written, replaced or removed has another one; one left alone has not."""
        path = tmp_path / "token"
        source = TokenFile(path)
        seen = [source.fingerprint()]
        path.write_text("one")
        seen.append(source.fingerprint())
        path.write_text("other")
        seen.append(source.fingerprint())
        (tmp_path / "new").write_text("third")
        (tmp_path / "new").rename(path)
        seen.append(source.fingerprint())

        assert 4 == len(set(seen))
        assert seen[-1] == source.fingerprint()
        assert seen[0] is None

    @pytest.mark.parametrize(
        "source", [TokenEnvironment("STATS_TOKEN"), TokenLiteral(Secret(TOKEN))]
    )
    def test_what_cannot_change_has_a_constant(self, source: TokenSource) -> None:
        """A variable and a token in the configuration stay as they are, and nothing is shown."""
        assert source.fingerprint() == source.fingerprint()
        assert TOKEN not in repr(source.fingerprint())

    def test_it_never_fails(self) -> None:
        """A path that cannot be looked at is as good as missing."""
        assert TokenFile(Path("a\0b")).fingerprint() is None


def test_described_masks_before_it_cuts() -> None:
    """No part of a token is left at the end of an error's text that is too long."""
    token = "0123456789abcdef" * 4
    texts = {described(ValueError(f"{'x ' * (230 + place)}{token}")) for place in range(20)}

    assert {True} == {text.startswith("ValueError: x x") for text in texts}
    assert max(map(len, texts)) <= MAX_ERROR
    assert not [text for text in texts if token[:8] in text]
