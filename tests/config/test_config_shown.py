"""The configuration in effect, as text."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exporter.categories import OUTCOMES
from exporter.config import ConfigError, as_yaml, load, loads, parsed

TOKEN = "sntryu_0123456789abcdef0123456789abcdef"
MASK = "<secret>"

AWKWARD = ["1e3", "on", "null", "~", "1:30", "0x10", "12", "a: b", "#x", "- a", "<<", "'", '"', "é"]
"""Texts that some reader of YAML takes for something else."""

texts = st.sampled_from(AWKWARD) | st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
)
slugs = st.from_regex("[a-z0-9_][a-z0-9_-]{0,9}", fullmatch=True)
names = st.from_regex("[a-zA-Z0-9_.:-]{1,9}", fullmatch=True)
paths = st.sampled_from(["/run/token", "token", "./~token", "./$token", "a/../token", "./file:x"])
seconds = st.sampled_from(["1s", "30s", "60s", "90s", "2m", "5m"])
dimensions = st.permutations(["outcome", "category", "reason", "project"])
queries = st.fixed_dictionaries(
    {
        "name": names,
        "groupBy": st.builds(
            lambda order, count: [*order[:count], *({"category"} - {*order[:count]})],
            dimensions,
            st.integers(0, 4),
        ),
    },
    optional={
        "filter": st.fixed_dictionaries(
            {},
            optional={
                "category": texts | st.lists(texts, min_size=1, max_size=3),
                "outcome": st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=2),
                "reason": texts,
                "project": slugs | st.lists(slugs, min_size=1, max_size=3) | st.integers(0, 99),
            },
        ),
        "field": st.sampled_from(["sum(quantity)", ["sum(times_seen)", "sum(quantity)"]]),
        "interval": st.sampled_from(["1h", "3h", "1d"]),
        "poll_interval": st.sampled_from(["60s", "5m", "15m", "1h"]),
        "lookback": st.sampled_from(["1d", "48h", "1500m"]),
        "counters": st.booleans(),
    },
)
own_settings = {
    "url": st.sampled_from(["https://sentry.io", "http://[::1]:9000/sentry/"]),
    "ca_file": paths,
    "timeout": seconds,
    "max_concurrency": st.integers(1, 25),
    "requests_per_second": st.floats(0.1, 20) | st.integers(1, 20),
    "max_response_size": st.sampled_from(["1KiB", "2048B", "1500B", "64MiB", "1GiB"]),
    "settle": st.sampled_from(["0s", "60m", "61s"]),
    "max_age": st.sampled_from(["1m", "100d", "7201s"]),
    "project_label": st.sampled_from(["slug", "id"]),
}
tokens = (
    st.fixed_dictionaries({"token": st.just(TOKEN)})
    | st.fixed_dictionaries({"token_file": paths})
    | st.fixed_dictionaries({"token_env": st.just("SENTRY_TOKEN")})
)
organizations = st.builds(
    lambda one, token: {**one, **token},
    st.fixed_dictionaries(
        {"slug": slugs | st.integers(0, 99)},
        optional={
            **own_settings,
            "name": st.from_regex("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,9}", fullmatch=True),
            "teams": st.dictionaries(texts, st.lists(slugs, min_size=1, max_size=2), max_size=2),
            "queries": st.lists(queries, min_size=1, max_size=2),
        },
    ),
    tokens,
)
files = st.fixed_dictionaries(
    {"organizations": st.lists(organizations, min_size=1, max_size=2)},
    optional={"defaults": st.fixed_dictionaries({}, optional=own_settings)},
)


@pytest.mark.slow
@given(files)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_loaded_again(file: dict[str, object]) -> None:
    """The text, with the tokens put back, is the same configuration; it has no token itself."""
    try:
        config = loads(yaml.safe_dump(file))
    except ConfigError:
        assume(False)  # noqa: FBT003
    shown = as_yaml(config)

    assert TOKEN not in shown
    assert config.organizations == loads(shown.replace(MASK, TOKEN)).organizations


def test_example() -> None:
    """Every default is filled in, and written as in a file."""
    text = f"organizations: [{{slug: acme, token: {TOKEN}, timeout: 90s, max_age: 100d}}]"

    assert as_yaml(loads(text)) == (
        "organizations:\n"
        "- slug: acme\n"
        "  name: acme\n"
        "  url: https://sentry.io\n"
        "  token: <secret>\n"
        "  timeout: 90s\n"
        "  max_concurrency: 4\n"
        "  requests_per_second: 10\n"
        "  max_response_size: 64MiB\n"
        "  settle: 5m\n"
        "  max_age: 100d\n"
        "  project_label: slug\n"
        "  teams: {}\n"
        "  billing:\n"
        "    plan: 'off'\n"
        "    period:\n"
        "      start_day: 1\n"
        "    currency: USD\n"
        "  quotas: []\n"
        "  queries:\n"
        "  - name: outcomes\n"
        "    filter: {}\n"
        "    field: [sum(quantity)]\n"
        "    groupBy: [category, outcome, reason]\n"
        "    interval: 1h\n"
        "    poll_interval: 1h\n"
        "    lookback: 1d\n"
        "    counters: true\n"
    )


def test_defaults_are_of_each_organization() -> None:
    """What the file has under ``defaults`` is shown with each organization."""
    shown = yaml.safe_load(
        as_yaml(loads(f"defaults: {{token: {TOKEN}, settle: 60s}}\norganizations: [{{slug: a}}]"))
    )

    assert ["organizations"] == list(shown)
    assert (MASK, "1m") == tuple(shown["organizations"][0][key] for key in ("token", "settle"))


def test_paths_begin_at_the_file(tmp_path: Path) -> None:
    """Relative paths are shown as they are used."""
    text = b"organizations: [{slug: acme, token_file: token}]"
    shown = as_yaml(parsed(text, tmp_path / "config.yaml"))

    assert f"token_file: {tmp_path}/token\n" in shown


def test_example_file() -> None:
    """The example in the repository, as shown, is the same configuration."""
    config = load(Path(__file__).parents[2] / "config.example.yaml")

    assert config.organizations == loads(as_yaml(config)).organizations


@pytest.mark.parametrize("text", [*AWKWARD, "1e-3", "-7", "true", "No", "2026-01-01", "\u2028"])
def test_text_stays_text(text: str) -> None:
    """Text that readers of YAML take for something else is quoted."""
    file = {
        "organizations": [
            {
                "slug": "acme",
                "token_file": f"./{text}",
                "teams": {text: ["web"]},
                "queries": [
                    {
                        "name": "outcomes",
                        "groupBy": ["outcome"],
                        "filter": {"category": text, "reason": text},
                    }
                ],
            }
        ]
    }
    config = loads(yaml.safe_dump(file, default_style='"'))

    assert config.organizations == loads(as_yaml(config)).organizations
