"""The settings: every key of the file with its type, its default and its description.

A default is written as in the file, and read like any other value. Durations are in seconds and
sizes in bytes once they are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Self

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    field_validator,
)
from pydantic_core import CoreSchema, core_schema

from exporter.categories import Unit, unit_of
from exporter.config.errors import Problem, refusal
from exporter.config.keys import Model, key
from exporter.config.notation import (
    OneOrMore,
    duration,
    in_units,
    number_above_zero,
    size,
    whole_number,
)
from exporter.config.places import Places
from exporter.config.quotas import BillingSettings, QuotaSettings
from exporter.config.types import (
    Boolean,
    Category,
    Dimension,
    FilePath,
    Interval,
    OrganizationName,
    OrganizationSlug,
    Outcome,
    Project,
    ProjectLabel,
    ProjectOrPattern,
    QueryName,
    Reason,
    SummedField,
    TeamName,
    Token,
    Url,
    VariableName,
    is_pattern,
)
from exporter.sentry.question import QUANTITY
from exporter.sentry.token import Secret, TokenEnvironment, TokenFile, TokenLiteral, TokenSource

TOKEN_KEYS: Final = ("token_file", "token_env", "token")
"""The keys that name a token; an organization has exactly one of them."""
_TOKEN_FIELDS: Final = frozenset({"token_file", "token_env", "token_literal"})

_DEFAULT_QUERY: Final = {"name": "outcomes", "groupBy": ["category", "outcome", "reason"]}


def _key_like(name: str, description: str) -> Any:
    """Return a key whose default is the setting ``name``, which comes before it in the model."""

    # Before pydantic 2.12 this is called even if the other setting is invalid, and so missing.
    def default(settings: dict[str, Any]) -> Any:
        return settings.get(name)

    # Not validated: the other setting has been read already, and 3600 is no duration of the file.
    return Field(default_factory=default, validate_default=False, description=description)


class Filter(Model):
    """Which rows to ask for; several values under one key are alternatives."""

    category: Annotated[tuple[Category, ...], OneOrMore()] = key(
        "Sentry's own names: error, transaction, span, attachment, log_byte and more.", default=()
    )
    outcome: Annotated[tuple[Outcome, ...], OneOrMore()] = key(
        "What happened to the data.", default=()
    )
    reason: Reason | None = key(
        "One reason, word for word; ``none`` selects rows without a reason.", default=None
    )
    project: Annotated[tuple[Project, ...], OneOrMore()] = key("Slugs or numeric ids.", default=())

    @field_validator("category")
    @classmethod
    def _attachment_alone(cls, category: tuple[str, ...]) -> tuple[str, ...]:
        # Sentry answers 400, to no other mixture (``CategoryDimension`` in its snuba/outcomes.py).
        if "attachment" in category and len(category) > 1:
            raise refusal(
                "Sentry refuses attachment together with other categories; "
                "use a separate query for attachment"
            )
        return category


class Query(Model):
    """One question, asked again and again."""

    name: QueryName = key("The label ``query`` of everything that this query publishes.")
    filter: Filter = key("Which rows to ask for; by default all.", default={})
    fields: Annotated[tuple[SummedField, ...], OneOrMore()] = key(
        "What to sum: quantities, or how many rows the store holds, or both.",
        default=QUANTITY,
        alias="field",
    )
    group_by: tuple[Dimension, ...] = key(
        "The dimensions of the result. May be empty if the filter names categories.",
        default=(),
        alias="groupBy",
    )
    interval: Interval = key("The length of a bucket.", default="1h")
    poll_interval: Annotated[int, duration("1m", "1d")] = _key_like(
        "interval", "How often to poll; must divide the interval. By default the interval."
    )
    lookback: Annotated[int, duration("1h", "30d")] = key(
        "How far back finished buckets are read again for late data; at least one interval.",
        default="24h",
    )
    counters: Boolean = key("Whether to publish counters beside the gauges.", default=True)

    @field_validator("group_by")
    @classmethod
    def _no_repeats(cls, group_by: tuple[str, ...]) -> tuple[str, ...]:
        repeated = next((name for name in group_by if group_by.count(name) > 1), None)
        if repeated is not None:
            raise refusal(f"duplicate dimension {repeated}")
        return group_by

    @field_validator("group_by")
    @classmethod
    def _one_unit(cls, group_by: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        # info.data has only the fields that come before this one and are valid.
        if "category" not in group_by and {"filter", "fields"} <= info.data.keys():
            _check_units(info.data["filter"].category, info.data["fields"])
        return group_by

    @field_validator("poll_interval")
    @classmethod
    def _divides(cls, poll_interval: int, info: ValidationInfo) -> int:
        interval = info.data.get("interval")
        if interval and interval % poll_interval:
            raise refusal(
                f"{in_units(poll_interval)} does not divide the interval of "
                f"{in_units(interval)}; use a duration that does, such as 5m"
            )
        return poll_interval

    @field_validator("lookback")
    @classmethod
    def _one_bucket(cls, lookback: int, info: ValidationInfo) -> int:
        interval = info.data.get("interval", 0)
        if lookback < interval:
            raise refusal(
                f"{in_units(lookback)} is shorter than the interval; "
                f"expected a duration from {in_units(interval)} to 30d"
            )
        return lookback


@dataclass(frozen=True, slots=True)
class Teams:
    """Teams and the projects of each, in the order of the file.

    A project is named by its slug, by its numeric id, or by a shell-style pattern for slugs.
    """

    projects: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        mapping = handler.generate_schema(
            dict[TeamName, Annotated[tuple[ProjectOrPattern, ...], OneOrMore()]]
        )
        return core_schema.no_info_after_validator_function(
            cls.of,
            mapping,
            serialization=core_schema.plain_serializer_function_ser_schema(cls.as_mapping),
        )

    @classmethod
    def of(cls, mapping: Mapping[str, tuple[str, ...]]) -> Self:
        """Return the teams of ``mapping``, in its order."""
        return cls(tuple(mapping.items()))

    def as_mapping(self) -> dict[str, tuple[str, ...]]:
        """Return the projects by team, as the file has them."""
        return dict(self.projects)

    def owner(self, slug: str, project_id: int) -> str | None:
        """Return the first team that has the project, None if no team has it."""
        owners = (
            team
            for team, projects in self.projects
            if any(_names(written, slug, project_id) for written in projects)
        )
        return next(owners, None)


class Settings(Model):
    """How to reach Sentry and how to treat its answers; an organization's own keys win."""

    url: Url = key(
        "Sentry's address: sentry.io, one of its regions, or a server of your own.",
        default="https://sentry.io",
    )
    token_file: FilePath | None = key(
        "A file whose one line is the token; read again whenever it changes.", default=None
    )
    token_env: VariableName | None = key(
        "An environment variable that holds the token.", default=None
    )
    token_literal: Token | None = key(
        "The token itself; everyone who can read this file can read it. Prefer the other two.",
        default=None,
        alias="token",
    )
    ca_file: FilePath | None = key(
        "Certificates to trust, if a private authority has signed Sentry's certificate.",
        default=None,
    )
    timeout: Annotated[int, duration("1s", "5m")] = key(
        "How long a complete request may take, body included.", default="30s"
    )
    max_concurrency: Annotated[int, whole_number(1, 25)] = key(
        "Concurrent requests with one token.", default=4
    )
    requests_per_second: Annotated[float, number_above_zero(20)] = key(
        "Requests per second with one token; Sentry's own limit is 20.", default=10
    )
    max_response_size: Annotated[int, size("1KiB", "1GiB")] = key(
        "The largest body of an answer that is read.", default="64MiB"
    )
    # Sentry's OutcomeAggregator holds outcomes for up to 300 s (src/sentry/utils/outcomes.py).
    settle: Annotated[int, duration("0s", "1h")] = key(
        "How long after its end a bucket counts as finished.", default="5m"
    )
    max_age: Annotated[int, duration("1m")] = key(
        "Data older than this is withdrawn.", default="3h"
    )
    project_label: ProjectLabel = key("The content of the label ``project``.", default="slug")

    def with_defaults(self, defaults: "Settings") -> Self:
        """Return these settings; those that are not set here are taken from ``defaults``.

        The three ways to name a token count as one setting.
        """
        # What the file sets, not which values differ: a key with the built-in default wins as well.
        names = defaults.model_fields_set - self.model_fields_set
        if self.model_fields_set & _TOKEN_FIELDS:
            names -= _TOKEN_FIELDS
        return self.model_copy(update={name: getattr(defaults, name) for name in names})


class Organization(Settings):
    """An organization, its own settings, and what to ask about it."""

    slug: OrganizationSlug = key(
        "The slug; or, from Sentry 24.5 on, the numeric id, which survives a change of the slug."
    )
    name: OrganizationName = _key_like(
        "slug",
        "The label ``organization`` of everything that is published about it, unique in this file. "
        "By default the slug.",
    )
    teams: Teams = key(
        "Teams, and the projects that each owns: slugs, numeric ids, or patterns such as "
        "billing-*. The first team that has a project owns it.",
        default={},
    )
    queries: Annotated[tuple[Query, ...], Field(min_length=1)] = key(
        "What to ask; by default outcomes by category, outcome and reason.",
        default=[_DEFAULT_QUERY],
    )
    billing: BillingSettings = key(
        "How Sentry bills the organization; used with quotas.", default={}
    )
    quotas: tuple[QuotaSettings, ...] = key(
        "Quotas to watch. With a plan, there is one for each billed category already; these are "
        "added, or override those with the same name.",
        default=(),
    )

    @property
    def has_quotas(self) -> bool:
        """Whether there are quotas to read: those of the file, or the plan's."""
        return bool(self.quotas) or self.billing.plan == "sentry"

    @property
    def token(self) -> TokenSource:
        """Where the token is read from; without any, an empty token that cannot be used."""
        if self.token_file is not None:
            return TokenFile(self.token_file)
        if self.token_env is not None:
            return TokenEnvironment(self.token_env)
        return TokenLiteral(self.token_literal or Secret(""))


class ConfigFile(Model):
    """The configuration of sentry-stats-exporter."""

    defaults: Settings = key(
        "Settings of every organization that does not have its own.", default={}
    )
    organizations: Annotated[tuple[Organization, ...], Field(min_length=1)] = key(
        "The organizations to ask about."
    )

    @field_validator("organizations")
    @classmethod
    def _with_defaults(
        cls, organizations: tuple[Organization, ...], info: ValidationInfo
    ) -> tuple[Organization, ...]:
        if "defaults" not in info.data:
            return organizations
        return tuple(each.with_defaults(info.data["defaults"]) for each in organizations)


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that can be used: its organizations with every default applied."""

    organizations: tuple[Organization, ...]
    warnings: tuple[Problem, ...]
    places: Places = field(default_factory=Places, compare=False, repr=False)
    """Where the file has the settings in effect."""


def _names(written: str, slug: str, project_id: int) -> bool:
    if is_pattern(written):
        return fnmatchcase(slug, written)
    return written in (slug, str(project_id))


def _check_units(category: tuple[str, ...], fields: tuple[str, ...]) -> None:
    if not category:
        raise refusal(
            "category is missing here and in the filter: events, bytes and milliseconds would be "
            "added together, which Sentry refuses; add category to one of them"
        )
    # Reversed, so that each unit is left with its first category.
    first = {unit_of(name): name for name in reversed(category)}
    if QUANTITY in fields and len(first) > 1:
        mixed = ", ".join(f"{unit} ({first[unit]})" for unit in Unit if unit in first)
        raise refusal(
            f"without category here, different units would be added together: {mixed}; "
            "add category to groupBy, or use a separate query for each unit"
        )
