"""All organizations of a configuration, checked side by side."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from exporter.check.organization import OrganizationCheck
from exporter.check.report import Checked
from exporter.clients import clients_for
from exporter.config import Config
from exporter.publish.self_metrics import SelfMetrics


def check_online(config: Config, clock: Callable[[], float]) -> Iterator[Checked]:
    """Yield what is learned of each organization, in the order of the file.

    They are asked side by side, within the limits of their tokens: a server that does not answer
    delays none of the others.
    """
    clients = clients_for(config, SelfMetrics().meter, clock).by_organization
    now = clock()
    checks = [
        OrganizationCheck(config, one, clients[one.name], now) for one in config.organizations
    ]
    results = [_started(check) for check in checks]
    yield from (result.result() for result in results)


def _started(check: OrganizationCheck) -> "Future[Checked]":
    """Return the result of ``check``, which begins in a thread of its own."""
    result: Future[Checked] = Future()
    # A daemon, and no executor: the process must be able to end while a request hangs.
    threading.Thread(target=lambda: result.set_result(check.run()), daemon=True).start()
    return result
