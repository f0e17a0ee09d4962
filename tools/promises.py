"""What releases promise about metrics, flags and keys, and what breaks a promise. Pure.

A promise that is DEPRECATED in one minor version may be broken in the next one, not earlier.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Self

from exporter.publish.family import Stability

_SINCE: Final = "deprecated_since"


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised under a name.

    ``fixed`` must stay as it is; what is in ``allows`` must stay allowed, and more can be added.
    ``deprecated_since`` is the minor version that deprecated it, empty unless it was released so.
    """

    stability: Stability
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    allows: frozenset[str] = frozenset()
    deprecated_since: str = ""

    @classmethod
    def parsed(cls, document: Mapping[str, Any]) -> Self:
        """Return the promise that `document` describes."""
        fixed = {**document}
        stability, allows = Stability(fixed.pop("stability")), frozenset(fixed.pop("allows", ()))
        since = fixed.pop(_SINCE, "")
        return cls(stability, fixed, allows, since)

    def document(self) -> Mapping[str, Any]:
        """Return the promise as values of JSON."""
        return {
            **self.fixed,
            **({"allows": sorted(self.allows)} if self.allows else {}),
            "stability": str(self.stability),
            **({_SINCE: self.deprecated_since} if self.deprecated_since else {}),
        }


Promises = Mapping[str, Promise]
"""Promises by name."""


def broken(released: Promises, present: Promises, version: str) -> Iterator[str]:
    """Yield what breaks the promises of the last release in ``version``, each as a sentence."""
    for name, promise in released.items():
        if not _may_be_broken(promise, version):
            for what in _breaches(promise, present.get(name)):
                yield f"{name} was {promise.stability} in the last release, and {what}"


def renewed(released: Promises, present: Promises, version: str) -> Promises:
    """Return the promises of ``version``, the next release after that of ``released``."""
    return {
        name: _recorded(released.get(name), promise, version) for name, promise in present.items()
    }


def _recorded(before: Promise | None, promise: Promise, version: str) -> Promise:
    if promise.stability is not Stability.DEPRECATED:
        return promise
    since = before.deprecated_since if before else ""
    return replace(promise, deprecated_since=since or _text(_minor(version)))


def _may_be_broken(promise: Promise, version: str) -> bool:
    if promise.stability is Stability.DEPRECATED:
        return _minor(version) > _minor(promise.deprecated_since)
    return promise.stability is Stability.EXPERIMENTAL


def _breaches(promise: Promise, present: Promise | None) -> Iterator[str]:
    if present is None:
        yield "is missing"
        return
    if present.stability is Stability.EXPERIMENTAL:
        yield "is EXPERIMENTAL now"
    for fact, value in promise.fixed.items():
        if present.fixed.get(fact) != value:
            yield f"has another {fact} now: {present.fixed.get(fact)!r} instead of {value!r}"
    for lost in sorted(promise.allows - present.allows):
        yield f"does not allow {lost} now"


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def _text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"
