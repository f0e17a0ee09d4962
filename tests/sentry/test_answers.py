"""What `parse` makes of the bodies that Sentry, or anybody else, sends."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from exporter.buckets import Window
from exporter.moments import iso
from exporter.sentry.answer import By, Group, ProjectsAnswer, SeriesAnswer, parse
from exporter.sentry.decoding import decode
from exporter.sentry.errors import BadAnswerError
from exporter.sentry.question import QUANTITY, TIMES_SEEN, Question
from tests.sentry.fakes import HOUR, START, WINDOW, body, document, group, question

ERROR = {"category": "error", "outcome": "accepted"}
BY_PROJECT = question("project")
ONE_HOUR = Window(START, START + HOUR, HOUR)


def by_project(project: Any, total: Any = 5) -> dict[str, Any]:
    """Return a group as Sentry sends it where there is no series."""
    return {"by": {"project": project}, "totals": {QUANTITY: total}}


def groups_of(sent: bytes | str, asked: Question) -> tuple[Group, ...]:
    """Return what ``sent`` says to a question that does not group by project."""
    answer = parse(sent.encode() if isinstance(sent, str) else sent, asked)
    assert isinstance(answer, SeriesAnswer)

    return answer.groups


def totals_of(sent: bytes | str, asked: Question = BY_PROJECT) -> Mapping[By, Mapping[int, int]]:
    """Return what ``sent`` says of the quantity by project."""
    answer = parse(sent.encode() if isinstance(sent, str) else sent, asked)
    assert isinstance(answer, ProjectsAnswer)

    return answer.totals[QUANTITY]


def fault(text: bytes | str, asked: Question) -> BadAnswerError:
    """Return the error that ``text`` is refused with."""
    with pytest.raises(BadAnswerError) as caught:
        parse(text.encode() if isinstance(text, str) else text, asked)
    return caught.value


def changed(**changes: Any) -> str:
    """Return a good answer of one group, with ``changes`` at its top."""
    return json.dumps({**document(group(ERROR, 1, 2, 3)), **changes})


def with_group(**changes: Any) -> str:
    """Return a good answer of one group, with ``changes`` in that group."""
    return changed(groups=[{**group(ERROR, 1, 2, 3), **changes}])


class TestSeries:
    """Answers to questions that do not group by project."""

    def test_holds_every_bucket(self) -> None:
        """A group has its totals and a value per bucket of the window."""
        expected = Group(By("error", "accepted"), (6,), ((1, 2, 3),))

        assert SeriesAnswer(question(), (expected,)) == parse(
            body(group(ERROR, 1, 2, 3)), question()
        )

    def test_empty(self) -> None:
        """No groups is an answer too."""
        assert () == groups_of(body(), question())

    def test_without_group_by(self) -> None:
        """Without groupBy, one group stands for all."""
        asked = Question((QUANTITY,), (), WINDOW)

        assert (Group(By(), (6,), ((1, 2, 3),)),) == groups_of(body(group({}, 1, 2, 3)), asked)

    def test_fields_in_order_of_the_question(self) -> None:
        """Values come in the order of the question's fields, and others are left out."""
        sent = group(ERROR, 1, 2, 3)
        sent["totals"] |= {TIMES_SEEN: 9}
        sent["series"] |= {TIMES_SEEN: [3, 3, 3]}
        asked = question("category", "outcome", fields=(TIMES_SEEN, QUANTITY))

        assert ((9, 6), ((3, 3, 3), (1, 2, 3))) == groups_of(body(sent), asked)[0][1:]

    def test_only_the_window(self) -> None:
        """Buckets around the window are ignored, in the totals too, and so is their order."""
        wide = Window(START - HOUR, START + 5 * HOUR, HOUR)
        sent = document(group(ERROR, 9, 1, 2, 3, 8, 7), window=wide)
        for values in (sent["intervals"], sent["groups"][0]["series"][QUANTITY]):
            values.reverse()

        (read,) = groups_of(json.dumps(sent), question())

        assert ((1, 2, 3),) == read.series
        assert (6,) == read.totals

    def test_offset_instead_of_z(self) -> None:
        """Times may end in ``+00:00``."""
        moments = [datetime.fromtimestamp(bucket, UTC).isoformat() for bucket in WINDOW.buckets()]

        assert 1 == len(groups_of(changed(intervals=moments), question()))

    def test_unknown_keys(self) -> None:
        """Keys that are not known are ignored, whatever they hold."""
        by = {**ERROR, "key": 7}
        text = changed(query="x", groups=[{**group(by, 1, 2, 3), "alias": {"a": [None]}}])

        assert 1 == len(groups_of(text, question()))

    def test_reason_null(self) -> None:
        """The raw store's null is the hourly store's ``none``."""
        (read,) = groups_of(body(group({"reason": None}, 1, 2, 3)), question("reason"))

        assert By(reason="none") == read.by

    def test_lacks_a_bucket(self) -> None:
        """An incomplete window is refused, with the bucket that is missing."""
        error = fault(changed(intervals=[iso(START), iso(START + HOUR)]), question())

        assert f"intervals: lacks the bucket {iso(START + 2 * HOUR)}" == str(error)

    def test_bucket_twice(self) -> None:
        """A bucket that comes twice could have either value, and is refused."""
        moments = [iso(START), iso(START), iso(START + HOUR), iso(START + 2 * HOUR)]

        assert "intervals" == fault(changed(intervals=moments), question()).path

    def test_published_example(self) -> None:
        """An answer like the one on the published page is read, for the bucket it has."""
        sent = (
            b'{"start": "2022-02-14T19:00:00Z", "end": "2022-02-28T18:03:00Z",'
            b'"intervals": ["2022-02-28T00:00:00Z"],'
            b'"groups": [{"by": {"outcome": "invalid"}, "totals": {"sum(quantity)": 165665},'
            b'"series": {"sum(quantity)": [165665]}}]}'
        )
        start = int(datetime(2022, 2, 28, tzinfo=UTC).timestamp())
        asked = question("outcome", window=Window(start, start + 24 * HOUR, 24 * HOUR))

        assert (165665,) == groups_of(sent, asked)[0].totals

    def test_group_by_group(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No call decodes more than one group: it would hold up all other threads."""
        labels = [{"category": "error", "outcome": str(number)} for number in range(50)]
        sent = body(*(group(by, 1, 2, 3) for by in labels))
        decoded = []

        def recorded(decoder: Any, part: Any) -> Any:
            document = decode(decoder, part)
            decoded.append(document)
            return document

        monkeypatch.setattr("exporter.sentry.answer.decode", recorded)
        groups_of(sent, question())

        assert 51 == len(decoded)
        assert {Raw} == {type(one) for one in decoded[0].groups}


class TestTotals:
    """Answers to questions that group by project."""

    @pytest.mark.parametrize("groups", [{}, "", None, 0])
    def test_no_list(self, groups: object) -> None:
        """Groups that are no list are not taken for none."""
        sent = {**document(), "groups": groups}

        assert "groups" == fault(json.dumps(sent), BY_PROJECT).path

    def test_without_series(self) -> None:
        """Neither intervals nor series are needed."""
        sent = document(by_project(7))
        del sent["intervals"]

        assert {By(): {7: 5}} == totals_of(json.dumps(sent))

    def test_series_are_ignored(self) -> None:
        """A server that sends a series all the same is understood, even if the series is wrong."""
        sent = document({**by_project(7), "series": "none"})
        sent["intervals"] = 3

        assert {By(): {7: 5}} == totals_of(json.dumps(sent))

    @pytest.mark.parametrize("project", [9007199254740993, "9007199254740993"])
    def test_project_as_number_or_string(self, project: object) -> None:
        """A project is a number or its digits, and exact beyond what a float can hold."""
        assert {By(): {9007199254740993: 5}} == totals_of(body(by_project(project)))

    @pytest.mark.parametrize("project", [1.5, True, None, -1, "web", "1\n", "", "9" * 30, []])
    def test_project_otherwise(self, project: object) -> None:
        """Anything else for a project is refused."""
        assert "groups[0].by.project" == fault(body(by_project(project)), BY_PROJECT).path

    @pytest.mark.parametrize("end", [START + 2 * HOUR + 1, START + 3 * HOUR])
    def test_end_in_the_last_bucket(self, end: int) -> None:
        """The end may be anywhere in the last bucket, or where it ends."""
        sent = {**document(by_project(7)), "end": iso(end)}

        assert {By(): {7: 5}} == totals_of(json.dumps(sent))

    @pytest.mark.parametrize(
        ("key", "moment"),
        [
            ("start", START - HOUR),
            ("start", START + 1),
            ("end", START + 2 * HOUR),
            ("end", START + 3 * HOUR + 1),
        ],
    )
    def test_another_range(self, key: str, moment: int) -> None:
        """Totals of another range, as a server gives whose clock is behind, are refused."""
        sent = {**document(by_project(7)), key: iso(moment)}

        assert key == fault(json.dumps(sent), BY_PROJECT).path


class TestRefused:
    """A false number is worse than none: what is wrong is reported with its place."""

    @pytest.mark.parametrize(
        "value", ["1.0", "1e3", "1e400", "true", '"1"', "null", "-1", "NaN", "Infinity", "[]"]
    )
    def test_total_no_count(self, value: str) -> None:
        """A total that is not an integer, or negative, is refused."""
        text = with_group(totals={QUANTITY: 987654321}).replace("987654321", value)

        assert "groups[0].totals.sum(quantity)" == fault(text, question()).path

    @pytest.mark.parametrize("value", ["1.0", "false", '"1"', "null", "-1", "NaN", str(2**53)])
    def test_value_no_count(self, value: str) -> None:
        """A value of a series that is not an integer, or does not fit into a double, is refused."""
        text = with_group(series={QUANTITY: [1, 987654321, 3]}).replace("987654321", value)

        assert "groups[0].series.sum(quantity)[1]" == fault(text, question()).path

    def test_large_total(self) -> None:
        """What fits into a double, as a sample holds it, is a number like any other."""
        text = with_group(totals={QUANTITY: 2**53 - 1})

        assert (2**53 - 1,) == groups_of(text, question())[0].totals

    @pytest.mark.parametrize("part", ["totals", "series"])
    def test_field_missing(self, part: str) -> None:
        """Every field that was asked for must be there."""
        error = fault(with_group(**{part: {}}), question())

        assert f"groups[0].{part}.sum(quantity): is missing" == str(error)

    @pytest.mark.parametrize("values", [[], [1, 2], [1, 2, 3, 4]])
    def test_series_of_another_length(self, values: list[int]) -> None:
        """A series has a value per interval, no fewer and no more."""
        text = with_group(series={QUANTITY: values})

        assert "groups[0].series.sum(quantity)" == fault(text, question()).path

    @pytest.mark.parametrize(
        ("by", "message"),
        [
            ({"category": "error"}, "groups[1].by.outcome: is missing"),
            ({**ERROR, "reason": "x"}, "groups[1].by.reason: was not grouped by"),
        ],
    )
    def test_keys_of_by(self, by: dict[str, str], message: str) -> None:
        """A group stands for exactly what was grouped by."""
        sent = body(group({**ERROR, "outcome": "invalid"}, 1, 2, 3), group(by, 1, 2, 3))

        assert message == str(fault(sent, question()))

    @pytest.mark.parametrize("value", [None, 1, ["error"], True])
    def test_category_no_string(self, value: object) -> None:
        """A category is a string."""
        text = with_group(by={**ERROR, "category": value})

        assert "groups[0].by.category" == fault(text, question()).path

    @pytest.mark.parametrize("project", [7, "7"])
    def test_project_lacks_something(self, project: object) -> None:
        """That holds for groups by project as well, of which there can be very many."""
        good = by_project(1)
        lacking = [({}, {QUANTITY: 1}), ({"project": project, "reason": "x"}, {QUANTITY: 1})]
        messages = [
            str(fault(body(good, {"by": by, "totals": totals}), BY_PROJECT))
            for by, totals in [*lacking, ({"project": project}, {TIMES_SEEN: 1})]
        ]

        assert [
            "groups[1].by.project: is missing",
            "groups[1].by.reason: was not grouped by",
            "groups[1].totals.sum(quantity): is missing",
        ] == messages

    @pytest.mark.parametrize(
        ("sent", "asked"),
        [
            ((group(ERROR, 1, 2, 3), group(ERROR, 1, 2, 3)), question()),
            ((by_project(7), by_project("7")), BY_PROJECT),
        ],
    )
    def test_group_twice(self, sent: tuple[dict[str, Any], ...], asked: Question) -> None:
        """Of two groups alike, nobody can say which is right."""
        assert "groups[1].by: is there twice" == str(fault(body(*sent), asked))

    def test_reason_twice(self) -> None:
        """A reason that is null, and one that is ``none``, are the same one."""
        groups = [
            {"by": {"project": 7, "reason": reason}, "totals": {QUANTITY: 5}}
            for reason in (None, "none")
        ]

        assert "groups[1].by: is there twice" == str(
            fault(body(*groups), question("reason", "project"))
        )

    @pytest.mark.parametrize(
        ("text", "path"),
        [
            (b"", "$"),
            (b"[]", "$"),
            (b"<html>", "$"),
            (b"\xff\xfe", "$"),
            (b'{"groups": [', "$"),
            (b"[" * 100_000, "$"),
            (b'{"a":' * 100_000, "$"),
            (b"{}", "intervals"),
            (b'{"intervals": [], "groups": {}}', "groups"),
            (b'{"intervals": [1], "groups": []}', "intervals[0]"),
            (b'{"intervals": ["2026-01-01T00:00:00"], "groups": []}', "intervals[0]"),
            (b'{"intervals": [], "groups": [null]}', "groups[0]"),
            (b'{"intervals": [], "groups": [{}]}', "groups[0].by"),
        ],
    )
    def test_another_shape(self, text: bytes, path: str) -> None:
        """What is no answer at all is refused, with the place."""
        assert path == fault(text, question()).path

    @pytest.mark.parametrize("half", [r"\ud800", r"\udc00", r"\ud800\ud800"])
    def test_half_a_character(self, half: str) -> None:
        """A string that UTF-8 cannot write never becomes a label."""
        text = with_group(by={**ERROR, "outcome": "HALF"}).replace("HALF", half)

        assert "$" == fault(text, question()).path

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (with_group(by=7), "groups[0].by: Expected object, got int"),
            (with_group(totals={QUANTITY: 1.5}), "groups[0].totals.sum(quantity): Expected int"),
            (
                with_group(by={**ERROR, "outcome": "x"}).encode().replace(b'"x"', b'"\xff"'),
                "$: is not UTF-8",
            ),
            (
                with_group(by={**ERROR, "outcome": "x" * 16_385}),
                "groups[0].by.outcome: Expected str of length <= 16384",
            ),
            ('{"groups": ' + "[" * 100_000, "groups[0]: Expected object, got array"),
            ('{"x": ' + "[" * 100_000, "$: is nested too deeply"),
            ('{"intervals": [', "$: Input data was truncated"),
            (
                '{"intervals": [NaN]}',
                "intervals[0]: JSON is malformed: invalid character (byte 15)",
            ),
        ],
    )
    def test_message(self, text: bytes | str, message: str) -> None:
        """The message says what was expected in that place, and nothing of what was sent."""
        assert str(fault(text, question())).startswith(message)

    def test_many_faults(self) -> None:
        """Only the first of many faults is reported."""
        text = b'{"intervals": [], "groups": [' + b"1," * 1_000_000 + b"1]}"

        assert "groups[0]" == fault(text, question()).path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
KEYS = ("category", "outcome", "reason", "project")


@st.composite
def near_answers(draw: st.DrawFn) -> dict[str, Any]:
    """Return an answer some of whose parts are anything at all."""
    moments = st.sampled_from([iso(bucket) for bucket in WINDOW.buckets()]) | JSON
    by = st.dictionaries(st.sampled_from(KEYS), st.text() | JSON)
    values = st.lists(st.integers(min_value=-1) | JSON, min_size=2, max_size=4)
    groups = st.fixed_dictionaries(
        {
            "by": by | JSON,
            "totals": st.fixed_dictionaries({QUANTITY: st.integers() | JSON}) | JSON,
            "series": st.fixed_dictionaries({QUANTITY: values | JSON}) | JSON,
        }
    )
    return draw(
        st.fixed_dictionaries(
            {
                "start": moments,
                "end": moments,
                "intervals": st.just(document()["intervals"]) | st.lists(moments, max_size=4),
                "groups": st.lists(groups | JSON, max_size=3) | JSON,
            }
        )
    )


questions = st.lists(st.sampled_from(KEYS), unique=True).map(
    lambda keys: Question((QUANTITY,), tuple(keys), WINDOW)
)


Label = tuple[str, str, str]
labels = st.tuples(st.text(), st.text(), st.text())
some_keys = st.lists(st.sampled_from(By._fields), unique=True)


def shown(label: Label, keys: Sequence[str]) -> By:
    """Return what a group stands for of which only ``keys`` are grouped by."""
    return By(**{key: value for key, value in zip(By._fields, label, strict=True) if key in keys})


def as_sent(groups: Sequence[Any], keys: Sequence[str]) -> Mapping[By, Mapping[int, int]]:
    """Return the quantity in ``groups`` by label and project, read one group after another."""
    totals: dict[By, dict[int, int]] = {}
    for one in groups:
        labels = {key: "none" if one["by"][key] is None else one["by"][key] for key in keys}
        by_project = totals.setdefault(By(**labels), {})
        by_project[int(one["by"]["project"])] = one["totals"][QUANTITY]
    return totals


def raw(by: By, keys: Sequence[str]) -> dict[str, Any]:
    """Return ``by`` as Sentry sends it."""
    return {key: getattr(by, key) for key in keys}


@pytest.mark.slow
class TestProperties:
    """Rules that hold for every body."""

    @given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), questions)
    def test_arbitrary_bytes(self, sent: bytes, asked: Question) -> None:
        """Bytes are an answer or a `BadAnswerError`, and never anything else."""
        outcome = self.attempt(sent, asked)

        assert outcome is None or outcome.path

    @given(near_answers(), some_keys)
    def test_only_what_was_sent(self, sent: dict[str, Any], keys: list[str]) -> None:
        """A body by project that is accepted has the groups that the json module reads in it."""
        asked = question(*keys, "project")
        text = json.dumps({**sent, "start": iso(START), "end": iso(WINDOW.end)}).encode()
        outcome = self.attempt(text, asked)

        assert outcome or as_sent(sent["groups"], keys) == totals_of(text, asked)

    @given(near_answers(), questions)
    def test_almost_answers(self, sent: dict[str, Any], asked: Question) -> None:
        """So are answers that are wrong in one place only."""
        outcome = self.attempt(json.dumps(sent).encode(), asked)

        assert outcome is None or outcome.path

    @given(
        st.dictionaries(labels, st.lists(st.integers(0, 2**50), min_size=3, max_size=3)), some_keys
    )
    def test_series_round_trip(self, sent: dict[Label, list[int]], keys: list[str]) -> None:
        """Every group that was sent is in the answer, number for number."""
        expected = {shown(label, keys): tuple(values) for label, values in sent.items()}
        groups = [group(raw(by, keys), *values) for by, values in expected.items()]

        read = groups_of(body(*groups), Question((QUANTITY,), tuple(keys), WINDOW))

        assert [Group(by, (sum(one),), (one,)) for by, one in expected.items()] == list(read)

    @given(
        st.dictionaries(
            labels, st.dictionaries(st.integers(0, 10**18 - 1), st.integers(0, 2**50), min_size=1)
        ),
        some_keys,
    )
    def test_projects_round_trip(self, sent: dict[Label, dict[int, int]], keys: list[str]) -> None:
        """So is every project of every group."""
        expected = {shown(label, keys): values for label, values in sent.items()}
        groups = [
            {"by": {**raw(by, keys), "project": project}, "totals": {QUANTITY: value}}
            for by, values in expected.items()
            for project, value in values.items()
        ]

        assert expected == totals_of(body(*groups), question(*keys, "project"))

    @staticmethod
    def attempt(sent: bytes, asked: Question) -> BadAnswerError | None:
        """Return what is wrong with ``sent``, or None."""
        try:
            parse(sent, asked)
        except BadAnswerError as error:
            return error
        return None
