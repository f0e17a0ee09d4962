"""Every web configuration in ``bad_config`` is refused with exactly the text beside it."""

import os
import shutil
import subprocess
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest

from exporter.config import ConfigError
from exporter.web.config import load_web_config
from tests.support.certificates import Authority

BAD = Path(__file__).parent / "bad_config"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))


def weak_key(folder: Path) -> None:
    """Write a certificate with a key that is too short."""
    command = (
        "openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=weak -keyout weak.key -out weak.crt"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)  # noqa: S603


def encrypted_key(folder: Path, key: Path) -> None:
    """Write an encrypted key."""
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", str(key)]
    with (folder / "encrypted.key").open("wb") as output:
        subprocess.run(command, stdout=output, check=True)  # noqa: S603


def other_kind_of_key(folder: Path) -> None:
    """Write a key of another type than those of the certificates."""
    command = "openssl genrsa -out rsa.key 2048"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)  # noqa: S603


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the bad files, and with the certificates and keys that they name."""
    folder = tmp_path_factory.mktemp("web")
    for path in BAD.glob("*.yaml"):
        shutil.copy(path, folder)
    authority = Authority(folder)
    good, _ = authority.issue(name="good"), authority.issue(name="other")
    certificate = good.certificate.read_text()
    lines = certificate.splitlines(keepends=True)
    (folder / "good.der").write_bytes(PEM_cert_to_DER_cert(certificate))
    (folder / "damaged.crt").write_text("".join([lines[0], "AAAA", *lines[2:]]))
    (folder / "cut_off.crt").write_text("".join(lines[:5]))
    key = good.key.read_text().splitlines(keepends=True)
    (folder / "damaged.key").write_text("".join([key[0], "AAAA\n", key[-1]]))
    (folder / "empty.pem").touch()
    (folder / "not_ascii.crt").write_text("".join([lines[0], "é\n", *lines[1:]]), "utf-8")
    (folder / "exchanged_chain.crt").write_text(authority.path.read_text() + certificate)
    os.mkfifo(folder / "pipe")
    other_kind_of_key(folder)
    encrypted_key(folder, good.key)
    weak_key(folder)
    return folder


def refusal_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the text of the error that loading a file raises."""
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as caught:
        load_web_config(Path(f"{name}.yaml"))
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_bad_file_is_refused_with_its_message(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file is refused with all of its errors, in file order, in these words."""
    expected = (BAD / f"{name}.txt").read_text("utf-8")

    assert expected == f"{refusal_of(name, folder, monkeypatch)}\n"


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_shown(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message contains a password, or a part of a hash."""
    text = refusal_of(name, folder, monkeypatch)

    assert [] == [secret for secret in ("hunter2", "12345", "X0h1", "$2y$") if secret in text]


def test_every_message_has_its_file() -> None:
    """Every expected text has its file."""
    assert sorted(path.stem for path in BAD.glob("*.txt")) == NAMES


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named, with the reason."""
    with pytest.raises(ConfigError) as caught:
        load_web_config(tmp_path / "none.yaml")

    assert f"{tmp_path}/none.yaml: cannot be read: No such file or directory" == str(caught.value)
