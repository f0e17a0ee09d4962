"""A real Prometheus that finds the parts of the page at ``/sd``: together they are the page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from exporter.app import Exporter
from exporter.simulator import Simulator, demo_world
from exporter.web.app import make_app
from exporter.web.live import LiveWebConfig
from tests.end_to_end.exposition import Samples, sample
from tests.end_to_end.stage import COMMAND, moment, page, polled
from tests.end_to_end.test_end_to_end_prometheus import name_of, stored
from tests.support.certificates import Authority, hashed, tls_section, write_web_config
from tests.support.clock import Clock
from tests.support.configuration import OUTCOMES, PROJECTS, configuration, organization
from tests.support.programs import TIMEOUT, wait_until
from tests.support.programs import running as program
from tests.support.prometheus import JOB, Prometheus
from tests.support.prometheus import prometheus as running
from tests.support.serving import serving, serving_app

pytestmark = [pytest.mark.programs, pytest.mark.slow]

NOW: Final = moment("2026-05-04T10:12:00Z")
NAMES: Final = ("acme", "globex")
PARTS: Final = ("/", "acme/", "acme/outcomes", "acme/projects", "globex")
LABELS_OFF: Final = [{"action": "labeldrop", "regex": "part"}]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """Return an exporter with two organizations, of which one is listed by query."""
    clock = Clock(NOW)
    with Simulator(demo_world(NOW, projects=2), clock=clock, rate_limit=None) as sentry:
        entry = organization(OUTCOMES, {**PROJECTS, "lookback": "1h"})
        exporter = Exporter(
            configuration(sentry.url, entry, organization(OUTCOMES, slug="globex")), clock=clock
        )
        polled(exporter, clock.now)
        sizes = exporter.page.sizes()
        acme, globex = (sum(sizes[key] for key in sizes if key[:1] == (name,)) for name in NAMES)
        assert globex < acme
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exporter.web.parts.MAX_SIZE", globex)
            yield exporter


def discovering(sd: str, **settings: Any) -> Mapping[str, Any]:
    """Return a configuration of Prometheus with the targets that ``sd`` lists."""
    job = {
        "job_name": JOB,
        "http_sd_configs": [{"url": sd, "refresh_interval": "1s", **settings}],
        "metric_relabel_configs": LABELS_OFF,
        **settings,
    }
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}


def scraped(prometheus: Prometheus) -> Samples:
    """Return the exporter's samples in Prometheus, once every part is up."""
    wait_until(lambda: len(prometheus.instant("up == 1")) == len(PARTS), prometheus.program.output)
    return prometheus.values('{__name__=~"sentry_stats_.+"}', name_of)


def test_prometheus_scrapes_the_parts(exporter: Exporter, tmp_path: Path) -> None:
    """The parts that Prometheus scrapes have all samples of the page, with the same labels."""
    with (
        serving(exporter) as url,
        running(tmp_path, configuration=discovering(f"{url}/sd")) as prometheus,
    ):
        samples = scraped(prometheus)
        parts = prometheus.values("up", name_of)

    assert stored(page(exporter)) == samples
    assert {sample("up", part=part): 1 for part in PARTS} == parts


def test_behind_prefix_tls_and_login(exporter: Exporter, tmp_path: Path) -> None:
    """So they have with a prefix, TLS and a login, without more than these in the configuration."""
    authority = Authority(tmp_path)
    users = {"basic_auth_users": {"prometheus": hashed("secret")}}
    web = LiveWebConfig(write_web_config(tmp_path, tls_section(authority.issue()), users))
    app = make_app(exporter.page, exporter, exporter.status, "/stats", parts=exporter.page)
    settings = {
        "tls_config": {"ca_file": str(authority.path)},
        "basic_auth": {"username": "prometheus", "password": "secret"},
    }
    with serving_app(app, web=web) as server:
        sd = f"https://{server.addresses[0]}/stats/sd"
        with running(tmp_path, configuration=discovering(sd, **settings)) as prometheus:
            samples = scraped(prometheus)

    assert stored(page(exporter)) == samples


@pytest.mark.parametrize(
    ("flags", "path", "address", "labels"),
    [
        ((), "/sd", "{own}", ("http", "/metrics")),
        (("--web.external-url", "/stats"), "/stats/sd", "{own}", ("http", "/stats/metrics")),
        (
            ("--web.external-url", "https://example.com/stats/", "--web.route-prefix", "/"),
            *("/sd", "example.com:443", ("https", "/stats/metrics")),
        ),
    ],
)
def test_addresses_of_a_daemon(
    flags: Sequence[str],
    path: str,
    address: str,
    labels: tuple[str, str],
    configured: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The list has the address that was asked, or the one of the external URL."""
    command = (*COMMAND, "serve", "--config.file", str(configured()), *flags)
    with program((*command, "--web.listen-address", "127.0.0.1:0"), tmp_path / "log") as daemon:
        own = daemon.wait_for(r"event=listening address=(\S+)")
        listed = requests.get(f"http://{own}{path}", timeout=TIMEOUT).json()

    expected = {"targets": [address.format(own=own)], "scheme": labels[0], "path": labels[1]}
    assert {"/", "acme"} == {target["labels"]["part"] for target in listed}
    assert [expected] * len(listed) == [
        {
            "targets": target["targets"],
            "scheme": target["labels"]["__scheme__"],
            "path": target["labels"]["__metrics_path__"],
        }
        for target in listed
    ]
