"""The settings in effect, as a file that could be loaded: what ``/config`` shows."""

from collections.abc import Mapping
from math import inf
from typing import Any

import yaml

from exporter.config.models import Config, Organization, Query
from exporter.config.yaml_file import RESOLVERS


def as_yaml(config: Config) -> str:
    """Return ``config`` with every default filled in, and ``<secret>`` instead of tokens."""
    document = {"organizations": [_organization(one) for one in config.organizations]}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=inf)


def _organization(organization: Organization) -> dict[str, Any]:
    settings = organization.model_dump(by_alias=True, exclude_none=True, exclude={"queries"})
    first = {key: settings.pop(key) for key in ("slug", "name")}
    # Keys without a value are not allowed in a file: a quota without prices has no key for them.
    quotas = [{key: value for key, value in one.items() if value} for one in settings["quotas"]]
    queries = [_query(query) for query in organization.queries]
    return {**first, **settings, "quotas": quotas, "queries": queries}


def _query(query: Query) -> dict[str, Any]:
    written = query.model_dump(by_alias=True, exclude_none=True)
    # A key of the filter without a value is not allowed in a file: it has no default either.
    chosen = {key: values for key, values in written["filter"].items() if values}
    return {**written, "filter": chosen}


class _Dumper(yaml.SafeDumper):
    """Quotes what another reader of YAML, or this exporter's, would not take for text."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # as in the base class
        """Repeat equal values instead of referring to the first of them."""
        return True

    def represent_sequence(
        self,
        tag: str,
        sequence: Any,
        flow_style: bool | None = None,  # noqa: FBT001  # as in the base class
    ) -> yaml.SequenceNode:
        """Write lists of plain values on one line."""
        flat = not any(isinstance(item, Mapping) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=flat or flow_style)


_Dumper.add_multi_representer(tuple, _Dumper.represent_list)
for _name, _pattern, _first in RESOLVERS:
    _Dumper.add_implicit_resolver(_name, _pattern, _first)
