"""The metrics reference in docs/metrics.md, made from the table of families.

``python -m tools.reference docs/metrics.md`` replaces what is between its markers.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from exporter.publish.families import (
    API_FAMILIES,
    DATA_FAMILIES,
    EXPORTER_FAMILIES,
    PROJECT_INFO,
    QUERY_FAMILIES,
)
from exporter.publish.family import Family
from exporter.publish.quota_families import QUOTA_FAMILIES
from tools.markers import with_marked

SECTIONS: Final = (
    ("Data", DATA_FAMILIES),
    ("Projects", (PROJECT_INFO,)),
    ("Each query", QUERY_FAMILIES),
    ("Quotas and cost", QUOTA_FAMILIES),
    ("Requests to Sentry", API_FAMILIES),
    ("The exporter", EXPORTER_FAMILIES),
)
"""Every family, by the headings of the reference."""


def reference() -> str:
    """Return the reference in Markdown: a heading and a table for each section."""
    return "\n".join(_section(title, families) for title, families in SECTIONS)


def with_reference(document: str) -> str:
    """Return ``document`` with the reference between its markers.

    Raises ValueError unless it has each marker once.
    """
    return with_marked(document, "metrics", reference())


def _section(title: str, families: Sequence[Family]) -> str:
    labels = [label for label in families[0].labels if all(label in f.labels for f in families)]
    shared = _shared_sentences(families)
    return "\n".join(
        [
            f"## {title}",
            "",
            *([f"Labels: {', '.join(f'`{label}`' for label in labels)}.", ""] if labels else []),
            "| metric | type | stability | meaning |",
            "|---|---|---|---|",
            *(_row(family, labels, shared) for family in families),
            *(["", " ".join(shared)] if shared else []),
            "",
        ]
    )


def _row(family: Family, labels: Sequence[str], shared: Sequence[str]) -> str:
    more = ",".join(label for label in family.labels if label not in labels)
    name = f"{family.name}{{{more}}}" if more else family.name
    sentences = _sentences(family.help)
    meaning = " ".join(sentences[: len(sentences) - len(shared)])
    return f"| `{name}` | {family.type} | {family.stability} | {meaning} |"


def _shared_sentences(families: Sequence[Family]) -> list[str]:
    """Return the sentences with which the help of every family ends; none for one family."""
    endings = list(_common_endings([_sentences(family.help) for family in families]))
    return endings[::-1] if len(families) > 1 else []


def _common_endings(texts: Sequence[Sequence[str]]) -> Iterator[str]:
    for sentences in zip(*(reversed(text) for text in texts), strict=False):
        if len(set(sentences)) > 1:
            return
        yield sentences[0]


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


def main() -> None:
    """Write the reference into the document named on the command line."""
    path = Path(sys.argv[1])
    path.write_text(with_reference(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
