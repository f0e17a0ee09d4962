"""Answers of stats whose groups and series do not fit the question, or each other."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.reliability.upstream.acts import edited_document
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, Position, When, combinations

PARTS: Final = (Position.MIDDLE, Position.LAST)
"""Where projects are asked for; the first question is about all of them, in a series."""


def stats(how: Callable[[Any], object], reason: str, **more: Any) -> Mode:
    """Return a mode that changes answers of stats."""
    return Mode.of(edited_document(how), reason, only=("stats",), **more)


def first(document: Any) -> Any:
    """Return the first group."""
    return document["groups"][0]


def field(document: Any) -> Any:
    """Return the series of the first group."""
    return first(document)["series"]["sum(quantity)"]


ANY: Final = {
    "a group twice": stats(lambda one: one["groups"].append(first(one)), "bad_answer"),
    "groups in another order": stats(lambda one: one["groups"].reverse(), ""),
    "keys in another order": stats(
        lambda one: one.update([(key, one.pop(key)) for key in reversed(list(one))]), ""
    ),
    "a null group": stats(lambda one: one["groups"].insert(0, None), "bad_answer"),
    "a group without labels": stats(lambda one: first(one).update(by={}), "bad_answer"),
    "a group without an outcome": stats(lambda one: first(one)["by"].pop("outcome"), "bad_answer"),
    "a label more": stats(lambda one: first(one)["by"].update(key="a"), ""),
    "totals of another field": stats(
        lambda one: first(one).update(totals={"sum(times_seen)": 1}), "bad_answer"
    ),
    "totals of two fields": stats(lambda one: first(one)["totals"].update({"sum(x)": 1}), ""),
}

SERIES: Final = {
    "a value less": stats(lambda one: field(one).pop(), "bad_answer"),
    "a value more": stats(lambda one: field(one).append(1), "bad_answer"),
    "no values": stats(lambda one: field(one).clear(), "bad_answer"),
    "a null value": stats(lambda one: field(one).__setitem__(0, None), "bad_answer"),
    "a negative value": stats(lambda one: field(one).__setitem__(0, -1), "bad_answer"),
    "no series": stats(lambda one: first(one).pop("series"), "bad_answer"),
    "a label that was not asked for": stats(
        lambda one: first(one)["by"].update(project=200), "bad_answer"
    ),
    "no buckets": stats(lambda one: one["intervals"].clear(), "bad_answer"),
    "a bucket less": stats(lambda one: one["intervals"].pop(), "bad_answer"),
    "a bucket twice": stats(
        lambda one: one["intervals"].__setitem__(0, one["intervals"][-1]), "bad_answer"
    ),
    "buckets of another day": stats(
        lambda one: one.update(
            intervals=[each.replace("2026", "2019") for each in one["intervals"]]
        ),
        "bad_answer",
    ),
    "buckets without a zone": stats(
        lambda one: one.update(intervals=[each.rstrip("Z") for each in one["intervals"]]),
        "bad_answer",
    ),
    "buckets in seconds": stats(lambda one: one.update(intervals=[1, 2]), "bad_answer"),
    "buckets backwards": stats(
        lambda one: (
            one["intervals"].reverse(),
            [each["series"]["sum(quantity)"].reverse() for each in one["groups"]],
        ),
        "",
    ),
}

PROJECTS: Final = {
    "another start": stats(lambda one: one.update(start="2019-01-01T00:00:00Z"), "bad_answer"),
    "another end": stats(lambda one: one.update(end="2031-01-01T00:00:00Z"), "bad_answer"),
    "no start": stats(lambda one: one.pop("start"), "bad_answer"),
    "a project that is no number": stats(
        lambda one: first(one)["by"].update(project="web"), "bad_answer"
    ),
    "a negative project": stats(lambda one: first(one)["by"].update(project=-1), "bad_answer"),
    "a project of 2^64": stats(lambda one: first(one)["by"].update(project=2**64), "bad_answer"),
    "no project": stats(lambda one: first(one)["by"].pop("project"), "bad_answer"),
    "projects as texts": stats(
        lambda one: [
            each["by"].update(project=str(each["by"]["project"])) for each in one["groups"]
        ],
        "",
    ),
}


ANY_NAMED: Final = ("a group twice", "groups in another order")


@pytest.mark.parametrize(("name", "when"), combinations(ANY, ANY_NAMED))
def test_any(try_mode: Try, name: str, when: When) -> None:
    """Groups are as they were asked for, each once; their order says nothing."""
    try_mode(ANY[name], when)


SERIES_NAMED: Final = ("a value less", "a value more")


@pytest.mark.parametrize(("name", "when"), combinations(SERIES, SERIES_NAMED, [Position.FIRST]))
def test_series(try_mode: Try, name: str, when: When) -> None:
    """A series has a value for each bucket, and no other."""
    try_mode(SERIES[name], when)


PROJECTS_NAMED: Final = ("another start",)


@pytest.mark.parametrize(("name", "when"), combinations(PROJECTS, PROJECTS_NAMED, PARTS))
def test_projects(try_mode: Try, name: str, when: When) -> None:
    """Projects have numbers, and totals are those of the hour that was asked for."""
    try_mode(PROJECTS[name], when)
