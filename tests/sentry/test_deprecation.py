"""What several answers announce at the same time."""

import threading

from exporter.sentry.deprecation import Deprecations

TIMEOUT = 0.2
EARLY, LATE = (
    {"X-Sentry-Deprecation-Date": date} for date in ("2026-12-01T00:00:00Z", "2027-12-01T00:00:00Z")
)


class SlowMeter:
    """Shows the first announcement only once another thread has had time for the next one."""

    def __init__(self) -> None:
        self.shown: list[float | None] = []
        self.second: threading.Thread | None = None
        self.news = Deprecations("acme", self, lambda: 0.0)

    def deprecation(self, api: str, moment: float | None) -> None:
        """Show when ``api`` is to go away."""
        if self.second is None:
            self.second = threading.Thread(target=self.news.note, args=(api, 200, LATE))
            self.second.start()
            self.second.join(TIMEOUT)
        self.shown.append(moment)


def test_the_announcement_that_is_noted_last_is_shown_last() -> None:
    """Two threads do not leave the older announcement on the page."""
    meter = SlowMeter()
    meter.news.note("stats_v2", 200, EARLY)
    assert meter.second is not None
    meter.second.join()

    assert [meter.shown[-1]] == [one.moment for one in meter.news.announced]
