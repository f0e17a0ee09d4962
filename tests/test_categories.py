"""Categories: which of them count the same items."""

import re

from exporter.categories import SAME_ITEMS, repeated
from tests.support.programs import REPOSITORY


def test_the_limitations_name_the_same_items() -> None:
    """The documents warn of the sums that charts leave out."""
    text = (REPOSITORY / "docs" / "limitations.md").read_text("utf-8")
    (line,) = re.findall("In each of these groups, the categories describe the same.*: (.*)", text)
    groups = {frozenset(re.findall("`(.*?)`", group)) for group in line.split(";")}

    assert groups == {frozenset(group) for group in SAME_ITEMS}


def test_first_of_a_group_is_added() -> None:
    """Of each group the first that is there is not repeated, whichever it is."""
    assert {"span_indexed"} == repeated(["error", "span_indexed", "span"])
    assert {"transaction_indexed"} == repeated(["transaction_indexed", "transaction_processed"])
    assert set() == repeated(["transaction_indexed", "error"])
