"""Requests for the status page, over real sockets."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from exporter.status import ExporterStatus
from exporter.web.app import make_app
from exporter.web.status.endpoint import MAX_RENDERING, MAX_WAITING
from tests.support.programs import TIMEOUT, wait_until
from tests.support.serving import FakeHealth, NoPages, serving_app
from tests.support.statuses import healthy


class HeldStatus:
    """A status that nobody gets before it is released."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.asking = 0
        self.most = 0
        self.released = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> ExporterStatus:
        """Return the status once it is released."""
        with self._lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        assert self.released.wait(TIMEOUT)
        with self._lock:
            self.asking -= 1
        return healthy()


def answered(
    path: str = "/", method: str = "GET", status: Callable[[], ExporterStatus] = healthy
) -> requests.Response:
    """Return the answer to one request."""
    with serving_app(make_app(NoPages(), FakeHealth(), status)) as server:
        return requests.request(method, f"http://{server.addresses[0]}{path}", timeout=TIMEOUT)


def test_is_not_stored() -> None:
    """No cache keeps what was true a moment ago."""
    assert "no-store" == answered().headers["Cache-Control"]


def test_refreshes_itself() -> None:
    """Browsers ask again after 30 seconds, or as the reader chooses."""
    assert "30" == answered().headers["Refresh"]
    assert "300" == answered("/?refresh=300").headers["Refresh"]
    assert "Refresh" not in answered("/?refresh=off").headers


def test_form_does_not_refresh() -> None:
    """The form stays, or what the reader is typing would be lost."""
    assert "Refresh" not in answered("/?page=filter").headers
    assert "Refresh" not in answered("/?page=filter&refresh=15").headers


def test_head() -> None:
    """HEAD has the headers of GET, and no body."""
    get, head = answered(), answered(method="HEAD")

    assert b"" == head.content
    assert get.headers["Content-Length"] == head.headers["Content-Length"]


def test_choices() -> None:
    """The query string says what is shown."""
    text = answered("/?query=acme%2Foutcomes").text

    assert "<svg" in text
    assert "globex/outcomes" not in text


def test_unknown_query() -> None:
    """The address of a query that there is not, or no longer, is not found; others are."""
    response = answered("/?query=acme%2Fgone")

    assert 404 == response.status_code
    assert "There is no query acme/gone on this exporter." in response.text
    assert "Charts by" not in response.text
    assert "30" == response.headers["Refresh"]
    assert 200 == answered("/?query=acme%2Foutcomes").status_code


class TestRenderingAside:
    """However long a page takes to render, others are answered."""

    def test_scrapes_go_on(self) -> None:
        """Scrapes are answered while the page is rendered, and only so many are at once."""
        held = HeldStatus()
        with (
            serving_app(make_app(NoPages(), FakeHealth(), held)) as server,
            ThreadPoolExecutor() as run,
        ):
            url = f"http://{server.addresses[0]}"
            pages = [run.submit(requests.get, url, timeout=TIMEOUT) for _ in range(4)]
            wait_until(lambda: held.asking == MAX_RENDERING)

            scrape = requests.get(f"{url}/metrics", timeout=TIMEOUT)
            held.released.set()

            assert 200 == scrape.status_code
            assert [200] * 4 == [each.result().status_code for each in pages]
            assert MAX_RENDERING == held.most

    def test_too_many(self) -> None:
        """Who would have to wait behind too many others is sent away at once."""
        held = HeldStatus()
        with (
            serving_app(make_app(NoPages(), FakeHealth(), held)) as server,
            ThreadPoolExecutor(MAX_WAITING + 1) as run,
        ):
            url = f"http://{server.addresses[0]}"
            codes = [run.submit(requests.get, url, timeout=TIMEOUT) for _ in range(MAX_WAITING + 1)]
            wait_until(lambda: any(each.done() for each in codes))
            held.released.set()
            answers = sorted(each.result().status_code for each in codes)

        assert [200] * MAX_WAITING + [503] == answers

    def test_a_fault_of_ours(self) -> None:
        """A page that cannot be rendered is a 500, and the next request has its turn."""
        broken = [1]

        def status() -> ExporterStatus:
            """Fail the first times."""
            if broken:
                raise ZeroDivisionError
            return healthy()

        with serving_app(make_app(NoPages(), FakeHealth(), status)) as server:
            url = f"http://{server.addresses[0]}"
            failed = [requests.get(url, timeout=TIMEOUT) for _ in range(MAX_WAITING + 2)]
            broken.clear()

            assert {500} == {each.status_code for each in failed}
            assert 200 == requests.get(url, timeout=TIMEOUT).status_code
