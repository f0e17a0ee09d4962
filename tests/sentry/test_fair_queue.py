"""Whose request is next, without clocks and threads."""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from hypothesis import given
from hypothesis import strategies as st

from exporter.sentry.fair_queue import FairQueue, Waiting

PLACES = 4


def next_of(queue: FairQueue, *, limit: int = PLACES, paused: str = "") -> str:
    """Return the user whose request may begin next, an empty text if none may."""
    one = queue.first(lambda user: user not in paused, limit)
    return one.user if one else ""


def begin(queue: FairQueue, *users: str) -> None:
    """Let a request of each of ``users`` begin."""
    for user in users:
        queue.begin(queue.join(user))


def test_nobody() -> None:
    """Where nobody waits, nobody is next."""
    queue = FairQueue(PLACES)
    begin(queue, "acme")

    assert not next_of(queue)


def test_fewest_out() -> None:
    """The user with the fewest requests out is next, whoever came first."""
    queue = FairQueue(PLACES)
    begin(queue, "acme", "acme", "globex")
    for user in ("acme", "globex"):
        queue.join(user)

    assert "globex" == next_of(queue)


def test_longest_ago() -> None:
    """Of several users, the one whose last request began first is next."""
    queue = FairQueue(PLACES)
    begin(queue, "acme", "globex", "acme")
    for user in ("acme", "globex", "acme"):
        queue.end(user)
    for user in ("acme", "globex"):
        queue.join(user)

    assert "globex" == next_of(queue)


def test_in_order() -> None:
    """The requests of one user begin in the order in which they came."""
    queue = FairQueue(PLACES)
    first, second = queue.join("acme"), queue.join("acme")

    assert queue.first(lambda _: True, PLACES) is first
    assert queue.is_head(first)
    assert not queue.is_head(second)


def test_left() -> None:
    """What waits no longer does not hold up what came after it."""
    queue = FairQueue(PLACES)
    first, second = queue.join("acme"), queue.join("acme")
    queue.leave(first)

    assert [second] == queue.heads()


def test_no_place() -> None:
    """While all places are taken, nobody is next."""
    queue = FairQueue(PLACES)
    begin(queue, *"abcd")
    queue.join("acme")
    taken = next_of(queue)
    queue.end("a")

    assert ["", "acme"] == [taken, next_of(queue)]


def test_limit() -> None:
    """Who has as many requests out as the limit says is not next, though there is a place."""
    queue = FairQueue(PLACES)
    begin(queue, *["acme"] * 3)
    queue.join("acme")

    assert ["", "acme"] == [next_of(queue, limit=3), next_of(queue, limit=4)]


def test_paused() -> None:
    """Who has to pause lets the others pass."""
    queue = FairQueue(PLACES)
    for user in ("a", "b"):
        queue.join(user)

    assert ["a", "b", ""] == [next_of(queue, paused=users) for users in ("", "a", "ab")]


@dataclass(order=True)
class End:
    """When a request of a user ends."""

    at: float
    user: str = field(compare=False)


@given(
    st.lists(st.tuples(st.floats(0, 3600), st.sampled_from(["b", "bb", "bbb"])), max_size=60),
    st.lists(st.floats(0, 3600), min_size=1, max_size=10),
)
def test_healthy_beside_broken(broken: list[tuple[float, str]], healthy: list[float]) -> None:
    """Each request of a broken user takes 30 s: a healthy one waits for one of them at most."""
    queue, ends, arrived = FairQueue(PLACES), list[End](), dict[Waiting, float]()
    waits = []
    pending = sorted([*broken, *((at, "healthy") for at in healthy)], reverse=True)
    while pending or ends:
        if not ends or (pending and pending[-1][0] <= ends[0].at):
            now, user = pending.pop()
            arrived[queue.join(user)] = now
        else:
            end = heappop(ends)
            now = end.at
            queue.end(end.user)
        while one := queue.first(lambda _: True, PLACES - 1):
            queue.begin(one)
            is_healthy = one.user == "healthy"
            heappush(ends, End(now + (0.1 if is_healthy else 30), one.user))
            if is_healthy:
                waits.append(now - arrived[one])

    assert len(healthy) == len(waits)
    assert max(waits) <= 30 + 0.1 * len(healthy)
