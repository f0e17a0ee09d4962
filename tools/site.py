"""Hooks of mkdocs: pages from the top of the repository, and links that lead out of ``docs``.

`mkdocs.yml` names this module. ``make site`` writes the site and fails for a link that leads to
nothing.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = "docs"
PAGES: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
"""Files at the top of the repository, and the pages that they become."""

_LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `PAGES`."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with the links of the repository replaced by those of the site.

    Files that are no page lead to the repository. Raises PluginError if one does not exist.
    """
    del files
    sources = {page: name for name, page in PAGES.items()}
    source = PurePosixPath(sources.get(page.file.src_uri, f"{DOCS}/{page.file.src_uri}"))

    def replaced(match: re.Match[str]) -> str:
        path = normpath(str(source.parent / match[1]))
        if not (ROOT / path).exists():
            raise PluginError(f"{source} has a link to {match[1]}, which does not exist")
        if path in PAGES:
            return PAGES[path]
        if path.startswith(f"{DOCS}/"):
            return relpath(path, DOCS)
        return f"{config.repo_url}/{config.edit_uri}{path}"

    return _LINK.sub(replaced, markdown)
