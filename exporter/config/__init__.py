"""The configuration: a YAML file in, frozen settings out.

`load` returns a `Config`, or raises `ConfigError` with all errors of the file at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from exporter.config.checks import category_remedy, errors_across, warnings_about
from exporter.config.errors import (
    ConfigError,
    KeyPath,
    Place,
    Problem,
    explained,
    in_order,
    near,
)
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
from exporter.config.places import Places, QueryPlaces
from exporter.config.quotas import QUOTAS_QUERY, BillingSettings, QuotaSettings
from exporter.config.shown import as_yaml
from exporter.config.yaml_file import Document, decoded, parse, read

__all__ = [
    "QUOTAS_QUERY",
    "BillingSettings",
    "Config",
    "ConfigError",
    "Filter",
    "HostReport",
    "Organization",
    "Problem",
    "Query",
    "QuotaSettings",
    "Teams",
    "as_yaml",
    "category_remedy",
    "host_report",
    "in_order",
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
        places=_places(document, organizations),
    )


def _places(document: Document, organizations: Sequence[Organization]) -> Places:
    settings: dict[tuple[str, str], Place] = {}
    queries: dict[tuple[str, str], QueryPlaces] = {}
    for at, organization in enumerate(organizations):
        entry = ("organizations", at)
        for key, place in _settings(document, entry, organization):
            settings[organization.name, key] = place
        for number, query in enumerate(organization.queries):
            path = (*entry, "queries", number)
            # Without the key, there is the default query, which the file does not have.
            if path in document.marks:
                queries[organization.name, query.name] = _query_places(document, path)
    return Places(settings, queries)


def _settings(
    document: Document, entry: KeyPath, organization: Organization
) -> Iterator[tuple[str, Place]]:
    yield "slug", document.place((*entry, "slug"))
    for name, field in Settings.model_fields.items():
        key = field.alias or name
        paths = (*entry, key), ("defaults", key)
        path = next((path for path in paths if path in document.marks), None)
        # Another token's key under defaults is not in effect, although the file has it.
        if path is not None and getattr(organization, name) is not None:
            yield key, document.place(path)
    for keys in (("billing", "plan"), ("billing", "period"), ("quotas",)):
        if (*entry, *keys) in document.marks:
            yield ".".join(keys), document.place((*entry, *keys))


def _query_places(document: Document, path: KeyPath) -> QueryPlaces:
    projects, category = ((*path, "filter", key) for key in ("project", "category"))
    written = document.at(category) or []
    names = written if isinstance(written, list) else [written]
    # Backwards: of a name that is there twice, the first place counts.
    categories = {name: document.place((*category, at)) for at, name in [*enumerate(names)][::-1]}
    return QueryPlaces(
        document.place(path),
        document.place(projects) if projects in document.marks else None,
        document.place(category) if category in document.marks else None,
        categories,
    )
