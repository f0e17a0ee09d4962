"""Whatever a file holds, it is read or refused; and no message shows a token."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError, loads
from tools.config_schema import schema

pytestmark = pytest.mark.slow

EXAMPLE = (Path(__file__).parents[2] / "config.example.yaml").read_text("utf-8")
KEYS = sorted(
    {key for mapping in schema()["$defs"].values() for key in mapping["properties"]}
    | {"defaults", "organizations"}
)
WORDS = [
    "1h",
    "5m",
    "30s",
    "64MiB",
    "sum(quantity)",
    "category",
    "attachment",
    "error",
    "https://a",
]
at_any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARKER = "Zq7"
SECRETS = [
    "sntryu_0123456789abcdef",
    "0123456789abcdef" * 2,
    "0123456789abcdef" * 4,
    "https://0123456789abcdef@sentry.example",
    "https://public:0123456789abcdef/@sentry.example/organizations/acme/",
    "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/1",
]
"""Tokens, keys, URLs with a password, DSNs."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
    | st.dates()
)
keys = st.sampled_from(KEYS) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
filters = st.dictionaries(st.sampled_from(["category", "outcome", "reason", "project"]), values)
queries = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]) | values},
    optional={
        "groupBy": st.lists(st.sampled_from(["category", "project", "x"]), max_size=3) | values,
        "filter": filters | values,
        "interval": st.sampled_from(["1h", "1d"]) | values,
        "poll_interval": st.sampled_from(["5m", "7m", "1d"]) | values,
        "lookback": st.sampled_from(["1h", "30d"]) | values,
    },
)
defaults = st.dictionaries(keys, values, max_size=4)
organizations = st.fixed_dictionaries(
    {"slug": st.sampled_from(["acme", 7]) | values},
    optional={"token_env": st.just("T"), "url": values, "queries": st.lists(queries, max_size=3)},
)
files = st.fixed_dictionaries(
    {"organizations": st.lists(organizations, max_size=3)}, optional={"defaults": defaults}
)
secrets = st.text("abcXYZ019_-+/=: *&!'\"{}[]\n\t", max_size=30).map(lambda text: MARKER + text)


def outcome(text: str) -> str:
    """Return everything that reading ``text`` shows."""
    try:
        config = loads(text)
    except ConfigError as error:
        return f"{error!s} {error!r} {error.problems!r}"
    dumps = [each.model_dump_json() for each in config.organizations]
    return f"{config!r} {config!s} {dumps} {[str(warning) for warning in config.warnings]}"


@at_any_speed
@given(st.text())
@example("\x00")
@example('"\\ud800": "\\ud800"')
@example("organizations: [{slug: '\\ud800'}]")
@example("&a [*a]")
@example("~")
@example("---")
@example("? [a]\n: b")
@example("<<: 1")
@example("a: 1\n<<: [{b: 1}, 2]")
def test_any_text(text: str) -> None:
    """Any text at all is read or refused, and the answer can be printed."""
    outcome(text).encode()


@at_any_speed
@given(st.data())
def test_any_slip_of_the_keyboard(data: st.DataObject) -> None:
    """A valid file with a piece replaced by another is read or refused."""
    start = data.draw(st.integers(0, len(EXAMPLE)))
    length = data.draw(st.integers(0, 40))
    typed = data.draw(st.text("\t\n -:[]{}#&*!|>'\"%@`,?abc019", max_size=8))

    outcome(EXAMPLE[:start] + typed + EXAMPLE[start + length :]).encode()


@at_any_speed
@given(values | files)
def test_any_structure(value: Any) -> None:
    """Any document at all is read or refused, and the answer can be printed."""
    outcome(yaml.safe_dump(value, allow_unicode=True)).encode()


@at_any_speed
@given(
    st.sampled_from(SECRETS),
    st.sampled_from(["defaults", "organizations", "queries", "filter"]),
    st.sampled_from(KEYS),
    st.sampled_from(["{}", " {} ", "[{}]", "[{{a: {}}}]"]),
)
def test_secret_in_a_wrong_place_is_never_shown(
    secret: str, mapping: str, key: str, written: str
) -> None:
    """A secret pasted as the value of any key is in no message, and no repr of a configuration."""
    lines = {
        "defaults": "url: https://a.example",
        "organizations": "slug: acme, token_env: T",
        "queries": "name: q, groupBy: [category]",
        "filter": "outcome: accepted",
    }
    planted = f"{key}: {written.format(secret)}"
    lines[mapping] = ", ".join(
        [planted, *(pair for pair in lines[mapping].split(", ") if not pair.startswith(f"{key}:"))]
    )
    shown = outcome(
        f"defaults: {{{lines['defaults']}}}\n"
        f"organizations: [{{{lines['organizations']}, queries: "
        f"[{{{lines['queries']}, filter: {{{lines['filter']}}}}}]}}]"
    )

    assert secret not in shown
    assert "0123456789abcdef" not in shown


@at_any_speed
@given(files, secrets, st.data())
def test_token_is_never_shown(file: dict[str, Any], secret: str, data: st.DataObject) -> None:
    """Whatever else is wrong, the value of ``token`` is in no message and no repr."""
    planted = data.draw(
        st.sampled_from(
            [secret, [secret], {secret: None}, {secret: [1]}, [{"a": secret}], [[secret]]]
        )
    )
    places = [file.setdefault("defaults", {}), *file["organizations"]]
    data.draw(st.sampled_from(places))["token"] = planted

    assert MARKER not in outcome(yaml.safe_dump(file))
