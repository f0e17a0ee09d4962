"""Settings as values: equal when they are the same, never changed, never showing a token."""

from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config import Organization, Query, loads
from exporter.config.models import Settings

TOKEN = "sntryu_0123456789abcdef"
VALUES = {
    "url": ("https://a.example", "https://b.example"),
    "token_file": ("/run/a", "/run/b"),
    "token_env": ("TOKEN_A", "TOKEN_B"),
    "token": ("token-a", "token-b"),
    "ca_file": ("/etc/a.pem", "/etc/b.pem"),
    "timeout": ("10s", "20s"),
    "max_concurrency": (2, 3),
    "requests_per_second": (1.5, 2.5),
    "max_response_size": ("1MiB", "2MiB"),
    "settle": ("1m", "2m"),
    "max_age": ("5h", "6h"),
    "project_label": ("id", "slug"),
}
"""Two values of each setting, of which the first is not its default."""


def organization(own: str = "token_env: T", defaults: str = "") -> Organization:
    """Return the organization with these keys of its own and under ``defaults``."""
    text = f"defaults: {{{defaults}}}\norganizations: [{{slug: acme, {own}}}]"
    (only,) = loads(text).organizations
    return only


def query(keys: str) -> Query:
    """Return the query with these keys."""
    (only,) = organization(f"token_env: T, queries: [{{name: q, {keys}}}]").queries
    return only


def test_every_setting_is_tried() -> None:
    """The values of this module are for all settings there are."""
    assert VALUES.keys() == {field.alias or name for name, field in Settings.model_fields.items()}


@pytest.mark.parametrize(("key", "values"), VALUES.items())
class TestDefaults:
    """Each setting under ``defaults``."""

    def test_default_is_inherited(self, key: str, values: tuple[Any, Any]) -> None:
        """A setting means the same under ``defaults`` and on the organization."""
        token = "" if key.startswith("token") else ", token_env: T"

        inherited = organization("name: acme" + token, f"{key}: {values[0]}")

        assert inherited == organization(f"{key}: {values[0]}{token}")
        assert inherited != organization(f"{key}: {values[1]}{token}")

    def test_own_setting_wins(self, key: str, values: tuple[Any, Any]) -> None:
        """A setting of the organization replaces the default."""
        token = "" if key.startswith("token") else ", token_env: T"

        own = organization(f"{key}: {values[1]}{token}", f"{key}: {values[0]}")

        assert own == organization(f"{key}: {values[1]}{token}")


class TestEquality:
    """Settings are compared by what they mean."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("groupBy: [category]", "groupBy: [category], interval: 1h"),
            ("groupBy: [category]", "groupBy: [category], poll_interval: 60m"),
            ("groupBy: [category]", "groupBy: [category], filter: {}, counters: true"),
            ("groupBy: [category]", "groupBy: [category], lookback: 1d"),
            ("filter: {category: error}", "filter: {category: [error, error]}"),
        ],
    )
    def test_other_notation_of_the_same(self, one: str, other: str) -> None:
        """Queries that ask the same are equal, however they are written."""
        assert query(one) == query(other)

    @pytest.mark.parametrize(
        "other",
        [
            "groupBy: [category, outcome]",
            "groupBy: [category], interval: 2h",
            "groupBy: [category], poll_interval: 5m",
            "groupBy: [category], lookback: 2d",
            "groupBy: [category], counters: false",
            "groupBy: [category], field: sum(times_seen)",
            "groupBy: [category], filter: {reason: none}",
        ],
    )
    def test_other_query(self, other: str) -> None:
        """Queries that differ in one setting are not equal."""
        assert query("groupBy: [category]") != query(other)

    def test_order_of_teams(self) -> None:
        """Teams in another order are others: the first that has a project owns it."""
        assert organization("token_env: T, teams: {a: web, b: '*'}") != organization(
            "token_env: T, teams: {b: '*', a: web}"
        )

    def test_equal_settings_have_the_same_hash(self) -> None:
        """Settings can be keys of a mapping."""
        assert len({organization(), organization("token_env: T, timeout: 30s")}) == 1


def test_settings_are_frozen() -> None:
    """Nobody changes a setting in place."""
    acme = organization()

    with pytest.raises(ValidationError, match="frozen"):
        acme.timeout = 1  # type: ignore[misc]


class TestSecrets:
    """A token in the file."""

    def test_shown_settings_have_no_token(self) -> None:
        """A token is masked in all texts and dumps of the settings."""
        acme = organization(f"token: {TOKEN}")
        shown = [repr(acme), str(acme), str(acme.model_dump()), acme.model_dump_json()]

        assert [1] * 4 == [each.count("<secret>") for each in shown]
        assert not any(TOKEN in each for each in shown)

    def test_refused_settings_have_no_token(self) -> None:
        """An error of the model itself does not repeat what it was given."""
        with pytest.raises(ValidationError) as caught:
            Organization.model_validate({"slug": "acme", "token": [TOKEN]})

        assert TOKEN not in f"{caught.value} {caught.value!r}"
