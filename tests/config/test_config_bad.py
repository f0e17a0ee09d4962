"""Every file in ``bad`` is refused with exactly the text beside it."""

from pathlib import Path

import pytest

from exporter.config import ConfigError, load

BAD = Path(__file__).parent / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))


def refusal_of(path: Path) -> ConfigError:
    """Return the error that loading ``path`` raises."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_bad_file_is_refused_with_its_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad file is refused with all of its errors, in file order, in these words."""
    monkeypatch.chdir(BAD)

    assert Path(f"{name}.txt").read_text("utf-8") == f"{refusal_of(Path(f'{name}.yaml'))}\n"


def test_every_message_has_its_file() -> None:
    """Every expected text has its file."""
    assert sorted(path.stem for path in BAD.glob("*.txt")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_problems_are_in_file_order(name: str) -> None:
    """Problems follow the lines of the file."""
    lines = [problem.line or 0 for problem in refusal_of(BAD / f"{name}.yaml").problems]

    assert sorted(lines) == lines


def test_missing_file_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """A file that is not there is named, with the reason."""
    path = tmp_path / "none.yaml"

    assert f"{path}: cannot be read: No such file or directory" == str(refusal_of(path))


def test_directory_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """A directory instead of a file is named, with the reason."""
    assert f"{tmp_path}: cannot be read: Is a directory" == str(refusal_of(tmp_path))
