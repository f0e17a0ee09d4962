"""The documents as their readers see them: fenced blocks, with the notes hidden above them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).parents[2]
DOCUMENTS: Final = (TREE / "README.md", TREE / "docs" / "promql.md")

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``note`` is the comment right above it, empty if there is none."""

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
    for found in _BLOCK.finditer(content):
        line = content.count("\n", 0, found.start("language")) + 1
        yield Block(document.name, line, found["language"], found["note"] or "", found["text"])


def blocks(*languages: str) -> list[Block]:
    """Return the blocks in ``languages`` of all documents."""
    return [
        block
        for document in DOCUMENTS
        for block in blocks_of(document)
        if block.language in languages
    ]
