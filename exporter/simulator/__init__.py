"""A simulated Sentry: statistics, projects and plans, with the behaviour of the original.

It is used by the tests, by the commands ``demo`` and ``simulate``, and to try out dashboards
without a Sentry at hand::

    with Simulator(demo_world(time.time())) as sentry:
        requests.get(f"{sentry.url}/api/0/organizations/acme/projects/", headers=...)

Like Sentry, it rounds ranges, silently cuts store queries at 10,000 rows without an order, merges
the error categories, returns no series when grouped by project, reads only the last ``groupBy`` to
select projects, returns the running hour, lets rows arrive late, limits request rates, and has the
same error messages. An answer depends only on the seed, the clock and the request, so that every
process gives the same answers, with the clock's date.

An organization may have a `Subscription` of a `Plan`. ``/customers/{org}/`` answers with it, and
`LimitedTraffic` accepts only what it pays for.

The data are a `World`, which may change while it is served: projects are renamed, deleted and
restored, teams and members change. A `Fault` makes requests fail, a `Deprecation` announces the end
of an endpoint, and a `Release` selects an older Sentry. `exporter.simulator.control` has endpoints
that control the simulator from another process.

Not simulated: the filter by ``key_id`` (a value that is not a number is refused, others are
ignored), ``query=`` of the projects list, teams as such (a project has the slugs of its teams and,
separately, their members), expired tokens, single sign-on, the gateway of ``sentry.io``, and the
``stats-summary`` endpoint. A `Release` changes only access, dates and routes.
"""

from exporter.simulator.demo import DEMO_TOKENS, demo_world
from exporter.simulator.deprecation import Deprecation
from exporter.simulator.episodes import Episode
from exporter.simulator.faults import (
    Fault,
    Faults,
    store_failure,
    store_rate_limited,
    store_timeout,
)
from exporter.simulator.limited import LimitedTraffic
from exporter.simulator.limits import RateLimit
from exporter.simulator.messages import Request
from exporter.simulator.plans import Plan, Subscription
from exporter.simulator.release import Release
from exporter.simulator.scale import SCALE_TOKEN, SCALE_USER_TOKEN, scale_world
from exporter.simulator.scenarios import SCENARIOS, Scenario, scenario_episodes, scenario_faults
from exporter.simulator.series import DAY, HOUR, RHYTHMS, Series
from exporter.simulator.server import RecordedRequest, Simulator
from exporter.simulator.store import DIMENSIONS, Row, Store
from exporter.simulator.traffic import Traffic
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
    "DAY",
    "DEMO_TOKENS",
    "DIMENSIONS",
    "HOUR",
    "RHYTHMS",
    "SCALE_TOKEN",
    "SCALE_USER_TOKEN",
    "SCENARIOS",
    "Deprecation",
    "Episode",
    "Fault",
    "Faults",
    "LimitedTraffic",
    "Member",
    "Organization",
    "Plan",
    "Project",
    "ProjectStatus",
    "RateLimit",
    "RecordedRequest",
    "Release",
    "Request",
    "Row",
    "Scenario",
    "Series",
    "Simulator",
    "Store",
    "Subscription",
    "Token",
    "TokenKind",
    "Traffic",
    "World",
    "demo_world",
    "scale_world",
    "scenario_episodes",
    "scenario_faults",
    "store_failure",
    "store_rate_limited",
    "store_timeout",
]
