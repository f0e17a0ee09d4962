"""Content negotiation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.negotiate import MAX_LENGTH, Exposition, choose, gzip_accepted

TEXT = Exposition.TEXT
OPENMETRICS = Exposition.OPENMETRICS
DRAFT = Exposition.OPENMETRICS_DRAFT

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_EARLY = (
    "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
    "encoding=delimited;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)
ANY_TEXT = st.one_of(st.text(), st.text(alphabet='atpqxv*/+-;,=."\\ 019', max_size=200))


class TestChoose:
    """Which format an ``Accept`` header gets."""

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            (PROMETHEUS_2, OPENMETRICS),
            (PROMETHEUS_2_EARLY, DRAFT),
            (PROMETHEUS_3, OPENMETRICS),
            (f"{PROTOBUF},{PROMETHEUS_3}", OPENMETRICS),
            (f"{PROTOBUF},text/plain;version=0.0.4;q=0.3,*/*;q=0.1", TEXT),
            (FIREFOX, TEXT),
            (CHROME, TEXT),
        ],
    )
    def test_real_clients(self, accept: str, expected: Exposition) -> None:
        """Known clients get the best format they name."""
        assert expected is choose(accept)

    @pytest.mark.parametrize(
        "accept",
        [None, "", "*/*", "*", "text/*", "nonsense", "/", ",;,", ";q=1", PROTOBUF, "*/plain"],
    )
    def test_last_resort(self, accept: str | None) -> None:
        """A client that names no format, or none of ours, gets the text format."""
        assert TEXT is choose(accept)

    @pytest.mark.parametrize(
        "accept",
        ["text/plain;q=0", "*/*;q=0", "text/html", "application/openmetrics-text;version=2.0.0"],
    )
    def test_refusing_everything_gets_text(self, accept: str) -> None:
        """A client that refuses every format still gets the text format."""
        assert TEXT is choose(accept)

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            ("application/openmetrics-text", OPENMETRICS),
            ("application/*", OPENMETRICS),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
            ("application/openmetrics-text; version=0.0.1", DRAFT),
            ("application/openmetrics-text, application/openmetrics-text;version=1.0.0;q=0", DRAFT),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT),
            ("text/plain;version=1.0.0, application/openmetrics-text;q=0.1", OPENMETRICS),
            ("text/plain;charset=latin-1, application/openmetrics-text;q=0.1", OPENMETRICS),
            ("application/openmetrics-text;flavour=mild", TEXT),
        ],
    )
    def test_parameters(self, accept: str, expected: Exposition) -> None:
        """A range with parameters matches only a format that has them."""
        assert expected is choose(accept)

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            ("text/plain;q=0.5,application/openmetrics-text;q=0.6", OPENMETRICS),
            ("text/plain;q=0.6,application/openmetrics-text;q=0.5", TEXT),
            ("application/openmetrics-text;q=0,*/*", TEXT),
            ("text/plain;q=0,*/*;q=0.1", OPENMETRICS),
            ("text/*;q=0.2,text/plain;q=0.9,application/*;q=0.5", TEXT),
            ("text/plain;q=0.2,*/*;q=0.9", OPENMETRICS),
            ("text/plain;q=0.001,application/openmetrics-text;q=0.0", TEXT),
        ],
    )
    def test_quality_of_the_most_specific_range(self, accept: str, expected: Exposition) -> None:
        """The most specific range decides a format's quality, and the highest quality wins."""
        assert expected is choose(accept)

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            ("text/plain,application/openmetrics-text;version=1.0.0", OPENMETRICS),
            ("text/*,application/openmetrics-text", OPENMETRICS),
            ("application/openmetrics-text,text/plain", OPENMETRICS),
            ("text/plain,application/openmetrics-text", TEXT),
            ("*/*,*/*", TEXT),
        ],
    )
    def test_ties(self, accept: str, expected: Exposition) -> None:
        """Of equal qualities the more specific range wins, then the earlier, then text."""
        assert expected is choose(accept)

    @pytest.mark.parametrize("quality", ["2", "-1", "nan", "inf", "", "high", "1e-3", "1.1"])
    def test_bad_quality_is_ignored(self, quality: str) -> None:
        """A quality that is not a number from 0 to 1 is ignored."""
        assert OPENMETRICS is choose(f"text/plain;q=0.9, application/openmetrics-text;q={quality}")

    @pytest.mark.parametrize(
        "accept",
        [
            "APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=1",
            'application/openmetrics-text;version="1.0.0"',
            'application/openmetrics-text;version="1\\.0.0"',
            "application/openmetrics-text;;version=1.0.0;",
            'text/plain;note="a, b; c";q=1,\tapplication/openmetrics-text;q=.5',
        ],
    )
    def test_spelling(self, accept: str) -> None:
        """Case, blanks, quoted strings and empty parts are read according to the RFC."""
        assert OPENMETRICS is choose(accept)

    @pytest.mark.parametrize("piece", ['"', '"\\', "a,", ";", "*/*,", '";"', "text/plain;q=1;"])
    def test_long_headers_are_cheap(self, piece: str) -> None:
        """Neither the longest header that is read nor an even longer one takes noticeable time."""
        longest = (piece * MAX_LENGTH)[:MAX_LENGTH]

        assert TEXT is choose(longest)
        assert TEXT is choose(piece * 1_000_000)

    @given(ANY_TEXT)
    def test_any_header_has_an_answer(self, accept: str) -> None:
        """Any header gets one of the formats."""
        assert choose(accept) in Exposition

    @given(st.permutations(list(Exposition)), st.data())
    def test_highest_quality_wins(self, order: list[Exposition], data: st.DataObject) -> None:
        """If all formats are named, the one with the highest quality is sent, in any order."""
        thousandths = st.integers(min_value=0, max_value=1000)
        qualities = data.draw(st.lists(thousandths, min_size=3, max_size=3, unique=True))
        accept = ", ".join(
            f"{exposition.media_type};version={exposition.version};q={quality / 1000:.3f}"
            for exposition, quality in zip(order, qualities, strict=True)
        )

        assert order[qualities.index(max(qualities))] is choose(accept)


class TestExposition:
    """The formats themselves."""

    def test_content_types(self) -> None:
        """The content types are those that Prometheus expects."""
        expected = [
            "text/plain; version=0.0.4; charset=utf-8",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
        ]

        assert expected == [exposition.content_type for exposition in Exposition]

    def test_each_accepts_its_own_content_type(self) -> None:
        """A content type, used as an ``Accept`` header, gets exactly that format."""
        assert list(Exposition) == [choose(exposition.content_type) for exposition in Exposition]


class TestGzipAccepted:
    """Whether an ``Accept-Encoding`` header allows gzip."""

    @pytest.mark.parametrize(
        ("accept_encoding", "expected"),
        [
            (None, False),
            ("", False),
            ("gzip", True),
            ("GZIP", True),
            ("x-gzip", True),
            ("gzip, deflate, br, zstd", True),
            ("gzip;q=0.001", True),
            ("gzip;q=0", False),
            ("gzip; q=0.000", False),
            ("gzip;q=0, *", False),
            ("*", True),
            ("*;q=0", False),
            ("*;q=0, gzip;q=0.5", True),
            ("identity", False),
            ("deflate, br", False),
            ("gzipped", False),
        ],
    )
    def test_header(self, accept_encoding: str | None, *, expected: bool) -> None:
        """Gzip is allowed by its name or by ``*``, unless its quality is 0."""
        assert expected is gzip_accepted(accept_encoding)

    @given(ANY_TEXT)
    def test_any_header_has_an_answer(self, accept_encoding: str) -> None:
        """No header raises an error."""
        assert gzip_accepted(accept_encoding) in {True, False}

    def test_long_header_is_not_read(self) -> None:
        """A header that is too long allows nothing."""
        assert not gzip_accepted("gzip," * MAX_LENGTH)
