"""Categories: which of them count the same items."""

import re

from exporter.categories import SAME_ITEMS, repeated
from tests.docs.markdown import README


def test_readme_names_the_same_items() -> None:
    """README warns of the sums that charts leave out."""
    (line,) = re.findall("These describe the same items twice.*: (.*)", README.read_text("utf-8"))
    groups = {frozenset(re.findall("`(.*?)`", group)) for group in line.split(";")}

    assert groups == {frozenset(group) for group in SAME_ITEMS}


def test_first_of_a_group_is_added() -> None:
    """Of each group the first that is there is not repeated, whichever it is."""
    assert {"span_indexed"} == repeated(["error", "span_indexed", "span"])
    assert {"transaction_indexed"} == repeated(["transaction_indexed", "transaction_processed"])
    assert set() == repeated(["transaction_indexed", "error"])
