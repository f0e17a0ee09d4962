"""The landing page."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest

from exporter.web.landing import SECURITY_HEADERS, Landing

LANDING = Landing("stats exporter", "1.2.3", "Counts what is counted.")


class Outline(HTMLParser):
    """Collects the links, the text and the open tags."""

    def __init__(self, document: str) -> None:
        """Parse the document."""
        super().__init__()
        self.links: list[str | None] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a link, and every tag that needs a closing tag."""
        if tag != "meta":
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost open tag, which must be this one."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data


def test_says_what_it_is() -> None:
    """The page holds the name, the version and the description."""
    text = Outline(LANDING.html()).text

    assert "stats exporter" in text
    assert "1.2.3" in text
    assert "Counts what is counted." in text


def test_links() -> None:
    """The page links to the metrics and the probes, and to nothing else."""
    assert ["metrics", "-/healthy", "-/ready"] == Outline(LANDING.html()).links


@pytest.mark.parametrize("base", ["http://host:10790/", "https://host/tools/sentry/"])
def test_links_work_below_a_prefix(base: str) -> None:
    """Links stay below the prefix that a proxy adds."""
    links = [urljoin(base, link or "") for link in Outline(LANDING.html()).links]

    assert [f"{base}metrics", f"{base}-/healthy", f"{base}-/ready"] == links


def test_is_well_formed() -> None:
    """Every tag is closed."""
    assert [] == Outline(LANDING.html()).open


def test_is_for_phones_and_the_dark() -> None:
    """The page fits the width of a phone and follows the colour scheme."""
    html = LANDING.html()

    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "color-scheme: light dark" in html


def test_escapes() -> None:
    """Text with characters special to HTML stays text."""
    hostile = '</p><script>alert("$name")</script>'
    html = Landing(hostile, hostile, hostile).html()

    assert "<script" not in html
    assert 4 == Outline(html).text.count(hostile)


def test_policy_allows_the_page_its_own_style_only() -> None:
    """The policy has the hash of the page's style, so that no other style is applied."""
    style = re.search("<style>(.*)</style>", LANDING.html(), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = SECURITY_HEADERS["Content-Security-Policy"]

    assert f"default-src 'none'; style-src 'sha256-{digest}'" in policy
