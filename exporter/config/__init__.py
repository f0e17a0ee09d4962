"""The configuration: a YAML file in, frozen settings out.

`load` returns a `Config`, or raises `ConfigError` with all errors of the file at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from exporter.config.checks import category_remedy, errors_across, warnings_about
from exporter.config.errors import ConfigError, Place, Problem, explained, in_order, near
from exporter.config.host import HostReport, host_report, with_token_file
from exporter.config.models import (
    Config,
    ConfigFile,
    Filter,
    Organization,
    Query,
    Settings,
    Teams,
)
from exporter.config.notation import in_units
from exporter.config.shown import as_yaml
from exporter.config.yaml_file import Document, decoded, parse, read

__all__ = [
    "Config",
    "ConfigError",
    "Filter",
    "HostReport",
    "Organization",
    "Problem",
    "Query",
    "Teams",
    "as_yaml",
    "category_remedy",
    "host_report",
    "in_units",
    "load",
    "loads",
    "near",
    "parsed",
    "read",
    "with_token_file",
]


def load(path: Path) -> Config:
    """Return the configuration in the file at ``path``; raises `ConfigError`.

    Relative paths in it begin at the directory of the file.
    """
    return parsed(read(path), path)


def parsed(content: bytes, path: Path) -> Config:
    """Return the configuration in ``content``, which was read from ``path``.

    Raises `ConfigError` as `load` does.
    """
    name = str(path)
    return _config(parse(decoded(content, name), name), path.parent)


def loads(text: str, name: str = "<string>") -> Config:
    """Return the configuration in ``text``, called ``name`` in messages; raises `ConfigError`.

    Relative paths in it begin at the working directory.
    """
    return _config(parse(text, name), Path())


def _config(document: Document, directory: Path) -> Config:
    problems = [*document.problems, *errors_across(document)]
    organizations: tuple[Organization, ...] = ()
    try:
        file = ConfigFile.model_validate(document.value, context=directory)
        organizations = file.organizations
    except ValidationError as error:
        problems += (document.problem(*place) for place in explained(error, ConfigFile))
    if problems:
        raise ConfigError(problems)
    return Config(
        organizations,
        warnings=in_order(warnings_about(document, organizations)),
        places=dict(_places(document, organizations)),
    )


def _places(
    document: Document, organizations: Sequence[Organization]
) -> Iterator[tuple[tuple[str, ...], Place]]:
    """Yield where the file has each setting of each organization, and each query."""
    for at, organization in enumerate(organizations):
        for name, field in Settings.model_fields.items():
            key = field.alias or name
            paths = ("organizations", at, key), ("defaults", key)
            path = next((path for path in paths if path in document.marks), None)
            # Another token's key under defaults is not in effect, although the file has it.
            if path is not None and getattr(organization, name) is not None:
                yield (organization.name, key), document.place(path)
        entry = ("organizations", at)
        yield (organization.name, "slug"), document.place((*entry, "slug"))
        for number, query in enumerate(organization.queries):
            for keys in ((), ("filter", "project"), ("filter", "category")):
                path = (*entry, "queries", number, *keys)
                if path in document.marks:
                    yield (organization.name, query.name, ".".join(keys)), document.place(path)
