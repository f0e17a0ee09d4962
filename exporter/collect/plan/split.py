"""Questions in smaller parts: what to ask where an answer is not whole, or refused. Pure."""

import math
from dataclasses import replace

from exporter.categories import OUTCOMES
from exporter.collect.plan.core import FILL, Reading, Reply
from exporter.sentry.answer import SeriesAnswer
from exporter.sentry.errors import ForbiddenError, TooHeavyError
from exporter.sentry.question import ATTRIBUTABLE, Question


def smaller(question: Question, reply: Reply, told: Reading | None = None) -> list[Question]:
    """Return questions that together ask the same in smaller parts; none if there are none.

    What is forbidden is so because of a project, so that only the projects are divided.
    """
    if isinstance(reply, ForbiddenError):
        return _halves(question)
    if len(question.window) > 1:
        return _shorter(question, reply)
    if halves := _halves(question):
        return halves
    if len(question.outcome) != 1:
        return [replace(question, outcome=(one,)) for one in question.outcome or OUTCOMES]
    categories = _categories(question, reply, told)
    if len(categories) > 1:
        return [replace(question, category=(one,)) for one in categories]
    return []


def _halves(question: Question) -> list[Question]:
    """Divide the projects of the filter, where it has more than one."""
    middle = len(question.project) // 2
    if not middle or question.project == ATTRIBUTABLE:
        return []
    return [
        replace(question, project=question.project[:middle]),
        replace(question, project=question.project[middle:]),
    ]


def _shorter(question: Question, reply: Reply) -> list[Question]:
    """Cut the window into as many runs as the rows that came of it call for, at least two."""
    window = question.window
    runs = 2
    if isinstance(reply, SeriesAnswer):
        told = sum(sum(group.totals) for group in reply.groups)
        came = sum(sum(map(sum, group.series)) for group in reply.groups)
        share = came / told if 0 < came < told else 1.0
        runs = max(runs, math.ceil(1 / (share * FILL)))
    length = math.ceil(len(window) / min(runs, len(window))) * window.interval
    return [
        replace(question, window=replace(window, start=start, end=min(start + length, window.end)))
        for start in range(window.start, window.end, length)
    ]


def _categories(question: Question, reply: Reply, told: Reading | None) -> list[str]:
    """Return the categories to ask one by one, where the set of them is known to be complete."""
    if question.category:
        return list(question.category)
    if told is None or not told.whole or isinstance(reply, TooHeavyError):
        return []
    return sorted({series.category for series in told.rows} - {""})
