"""Debian's Chromium, driven by playwright."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support.programs import TIMEOUT, find_program

expect.set_options(timeout=TIMEOUT * 1000)

_ARGUMENTS: Final = (
    *("--disable-background-networking", "--disable-component-update", "--disable-gpu"),
    *("--disable-quic", "--disable-sync", "--no-first-run"),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium until the end of the block, with a profile of its own."""
    path = find_program("chromium", "chromium")
    # Its sandbox does not work for root.
    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*_ARGUMENTS, *sandbox], headless=True
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page at ``url``, what its console said, and which addresses it requested."""

    page: Page
    url: str
    console: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def note_console(self, message: ConsoleMessage) -> None:
        """Remember what the console says."""
        self.console.append(message.text)

    def note_request(self, request: Request) -> None:
        """Remember a request."""
        self.requested.append(request.url)

    @property
    def hosts(self) -> set[str]:
        """The hosts that were asked, ``""`` for what is in the page itself."""
        return {urlsplit(url).netloc for url in self.requested}


@contextmanager
def visiting(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Yield a function that opens an address in a page of its own."""
    with ExitStack() as pages:

        def visit(url: str, width: int = 1280, **options: Any) -> Visit:
            """Open ``url`` in a window of that ``width``."""
            viewport = {"width": width, "height": 900}
            page = browser.new_page(viewport=viewport, **options)  # type: ignore[arg-type]
            page.set_default_timeout(TIMEOUT * 1000)
            pages.callback(page.close)
            visit = Visit(page, url)
            page.on("console", visit.note_console)
            page.on("pageerror", lambda error: visit.console.append(str(error)))
            page.on("request", visit.note_request)
            page.goto(url)
            return visit

        yield visit
