"""The fenced blocks of the documents, with the hidden notes above them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.programs import REPOSITORY

README: Final = REPOSITORY / "README.md"
DOCUMENTS: Final = (
    README,
    *(
        REPOSITORY / "docs" / name
        for name in (
            "configuration.md",
            "compatibility.md",
            "promql.md",
            "migration.md",
            "reliability.md",
            "simulator.md",
        )
    ),
)
"""The documents whose blocks are run."""

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``note`` is the comment directly above it, or empty."""

    document: str
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks_of(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of ``document``, in order."""
    content = document.read_text("utf-8")
    for match in _BLOCK.finditer(content):
        line = content.count("\n", 0, match.start("language")) + 1
        yield Block(document.name, line, match["language"], match["note"] or "", match["text"])


def blocks(*languages: str) -> list[Block]:
    """Return the blocks in ``languages`` of all documents."""
    return [
        block
        for document in DOCUMENTS
        for block in blocks_of(document)
        if block.language in languages
    ]
