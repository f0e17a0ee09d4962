"""Logging: one record per line on standard error, as logfmt or JSON, with times in UTC.

Code uses ``structlog.get_logger(__name__)``, and logs a short lower-case phrase with ``key=value``.
Records of libraries that use the standard library's logging have the same format.
"""

import logging
import re
from collections.abc import Iterable
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from exporter.sentry.token import redact
from exporter.stderr import Stderr

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
"""The values of ``--log.level``, as Prometheus names them."""

_SPELLINGS: Final = {"warning": "warn", "critical": "error"}
"""Names of the standard library's levels in Prometheus's own programs."""

MAX_VALUE: Final = 4000
"""Characters of a value, such as a traceback; of longer ones both ends are logged."""

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _bounded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make every value a number, a truth value, None, or a text of limited length."""
    return {key: _limited(value) for key, value in event.items()}


def _limited(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if len(text) <= MAX_VALUE:
        return text
    # Secrets are masked before the text is cut, since nothing recognizes a part of one; but not in
    # all of it: a text of 2 MB takes a second.
    margin, half = 2 * MAX_VALUE, MAX_VALUE // 2
    first, last = redact(text[:margin])[:half], redact(text[-margin:])[-half:]
    return f"{first} [... {len(text)} characters ...] {last}"


def _visible(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, so that no text from outside can forge or break a line.

    Line feeds are escaped by the renderer.
    """
    return {
        key: value if value is None or isinstance(value, bool) else visible(str(value))
        for key, value in event.items()
    }


def visible(text: str) -> str:
    r"""Return ``text`` with escapes such as ``\x1b`` for control characters except line feeds.

    Halves of surrogate pairs are escaped too: JSON may contain them, UTF-8 cannot.
    """
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _spell_level(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    level = event["level"]
    event["level"] = _SPELLINGS.get(level, level)
    return event


def _redacted(_logger: WrappedLogger, _method: str, line: str) -> str:
    """Mask secrets anywhere in the line: in values, tracebacks and records of libraries."""
    return redact(line)


def _escape_delete(_logger: WrappedLogger, _method: str, line: str) -> str:
    """Escape the control character that is ASCII, and that JSON allows."""
    return line.replace("\x7f", "\\u007f")


_KEYS: Final = ("timestamp", "level", "event")

FORMATS: Final[dict[str, tuple[Processor, ...]]] = {
    "logfmt": (
        _visible,
        structlog.processors.LogfmtRenderer(key_order=_KEYS, bool_as_flag=False),
    ),
    # No `_visible` here: json.dumps escapes line feeds, and all that is not ASCII. U+007F is.
    "json": (structlog.processors.JSONRenderer(), _escape_delete),  # type: ignore[dict-item]
}
"""The values of ``--log.format``, and how each renders a record."""

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    _spell_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure(level: str, format: str) -> None:  # noqa: A002  named like its flag
    """Send every log record of the process to standard error.

    ``level`` is one of `LEVELS`, ``format`` one of `FORMATS`; any other raises KeyError.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    root = logging.getLogger()
    root.handlers = [_handler(FORMATS[format])]
    root.handlers[0].name = format
    root.setLevel(LEVELS[level])
    _tame_uvicorn(LEVELS[level])
    # At debug they would name what the exporter's own records have already.
    for library in ("schedule", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)


def is_json() -> bool:
    """Return whether the log has been configured to be JSON."""
    return any(handler.name == "json" for handler in logging.getLogger().handlers)


def _handler(renderers: tuple[Processor, ...]) -> logging.Handler:
    handler = Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=(
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _bounded,
                *renderers,
                _redacted,  # type: ignore[arg-type]  # a renderer's line, not an event
            ),
        )
    )
    return handler


def _tame_uvicorn(level: int) -> None:
    """Disable the access log; log uvicorn's start and stop at level debug only."""
    server = logging.getLogger("uvicorn.error")
    server.setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True


def log_warnings(warnings: Iterable[object]) -> None:
    """Log what is doubtful about a configuration in effect, a line for each."""
    log = structlog.get_logger(__name__)
    for warning in warnings:
        log.warning("configuration warning", warning=str(warning))
