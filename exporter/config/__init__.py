"""The configuration: a YAML file on one side, frozen values on the other.

`load` returns a `Config` or raises `ConfigError` with everything that is wrong at once.
"""

from exporter.config.host import HostReport, host_report
from exporter.config.json_schema import schema
from exporter.config.loading import load, loads
from exporter.config.problems import ConfigError, Problem
from exporter.config.settings import Config, Filter, Organization, Query
from exporter.config.teams import Teams

__all__ = [
    "Config",
    "ConfigError",
    "Filter",
    "HostReport",
    "Organization",
    "Problem",
    "Query",
    "Teams",
    "host_report",
    "load",
    "loads",
    "schema",
]
