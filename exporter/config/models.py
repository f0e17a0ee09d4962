"""The shape of the configuration file, for pydantic: keys, kinds, defaults as they are written.

Rules that look across organizations, or need the file's lines, are in ``rules``.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from exporter.categories import OUTCOMES, Unit, unit_of
from exporter.config.access import file_path, token_literal, variable_name
from exporter.config.address import address
from exporter.config.kinds import (
    OneOrMore,
    boolean,
    duration,
    in_units,
    line,
    number_above_zero,
    one_of,
    refusal,
    seconds,
    size,
    whole_number,
)
from exporter.config.names import (
    organization_name,
    organization_slug,
    project,
    project_or_pattern,
    query_name,
)
from exporter.config.secrets import guarded
from exporter.sentry.question import QUANTITY, TIMES_SEEN
from exporter.sentry.token import Secret

TOKEN_KEYS: Final = ("token_file", "token_env", "token")

_INTERVALS: Final = ("1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d")
_DEFAULT_QUERY: Final = {"name": "outcomes", "groupBy": ["category", "outcome", "reason"]}


def _same(*names: str) -> dict[str, object]:
    return {name: name for name in names}


_Interval = Annotated[int, one_of({written: seconds(written) for written in _INTERVALS})]
_Outcome = Annotated[str, one_of(_same(*OUTCOMES), any_case=True)]
_Category = Annotated[
    str, guarded(line(200, "the name of a category, such as error or transaction"))
]
_Reason = Annotated[
    str, guarded(line(200, "one reason in Sentry's words, such as key_quota or none"))
]
_Team = Annotated[str, guarded(line(100, "the name of a team, of 1 to 100 characters"))]
_OwnedProject = Annotated[str, project_or_pattern()]
_Project = Annotated[str, project()]
_Dimension = Annotated[str, one_of(_same("outcome", "category", "reason", "project"))]
_Field = Annotated[str, one_of(_same(QUANTITY, TIMES_SEEN))]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _key(description: str, default: Any = ...) -> Any:
    """Return a key and what an editor says of it; without a default it must be there.

    A default is as it would stand in the file, and is read like anything there.
    """
    return Field(default, description=description)


class FilterEntry(_Entry):
    """Which rows to ask for; several values under one key are alternatives."""

    category: Annotated[tuple[_Category, ...], OneOrMore()] = _key(
        "Sentry's own names: error, transaction, span, attachment, log_byte and more.", default=()
    )
    outcome: Annotated[tuple[_Outcome, ...], OneOrMore()] = _key(
        "What became of the data.", default=()
    )
    reason: _Reason | None = _key(
        "One reason, word for word; ``none`` stands for rows that have none.", default=None
    )
    project: Annotated[tuple[_Project, ...], OneOrMore()] = _key(
        "Slugs or numeric ids.", default=()
    )

    @field_validator("category")
    @classmethod
    def _attachment_alone(cls, category: tuple[str, ...]) -> tuple[str, ...]:
        if "attachment" in category and len(category) > 1:
            raise refusal(
                "found attachment beside another category, which Sentry refuses; "
                "allowed: attachment alone, in a query of its own"
            )
        return category


class QueryEntry(_Entry):
    """One question, asked again and again."""

    name: Annotated[str, query_name()] = _key(
        "The label ``query`` of everything that this query publishes."
    )
    filter: FilterEntry = _key("Which rows to ask for; left out, all.", default={})
    field: Annotated[tuple[_Field, ...], OneOrMore()] = _key(
        "What to sum: quantities, or how many rows the store holds, or both.", default=QUANTITY
    )
    groupBy: tuple[_Dimension, ...] = _key(  # noqa: N815  # the key as the file has it
        "What to tell apart. May be empty where the filter names categories.", default=()
    )
    interval: _Interval = _key("The length of a bucket.", default="1h")
    poll_interval: Annotated[int, duration("1m", "1d")] | None = _key(
        "How often to ask; divides the interval, and is the interval where it is left out.",
        default=None,
    )
    lookback: Annotated[int, duration("1h", "30d")] = _key(
        "How far back finished buckets are read again for late data; at least one interval.",
        default="24h",
    )
    counters: Annotated[bool, boolean()] = _key(
        "Whether to publish counters beside the gauges.", default=True
    )

    @field_validator("groupBy")
    @classmethod
    def _no_repeats(cls, group_by: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((name for name in group_by if group_by.count(name) > 1), None)
        if twice is not None:
            raise refusal(f"found {twice} twice; allowed: each dimension once")
        return group_by

    @field_validator("groupBy")
    @classmethod
    def _one_unit(cls, group_by: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "category" not in group_by and {"filter", "field"} <= info.data.keys():
            _check_units(info.data["filter"].category, info.data["field"])
        return group_by

    @field_validator("poll_interval")
    @classmethod
    def _divides(cls, poll_interval: int | None, info: ValidationInfo) -> int | None:
        interval = info.data.get("interval")
        if poll_interval and interval and interval % poll_interval:
            raise refusal(
                f"found {in_units(poll_interval)}, which does not divide the interval of "
                f"{in_units(interval)}; allowed: a duration of 1m or more that does, such as 5m"
            )
        return poll_interval

    @field_validator("lookback")
    @classmethod
    def _one_bucket(cls, lookback: int, info: ValidationInfo) -> int:
        interval = info.data.get("interval", 0)
        if lookback < interval:
            raise refusal(
                f"found {in_units(lookback)}, which is shorter than the interval; "
                f"allowed: a duration from {in_units(interval)} to 30d"
            )
        return lookback


class SettingsEntry(_Entry):
    """How to reach Sentry and how to treat what it says; an organization's own key wins."""

    url: Annotated[str, address()] = _key(
        "Where Sentry is: sentry.io, one of its regions, or a server of your own.",
        default="https://sentry.io",
    )
    token_file: Annotated[Path, file_path()] | None = _key(
        "A file whose one line is the token; read again whenever it changes.", default=None
    )
    token_env: Annotated[str, variable_name()] | None = _key(
        "An environment variable that holds the token.", default=None
    )
    token: Annotated[Secret, token_literal()] | None = _key(
        "The token itself, readable by whoever reads this file; prefer the other two.", default=None
    )
    ca_file: Annotated[Path, file_path()] | None = _key(
        "Certificates to trust, where Sentry's is signed by a private authority.", default=None
    )
    timeout: Annotated[int, duration("1s", "5m")] = _key(
        "For a whole request, body included.", default="30s"
    )
    max_concurrency: Annotated[int, whole_number(1, 25)] = _key(
        "Requests in flight for one token.", default=4
    )
    requests_per_second: Annotated[float, number_above_zero(20)] = _key(
        "Requests in a second for one token; Sentry's own limit is 20.", default=10
    )
    max_response_size: Annotated[int, size("1KiB", "1GiB")] = _key(
        "The largest body that is read.", default="64MiB"
    )
    settle: Annotated[int, duration("0s", "1h")] = _key(
        "How long after its end a bucket counts as finished.", default="5m"
    )
    max_age: Annotated[int, duration("1m")] = _key(
        "Data older than this is withdrawn.", default="3h"
    )
    project_label: Annotated[Literal["slug", "id"], one_of(_same("slug", "id"))] = _key(
        "What stands in the label ``project``.", default="slug"
    )


class OrganizationEntry(SettingsEntry):
    """An organization, its own settings, and what to ask about it."""

    slug: Annotated[str, organization_slug()] = _key(
        "The slug; or, from Sentry 24.5 on, the numeric id, which survives a change of the slug."
    )
    name: Annotated[str, organization_name()] | None = _key(
        "The label ``organization`` of everything that is published of it, unique in this file; "
        "left out, the slug.",
        default=None,
    )
    teams: dict[_Team, Annotated[tuple[_OwnedProject, ...], OneOrMore()]] = _key(
        "Teams, and the projects that each owns: slugs, numeric ids, or patterns such as "
        "billing-*. The first team that has a project owns it.",
        default={},
    )
    queries: Annotated[tuple[QueryEntry, ...], Field(min_length=1)] = _key(
        "What to ask; left out, outcomes by category, outcome and reason.", default=[_DEFAULT_QUERY]
    )


class FileEntry(_Entry):
    """The configuration of sentry-stats-exporter."""

    defaults: SettingsEntry = _key(
        "Settings of every organization that does not have its own.", default={}
    )
    organizations: Annotated[tuple[OrganizationEntry, ...], Field(min_length=1)] = _key(
        "The organizations to ask about."
    )


def _check_units(category: tuple[str, ...], fields: tuple[str, ...]) -> None:
    if not category:
        raise refusal(
            "found category neither here nor in the filter, which Sentry refuses: events, bytes "
            "and milliseconds would be added together; allowed: category in either"
        )
    first = {unit_of(name): name for name in reversed(category)}
    if QUANTITY in fields and len(first) > 1:
        mixed = ", ".join(f"{unit} ({first[unit]})" for unit in Unit if unit in first)
        raise refusal(
            f"found no category here and {mixed} in the filter, which would be added together; "
            "allowed: category in groupBy, or a query of its own for each unit"
        )
