"""The example that users start from: complete, valid, and honest about defaults."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from exporter.config import BillingSettings, Config, Filter, Teams, loads
from exporter.config.models import ConfigFile, Organization, Query, Settings

TEXT = (Path(__file__).parents[2] / "config.example.yaml").read_text("utf-8")
COMMENTED = re.compile(r"(?P<indent> *)# (?P<key> *[a-zA-Z_]+):(?= |$)(?P<value>.*)")
MODELS = (ConfigFile, Settings, Organization, Query, Filter)


def keys_of(model: type[BaseModel]) -> set[str]:
    """Return the keys that the file may have for ``model``."""
    return {field.alias or name for name, field in model.model_fields.items()}


KEYS = {key for model in (Organization, Query, Filter, BillingSettings) for key in keys_of(model)}
LINES = [
    (number, line)
    for number, line in enumerate(TEXT.splitlines())
    if (match := COMMENTED.fullmatch(line)) and match["key"].strip() in KEYS
]
EXAMPLES = {number for number, line in LINES if "# example" in line}
DEFAULTS = [number for number, _ in LINES if number not in EXAMPLES]


def with_keys(*numbers: int) -> Config:
    """Return what the example says with the commented keys on these lines in force."""
    lines = TEXT.splitlines()
    for number in numbers:
        lines[number] = COMMENTED.sub(r"\g<indent>\g<key>:\g<value>", lines[number])
    return loads("\n".join(lines))


@pytest.mark.parametrize("number", DEFAULTS, ids=lambda number: TEXT.splitlines()[number].strip())
def test_commented_key_shows_its_default(number: int) -> None:
    """A key that is commented out changes nothing when it is put in force."""
    assert loads(TEXT) == with_keys(number)


def test_examples_can_be_put_in_force() -> None:
    """Keys that are marked as examples are valid, and do change something."""
    token_env, *others = sorted(EXAMPLES)
    (acme,) = with_keys(*others).organizations
    _, projects = acme.queries

    assert "token_env" in TEXT.splitlines()[token_env]
    assert Path("private-ca.pem") == acme.ca_file
    assert acme.teams == Teams(
        (("payments", ("checkout", "billing-*")), ("platform", ("4505123",)))
    )
    assert ("sentry", 17, Decimal(300)) == (
        acme.billing.plan,
        acme.billing.period.start_day,
        acme.billing.budget,
    )
    assert ["errors"] == [quota.name for quota in acme.quotas]
    assert projects.filter == Filter(
        category=("error", "transaction"),
        outcome=("accepted", "rate_limited"),
        reason="key_quota",
        project=("web", "4505123"),
    )


@pytest.mark.parametrize("model", MODELS)
def test_every_key_is_in_the_example(model: type[BaseModel]) -> None:
    """The example has every key that the file may have; a token itself is only spoken of."""
    shown = set(re.findall(r"^[ #-]*([a-zA-Z_]+):(?: |$)", TEXT, re.MULTILINE)) | {"token"}

    assert set() == keys_of(model) - shown


def test_configuration_shown_everywhere() -> None:
    """The example is valid, and asks what the shipped rules and dashboards are made for."""
    config = loads(TEXT)
    (acme,) = config.organizations

    assert () == config.warnings
    assert [
        ("outcomes", ("category", "outcome", "reason"), 300),
        ("projects", ("project", "category", "outcome", "reason"), 900),
    ] == [(query.name, query.group_by, query.poll_interval) for query in acme.queries]
    assert [Filter(), Filter()] == [query.filter for query in acme.queries]
