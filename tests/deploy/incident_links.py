"""The links of messages: whether what they lead to exists."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from tests.deploy.dashboards import DASHBOARDS
from tests.deploy.kit import DEPLOY, read_yaml
from tests.support.programs import REPOSITORY
from tests.support.prometheus import Prometheus

LINK: Final = re.compile(r"<(http[^|>]*)\|([^>]*)>")
"""A link in a text for Slack: its address and name."""

_PAGE: Final = re.compile(r"/organizations/[\w-]+/stats/")
_DATA: Final = {"errors", "transactions"}


def unresolved(links: Mapping[str, str], prometheus: Prometheus) -> list[str]:
    """Return what is wrong with links, given as addresses by name."""
    checks: dict[str, Callable[[SplitResult], Iterator[str]]] = {
        "runbook": _runbook,
        "dashboard": _dashboard,
        "Sentry": _sentry,
        "Prometheus": lambda url: _graph(url, prometheus),
    }
    return [
        f"{name} {address}: {problem}"
        for name, address in links.items()
        for problem in checks[name](urlsplit(address))
    ]


def _configured(name: str) -> SplitResult:
    """Return the address that users change to theirs."""
    groups = read_yaml(DEPLOY / "prometheus" / "rules" / "messages.yml")["groups"]
    rules = (rule for group in groups for rule in group["rules"])
    (links,) = (each for each in rules if each["record"] == "sentry_stats:message:links")
    return urlsplit(str(links["labels"][name]))


def _runbook(url: SplitResult) -> Iterator[str]:
    document = _configured("runbooks")
    if url._replace(fragment="") != document:
        yield "not the address of the runbooks"
    text = (REPOSITORY / "docs" / document.path.rpartition("/")[2]).read_text("utf-8")
    headings = re.findall(r"^#+ (\S+)$", text, flags=re.MULTILINE)
    if url.fragment not in {heading.lower() for heading in headings}:
        yield "no such heading"


def _dashboard(url: SplitResult) -> Iterator[str]:
    if url.netloc != _configured("grafana").netloc:
        yield "not the address of Grafana"
    uid = url.path.removeprefix("/d/")
    dashboards: dict[str, Any] = {each["uid"]: each for each in DASHBOARDS.values()}
    if uid not in dashboards:
        yield "no such dashboard"
        return
    variables = {f"var-{each['name']}" for each in dashboards[uid]["templating"]["list"]}
    for name in parse_qs(url.query):
        if name not in variables | {"from", "to"}:
            yield f"no such variable: {name}"


def _sentry(url: SplitResult) -> Iterator[str]:
    parameters = parse_qs(url.query)
    if url.netloc != _configured("sentry").netloc or not _PAGE.fullmatch(url.path):
        yield "not the stats page of an organization"
    if not set(parameters.pop("dataCategory", ())) <= _DATA:
        yield "no such data"
    if not all(each.isdecimal() for each in parameters.pop("project", ())):
        yield "a project that is not an id"
    if parameters not in ({"statsPeriod": ["24h"]}, {"statsPeriod": ["30d"]}):
        yield "not the last 24 hours or 30 days"


def _graph(url: SplitResult, prometheus: Prometheus) -> Iterator[str]:
    if f":{url.port}" != f":{urlsplit(prometheus.url).port}":
        yield "another Prometheus"
    (expression,) = parse_qs(url.query)["g0.expr"]
    if not prometheus.instant(expression):
        yield "nothing there"
