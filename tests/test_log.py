"""Logging."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from exporter import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Restore logging after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    access, error = (logging.getLogger(f"uvicorn.{name}") for name in ("access", "error"))
    disabled, error_level = access.disabled, error.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    access.disabled = disabled
    error.setLevel(error_level)
    structlog.reset_defaults()


def test_logfmt(capsys: pytest.CaptureFixture[str]) -> None:
    """A record is one line of ``key=value`` on standard error: time, level, event, other keys."""
    log.configure("info", "logfmt")
    structlog.get_logger().info("poll failed", organization="acme", status=429, up=True)
    captured = capsys.readouterr()
    timestamp, _, others = captured.err.partition(" ")

    assert "" == captured.out
    assert timestamp.startswith("timestamp=")
    assert others.startswith('level=info event="poll failed" organization=acme status=429 up=true')
    assert others.endswith("\n")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A record is one JSON object; numbers stay numbers."""
    log.configure("info", "json")
    structlog.get_logger().info("poll failed", status=429)
    record = json.loads(capsys.readouterr().err)

    assert ("poll failed", "info", 429) == (record["event"], record["level"], record["status"])


def test_times_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    """Times are in UTC, and say so."""
    log.configure("info", "json")
    structlog.get_logger().info("hello")
    timestamp = datetime.fromisoformat(json.loads(capsys.readouterr().err)["timestamp"])

    assert UTC.utcoffset(None) == timestamp.utcoffset()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], level: str, expected: list[str]) -> None:
    """Records below the level are dropped, the exporter's and those of libraries."""
    log.configure(level, "json")
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)("ours")
        getattr(logging.getLogger("library"), name)("theirs")
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert expected == [record["level"] for record in records if record["event"] == "ours"]
    assert expected == [record["level"] for record in records if record["event"] == "theirs"]


@pytest.mark.parametrize("layout", sorted(log.FORMATS))
def test_levels_are_spelled_as_the_flag_takes_them(
    capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    """Level names that only Python has are never logged."""
    log.configure("debug", layout)
    for name in ("debug", "info", "warning", "error", "critical"):
        logging.getLogger("library").log(getattr(logging, name.upper()), "theirs")
        getattr(structlog.get_logger(), name)("ours")
    printed = set(re.findall(r"""level["']?[=:] ?"?(\w+)""", capsys.readouterr().err))

    assert set(log.LEVELS) == printed


def test_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    """A record of the standard library's logging has the same format, and names its logger."""
    log.configure("info", "json")
    logging.getLogger("library.part").warning("lost %d of %d", 2, 3)
    record = json.loads(capsys.readouterr().err)

    assert ("lost 2 of 3", "library.part") == (record["event"], record["logger"])
    assert {"timestamp", "level", "event", "logger"} == set(record)


def test_uvicorn_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Of uvicorn, only warnings and errors are logged, and no requests."""
    log.configure("info", "json")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.access").warning("GET /metrics")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    records = capsys.readouterr().err.splitlines()

    assert ["Invalid HTTP request received."] == [json.loads(line)["event"] for line in records]


@pytest.mark.parametrize("layout", ["logfmt", "json"])
def test_tracebacks(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """An exception's traceback is part of the record, on the same line, without local variables."""
    log.configure("info", layout)
    token = "-".join(map(str, range(9)))
    try:
        int("x" + token[:0])
    except ValueError:
        structlog.get_logger().exception("request failed")
        logging.getLogger("library").exception("theirs")
    lines = capsys.readouterr().err.splitlines()

    assert [True, True] == ["Traceback" in line and "ValueError" in line for line in lines]
    assert [False, False] == [token in line for line in lines]


@pytest.mark.parametrize("layout", ["logfmt", "json"])
def test_secrets_are_masked(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """No record contains a token or a URL's password, not even tracebacks and debug records."""
    log.configure("debug", layout)
    url, token = "http://bob:s3/cr@et@127.0.0.1:99999", "sntryu_0123456789abcdef"
    try:
        int(f"{url} {token}")
    except ValueError:
        structlog.get_logger().exception("failed", url=url, token=token)
        logging.getLogger("library").debug("asking %s", url, exc_info=True)
    written = capsys.readouterr().err

    assert 2 == len(written.splitlines())
    assert "http://***@127.0.0.1:99999" in written
    assert not [secret for secret in ("bob", "s3", "cr@et", token) if secret in written]


def test_logfmt_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """Line feeds are escaped once; other control characters are escaped too."""
    log.configure("info", "logfmt")
    structlog.get_logger().info("hello", text="two lines\nof \x1b[31mred")

    assert r'text="two lines\nof \\x1b[31mred"' in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["logfmt", "json"])
def test_configured_twice(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """Configuring again replaces the first configuration: nothing is logged twice."""
    log.configure("info", layout)
    log.configure("info", layout)
    structlog.get_logger().info("hello")

    assert 1 == len(capsys.readouterr().err.splitlines())


@given(st.text(), st.sampled_from(sorted(log.FORMATS)))
def test_one_record_one_line(text: str, layout: str) -> None:
    """Text from outside cannot break a line or hide characters in it."""
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        log.configure("info", layout)
        handler = logging.getLogger().handlers[0]
        patch.setattr(handler, "emit", lambda record: written.append(handler.format(record)))
        structlog.get_logger().info(text, detail=text)
        logging.getLogger("library").info("%s", text)

    assert [1, 1] == [len(line.splitlines()) for line in written]
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for line in written for char in line)


def test_json_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are escaped in JSON too, also the one that JSON allows."""
    log.configure("info", "json")
    text = "".join(map(chr, range(0x20))) + "\x7f\x80\u2028"
    structlog.get_logger().info("hello", text=text)
    written = capsys.readouterr().err.rstrip("\n")

    assert written.isprintable()
    assert text == json.loads(written)["text"]


@pytest.mark.parametrize("layout", ["logfmt", "json"])
def test_lines_are_bounded(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """Of a long value, both ends are logged, and its length; its tokens are masked all the same."""
    log.configure("info", layout)
    token = "0123456789abcdef" * 4
    fill = "x " * 1_000_000
    for place in range(log.MAX_VALUE // 2 - 64, log.MAX_VALUE // 2, 7):
        text = f"{fill[:place]} {token} {fill}end"
        structlog.get_logger().info("hello", text=text)
    lines = capsys.readouterr().err.splitlines()

    assert {True} == {len(line) < 2 * log.MAX_VALUE for line in lines}
    assert {True} == {"x end" in line and "characters ..." in line for line in lines}
    assert not [line for line in lines if token[:8] in line]


@pytest.mark.parametrize("layout", ["logfmt", "json"])
def test_lists_are_texts(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """A list is logged as its values, separated by commas."""
    log.configure("info", layout)
    structlog.get_logger().info("hello", names=["web", "app"])

    assert '"web, app"' in capsys.readouterr().err


@pytest.mark.parametrize(("level", "layout"), [("loud", "json"), ("info", "xml")])
def test_unknown_choice(level: str, layout: str) -> None:
    """An unknown level or format raises KeyError."""
    with pytest.raises(KeyError):
        log.configure(level, layout)
