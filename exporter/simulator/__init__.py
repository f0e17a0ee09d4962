"""A simulated Sentry: ``stats_v2`` and the projects list as Sentry itself answers them.

For the tests, for ``demo``, and for anyone who wants to try dashboards with no Sentry at hand::

    with Simulator(demo_world(time.time())) as sentry:
        requests.get(f"{sentry.url}/api/0/organizations/acme/projects/", headers=...)

It rounds ranges, cuts store queries at 10,000 rows without order or a word, merges the error
categories, leaves series out when grouped by project, looks at the last ``groupBy`` only, shows
the running hour and late rows, limits rates and words errors, all as Sentry does. The same seed,
clock and question give the same answer in any process, and is dated by that clock.
`exporter.simulator.control` has the endpoints for another process; `Fault` scripts what goes
wrong, `Deprecation` what is announced, `Release` how old the server is. The `World` may change
while it is served: projects are renamed, deleted and restored, teams and members come and go.

Left out: the filter by ``key_id`` (a value that is not a number is refused, any other ignored),
``query=`` of the projects list, teams as such (a project has the slugs of its teams, and its
members apart from them), expired tokens, single sign-on, the gateway of ``sentry.io``, and the
``stats-summary`` endpoint. Of a `Release` only what concerns access, dates and routes differs.
"""

from exporter.simulator.deprecation import Deprecation
from exporter.simulator.faults import (
    Fault,
    Faults,
    store_failure,
    store_rate_limited,
    store_timeout,
)
from exporter.simulator.limits import RateLimit
from exporter.simulator.release import Release
from exporter.simulator.scenarios import (
    DEMO_TOKENS,
    SCALE_TOKEN,
    SCALE_USER_TOKEN,
    SCENARIOS,
    Scenario,
    demo_world,
    scale_world,
)
from exporter.simulator.server import Asked, Simulator
from exporter.simulator.store import Row, Store
from exporter.simulator.traffic import Episode, Series, Traffic
from exporter.simulator.world import (
    Member,
    Organization,
    Project,
    ProjectStatus,
    Token,
    TokenKind,
    World,
)

__all__ = [
    "DEMO_TOKENS",
    "SCALE_TOKEN",
    "SCALE_USER_TOKEN",
    "SCENARIOS",
    "Asked",
    "Deprecation",
    "Episode",
    "Fault",
    "Faults",
    "Member",
    "Organization",
    "Project",
    "ProjectStatus",
    "RateLimit",
    "Release",
    "Row",
    "Scenario",
    "Series",
    "Simulator",
    "Store",
    "Token",
    "TokenKind",
    "Traffic",
    "World",
    "demo_world",
    "scale_world",
    "store_failure",
    "store_rate_limited",
    "store_timeout",
]
