"""A publisher whose reports reach the page only while its configuration is in force."""

from threading import Event, Thread

import pytest

from exporter.collect.publisher import RevocablePublisher
from exporter.collect.snapshot import ProjectInfo, Report
from tests.support.publishing import RecordingPublisher

TIMEOUT = 5
"""Seconds before a hang is called one."""

ACME = Report("acme", "outcomes")
WEB = [ProjectInfo("web", 1, "python")]


class SlowPage(RecordingPublisher):
    """Publishes only when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.allowed = Event(), Event()

    def publish(self, report: Report) -> None:
        """Wait, and record the report."""
        self.begun.set()
        self.allowed.wait(TIMEOUT)
        super().publish(report)


def test_only_between() -> None:
    """What comes before `enable` or after `revoke` is dropped."""
    page = RecordingPublisher()
    publisher = RevocablePublisher(page, frozenset({"acme", "globex"}))

    publisher.publish(ACME)
    publisher.publish_projects("globex", WEB)
    publisher.enable()
    publisher.publish(ACME)
    publisher.publish_projects("acme", WEB)
    publisher.revoke()
    publisher.publish(ACME)
    publisher.publish_projects("globex", WEB)

    assert [ACME] == page.reports
    assert {"acme": WEB} == page.projects


def test_projects_of_another_shard() -> None:
    """Projects that another exporter publishes are not passed on."""
    page = RecordingPublisher()
    publisher = RevocablePublisher(page, frozenset({"globex"}))
    publisher.enable()

    publisher.publish_projects("acme", WEB)

    assert {} == page.projects
    assert [True, False] == [publisher.publishes_projects(one) for one in ("globex", "acme")]


def test_revoke_waits() -> None:
    """`revoke` returns once what is being published is published, and not before."""
    page = SlowPage()
    publisher = RevocablePublisher(page, frozenset())
    publisher.enable()
    publishing = Thread(target=publisher.publish, args=(ACME,), daemon=True)
    revoking = Thread(target=publisher.revoke, daemon=True)
    publishing.start()
    begun = page.begun.wait(TIMEOUT)
    revoking.start()
    revoking.join(0.05)
    waits = revoking.is_alive()

    page.allowed.set()
    revoking.join(TIMEOUT)
    publishing.join(TIMEOUT)

    assert begun
    assert waits
    assert not revoking.is_alive()
    assert [ACME] == page.reports


def test_fault() -> None:
    """A page that fails does not make `revoke` wait."""

    class BrokenPage(RecordingPublisher):
        def publish(self, _report: Report) -> None:
            raise RuntimeError

    publisher = RevocablePublisher(BrokenPage(), frozenset())
    publisher.enable()

    with pytest.raises(RuntimeError):
        publisher.publish(ACME)

    publisher.revoke()
