"""Logging: one record a line on standard error, as logfmt or JSON, times in UTC.

Code says ``structlog.get_logger()`` and logs a short lower-case phrase with ``key=value``. Records
of libraries that use the standard library's logging come out the same way.
"""

import logging
import re
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from exporter.sentry.token import redact

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
"""What ``--log.level`` takes, as Prometheus names them."""

_SPELLINGS: Final = {"warning": "warn", "critical": "error"}
"""Levels of the standard library, as Prometheus's own programs log them."""

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def _visible(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, so that no text from outside can forge or break a line.

    The renderer sees to line feeds itself.
    """
    return {
        key: value
        if value is None or isinstance(value, bool)
        else _CONTROL.sub(_escape, str(value))
        for key, value in event.items()
    }


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _spell_level(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    level = event["level"]
    event["level"] = _SPELLINGS.get(level, level)
    return event


def _redacted(_logger: WrappedLogger, _method: str, line: str) -> str:
    """Mask secrets in the whole line: values, tracebacks, and what libraries have to say."""
    return redact(line)


_KEYS: Final = ("timestamp", "level", "event")

FORMATS: Final[dict[str, tuple[Processor, ...]]] = {
    "logfmt": (
        _visible,
        structlog.processors.LogfmtRenderer(key_order=_KEYS, bool_as_flag=False),
    ),
    "json": (structlog.processors.JSONRenderer(),),
}
"""What ``--log.format`` takes, and how each renders a record."""

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    _spell_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure(level: str, format: str) -> None:  # noqa: A002  named as its flag is
    """Send every log record of the process to standard error.

    ``level`` is one of `LEVELS`, ``format`` one of `FORMATS`; raises KeyError for any other.
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
    root.setLevel(LEVELS[level])
    _tame_uvicorn(LEVELS[level])
    logging.getLogger("schedule").setLevel(logging.WARNING)


def _handler(renderers: tuple[Processor, ...]) -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=(
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
                _redacted,  # type: ignore[arg-type]  # a renderer's line, not an event
            ),
        )
    )
    return handler


def _tame_uvicorn(level: int) -> None:
    """Drop the access log; uvicorn's tale of its own start and stop is for debugging."""
    server = logging.getLogger("uvicorn.error")
    server.setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True
