"""The kinds of tokens, by their form: Sentry gives each kind a prefix of its own."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from exporter.sentry.token import Secret


class TokenKind(StrEnum):
    """Whose token it is, as users are shown it."""

    INTEGRATION = "internal integration"
    USER = "user token"
    ORGANIZATION = "organization auth token"
    UNKNOWN = "unknown"


# Sentry's src/sentry/types/token.py. Tokens of before 2024 have no prefix, whatever their kind.
_PREFIXES: Final = MappingProxyType(
    {
        "sntryi_": TokenKind.INTEGRATION,
        "sntryu_": TokenKind.USER,
        "sntrya_": TokenKind.USER,
        "sntrys_": TokenKind.ORGANIZATION,
    }
)


def kind_of(token: Secret) -> TokenKind:
    """Return the kind of ``token`` by its form, `TokenKind.UNKNOWN` if that does not show it."""
    text = token.reveal()
    kinds = (kind for prefix, kind in _PREFIXES.items() if text.startswith(prefix))
    return next(kinds, TokenKind.UNKNOWN)
