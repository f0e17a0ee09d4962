"""Text between two markers of a document, which a program writes there."""


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after the text of a name."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"


def with_marked(document: str, name: str, text: str) -> str:
    """Return ``document`` with ``text`` between the markers of ``name``.

    Raises ValueError unless it has each marker once.
    """
    opening, closing = markers(name)
    before, begin, following = document.partition(opening)
    _, end, after = following.partition(closing)
    if not begin or not end or opening in following or closing in after:
        raise ValueError(f"expected the markers of {name}, begin and then end, each once")
    return f"{before}{opening}\n{text}\n{closing}{after}"
