"""The JSON Schema that editors use."""

from pathlib import Path

from tools.config_schema import document, schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "config.schema.json"


def test_published_schema_is_that_of_the_models() -> None:
    """The file in the repository is the one that ``make generate`` writes."""
    assert document() == PUBLISHED.read_text("utf-8")


def test_every_key_is_described() -> None:
    """An editor can say of each key what it is for."""
    generated = schema()
    mappings = [generated, *generated["$defs"].values()]
    undescribed = [
        key
        for mapping in mappings
        for key, value in mapping["properties"].items()
        if "description" not in value
    ]

    assert undescribed == []


def test_defaults_are_as_written_in_the_file() -> None:
    """Defaults are shown in the file's own notation."""
    settings = schema()["$defs"]["Settings"]["properties"]

    assert {key: value["default"] for key, value in settings.items() if "default" in value} == {
        "url": "https://sentry.io",
        "timeout": "30s",
        "max_concurrency": 4,
        "requests_per_second": 10,
        "max_response_size": "64MiB",
        "settle": "5m",
        "max_age": "3h",
        "project_label": "slug",
    }
