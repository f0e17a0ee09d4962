"""Answers of another shape, and with other values, than Sentry's."""

from typing import Final

import pytest

from tests.reliability.upstream.acts import Place, Text, body, drop, edited, put
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, When, combinations

DEPTH: Final = 100_000
NESTED: Final = Text("[" * DEPTH + "]" * DEPTH)

NUMBER: Final[Place] = {
    "stats_v2": ("groups", 0, "totals", "sum(quantity)"),
    "projects": (0, "id"),
    "customers": ("categories", "transactions", "usage"),
}
TEXT: Final[Place] = {
    "stats_v2": ("groups", 0, "by", "outcome"),
    "projects": (0, "slug"),
    "customers": ("onDemandPeriodStart",),
}
PART: Final[Place] = {
    "stats_v2": ("groups", 0, "totals"),
    "projects": (0,),
    "customers": ("planDetails",),
}
LIST: Final[Place] = {
    "stats_v2": ("groups",),
    "projects": (0, "teams"),
    "customers": ("productTrials",),
}
UNKNOWN: Final[Place] = {
    "stats_v2": ("more",),
    "projects": (0, "more"),
    "customers": ("more",),
}

NO_LIST: Final = ("stats", "plans")
"""Where something may be a list of projects, but of other ones."""

BODIES: Final = {
    "nothing": Mode.of(body(b""), "bad_answer"),
    "white space": Mode.of(body(b" \r\n"), "bad_answer"),
    "null": Mode.of(body(b"null"), "bad_answer"),
    "true": Mode.of(body(b"true"), "bad_answer"),
    "a number": Mode.of(body(b"3"), "bad_answer"),
    "a text": Mode.of(body(b'"groups"'), "bad_answer"),
    "an empty object": Mode.of(body(b"{}"), "bad_answer"),
    "an empty list": Mode.of(body(b"[]"), "bad_answer", only=NO_LIST),
    "HTML": Mode.of(
        body(b"<!doctype html><title>Down</title>", "Content-Type: text/html"), "bad_answer"
    ),
    "XML": Mode.of(body(b"<?xml version='1.0'?><error/>"), "bad_answer"),
    "a login page": Mode.of(
        body(b"<html><title>Sign in</title><input type=password>"), "bad_answer"
    ),
    "a text of a proxy": Mode.of(body(b"upstream connect error"), "bad_answer"),
    "an explanation": Mode.of(body(b'{"detail":"Internal Error"}'), "bad_answer"),
    "bytes": Mode.of(body(bytes(range(256))), "bad_answer"),
    "half of it": Mode.of(edited(lambda data: data[: len(data) // 2]), "bad_answer"),
    "all but its end": Mode.of(edited(lambda data: data[:-1]), "bad_answer"),
    "two of them": Mode.of(edited(lambda data: data + data), "bad_answer"),
    "more after it": Mode.of(edited(lambda data: data + b"x"), "bad_answer"),
    "white space around it": Mode.of(edited(lambda data: b"\n " + data + b" \n"), ""),
    "a byte order mark": Mode.of(edited(lambda data: b"\xef\xbb\xbf" + data), "bad_answer"),
    "UTF-16": Mode.of(edited(lambda data: data.decode().encode("utf-16")), "bad_answer"),
    "JSON lines": Mode.of(edited(lambda data: data.replace(b",", b",\n")), ""),
    "JSONP": Mode.of(edited(lambda data: b"f(" + data + b")"), "bad_answer"),
    "a list of it": Mode.of(edited(lambda data: b"[" + data + b"]"), "bad_answer"),
    "commas before ends": Mode.of(edited(lambda data: data.replace(b"}", b",}")), "bad_answer"),
    "single quotes": Mode.of(edited(lambda data: data.replace(b'"', b"'")), "bad_answer"),
    "deep nesting": Mode.of(body(NESTED.encode()), "bad_answer"),
    "deep nesting in a part": Mode.of(put(PART, NESTED), "bad_answer"),
    "deep nesting in an unknown key": Mode.of(put(UNKNOWN, NESTED), "bad_answer"),
}

# The usage of a plan is in the same numbers; ids are up to 10^18.
NUMBERS: Final = {
    "2^53": Mode.of(put(NUMBER, 2**53), "bad_answer", plan="", only=NO_LIST),
    "2^63 - 1": Mode.of(put(NUMBER, 2**63 - 1), "bad_answer"),
    "2^64": Mode.of(put(NUMBER, 2**64), "bad_answer"),
    "10^400": Mode.of(put(NUMBER, Text("1" + "0" * 400)), "bad_answer"),
    "1e400": Mode.of(put(NUMBER, Text("1e400")), "bad_answer"),
    "a negative number": Mode.of(put(NUMBER, -5), "bad_answer"),
    "NaN": Mode.of(put(NUMBER, Text("NaN")), "bad_answer"),
    "Infinity": Mode.of(put(NUMBER, Text("Infinity")), "bad_answer"),
    "a float": Mode.of(put(NUMBER, 0.5), "bad_answer"),
    "a leading zero": Mode.of(put(NUMBER, Text("007")), "bad_answer"),
    "a plus": Mode.of(put(NUMBER, Text("+7")), "bad_answer"),
    "a hexadecimal number": Mode.of(put(NUMBER, Text("0x7")), "bad_answer"),
    "a text for a number": Mode.of(put(NUMBER, "7"), "bad_answer", only=NO_LIST),
    "words for a number": Mode.of(put(NUMBER, "seven"), "bad_answer"),
    "true for a number": Mode.of(put(NUMBER, True), "bad_answer"),  # noqa: FBT003 - a value
    "null for a number": Mode.of(put(NUMBER, None), "bad_answer"),
    "a list for a number": Mode.of(put(NUMBER, [7]), "bad_answer"),
    "an object for a number": Mode.of(put(NUMBER, {"value": 7}), "bad_answer"),
    "no number": Mode.of(drop(NUMBER), "bad_answer"),
}

SHAPES: Final = {
    "null for a text": Mode.of(put(TEXT, None), "bad_answer"),
    "a number for a text": Mode.of(put(TEXT, 7), "bad_answer"),
    "a list for a text": Mode.of(put(TEXT, ["a"]), "bad_answer"),
    "no text": Mode.of(drop(TEXT), "bad_answer"),
    "a lone surrogate": Mode.of(put(TEXT, Text('"\\ud800"')), "bad_answer"),
    "a text that is no UTF-8": Mode.of(put(TEXT, Text('"\udcff\udcfe"')), "bad_answer"),
    "null for a part": Mode.of(put(PART, None), "bad_answer"),
    "a list for a part": Mode.of(put(PART, []), "bad_answer"),
    "no part": Mode.of(drop(PART), "bad_answer", only=NO_LIST),
    "null for a list": Mode.of(put(LIST, None), "bad_answer", projects="", plan=""),
    "an object for a list": Mode.of(put(LIST, {}), "bad_answer"),
    "no list": Mode.of(drop(LIST), "bad_answer", projects="", plan=""),
    "null in a list": Mode.of(put(LIST, [None]), "bad_answer"),
    "an unknown key": Mode.of(put(UNKNOWN, {"deep": [1, None, {"a": 1e300}]}), ""),
}


BODIES_NAMED: Final = ("HTML", "deep nesting")


@pytest.mark.parametrize(("name", "when"), combinations(BODIES, BODIES_NAMED))
def test_body(try_mode: Try, name: str, when: When) -> None:
    """What is no JSON, or another document, is no answer."""
    try_mode(BODIES[name], when)


NUMBERS_NAMED: Final = (
    "2^63 - 1",
    "2^64",
    "a negative number",
    "NaN",
    "a float",
    "a text for a number",
    "null for a number",
    "no number",
)


@pytest.mark.parametrize(("name", "when"), combinations(NUMBERS, NUMBERS_NAMED))
def test_number(try_mode: Try, name: str, when: When) -> None:
    """Nor is a document in which a number is none."""
    try_mode(NUMBERS[name], when)


SHAPES_NAMED: Final = ("no part", "a lone surrogate", "a text that is no UTF-8", "an unknown key")


@pytest.mark.parametrize(("name", "when"), combinations(SHAPES, SHAPES_NAMED))
def test_shape(try_mode: Try, name: str, when: When) -> None:
    """Nor is one that lacks what is needed; what is not needed may be anything."""
    try_mode(SHAPES[name], when)
