"""What Sentry sends, as bytes of which anything may be wrong: fuzz targets.

Each target raises an AssertionError where the exporter's reading breaks a rule. What is accepted is
compared with what Python's own json module reads in the same bytes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import compress, product
from typing import Any, Final

from msgspec.json import Decoder

from exporter.buckets import Window
from exporter.collect.quota.account import account_of
from exporter.config import loads
from exporter.sentry.answer import By, ProjectsAnswer, SeriesAnswer, parse
from exporter.sentry.customer import CustomerDocument, plan_of
from exporter.sentry.decoding import decode
from exporter.sentry.errors import BadAnswerError
from exporter.sentry.projects import Project, next_cursor, parse_page
from exporter.sentry.question import QUANTITY, TIMES_SEEN, Question

HOUR: Final = 3600
START: Final = 492_222 * HOUR
WINDOW: Final = Window(START, START + 3 * HOUR, HOUR)
DIMENSIONS: Final = ("category", "outcome", "reason", "project")

QUESTIONS: Final = tuple(
    Question(fields, tuple(compress(DIMENSIONS, chosen)), WINDOW)
    for fields in ((QUANTITY,), (TIMES_SEEN,), (QUANTITY, TIMES_SEEN))
    for chosen in product([False, True], repeat=len(DIMENSIONS))
)
"""Every combination of fields and dimensions; the first byte of an input chooses among them."""

_MAX_COUNT: Final = 2**53 - 1
_FIELD: Final = r"sum\((?:quantity|times_seen)\)"
_GROUP: Final = rf"by(?:\.(?:{'|'.join(DIMENSIONS)}))?|(?:totals|series)(?:\.{_FIELD}(?:\[\d+\])?)?"
_PLACE: Final = re.compile(
    rf"\$|start|end|intervals(?:\[\d+\])?|groups(?:\[\d+\](?:\.(?:{_GROUP}))?)?"
)
_PLACE_OF_PAGE: Final = re.compile(
    r"\$|Link|\[\d+\](?:\.(?:id|slug|platform|hasAccess|teams(?:\[\d+\](?:\.slug)?)?))?"
)
# A key of the plan is part of the path only if it is a known one, as msgspec writes [...] for it.
_PLACE_OF_PLAN: Final = re.compile(r"\$|[a-zA-Z]+(?:\[\.\.\.\]|\[\d+\]|\.[a-zA-Z]+)*")

_ORGANIZATION: Final = loads("organizations: [{slug: acme, token_env: T}]").organizations[0]


def answer(data: bytes) -> None:
    """Read an answer of stats_v2 to the question that the first byte chooses."""
    question, body = QUESTIONS[data[0] % len(QUESTIONS)] if data else QUESTIONS[0], data[1:]
    try:
        parsed = parse(body, question)
    except BadAnswerError as error:
        _check_error(error, _PLACE)
        return
    document = _loaded(body)
    if isinstance(parsed, ProjectsAnswer):
        assert _projects_in(document, question) == {
            field: {by: dict(values) for by, values in groups.items()}
            for field, groups in parsed.totals.items()
        }
    else:
        _check_series(parsed, document)


def projects(data: bytes) -> None:
    """Read a page of the projects list, and its header ``Link``, which the first line is."""
    link, _, body = data.partition(b"\n")
    header = link.decode("latin-1")
    try:
        cursor = next_cursor(header)
    except BadAnswerError as error:
        _check_error(error, _PLACE_OF_PAGE)
    else:
        assert cursor is None or (cursor and cursor in header)
    try:
        listed = parse_page(body)
    except BadAnswerError as error:
        _check_error(error, _PLACE_OF_PAGE)
        return
    assert [_project_in(item) for item in _loaded(body)] == listed


def plan(data: bytes) -> None:
    """Read an organization's plan, and make its account of it."""
    now = float(START)
    try:
        document = decode(_PLAN, data)
        read = plan_of(document, now)
    except BadAnswerError as error:
        _check_error(error, _PLACE_OF_PLAN)
        return
    assert read.start < read.end
    assert set(document.categories) >= {one.key for one in read.categories}
    account = account_of(_ORGANIZATION, read, now)
    assert account.period.start <= now < account.period.end
    for one in account.quotas:
        assert one.quota.limit is None or one.quota.limit >= 0
    amounts = [*account.budgets.values(), *(one.reserved_cost for one in account.quotas)]
    assert all(amount.is_finite() for amount in amounts if amount is not None)


_PLAN: Final = Decoder(CustomerDocument)


def _check_error(error: BadAnswerError, places: re.Pattern[str]) -> None:
    """Check that an error names a place of the document, in a line that a log can show."""
    assert places.fullmatch(error.path), error.path
    assert str(error).startswith(f"{error.path}: ")
    assert str(error).isprintable()
    assert len(str(error)) < 300


def _loaded(body: bytes) -> Any:
    # Of keys that are not read, msgspec passes over bytes that are not UTF-8.
    return json.loads(body.decode("utf-8", "surrogateescape"))


def _by(group: Mapping[str, Any], question: Question) -> By:
    labels = {key: group["by"][key] for key in question.group_by if key != "project"}
    return By(**{key: "none" if value is None else value for key, value in labels.items()})


def _projects_in(
    document: Mapping[str, Any], question: Question
) -> Mapping[str, Mapping[By, Mapping[int, int]]]:
    """Return the totals in ``document``, read one group after another."""
    totals: dict[str, dict[By, dict[int, int]]] = {field: {} for field in question.fields}
    for group in document["groups"]:
        for field in question.fields:
            by_project = totals[field].setdefault(_by(group, question), {})
            project = int(group["by"]["project"])
            assert project not in by_project
            by_project[project] = group["totals"][field]
            assert 0 <= by_project[project] <= _MAX_COUNT
    return totals


def _check_series(parsed: SeriesAnswer, document: Mapping[str, Any]) -> None:
    """Check that a parsed answer has what ``document`` has of the window."""
    question = parsed.question
    assert [_by(group, question) for group in document["groups"]] == [
        group.by for group in parsed.groups
    ]
    assert len(parsed.groups) == len({group.by for group in parsed.groups})
    positions = _positions(document["intervals"])
    for sent, group in zip(document["groups"], parsed.groups, strict=True):
        for field, total, values in zip(question.fields, group.totals, group.series, strict=True):
            everything = sent["series"][field]
            inside = [everything[positions[bucket]] for bucket in question.window.buckets()]
            outside = sum(everything) - sum(inside)
            assert inside == list(values)
            assert total == max(sent["totals"][field] - outside, 0)
            assert all(0 <= value <= _MAX_COUNT for value in values)


def _positions(intervals: Sequence[str]) -> Mapping[float, int]:
    moments = (datetime.fromisoformat(text.upper()) for text in intervals)
    return {moment.timestamp(): position for position, moment in enumerate(moments)}


def _project_in(item: Mapping[str, Any]) -> Project:
    """Return the project that ``item`` of a page is."""
    teams = tuple(team["slug"] for team in item.get("teams") or ())
    platform, access = item.get("platform") or "", item.get("hasAccess", True)
    return Project(int(item["id"]), item["slug"], platform, access, teams)
