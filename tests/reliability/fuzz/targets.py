"""All fuzz targets, their corpora, and mutations of those that are the same in every run."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.sentry.customer import CATEGORIES
from exporter.web.config.models import (
    Headers,
    HTTPServerConfig,
    RateLimit,
    TLSServerConfig,
    WebConfigFile,
)
from tests.reliability.fuzz import connection, files, headers, upstream
from tools.config_schema import schema

CORPUS: Final = Path(__file__).parent / "corpus"
"""A folder for each target, minimised: no file of it reaches only what others reach."""

MAX_LENGTH: Final = 4096
"""Bytes of an input."""


class Target(NamedTuple):
    """What reads an input, and words of its language, which mutations insert."""

    read: Callable[[bytes], None]
    words: Sequence[str]


def _keys() -> Sequence[str]:
    mappings = schema()["$defs"].values()
    keys = {key for one in mappings for key in one["properties"]}
    return sorted({"defaults", "organizations", *keys})


def _keys_of_web_configuration() -> Sequence[str]:
    models = (WebConfigFile, TLSServerConfig, HTTPServerConfig, Headers, RateLimit)
    fields = (pair for model in models for pair in model.model_fields.items())
    return sorted({field.alias or name for name, field in fields})


_YAML: Final = (
    "- ",
    ": ",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    "'",
    '"',
    "# ",
    "~",
)
_JSON: Final = ("{", "}", "[", "]", ":", ",", '"', "null", "true", "-1", "1e400", "NaN", "\\ud800")
_RANGES: Final = ("text/plain", "application/openmetrics-text", "*/*", ";version=1.0.0", ";q=0.5")

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "answer": Target(
            upstream.answer,
            (
                *_JSON,
                *('"start"', '"end"', '"intervals"', '"groups"', '"by"', '"totals"', '"series"'),
                *('"sum(quantity)"', '"sum(times_seen)"', '"2026-02-25T18:00:00Z"', '"category"'),
                *('"outcome"', '"reason"', '"project"', "9007199254740991", "9007199254740992"),
            ),
        ),
        "projects": Target(
            upstream.projects,
            (
                *_JSON,
                *('"id"', '"slug"', '"platform"', '"hasAccess"', '"teams"', '"000000000000000001"'),
                *('rel="next"', 'results="true"', 'cursor="0:100:0"', "<https://sentry.io/>; "),
            ),
        ),
        "plan": Target(
            upstream.plan,
            (
                *_JSON,
                *(f'"{key}"' for key in CATEGORIES),
                *('"usage"', '"reserved"', '"free"', '"prepaid"', '"paygCpe"', '"customPrice"'),
                *('"events"', '"price"', '"onDemandPrice"', '"NaN"', '"Infinity"', '"1e-999999"'),
                *('"onDemandBudgets"', '"enabled"', '"budgetMode"', '"per_category"', '"endDate"'),
                *('"2026-02-17"', '"2026-03-16T00:00:00Z"', '"annual"', '"billingInterval"'),
            ),
        ),
        "configuration": Target(files.configuration, (*_YAML, *(f"{key}: " for key in _keys()))),
        "web_configuration": Target(
            files.web_configuration,
            (
                *_YAML,
                *(f"{key}: " for key in _keys_of_web_configuration()),
                *("server.crt", "server.key", "ca.pem", "TLS12", "RequireAndVerifyClientCert"),
            ),
        ),
        "negotiation": Target(
            headers.negotiation, (*_RANGES, "gzip", "x-gzip", ";q=0", "*", '"', "\\", ", ", "\n")
        ),
        "login": Target(headers.login, ("Basic ", "YTpi", "Og==", "=", "AA==")),
        "connection": Target(
            connection.connection,
            (
                *(
                    "GET ",
                    "HEAD ",
                    "POST ",
                    "OPTIONS ",
                    "CONNECT ",
                    " HTTP/1.1\r\n",
                    " HTTP/1.0\r\n",
                ),
                *(
                    "/metrics",
                    "/-/healthy",
                    "/",
                    "*",
                    "http://here/metrics",
                    "%00",
                    "%0d%0a",
                    "?a=b",
                ),
                *("Host: here\r\n", "\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n"),
                *("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "5\r\nabcde\r\n"),
                *("0\r\n\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\n", "Accept: */*\r\n"),
            ),
        ),
    }
)


def corpus(name: str) -> Sequence[bytes]:
    """Return the inputs of a target that are in the tree, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutations(name: str, number: int, seed: int) -> Iterator[bytes]:
    """Yield ``number`` mutations of a target's corpus, the same ones for the same ``seed``."""
    picker = random.Random(f"{name} {seed}")
    inputs = corpus(name)
    words = [word.encode() for word in TARGETS[name].words]
    for _ in range(number):
        mutated = bytearray(picker.choice(inputs))
        for _ in range(picker.choice((1, 1, 2, 3, 5))):
            _mutate(mutated, picker, words, inputs)
        yield bytes(mutated[:MAX_LENGTH])


def _mutate(
    data: bytearray, picker: random.Random, words: Sequence[bytes], inputs: Sequence[bytes]
) -> None:
    """Change ``data`` in one place."""
    at = picker.randint(0, len(data))
    end = min(len(data), at + picker.choice((1, 1, 2, 4, 16, 64)))
    match picker.randrange(7):
        case 0:
            data[at:end] = b""
        case 1:
            data[at:at] = picker.choice(words)
        case 2:
            data[at:end] = picker.choice(words)
        case 3:
            data[at:end] = picker.randbytes(end - at)
        case 4:
            data[at:at] = data[at:end] * picker.choice((1, 2, 30))
        case 5:
            other = picker.choice(inputs)
            start = picker.randint(0, len(other))
            data[at:end] = other[start : start + picker.choice((4, 32, 256))]
        case _:
            data[at:end] = str(picker.choice((0, 1, 2**31, 2**53, 2**63, 10**30))).encode()
