"""The status page in Chromium: what readers see, with which width, colours and keys."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from exporter.app import Exporter
from exporter.simulator import Fault, Simulator
from exporter.status import ExporterStatus
from exporter.web.app import make_app
from tests.docs.markdown import README
from tests.support import statuses
from tests.support.browser import Visit, chromium, visiting
from tests.support.clock import Clock
from tests.support.configuration import PROJECTS, configuration, organization
from tests.support.exporters import poll_all
from tests.support.programs import REPOSITORY, wait_until
from tests.support.serving import FakeHealth, NoPages, serving, serving_app
from tests.support.statuses import SCENES

pytestmark = pytest.mark.programs

SCREENSHOTS: Final = REPOSITORY / "build" / "screenshots"
README_SCREENSHOT: Final = REPOSITORY / "docs" / "status-page.png"

PHONE: Final = 360

LOOKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"width": PHONE},
}

SEEN: Final = (
    ("healthy", "light", "?query=acme/outcomes"),
    ("healthy", "dark", "?query=acme/outcomes"),
    ("healthy", "phone", ""),
    ("failing", "light", ""),
    ("failing", "dark", ""),
    ("failing", "phone", "?query=acme/outcomes&by=category"),
    ("incomplete", "light", "?query=acme/projects"),
    ("empty", "light", ""),
    ("shard without queries", "light", ""),
    ("hostile", "phone", "?query=acme/outcomes"),
    ("form", "light", "?page=filter&q=out"),
    ("form", "phone", "?page=filter"),
)
"""The pages that are looked at: a scene, how the reader sees it, and what they have chosen.

Axe takes some seconds for each: every element of the page is in one of them, every colour too.
"""

Shown = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Shown]:
    """Return a function that opens an address."""
    with visiting(browser) as opened:
        yield opened


@pytest.fixture
def show(visit: Shown) -> Iterator[Shown]:
    """Return a function that serves a status, and opens its page with a query string."""
    with ExitStack() as servers:

        def serve(status: Callable[[], ExporterStatus], query: str = "", **look: Any) -> Visit:
            """Serve ``status`` and open the page."""
            app = make_app(NoPages(), FakeHealth(), status)
            server = servers.enter_context(serving_app(app))
            return visit(f"http://{server.addresses[0]}/{query}", **look)

        yield serve


def background(page: Page, selector: str = "body") -> tuple[float, float]:
    """Return how bright an element's background and its text are, from 0 to 255."""
    colours = page.locator(selector).first.evaluate(
        "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]"
    )
    background, text = (
        sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3
        for colour in colours
    )
    return background, text


def rows(page: Page) -> list[str]:
    """Return the names of the queries that the page has a row for."""
    names: list[str] = page.locator(".queries > tbody > tr[id]").evaluate_all(
        "rows => rows.map(one => one.id)"
    )
    return names


@pytest.fixture(scope="module", params=SEEN, ids=["-".join(one[:2]) for one in SEEN])
def scene(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Visit]:
    """Return the page of a scene with a look, which is opened once for several tests."""
    name, look, query = request.param
    app = make_app(NoPages(), FakeHealth(), SCENES.get(name, statuses.healthy))
    with serving_app(app) as server, visiting(browser) as opened:
        yield opened(f"http://{server.addresses[0]}/{query}", **LOOKS[look])


def picture(page: Page, name: str, **options: Any) -> Path:
    """Leave a screenshot in `SCREENSHOTS` for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name.replace(' ', '-')}.png"
    page.screenshot(path=path, **options)
    return path


def widths(page: Page) -> tuple[int, int]:
    """Return how wide the window and the page are."""
    window, document = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    return window, document


class TestEveryScene:
    """What must hold in every state and for every reader."""

    def test_accessible(self, scene: Visit) -> None:
        """Axe finds nothing, including contrasts and the names of everything."""
        options = {"resultTypes": ["violations"]}

        violations = Axe().run(scene.page, options=options).response["violations"]

        assert [] == [
            (one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in violations
        ]

    def test_keeps_to_itself(self, scene: Visit) -> None:
        """The console is silent, and no request goes to another host."""
        assert [] == scene.console
        assert scene.requested
        assert {urlsplit(scene.url).netloc, ""} >= scene.hosts

    def test_fits_the_window(self, scene: Visit) -> None:
        """The page is never wider than the window."""
        window, page = widths(scene.page)

        assert window == page

    def test_screenshot(self, scene: Visit, request: pytest.FixtureRequest) -> None:
        """A screenshot is left."""
        path = picture(scene.page, request.node.callspec.id, full_page=True)

        assert path.stat().st_size > 5_000


def test_thousand_queries(show: Shown) -> None:
    """A thousand queries fit the window of a phone, in silence."""
    visit = show(statuses.thousand, **LOOKS["phone"])
    window, page = widths(visit.page)
    picture(visit.page, "thousand-phone")

    assert 1000 == len(rows(visit.page))
    assert [] == visit.console
    assert window == page


class TestColours:
    """Dark and light, as the browser chooses."""

    def test_light(self, show: Shown) -> None:
        """Text is dark on a bright page."""
        page, text = background(show(statuses.healthy).page)

        assert page > 240
        assert text < 60

    def test_dark(self, show: Shown) -> None:
        """Text is bright on a dark page, and so is a chart's."""
        page = show(statuses.healthy, "?query=acme/outcomes", color_scheme="dark").page
        paper, text = background(page)
        tick = page.locator("svg text").first.evaluate("one => getComputedStyle(one).fill")

        assert paper < 40
        assert text > 200
        assert "rgb(163, 169, 182)" == tick


class TestReading:
    """What the reader can choose."""

    def test_filter_by_text(self, show: Shown) -> None:
        """The form leaves only what matches, and says how many there are."""
        page = show(statuses.thousand).page
        page.get_by_role("link", name="Filter the queries").click()
        expect(page.get_by_label("Text")).to_be_focused()
        page.keyboard.type("organization-3/ query-12")
        page.keyboard.press("Enter")

        expect(page.get_by_role("navigation", name="Filter")).to_contain_text("1 query")
        assert ["organization-3/query-12"] == rows(page)

    def test_filter_by_state(self, show: Shown) -> None:
        """The number of failing queries leads to them, and the filter can be cleared."""
        page = show(statuses.failing).page

        page.get_by_role("link", name="2 failing").click()
        failing = rows(page)
        page.get_by_role("link", name="Clear filter").click()

        assert ["acme/outcomes", "acme/projects"] == failing
        assert 3 == len(rows(page))

    def test_nothing_matches(self, show: Shown) -> None:
        """A filter that matches nothing says so, and leads back."""
        page = show(statuses.healthy, "?q=nowhere").page

        expect(page.locator("main")).to_contain_text("No query matches the filter.")
        page.get_by_role("link", name="Show all 4 queries").click()

        assert 4 == len(rows(page))

    def test_details(self, show: Shown) -> None:
        """The name of a query leads to its details, and from there back to the same list."""
        page = show(statuses.healthy, "?q=outcomes").page

        page.get_by_role("link", name="outcomes").last.click()
        expect(page.get_by_role("heading", name="Last polls")).to_be_visible()
        alone = rows(page)
        page.get_by_role("link", name="All queries").click()

        assert ["globex/outcomes"] == alone
        assert ["acme/outcomes", "globex/outcomes"] == rows(page)

    def test_charts_of_a_category(self, show: Shown) -> None:
        """The charts can be of another category than errors, or of all of them."""
        page = show(statuses.healthy, "?query=acme/outcomes").page
        assert "filtered" in page.locator(".legend").inner_text()

        page.get_by_role("link", name="attachment", exact=True).click()
        expect(page.locator("figcaption")).to_have_text("Bytes of attachment by outcome")
        page.get_by_role("link", name="all", exact=True).click()

        expect(page.locator("figure")).to_have_count(3)

    def test_charts_by_category(self, show: Shown) -> None:
        """The charts can be by category."""
        page = show(statuses.healthy, "?query=acme/outcomes").page
        assert "accepted" in page.locator(".legend").first.inner_text()

        page.get_by_role("link", name="category", exact=True).click()

        expect(page.locator(".legend").first).to_contain_text("transaction")
        assert ["acme/outcomes"] == rows(page)

    def test_numbers(self, show: Shown) -> None:
        """The numbers behind a chart are a table: a row for each of its columns."""
        page = show(statuses.healthy, "?query=acme/outcomes").page

        table = page.get_by_role("table", name="acme/outcomes: events of error")
        expect(table.get_by_role("row")).to_have_count(26)

    @pytest.mark.parametrize("chosen", ["category=all", "by=category"])
    @pytest.mark.parametrize("width", [PHONE, 800, 1000, 1200, 1600])
    def test_no_column_is_cut_off(self, show: Shown, width: int, chosen: str) -> None:
        """Tables fit the window: nobody has to scroll sideways for a column."""
        page = show(statuses.failing, f"?query=acme/outcomes&{chosen}", width=width).page

        hidden: list[int] = page.locator(".scroll").evaluate_all(
            "all => all.map(one => one.scrollWidth - one.clientWidth)"
        )

        assert 4 == len(hidden)
        assert {0} == set(hidden)

    def test_chart_in_words(self, show: Shown) -> None:
        """A chart has a name and a description, for those who cannot see it."""
        page = show(statuses.healthy, "?query=acme/outcomes").page

        image = page.get_by_role("img", name="acme/outcomes: events of error by outcome")

        expect(image).to_have_accessible_name(re.compile("In total: accepted 976,022, filtered"))


class TestKeyboard:
    """Without a mouse."""

    def test_skip_link(self, show: Shown) -> None:
        """The first link, seen when it has the focus, leads past everything to the queries."""
        page = show(statuses.healthy).page

        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the queries")).to_be_in_viewport()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("[id='acme/outcomes'] a")).to_be_focused()
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", name="Last polls")).to_be_visible()

    def test_focus_is_seen(self, show: Shown) -> None:
        """Everything that can have the focus shows that it has it."""
        page = show(statuses.healthy, "?query=acme/outcomes").page
        without = []

        for _ in range(40):
            page.keyboard.press("Tab")
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            if style == "none":
                without.append(page.evaluate("document.activeElement.tagName"))

        # After the last element the focus leaves the page for the browser.
        assert {"BODY"} >= set(without)


class TestRefresh:
    """The page loads itself again."""

    @pytest.mark.parametrize("look", ["light", "phone"])
    def test_keeps_the_place(self, show: Shown, look: str) -> None:
        """After a refresh the reader is where they were, and the filter is as it was."""
        page = show(_later(statuses.thousand), "?q=organization-1&refresh=300", **LOOKS[look]).page
        refresh = HeldRefresh(page)
        page.reload()
        page.evaluate("window.scrollTo(0, 1500)")

        refresh.release()

        page.wait_for_function("scrollY === 1500")
        assert page.url.endswith("?q=organization-1&refresh=300")
        expect(page.get_by_role("navigation", name="Filter")).to_contain_text("Text organization-1")

    def test_form_is_left_alone(self, show: Shown) -> None:
        """While the reader types, nothing is loaded again: text and focus stay."""
        visit = show(_later(statuses.healthy), "?refresh=300")
        page = visit.page
        page.route("**/*", _refreshing)
        page.reload()
        _wait_for_refresh(page)
        page.get_by_role("link", name="Filter the queries").click()
        expect(page.get_by_label("Text")).to_be_focused()
        page.keyboard.type("half a wo")
        loaded = len(visit.requested)

        page.wait_for_timeout(2500)

        assert loaded == len(visit.requested)
        assert "half a wo" == page.get_by_label("Text").input_value()
        expect(page.get_by_label("Text")).to_be_focused()

    def test_keeps_the_place_in_details(self, show: Shown) -> None:
        """Who reads the details of a query stays there too."""
        page = show(_later(statuses.healthy), "?refresh=300", width=PHONE).page
        refresh = HeldRefresh(page)
        page.get_by_role("link", name="projects").first.click()
        page.get_by_role("heading", name="Last polls").scroll_into_view_if_needed()
        place = page.evaluate("scrollY")

        refresh.release()

        assert place > 500
        page.wait_for_function("place => scrollY === place", arg=place)
        assert page.url.endswith("?refresh=300&query=acme/projects")

    def test_can_be_turned_off(self, show: Shown) -> None:
        """The reader can turn it off, and choose how often."""
        page = show(statuses.healthy).page
        headers = []
        page.on("response", lambda response: headers.append(response.headers.get("refresh")))

        page.get_by_role("link", name="1 min", exact=True).click()
        page.get_by_role("link", name="off", exact=True).click()
        page.get_by_role("link", name="30 s", exact=True).click()

        assert ["60", None, "30"] == headers


class HeldRefresh:
    """Makes the next document refresh itself after a second; the refresh waits for its release.

    Until then the browser shows the old document, however slow the test is.
    """

    def __init__(self, page: Page) -> None:
        """Take over the requests of ``page``."""
        self._page = page
        self._held: list[Route] = []
        self._refreshes = False
        page.route("**/*", self._handle)

    def _handle(self, route: Route) -> None:
        """Answer the first request, and hold the next one."""
        if self._refreshes:
            self._held.append(route)
        else:
            self._refreshes = True
            _refreshing(route)

    def release(self) -> None:
        """Wait for the refresh, and return once it is done."""
        wait_until(self._has_come)
        with self._page.expect_navigation():
            self._held.pop().continue_()

    def _has_come(self) -> bool:
        """Return whether the browser has requested the refresh."""
        # Requests are handled only while playwright runs.
        self._page.wait_for_timeout(20)
        return bool(self._held)


def _refreshing(route: Route) -> None:
    """Let a page that refreshes itself do so after a second instead of some minutes."""
    response = route.fetch()
    sooner = {"refresh": "1"} if "refresh" in response.headers else {}
    route.fulfill(response=response, headers={**response.headers, **sooner})


def _later(scene: Callable[[], ExporterStatus]) -> Callable[[], ExporterStatus]:
    """Return the status of a scene a second later each time."""
    moments = iter(range(1_000_000))
    return lambda: replace(scene(), now=statuses.NOW + next(moments))


def _wait_for_refresh(page: Page) -> None:
    """Return once ``page`` shows another time."""
    clock = page.locator("time").first
    before = clock.text_content()
    wait_until(lambda: clock.text_content() != before)
    page.wait_for_load_state()


def test_of_a_real_exporter(visit: Shown, sentry: Simulator, clock: Clock) -> None:
    """The page of an exporter shows what it has read, and what has gone wrong since."""
    entry = organization({"name": "outcomes", "groupBy": ["category", "outcome"]}, PROJECTS)
    exporter = Exporter(configuration(sentry.url, entry), clock=clock)
    with serving(exporter) as url:
        page = visit(f"{url}/?query=acme/outcomes&category=all").page
        expect(page.locator("main")).to_contain_text("Nothing has been read yet.")
        poll_all(exporter, clock.now)
        page.reload()
        expect(page.locator("section", has_text="acme").first).to_contain_text("12 readable")
        expect(page.locator("figure")).to_have_count(3)
        sentry.faults.add(Fault("status", status=503, times=None))
        clock.now += 600
        poll_all(exporter, clock.now)
        page.reload()

        expect(page.locator("[id='acme/outcomes']")).to_contain_text("failing")
        expect(page.locator(".problem").first).to_contain_text("server_error since 2026-03-01")


def test_readme_shows_it(show: Shown) -> None:
    """README has a small screenshot, which ``make screenshot`` takes anew."""
    page = show(statuses.mixed, width=1200).page
    page.set_viewport_size({"width": 1200, "height": 800})

    path = picture(page, "readme")

    assert path.stat().st_size < 150_000
    assert 20_000 < README_SCREENSHOT.stat().st_size < 150_000
    assert "](docs/status-page.png)" in README.read_text("utf-8")
