"""The status page as HTML."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collect.ledger import Bucket
from exporter.collect.series import Series
from exporter.sentry.api_status import ApiStatus
from exporter.sentry.deprecation import Deprecation
from exporter.sentry.question import QUANTITY
from exporter.status import ExporterStatus, QueryState, QueryStatus, TokenStatus
from exporter.web.status.choices import Choices
from exporter.web.status.page import MAX_PROBLEMS, MAX_ROWS, SECURITY_HEADERS, Renderer
from tests.support.rows import HOUR, NOON, column
from tests.support.statuses import (
    NOW,
    SCENES,
    empty,
    exporter,
    failing,
    failing_query,
    healthy,
    incomplete,
    organization,
    polls,
    query,
    query_status,
    waiting_query,
    without_queries,
)

RENDERER: Final = Renderer()
ONE: Final = Choices(query="acme/outcomes")

_VOID: Final = {"meta", "link", "input"}


class Outline(HTMLParser):
    """Collects the tags, the links and the text of a page."""

    def __init__(self, document: str) -> None:
        """Parse the document."""
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.styled: list[str] = []
        self.ids: list[str | None] = []
        self.open: list[str] = []
        self._text: list[str] = []
        self.feed(document)
        self.close()

    @property
    def text(self) -> str:
        """The text without markup, with single spaces."""
        return " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag with its links, its id, and what would run or style it."""
        self.tags.append(tag)
        self._separate(tag)
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"href", "src", "action"}:
                self.links.append(value)
            if name == "style" or name.startswith("on"):
                self.styled.append(name)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost open tag, which must be this one."""
        assert tag == self.open.pop()
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self._text.append(data)

    def _separate(self, tag: str) -> None:
        """Separate the text of blocks, as a browser does."""
        if tag not in {"a", "span", "strong", "time"}:
            self._text.append(" ")


def page(status: ExporterStatus, choices: Choices | None = None) -> Outline:
    """Return the page that shows ``status``."""
    return Outline(RENDERER.render(status, choices or Choices()))


@pytest.mark.parametrize(
    "choices",
    [Choices(), ONE, Choices(query="acme/outcomes", by="category"), Choices(page="filter")],
)
@pytest.mark.parametrize("scene", [one for one in SCENES if one != "thousand"])
class TestEveryScene:
    """What holds whatever the page shows."""

    def test_well_formed(self, scene: str, choices: Choices) -> None:
        """Every tag is closed, and no id is there twice."""
        outline = page(SCENES[scene](), choices)

        assert [] == outline.open
        assert len(set(outline.ids)) == len(outline.ids)

    def test_no_script_and_no_inline_style(self, scene: str, choices: Choices) -> None:
        """Nothing in it needs a weaker policy."""
        outline = page(SCENES[scene](), choices)

        assert "script" not in outline.tags
        assert [] == outline.styled

    def test_links_work_below_a_prefix(self, scene: str, choices: Choices) -> None:
        """All links are relative."""
        base = "https://host/tools/sentry/"

        for link in page(SCENES[scene](), choices).links:
            assert link is not None
            assert urljoin(base, link).startswith((base, "data:image/svg+xml,"))


def replace_report(shown: QueryStatus, **report: Any) -> QueryStatus:
    """Return the status of a query of which the ``report`` says something else."""
    return replace(shown, report=replace(shown.report, **report))


def counted(status: ExporterStatus) -> dict[str, int]:
    """Return how many rows the page has for each state, if there are any."""
    rows = {
        state: len(re.findall('<tr id="', RENDERER.render(status, Choices(state=state))))
        for state in QueryState
    }
    return {state: number for state, number in rows.items() if number}


class TestOverview:
    """The exporter itself."""

    def test_healthy(self) -> None:
        """It says how long it has run, and when it read its configuration."""
        text = page(healthy()).text

        assert "sentry-stats-exporter 1.2.3" in text
        assert "Queries up 4 of 4 Uptime 2 d 2 h Configuration read 5 h ago" in text
        assert "State file in use" in text
        assert "Shard" not in text

    def test_failed_reload(self) -> None:
        """A reload that failed is seen, with its problems."""
        text = page(failing()).text

        assert "the last reload failed" in text
        assert (
            "The last reload failed. The configuration read before stays in use. exporter.yaml:7: "
        ) in text
        assert "unknown key gruopBy Filter" in text

    def test_reload_after_a_failed_one(self) -> None:
        """The problems of a reload are gone once one has succeeded."""
        text = page(replace(failing(), reload_successful=True)).text

        assert "reload failed" not in text
        assert "gruopBy" not in text

    def test_many_problems(self) -> None:
        """Of many problems the first ones are shown."""
        problems = [f"problem-{number};" for number in range(MAX_PROBLEMS + 2)]

        text = page(replace(failing(), reload_problems=problems)).text

        assert f"problem-{MAX_PROBLEMS - 1}; 2 more problems in the log" in text
        assert f"problem-{MAX_PROBLEMS};" not in text

    def test_counts(self) -> None:
        """How many queries are in which state leads to them."""
        outline = page(failing())

        assert "1 of 3 · 2 failing" in outline.text
        assert "?state=failing" in outline.links
        assert {"failing": 2, "up": 1} == counted(failing())

    def test_incomplete_is_up(self) -> None:
        """A query whose last poll succeeded is up, though its bucket may be incomplete."""
        assert "Queries up 2 of 2 · 1 incomplete" in page(incomplete()).text
        assert {"up": 2, "incomplete": 1} == counted(incomplete())

    def test_other_pages(self) -> None:
        """There are links to the other paths."""
        assert {"metrics", "config", "-/healthy", "-/ready"} < set(page(healthy()).links)

    def test_shard_without_queries(self) -> None:
        """A shard that has nothing to do says so."""
        text = page(without_queries()).text

        assert "Shard 2 of 3" in text
        assert "This shard has no queries." in text


class TestFilter:
    """The filter: what is chosen is on the list, and the form on a page of its own."""

    def test_none(self) -> None:
        """Without a filter a link leads to the form, and no form is on the list."""
        outline = page(healthy(), Choices(refresh=60))

        assert "Filter the queries" in outline.text
        assert "?refresh=60&page=filter" in outline.links
        assert "form" not in outline.tags

    def test_chosen(self) -> None:
        """The list says what it is filtered by, and leads to other choices."""
        outline = page(healthy(), Choices(q="outcomes", state="up", organization="acme"))

        assert "Text outcomes · State up · Organization acme · 1 query Change" in outline.text
        assert "?q=outcomes&state=up&organization=acme&page=filter" in outline.links
        assert "?" in outline.links

    def test_form(self) -> None:
        """The form has what is chosen already, and takes the other choices with it."""
        html = RENDERER.render(healthy(), Choices(q="a b", by="category", page="filter"))

        assert 'name="q" value="a b"' in html
        assert '<input type="hidden" name="by" value="category">' in html
        assert 'name="page"' not in html
        assert "<table" not in html


class TestOrganization:
    """What an organization's section says."""

    def test_facts(self) -> None:
        """Server, token, projects, rate limit and clock."""
        text = page(incomplete()).text

        assert "https://sentry.example" in text
        assert "internal integration token, from token_file /run/secrets/token" in text
        assert "9 readable, 3 hidden" in text
        assert "37 of 40 requests left" in text
        assert "7 min 1 s behind" in text

    def test_unusable_token(self) -> None:
        """A token that cannot be used has its reason in the place of its kind."""
        assert "Token token_file /run/secrets/token is empty" in page(failing()).text

    def test_token_in_the_configuration(self) -> None:
        """A token that is in the configuration is said to be there."""
        status = exporter(organization([query_status()], token=TokenStatus("token", "user token")))

        assert "user token, in the configuration file" in page(status).text

    def test_deprecation(self) -> None:
        """What the server announces to remove is there with its replacement."""
        expected = "Sentry removes stats_v2 on 2027-01-31; its replacement is /api/1/stats/."

        assert expected in page(failing()).text

    def test_unknown(self) -> None:
        """What is not known yet has no empty place."""
        text = page(empty()).text

        assert "Rate limit" not in text
        assert "Projects" not in text


class TestQuery:
    """A query's row."""

    def test_row(self) -> None:
        """What it asks, its state, its data and its polls."""
        assert (
            "outcomes category, outcome, reason · 1h every 5m up 7 min 34 s ago "
            "14 Nov 21:00\u201322:00 78 in 52 min 26 s 1 request, 0.41 s"
        ) in page(healthy()).text

    def test_question(self) -> None:
        """A row says in full what its query asks, the filter and the field included."""
        asked = query(
            filter={"category": "error", "project": ["web", "a"]}, field="sum(times_seen)"
        )
        status = exporter(organization([query_status(written=asked)]))

        assert (
            "category, outcome, reason · 1h every 5m "
            "category error · project web or a · sum(times_seen) up"
        ) in page(status).text

    def test_long_filter(self) -> None:
        """Of many projects a row names some, and the details all."""
        asked = query(filter={"project": [f"p{number}" for number in range(9)]})
        status = exporter(organization([query_status(written=asked)]))

        assert "project p0, p1, p2, p3, p4 or 4 more up" in page(status).text
        assert "project p0, p1, p2, p3, p4, p5, p6, p7 or p8 interval" in page(status, ONE).text

    def test_failing(self) -> None:
        """A failing query has its error with remedy, since when, and how often."""
        text = page(failing(), ONE).text

        assert (
            "unauthorized since 2023-11-14 20:05:00 UTC (2 h 7 min), 3 failed polls in a row "
            'HTTP 401: {"detail":"Invalid token"} '
            "[https://sentry.example/api/0/organizations/acme/stats_v2/] "
            "Sentry does not know this token: create a new one, or correct its file"
        ) in text

    def test_same_failure_of_all(self) -> None:
        """What all queries of an organization fail for is there once, above them."""
        text = page(failing()).text

        assert (
            "unauthorized 2 queries, the first since 2023-11-14 18:12:34 UTC (4 h) HTTP 401: "
        ) in text
        assert 1 == text.count("HTTP 401")
        assert 1 == text.count("Sentry does not know this token")

    def test_other_failures(self) -> None:
        """Where they differ, or not all fail, each query has its own."""
        other = failing_query("projects", last_polls=polls(3, reason="network", error="no route"))
        different = page(exporter(organization([failing_query(), other]))).text
        only_one = page(exporter(organization([failing_query(), query_status("projects")]))).text

        assert "unauthorized since" in different
        assert "network since" in different
        assert "unauthorized since" in only_one

    def test_failed_once(self) -> None:
        """A single failed poll is no row of them."""
        failed = failing_query(last_polls=polls(1), failed_polls=1)

        text = page(exporter(organization([failed]))).text

        assert "(2 h 7 min), 1 failed poll HTTP 401" in text

    def test_late_poll(self) -> None:
        """A poll that is late is not said to have been in the past."""
        late = replace_report(waiting_query(), next_poll=NOW - 6)

        assert (
            "waiting never \u2013 \u2013 now none yet" in page(exporter(organization([late]))).text
        )

    def test_data_withdrawn(self) -> None:
        """A row says that its data have become too old to be shown."""
        assert (
            "projects category, outcome, reason · 1h every 5m failing data withdrawn 5 h ago"
            in (page(failing()).text)
        )

    def test_no_data_since_the_start(self) -> None:
        """After a restart no data have been withdrawn, there have just been none yet."""
        failed = failing_query(view=None, last_success=NOW - 600)

        text = page(exporter(organization([failed]))).text

        assert "failing no data since the start 10 min ago" in text
        assert "withdrawn" not in text

    def test_error_of_the_past(self) -> None:
        """The last error of a query that is well again is among its details only."""
        past = (*polls(1), *polls())
        status = exporter(organization([query_status(last_polls=past)]))

        assert "HTTP 401" not in page(status).text
        assert "unauthorized last failed" in page(status, ONE).text

    def test_missing_projects(self) -> None:
        """Projects of the filter that cannot be read are named."""
        assert "projects that the token cannot read: shop" in page(incomplete()).text

    def test_waiting(self) -> None:
        """Before the first poll it says when that is."""
        text = page(empty(), ONE).text

        assert "waiting never \u2013 \u2013 in 4 s none yet" in text
        assert "Nothing has been read yet. The next poll is in 4 s." in text

    def test_unknown_query(self) -> None:
        """The address of a query that is gone leads back to the others."""
        outline = page(healthy(), Choices(query="acme/gone", q="out"))

        assert "There is no query acme/gone on this exporter. Show all queries" in outline.text
        assert "?q=out" in outline.links


class TestDetails:
    """The details of a query."""

    def test_question(self) -> None:
        """Its settings are there in words."""
        text = page(healthy(), Choices(query="acme/projects")).text

        assert "groupBy project, category, outcome, reason field sum(quantity)" in text
        assert "category error or transaction project web or checkout" in text
        assert "interval 1h, polled every 15m lookback 1d counters published" in text

    def test_chart(self) -> None:
        """A chart of errors by outcome has its numbers in a table, the newest first."""
        outline = page(healthy(), ONE)

        assert 1 == outline.tags.count("svg")
        assert "Events of error by outcome" in outline.text
        assert "accepted 976,022" in outline.text
        assert "all 14 Nov 22:00 running 6,279 415 242 472 7,408" in outline.text

    def test_all_categories(self) -> None:
        """There is a chart per unit of all categories."""
        outline = page(healthy(), ONE.with_(category="all"))

        assert 3 == outline.tags.count("svg")
        assert "Events of 2 categories by outcome: error, transaction acme" in outline.text
        assert "accepted 3,329,765" in outline.text
        assert "all 14 Nov 22:00 running 18,894 415 242 54 472 20,077" in outline.text

    def test_choice_of_categories(self) -> None:
        """Each category that has been read can be chosen."""
        outline = page(healthy(), ONE)

        assert "by outcome category of all error transaction attachment profile_duration" in (
            outline.text
        )
        assert "?query=acme%2Foutcomes&category=attachment" in outline.links
        assert "by outcome category Events by category" in (
            page(healthy(), ONE.with_(by="category")).text
        )

    def test_left_out(self) -> None:
        """The caption says which categories are not added because they repeat others."""
        sums = {Series(QUANTITY, name, "accepted", ""): 5 for name in ("span", "span_indexed")}
        read = {NOON: Bucket(column({}), total=sums)}
        status = exporter(organization([query_status(history=read)]))

        assert (
            "Events of span by outcome. Not added, because these count the same items again: "
            "span_indexed acme/outcomes"
        ) in page(status, ONE).text

    def test_nothing_counted(self) -> None:
        """A lookback without any value is not the same as none."""
        status = exporter(organization([query_status(history={NOON: Bucket(column({}))})]))

        assert "Sentry has counted nothing in the last 1d." in page(status, ONE).text

    def test_incomplete_column(self) -> None:
        """A bucket that is not proven complete is marked."""
        assert "21:00 incomplete" in page(incomplete(), Choices(query="acme/projects")).text

    def test_polls(self) -> None:
        """The last polls are there, each failure with its error."""
        text = page(failing(), ONE).text

        assert "14 Nov 22:05:00 0.41 s 1 unauthorized HTTP 401" in text
        assert "14 Nov 20:05:00 0.51 s 1 unauthorized HTTP 401" in text
        assert "14 Nov 19:05:00 0.41 s 1 succeeded" in text


class TestManyQueries:
    """More than fit on a page."""

    def test_bounded(self) -> None:
        """The first ones are shown, and the reader is pointed to the filter."""
        many = [query_status(f"query-{number}") for number in range(MAX_ROWS + 5)]

        text = page(exporter(organization(many))).text

        assert "The first 1,000 of 1,005 queries are shown." in text
        assert f"query-{MAX_ROWS - 1} " in text
        assert f"query-{MAX_ROWS} " not in text


MARKUP: Final = st.text(st.sampled_from("<>&\"'{}%#-/= \u202e\u0000\x7fa"), min_size=1, max_size=80)


def everywhere(text: str) -> ExporterStatus:
    """Return a status with ``text`` wherever somebody else may have written what is shown."""
    last = polls(1, 1, error=text, remedy=text, reason=text)
    return exporter(
        organization(
            [failing_query(last_polls=last, missing=(text,))],
            token=TokenStatus(text, flaw=text),
            api=ApiStatus(deprecations=(Deprecation(text, text, text),)),
        ),
        reload_successful=False,
        reload_problems=(text,),
    )


PLAIN: Final = page(everywhere("a"), ONE).tags


class TestHostileTexts:
    """Texts of others stay texts."""

    @given(MARKUP)
    @settings(max_examples=20)
    def test_no_markup(self, text: str) -> None:
        """They add no element to the page."""
        assert PLAIN == page(everywhere(text), ONE).tags

    @pytest.mark.parametrize("by", ["outcome", "category"])
    @pytest.mark.parametrize("category", ["", "all"])
    def test_control_characters(self, by: str, category: str) -> None:
        """Control characters are written as escapes, in charts and tables as in all other texts."""
        text = "a\x00\x1b[31m\x7f\x9b\r\t\u2028\ud800z"
        read = {
            NOON: Bucket(
                column({}), total={Series(QUANTITY, name, name, ""): 5 for name in (text, "error")}
            )
        }
        (acme,) = everywhere(text).organizations
        status = exporter(
            replace(acme, queries=[replace_report(one, history=read) for one in acme.queries])
        )

        html = RENDERER.render(status, ONE.with_(by=by, category=category))

        assert r"a\x00\x1b[31m\x7f\x9b\r\t\u2028\ud800z" in html
        assert [] == re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\ud800]", html)
        assert html.encode()

    def test_shown_as_they_are(self) -> None:
        """Markup can be read."""
        hostile = '</td></table><script>alert("{{ 7 * 7 }}")</script>'

        assert hostile in page(everywhere(hostile)).text


class TestPolicy:
    """What a browser is allowed to do."""

    def test_own_style_only(self) -> None:
        """The policy has the hash of the page's style, so that no other style is applied."""
        html = RENDERER.render(healthy(), Choices())
        style = re.search("<style>(.*)</style>", html, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = SECURITY_HEADERS["Content-Security-Policy"]

        assert f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;" in policy

    def test_no_other_host(self) -> None:
        """The style names no address."""
        assert "url(" not in RENDERER.render(healthy(), ONE)


def test_ages_follow_the_clock() -> None:
    """What is relative to now changes with it."""
    assert "1 h 7 min ago" in page(exporter(*healthy().organizations, now=NOW + HOUR)).text
