"""The landing page: what this program is, with links to its other paths."""

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 40rem; padding: 1rem; }
h1 { font-size: 1.5rem; }
small { font-weight: normal; opacity: 0.7; }
dt { font-family: ui-monospace, monospace; margin-top: 1rem; }
dd { margin: 0; }
"""

_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$name</title>
<style>$style</style>
</head>
<body>
<h1>$name <small>$version</small></h1>
<p>$description</p>
<dl>
$links
</dl>
</body>
</html>
""")

_LINK: Final = Template('<dt><a href="$reference">/$reference</a></dt>\n<dd>$purpose</dd>')

# Relative, so that they work behind a proxy that adds a prefix.
_LINKS: Final = {
    "metrics": "metrics for Prometheus",
    "-/healthy": "200 while the exporter is running",
    "-/ready": "200 once every query has been tried",
}


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
"""Allow a browser to show the page in its own style, and nothing else."""


@dataclass(frozen=True, slots=True)
class Landing:
    """The text of the landing page; it is escaped when rendered."""

    name: str
    version: str
    description: str

    def html(self) -> str:
        """Return the page as an HTML document without external resources."""
        return _PAGE.substitute(
            name=escape(self.name),
            version=escape(self.version),
            description=escape(self.description),
            links="\n".join(_link(reference, purpose) for reference, purpose in _LINKS.items()),
            # Not escaped: the hash in the policy is that of the text in the page, byte for byte.
            style=_STYLE,
        )


def _link(reference: str, purpose: str) -> str:
    return _LINK.substitute(reference=escape(reference), purpose=escape(purpose))
