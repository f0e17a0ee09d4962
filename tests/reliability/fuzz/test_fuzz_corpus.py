"""Every input of the corpora, and mutations of them, as `make fuzz` reads them under atheris."""

from collections.abc import Callable

import pytest

from tests.reliability.fuzz.targets import CORPUS, MAX_LENGTH, TARGETS, corpus, mutations

MUTATIONS = {
    "answer": 3000,
    "projects": 3000,
    "plan": 3000,
    "configuration": 300,
    "web_configuration": 1000,
    "negotiation": 2000,
    "login": 3000,
    "connection": 600,
}
"""How many there are of each target: three seconds of each, less where that is enough."""


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name: str) -> None:
    """No input that has reached something new breaks a rule."""
    for data in corpus(name):
        TARGETS[name].read(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations(name: str, tried: Callable[[str, int], None]) -> None:
    """Neither does what becomes of it when it is changed in a few places."""
    read = 0
    for data in mutations(name, MUTATIONS[name], seed=15):
        TARGETS[name].read(data)
        read += 1

    tried("random inputs", read)


def test_mutations_repeat() -> None:
    """A test that fails fails again: the same seed makes the same mutations."""
    first = list(mutations("answer", 50, seed=1))

    assert first == list(mutations("answer", 50, seed=1))
    assert first != list(mutations("answer", 50, seed=2))


def test_corpus_is_small() -> None:
    """The tree holds some hundred inputs, none of them longer than what is fuzzed."""
    sizes = [path.stat().st_size for path in CORPUS.glob("*/*")]

    assert set(TARGETS) == {path.name for path in CORPUS.iterdir()}
    assert len(sizes) < 1000
    assert sum(sizes) < 300_000
    assert max(sizes) <= MAX_LENGTH
