"""One mistake in a valid configuration: its error says where it is, what is there, what is allowed.

That any file is read or refused, and shows no secret, is in ``tests/config/test_config_fuzz.py``.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError, loads
from exporter.config.errors import dotted

Path = tuple[str | int, ...]

VALID: dict[str, Any] = yaml.safe_load(
    """
    defaults:
      {url: "https://sentry.example", token_env: SENTRY_TOKEN, timeout: 30s, max_concurrency: 4,
      requests_per_second: 10, max_response_size: 64MiB, settle: 5m, max_age: 3h,
      project_label: slug, ca_file: ca.pem}
    organizations:
      - slug: acme
        name: acme-eu
        token_file: token
        teams: {payments: [checkout, "billing-*"]}
        billing: {plan: "off", period: {start_day: 17}, currency: USD, budget: 300}
        quotas:
          - {name: errors, category: error, limit: 500000, price: 0.0002}
          - {name: spans, category: span, limit: 5000000, price: [{above: 0, each: 0.0001}]}
          - {name: shop, category: error, project: [web], limit: 100}
        queries:
          - name: projects
            groupBy: [project, category, outcome]
            filter: {category: [error, span], outcome: accepted, reason: x, project: [web, 7]}
            field: sum(quantity)
            interval: 1h
            poll_interval: 5m
            lookback: 24h
            counters: true
    """
)
FILE = "file.yaml"

odd = st.sampled_from(["zq %", "", "-1h", "1e9", "https://", "[zq", "*", "é\u2028", "a\nb", "\0"])
scalars = odd | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text(max_size=60)
junk = (
    scalars
    | st.lists(scalars, max_size=2)
    | st.dictionaries(st.sampled_from(["zq", "name"]), scalars, max_size=2)
)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value below ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for part, inner in items:
        yield (*path, part)
        if isinstance(inner, (dict, list)):
            yield from paths(inner, (*path, part))


PATHS = list(paths(VALID))


def changed(path: Path, value: Any) -> str:
    """Return the text of a file that has ``value`` at ``path``."""
    document = deepcopy(VALID)
    parent: Any = document
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = value
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def line_of(text: str, path: Path) -> int:
    """Return the line of ``path``, as PyYAML finds it: of its key, or of an entry of a list."""
    node: Any = yaml.compose(text, yaml.SafeLoader)
    mark = node.start_mark
    for part in path:
        if isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
        else:
            key, node = next(pair for pair in node.value if pair[0].value == part)
            mark = key.start_mark
    return int(mark.line) + 1


def test_valid() -> None:
    """Without a mistake there is no error."""
    assert 1 == len(loads(yaml.safe_dump(VALID)).organizations)


@given(st.sampled_from(PATHS), junk)
@settings(max_examples=150, derandomize=True)
def test_any_value_anywhere(path: Path, value: Any) -> None:
    """A value is accepted, or an error names its place and line, and what is allowed."""
    text = changed(path, value)
    try:
        loads(text, FILE)
    except ConfigError as error:
        first = error.problems[0]
        near = (
            one
            for one in error.problems
            if one.path.startswith(dotted(path)) or dotted(path).startswith(one.path)
        )
        # Some mistakes are reported where they have an effect, such as a category of another unit.
        related = next(near, first)
        message = f"{related.message} {related.remedy}"

        assert related.line is not None
        assert str(related).startswith(f"{FILE}:{related.line}: {related.path}: ")
        if related.path == dotted(path):
            assert line_of(text, path) == related.line
        assert re.search(
            r"\b(expected|known keys|use|is missing|duplicate|remove|give it|cannot|looks like)\b",
            message,
        ), message


@given(st.sampled_from([path for path in PATHS if isinstance(path[-1], str)]), st.text(min_size=1))
@settings(max_examples=50, derandomize=True)
def test_any_other_key_anywhere(path: Path, key: str) -> None:
    """A key that is not known is named with its line, and the known ones with it."""
    text = changed((*path[:-1], f"zq{key}"), 1)
    if path[:3] == ("organizations", 0, "teams"):
        return
    try:
        loads(text, FILE)
    except ConfigError as error:
        (problem,) = error.problems
        assert line_of(text, (*path[:-1], f"zq{key}")) == problem.line
        assert "known keys: " in problem.message
    else:
        raise AssertionError("accepted")
