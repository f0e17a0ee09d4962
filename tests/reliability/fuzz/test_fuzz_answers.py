"""Answers of Sentry that are nearly right, through the fuzz targets, which have the rules.

``tests/sentry/test_answers.py`` has the properties of answers about one field.
"""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.moments import iso
from exporter.sentry.customer import CATEGORIES
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from tests.reliability.fuzz import upstream
from tests.reliability.fuzz.upstream import HOUR, QUESTIONS, START
from tests.support.billing import customer

odd = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 2**53 - 1, 2**53, 2**63, 10**30, 1.5, 1e300, "", "7", "NaN", "1e9"])
    | st.text(max_size=4)
    | st.just([])
    | st.just({})
)
some = settings(derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what is right nine times of ten."""
    return st.integers(0, 9).flatmap(lambda number: right if number else odd)


counts = mostly(st.integers(0, 2**53 - 1))
moments = mostly(st.integers(-1, 4).map(lambda hours: iso(START + hours * HOUR)))
fields = st.fixed_dictionaries({QUANTITY: counts, TIMES_SEEN: counts})
series = st.lists(counts, min_size=3, max_size=3)
dimensions = {
    "category": mostly(st.sampled_from(["error", "span"])),
    "outcome": mostly(st.sampled_from(["accepted", "invalid"])),
    "reason": mostly(st.sampled_from(["none", "a"]) | st.none()),
    "project": mostly(st.integers(0, 3) | st.sampled_from(["1", "01"])),
}


@st.composite
def inputs(draw: st.DrawFn) -> bytes:
    """Return an answer to one of the questions, preceded by its number."""
    number = draw(st.integers(0, len(QUESTIONS) - 1))
    by = {key: dimensions[key] for key in QUESTIONS[number].group_by}
    groups = st.fixed_dictionaries(
        {
            "by": mostly(st.fixed_dictionaries(by)),
            "totals": mostly(fields),
            "series": mostly(st.fixed_dictionaries({QUANTITY: series, TIMES_SEEN: series})),
        }
    )
    right = [iso(START + hours * HOUR) for hours in range(3)]
    document = {
        "start": draw(mostly(st.just(right[0]))),
        "end": draw(mostly(st.just(iso(START + 3 * HOUR)))),
        "intervals": draw(mostly(st.just(right)) | st.lists(moments, max_size=4)),
        "groups": draw(mostly(st.lists(groups, max_size=3))),
    }
    return bytes([number]) + json.dumps(document).encode()


@given(inputs())
@settings(some, max_examples=250)
def test_answers(data: bytes) -> None:
    """An answer is read exactly as the json module reads it, or refused with its place."""
    upstream.answer(data)


amounts = mostly(st.integers(-2, 10**9) | st.floats(0, 1e9) | st.just("0.5") | st.none())
dates = mostly(st.dates().map(str) | st.just("2026-02-17") | st.just("2026-03-16T12:00:00Z"))
categories = st.dictionaries(
    st.sampled_from([*CATEGORIES, "monitorSeats"]),
    st.fixed_dictionaries(
        {"usage": mostly(st.integers(0, 10**12)), "reserved": amounts},
        optional={
            **dict.fromkeys(("free", "prepaid", "onDemandBudget", "paygCpe"), amounts),
            "customPrice": amounts,
            "softCapType": mostly(st.sampled_from(["ON_DEMAND", "TRUE_FORWARD"])),
        },
    ),
    max_size=3,
)
tiers = st.fixed_dictionaries(
    {"events": amounts}, optional={"price": amounts, "onDemandPrice": amounts}
)
plans = st.fixed_dictionaries(
    {},
    optional={
        "categories": mostly(categories),
        "planDetails": mostly(
            st.fixed_dictionaries(
                {
                    "planCategories": st.dictionaries(
                        st.sampled_from([*CATEGORIES]), st.lists(tiers)
                    )
                },
                optional={"billingInterval": mostly(st.sampled_from(["monthly", "annual"]))},
            )
        ),
        "onDemandPeriodStart": dates,
        "onDemandPeriodEnd": dates,
        "onDemandBudgets": mostly(
            st.fixed_dictionaries(
                {"enabled": st.booleans()},
                optional={
                    "budgetMode": st.sampled_from(["shared", "per_category"]),
                    "sharedMaxBudget": amounts,
                },
            )
        ),
        "isTrial": mostly(st.booleans()),
        "productTrials": mostly(
            st.lists(
                st.fixed_dictionaries(
                    {"category": st.sampled_from([*CATEGORIES]), "isStarted": st.booleans()},
                    optional={"endDate": dates},
                ),
                max_size=2,
            )
        ),
    },
)


@given(plans)
@settings(some, max_examples=250)
def test_plans(changes: dict[str, Any]) -> None:
    """A plan makes an account of finite amounts, or is refused with its place."""
    upstream.plan(json.dumps(customer(**changes)).encode())


items = st.fixed_dictionaries(
    {
        "id": mostly(st.integers(0, 3) | st.just("12")),
        "slug": mostly(st.text(min_size=1, max_size=4)),
    },
    optional={
        "platform": mostly(st.just("python")),
        "hasAccess": mostly(st.booleans()),
        "teams": mostly(
            st.lists(st.fixed_dictionaries({"slug": mostly(st.just("a"))}), max_size=2)
        ),
    },
)
links = st.lists(
    st.sampled_from(
        [
            *("<https://sentry.io/a>", "; ", "rel=", '"next"', "next", 'results="true"', ",", '"'),
            *('cursor="0:100:0"', 'cursor=""', "cursor=1", 'results="false"', "<", ">", "=", "\\"),
        ]
    ),
    max_size=12,
).map("".join)


@given(links, mostly(st.lists(items, max_size=3)))
@settings(some, max_examples=250)
def test_pages(link: str, page: Any) -> None:
    """A page of projects is read as the json module reads it, and only its cursor is taken."""
    upstream.projects(link.encode() + b"\n" + json.dumps(page).encode())
