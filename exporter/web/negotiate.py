"""Content negotiation (RFC 9110): which format a client gets, and whether compressed. Pure.

A header lists ranges, ``type/subtype;parameter=value;q=quality``. The quality of each format is
that of the most specific range that matches it; the format with the highest quality is sent.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

MAX_LENGTH: Final = 4096
"""Characters of a header beyond which it is ignored: ten times what any known client sends."""

_QUALITY: Final = re.compile(r"0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+")
# Possessive, so that no header makes it backtrack; the closing quote may be missing.
_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"?+'
_BETWEEN: Final = {
    ",": re.compile(rf'(?:[^,"]|{_QUOTED})++', re.DOTALL),
    ";": re.compile(rf'(?:[^;"]|{_QUOTED})++', re.DOTALL),
}


class Exposition(Enum):
    """A format of ``/metrics``; if a client prefers several equally, the first is sent."""

    TEXT = ("text/plain", "0.0.4")
    OPENMETRICS = ("application/openmetrics-text", "1.0.0")
    OPENMETRICS_DRAFT = ("application/openmetrics-text", "0.0.1")
    """The same bytes, under the version that early clients of OpenMetrics ask for."""

    def __init__(self, media_type: str, version: str) -> None:
        self.media_type = media_type
        self.version = version

    @property
    def content_type(self) -> str:
        """The exact ``Content-Type``."""
        return f"{self.media_type}; version={self.version}; charset=utf-8"

    @property
    def openmetrics(self) -> bool:
        """Whether the body is OpenMetrics rather than the text format."""
        return self is not Exposition.TEXT


@dataclass(frozen=True, slots=True)
class _Range:
    """One element of a header, in lower case; ``quality`` is 0 to 1, and 1 by default."""

    name: str
    parameters: dict[str, str]
    quality: float


def choose(accept: str | None) -> Exposition:
    """Return the format to answer with.

    ``accept`` is the ``Accept`` header; repeated ones are joined by commas. If it is missing, too
    long, or accepts none of the formats, the text format is sent, as Prometheus expects.
    """
    ranges = list(_ranges(accept))
    ranked = {exposition: _rank(exposition, ranges) for exposition in Exposition}
    # max returns the first of equals: where nothing matches, the text format.
    return max(Exposition, key=lambda exposition: ranked[exposition])


def gzip_accepted(accept_encoding: str | None) -> bool:
    """Return whether the ``Accept-Encoding`` header allows gzip; without a header, it does not."""
    qualities = {coding.name: coding.quality for coding in _ranges(accept_encoding)}
    # x-gzip is the same coding (RFC 9110, 8.4.1.3).
    named = [qualities[name] for name in ("gzip", "x-gzip") if name in qualities]
    return max(named, default=qualities.get("*", 0.0)) > 0


def _rank(exposition: Exposition, ranges: list[_Range]) -> tuple[float, tuple[int, int], int]:
    """Return how much the client prefers a format: quality, specificity, position."""
    matches = [
        (specificity, -place, range_.quality)
        for place, range_ in enumerate(ranges)
        if (specificity := _specificity(range_, exposition)) is not None
    ]
    specificity, place, quality = max(matches, default=((0, 0), 0, 0.0))
    # A quality of 0 refuses the format, which is then as good as not named.
    return (quality, specificity, place) if quality else (0.0, (0, 0), 0)


def _specificity(range_: _Range, exposition: Exposition) -> tuple[int, int] | None:
    """Return how closely a range describes a format, or None if it does not match."""
    names = ("*/*", exposition.media_type.partition("/")[0] + "/*", exposition.media_type)
    if range_.name not in names or not _agrees(range_.parameters, exposition):
        return None
    return names.index(range_.name), len(range_.parameters)


def _agrees(parameters: dict[str, str], exposition: Exposition) -> bool:
    """Return whether a format has all these parameters.

    ``escaping`` is about names outside the classic alphabet. The page has none, so every value
    matches.
    """
    ours = {"version": exposition.version, "charset": "utf-8"}
    return all(name == "escaping" or ours.get(name) == value for name, value in parameters.items())


def _ranges(header: str | None) -> Iterator[_Range]:
    if header is None or len(header) > MAX_LENGTH:
        return
    for element in _split(header, ","):
        name, *pairs = _split(element, ";") or [""]
        parameters = dict(_parameter(pair) for pair in pairs)
        quality = _quality(parameters.pop("q", "1"))
        yield _Range(name.strip().lower(), parameters, quality)


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quoted strings; omit empty parts."""
    return [part for part in _BETWEEN[separator].findall(text) if part.strip()]


def _parameter(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name.strip().lower(), _unquoted(value.strip()).lower()


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return value


def _quality(text: str) -> float:
    return float(text) if _QUALITY.fullmatch(text) else 1.0
