"""The landing page: what this is, and where the rest is."""

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

# Relative, so that they also work where a proxy serves the page below a prefix.
_LINKS: Final = {
    "metrics": "what Prometheus scrapes",
    "-/healthy": "whether the exporter is alive",
    "-/ready": "whether every query has been tried once",
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
"""What a browser may do with the page: show it in its own style, and nothing else."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What the landing page says: plain text, escaped on the way out."""

    name: str
    version: str
    description: str

    def html(self) -> str:
        """Return the page as an HTML document that needs nothing from elsewhere."""
        return _PAGE.substitute(
            name=escape(self.name),
            version=escape(self.version),
            description=escape(self.description),
            links="\n".join(_link(reference, purpose) for reference, purpose in _LINKS.items()),
            style=_STYLE,
        )


def _link(reference: str, purpose: str) -> str:
    return _LINK.substitute(reference=escape(reference), purpose=escape(purpose))
