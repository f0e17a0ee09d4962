"""What must not be repeated in a message, wherever in the file it has been pasted."""

import re
from dataclasses import replace
from typing import Any, Final

from exporter.config.kinds import Kind, refusal
from exporter.config.problems import KEY
from exporter.sentry.token import holds_token

_DSN: Final = re.compile(r"https?://[^/\s]*@[^\s]+/[0-9]+/?")


def guarded(kind: Kind) -> Kind:
    """Return ``kind`` on guard against secrets: one that is pasted there is refused unseen."""

    def read(value: Any) -> object:
        secret = secret_in(value) if isinstance(value, str) else None
        if secret is not None:
            raise refusal(f"found {secret}, not shown here; allowed: {kind.allowed}")
        return kind.read(value)

    return replace(kind, read=read)


def secret_in(text: str) -> str | None:
    """Return in words what kind of secret is in ``text``, None where there is none."""
    if _DSN.fullmatch(text):
        return "a DSN"
    if holds_token(text):
        return "what looks like a token"
    if KEY.fullmatch(text):
        return "what looks like the key of a DSN"
    if any(0 <= line.find("//") < line.rfind("@") for line in text.split("\n")):
        return "a URL with a user name or password"
    return None
