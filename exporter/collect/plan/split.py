"""Smaller questions: what to ask where an answer is not proven, or was refused. Pure."""

import math
from dataclasses import replace

from exporter.categories import OUTCOMES
from exporter.collect.plan.core import FILL, Reply
from exporter.collect.series import Reading
from exporter.sentry.answer import SeriesAnswer
from exporter.sentry.errors import ForbiddenError, TooHeavyError
from exporter.sentry.question import ATTRIBUTABLE, Question


def smaller(question: Question, reply: Reply, expected: Reading | None = None) -> list[Question]:
    """Return questions that together ask the same in smaller parts; none if there are none.

    ``expected`` is a reading of the same bucket without project. A question is forbidden because of
    a project: then only the projects are divided.
    """
    if isinstance(reply, ForbiddenError):
        return _halves(question)
    if len(question.window) > 1:
        return _shorter(question, reply)
    if halves := _halves(question):
        return halves
    # Outcomes are a closed set (Sentry's src/sentry/utils/outcomes.py); categories are an open one.
    if len(question.outcome) != 1:
        return [replace(question, outcome=(one,)) for one in question.outcome or OUTCOMES]
    categories = _categories(question, reply, expected)
    if len(categories) > 1:
        return [replace(question, category=(one,)) for one in categories]
    return []


def _halves(question: Question) -> list[Question]:
    """Divide the projects of the filter, where it has more than one."""
    middle = len(question.project) // 2
    # ATTRIBUTABLE is not two projects: its -1 alone would mean every project of the organization.
    if not middle or question.project == ATTRIBUTABLE:
        return []
    return [
        replace(question, project=question.project[:middle]),
        replace(question, project=question.project[middle:]),
    ]


def _shorter(question: Question, reply: Reply) -> list[Question]:
    """Divide the window into as many parts as its number of rows requires, at least two."""
    window = question.window
    parts = 2
    if isinstance(reply, SeriesAnswer):
        total = sum(sum(group.totals) for group in reply.groups)
        arrived = sum(sum(map(sum, group.series)) for group in reply.groups)
        share = arrived / total if 0 < arrived < total else 1.0
        parts = max(parts, math.ceil(1 / (share * FILL)))
    length = math.ceil(len(window) / min(parts, len(window))) * window.interval
    return [
        replace(question, window=replace(window, start=start, end=min(start + length, window.end)))
        for start in range(window.start, window.end, length)
    ]


def _categories(question: Question, reply: Reply, expected: Reading | None) -> list[str]:
    """Return the categories to ask one by one, where the set of them is known to be complete."""
    if question.category:
        return list(question.category)
    if expected is None or not expected.proven or isinstance(reply, TooHeavyError):
        return []
    return sorted({series.category for series in expected.rows} - {""})
