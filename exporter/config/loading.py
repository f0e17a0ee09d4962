"""From the file to a `Config`, or to everything that is wrong with it."""

from pathlib import Path

from pydantic import ValidationError

from exporter.config.advice import advice
from exporter.config.explain import explained
from exporter.config.models import (
    TOKEN_KEYS,
    FileEntry,
    FilterEntry,
    OrganizationEntry,
    QueryEntry,
    SettingsEntry,
)
from exporter.config.problems import ConfigError, KeyPath, Place, Problem, in_order
from exporter.config.rules import across_the_file
from exporter.config.settings import Config, Filter, Organization, Query
from exporter.config.source import Document, parse, read
from exporter.config.teams import Teams
from exporter.sentry.token import TokenEnvironment, TokenFile, TokenLiteral, TokenSource


def load(path: Path) -> Config:
    """Return the configuration in the file at ``path``; raises `ConfigError`.

    Paths in the file are relative to the directory it is in.
    """
    return _config(parse(read(path), str(path)), path.parent)


def loads(text: str, name: str = "<string>") -> Config:
    """Return the configuration in ``text``, called ``name`` in messages; raises `ConfigError`.

    Paths in it are relative to the working directory.
    """
    return _config(parse(text, name), Path())


def _config(document: Document, directory: Path) -> Config:
    file, wrong = _validated(document)
    problems = (*document.problems, *wrong, *across_the_file(document))
    if file is None or problems:
        raise ConfigError(problems)
    organizations = tuple(
        _organization(_with_defaults(entry, file.defaults), directory)
        for entry in file.organizations
    )
    return Config(
        organizations,
        warnings=in_order(advice(document, file, organizations)),
        places=_places(document, file, organizations),
    )


def _validated(document: Document) -> tuple[FileEntry | None, tuple[Problem, ...]]:
    try:
        return FileEntry.model_validate(document.value), ()
    except ValidationError as error:
        return None, tuple(explained(document, error))


def _with_defaults(entry: OrganizationEntry, defaults: SettingsEntry) -> OrganizationEntry:
    """Return ``entry`` with the defaults it does not override; any token replaces any other."""
    inherited = _inherited(entry, defaults)
    return entry.model_copy(update={name: getattr(defaults, name) for name in inherited})


def _inherited(entry: OrganizationEntry, defaults: SettingsEntry) -> set[str]:
    inherited = defaults.model_fields_set - entry.model_fields_set
    if not entry.model_fields_set.isdisjoint(TOKEN_KEYS):
        inherited = inherited.difference(TOKEN_KEYS)
    return inherited


def _places(
    document: Document, file: FileEntry, organizations: tuple[Organization, ...]
) -> dict[tuple[str, str], Place]:
    """Return where each setting of each organization stands that the file has."""
    places = {}
    for at, entry in enumerate(file.organizations):
        paths: dict[str, KeyPath] = {
            key: ("defaults", key) for key in _inherited(entry, file.defaults)
        }
        paths |= {key: ("organizations", at, key) for key in entry.model_fields_set}
        for key, path in paths.items():
            places[organizations[at].name, key] = document.place(path)
    return places


def _organization(entry: OrganizationEntry, directory: Path) -> Organization:
    return Organization(
        slug=entry.slug,
        name=entry.name or entry.slug,
        url=entry.url,
        token=_token_source(entry, directory),
        ca_file=directory / entry.ca_file if entry.ca_file else None,
        timeout=entry.timeout,
        max_concurrency=entry.max_concurrency,
        requests_per_second=entry.requests_per_second,
        max_response_size=entry.max_response_size,
        settle=entry.settle,
        max_age=entry.max_age,
        project_label=entry.project_label,
        queries=tuple(_query(query) for query in entry.queries),
        teams=Teams(tuple(entry.teams.items())),
    )


def _token_source(entry: SettingsEntry, directory: Path) -> TokenSource:
    """Return the one source that is given: that it is one has been seen to by then."""
    sources: tuple[TokenSource | None, ...] = (
        TokenFile(directory / entry.token_file) if entry.token_file else None,
        TokenEnvironment(entry.token_env) if entry.token_env else None,
        TokenLiteral(entry.token) if entry.token else None,
    )
    return next(source for source in sources if source is not None)


def _query(entry: QueryEntry) -> Query:
    return Query(
        name=entry.name,
        group_by=entry.groupBy,
        filter=_filter(entry.filter),
        fields=entry.field,
        interval=entry.interval,
        poll_interval=entry.poll_interval or entry.interval,
        lookback=entry.lookback,
        counters=entry.counters,
    )


def _filter(entry: FilterEntry) -> Filter:
    return Filter(
        category=entry.category,
        outcome=entry.outcome,
        reason=entry.reason,
        project=entry.project,
    )
