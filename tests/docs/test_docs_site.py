"""The static site."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.programs import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site; a link that leads to nothing fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(REPOSITORY)}
    # Not with --quiet, which would hide the warnings that strict mode counts.
    built = subprocess.run(  # noqa: S603
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )

    assert 0 == built.returncode, built.stderr
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    """Each file of docs has its page, and README is the first one."""
    names = {path.stem for path in (REPOSITORY / "docs").glob("*.md")}

    assert names <= {path.parent.name for path in site.glob("*/index.html")}
    assert "sentry-stats-exporter" in (site / "index.html").read_text("utf-8")


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """Every script, style sheet, font and picture is part of the site."""
    loads = re.compile(r"<(?:script|img|link[^>]*stylesheet)[^>]* (?:src|href)=.?(?:https?:)?//")

    assert [] == [page for page in site.rglob("*.html") if loads.search(page.read_text("utf-8"))]


def test_links_out_of_docs_lead_to_the_repository(site: Path) -> None:
    """Files that are no page are linked at the address of the repository."""
    page = (site / "simulator" / "index.html").read_text("utf-8")

    assert "https://example.com/sentry-stats-exporter/blob/main/tests/deploy/overlay.py" in page


def test_addresses_of_the_package() -> None:
    """The addresses that a package index shows lead to the site's repository, and to its files."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    repository = re.search(r"(?m)^repo_url: (.+)$", (REPOSITORY / "mkdocs.yml").read_text("utf-8"))
    assert repository
    paths = [address.removeprefix(repository[1]) for address in project["urls"].values()]
    files = [path.partition("/main/")[2] for path in paths if "/main/" in path]

    assert [] == [path for path in paths if "://" in path]
    assert ["docs", "CHANGELOG.md"] == files
    assert all((REPOSITORY / name).exists() for name in files)
