"""Dates that are none, or years off: they change no number."""

from email.utils import formatdate
from typing import Final

import pytest

from tests.reliability.upstream.acts import with_headers, without_date
from tests.reliability.upstream.conftest import Try
from tests.reliability.upstream.modes import Mode, When, combinations
from tests.reliability.upstream.world import START

YEAR: Final = 366 * 86400


def date(seconds: float) -> str:
    """Return a header that is so many seconds ahead."""
    return f"Date: {formatdate(START + seconds, usegmt=True)}"


DATES: Final = {
    "three years ago": Mode.of(with_headers(date(-3 * YEAR)), ""),
    "three years ahead": Mode.of(with_headers(date(3 * YEAR)), ""),
    "1970": Mode.of(with_headers("Date: Thu, 01 Jan 1970 00:00:00 GMT"), ""),
    "9999": Mode.of(with_headers("Date: Fri, 31 Dec 9999 23:59:59 GMT"), ""),
    "a year of ten digits": Mode.of(with_headers("Date: Fri, 31 Dec 9999999999 23:59:59 GMT"), ""),
    "a zone of a year": Mode.of(with_headers("Date: Mon, 02 Mar 2026 00:06:00 +999999"), ""),
    "no date": Mode.of(without_date, ""),
    "an empty date": Mode.of(with_headers("Date: "), ""),
    "words": Mode.of(with_headers("Date: yesterday"), ""),
    "seconds": Mode.of(with_headers("Date: 1772409960"), ""),
    "an old answer of a cache": Mode.of(with_headers("Age: 864000", date(-10 * 86400)), ""),
    "a deprecation in words": Mode.of(with_headers("X-Sentry-Deprecation-Date: soon"), ""),
    "a limit of none left": Mode.of(
        with_headers(
            "X-Sentry-Rate-Limit-Limit: 20",
            "X-Sentry-Rate-Limit-Remaining: 0",
            "X-Sentry-Rate-Limit-Reset: 99999999999",
        ),
        "",
    ),
}


DATES_NAMED: Final = ("three years ago", "three years ahead", "no date")


@pytest.mark.parametrize(("name", "when"), combinations(DATES, DATES_NAMED))
def test_date(try_mode: Try, name: str, when: When) -> None:
    """Nobody's clock can be so wrong: it is the header that is."""
    # After a longer gap than that, they tell a clock of ours that was set from a pause.
    try_mode(DATES[name], when, lookback="4h")
