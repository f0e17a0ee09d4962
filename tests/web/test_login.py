"""Logins: what is a right one, what each costs, and that nothing tells which names exist."""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.login import (
    MAX_PENDING,
    MAX_REMEMBERED,
    Login,
    Logins,
    TooManyLoginsError,
    parse_login,
)
from tests.support.certificates import hashed

USERS = [
    (b"alice", hashed("right", 4).encode()),
    (b"bob", hashed("other", 5).encode()),
    ("zoë".encode(), hashed("pässwörd", 6).encode()),
]
COSTS = {4, 5, 6}


def basic(text: bytes) -> bytes:
    """Return the header for ``NAME:PASSWORD``."""
    return b"Basic " + b64encode(text)


class Compare:
    """bcrypt's comparison, which records the hashes that it is called with."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []

    def __call__(self, password: bytes, hashed_password: bytes) -> bool:
        """Return whether a password is that of the hash."""
        self.hashes.append(hashed_password)
        return bcrypt.checkpw(password, hashed_password)

    @property
    def costs(self) -> list[int]:
        """The cost of each comparison."""
        return [int(each.split(b"$")[2]) for each in self.hashes]


@pytest.fixture
def compare() -> Compare:
    """Return a comparison that records its calls."""
    return Compare()


def accepted(logins: Logins, *texts: bytes) -> list[bool]:
    """Return which of several logins are accepted, one after the other."""

    async def ask() -> list[bool]:
        """Ask for each."""
        return [await logins.accepts(USERS, Login(*text.split(b":", 1))) for text in texts]

    return asyncio.run(ask())


class TestHeader:
    """What is sent."""

    @pytest.mark.parametrize(
        ("header", "login"),
        [
            (basic(b"alice:right"), Login(b"alice", b"right")),
            (basic(b"alice:ri:ght"), Login(b"alice", b"ri:ght")),
            (basic(b":"), Login(b"", b"")),
            (basic("zoë:pässwörd".encode()), Login("zoë".encode(), "pässwörd".encode())),
            (basic(b"\xff:\xfe"), Login(b"\xff", b"\xfe")),
            (b"bAsIc " + b64encode(b"a:b"), Login(b"a", b"b")),
            (b"Basic   " + b64encode(b"a:b") + b" ", Login(b"a", b"b")),
            (basic(b"alice:" + b"x" * 72), Login(b"alice", b"x" * 72)),
        ],
    )
    def test_well_formed(self, header: bytes, login: Login) -> None:
        """A login is what the client has encoded."""
        assert login == parse_login(header)

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"Basic",
            b"Basic ",
            b"Basic !!!",
            b"Basic YWxpY2U6cmlnaHQ",
            b"Basic YWxp Y2U6cmlnaHQ=",
            b"Bearer " + b64encode(b"alice:right"),
            b"Digest username=alice",
            basic(b"alice"),
            basic(b""),
            basic(b"alice:right\0right"),
            basic(b"alice:" + b"x" * 73),
            basic(b"alice:" + "é".encode() * 37),
            b"\xff\xfe",
        ],
    )
    def test_malformed(self, header: bytes) -> None:
        """Anything else is no login, nor is a password of which bcrypt would use only a part."""
        assert parse_login(header) is None

    @given(st.binary(max_size=100))
    def test_anything(self, header: bytes) -> None:
        """Whatever is sent, nothing fails."""
        login = parse_login(header)

        assert login is None or len(login.password) <= 72

    @given(st.binary(max_size=30), st.binary(max_size=90))
    def test_any_login(self, name: bytes, password: bytes) -> None:
        """Every login that HTTP allows and bcrypt takes is read as it was sent."""
        login = parse_login(basic(name.replace(b":", b"") + b":" + password))
        usable = len(password) <= 72 and b"\0" not in password

        assert ((name.replace(b":", b""), password) if usable else None) == login


class TestAccepting:
    """Which logins are right."""

    def test_right_and_wrong(self, compare: Compare) -> None:
        """Only a user's own password is right."""
        texts = [b"alice:right", b"alice:other", b"alice:", b"bob:other", b"carol:right"]

        assert [True, False, False, True, False] == accepted(Logins(compare), *texts)

    def test_utf_8(self, compare: Compare) -> None:
        """Names and passwords may have any characters."""
        assert [True] == accepted(Logins(compare), "zoë:pässwörd".encode())

    def test_the_password_of_another_user(self, compare: Compare) -> None:
        """An unknown name is never accepted, whatever password it comes with."""
        names = [f"user{number}".encode() for number in range(30)]
        texts = [name + b":" + word for name in names for word in (b"right", b"other")]

        assert not any(accepted(Logins(compare), *texts))

    def test_72_bytes_are_all_compared(self) -> None:
        """A password of 72 bytes counts to the last byte."""
        users = [(b"a", hashed(b"x" * 72).encode())]

        async def ask(password: bytes) -> bool:
            """Return whether the password is accepted."""
            return await Logins().accepts(users, Login(b"a", password))

        assert asyncio.run(ask(b"x" * 72))
        assert not asyncio.run(ask(b"x" * 71 + b"y"))


class TestEnumeration:
    """What a wrong login costs."""

    @given(st.binary(max_size=20))
    def test_an_unknown_name_costs_as_much_as_a_user(self, name: bytes) -> None:
        """A wrong login is one comparison, with the hash of a user, whether or not it exists."""
        compare = Compare()
        accepted(Logins(compare), name.replace(b":", b"") + b":wrong")

        assert 1 == len(compare.hashes)
        assert set(compare.hashes) <= {one for _, one in USERS}

    def test_the_cost_of_a_name_never_changes(self) -> None:
        """Neither a second attempt nor another process shows that a name is unknown."""
        costs = []
        for _ in range(3):
            compare = Compare()
            accepted(Logins(compare), b"carol:1", b"carol:2", b"carol:3")
            costs.append(compare.costs)

        assert 1 == len({cost for each in costs for cost in each})

    def test_unknown_names_have_every_cost(self, compare: Compare) -> None:
        """Where users differ in cost, so do unknown names."""
        accepted(Logins(compare), *(f"user{number}:x".encode() for number in range(50)))

        assert COSTS == set(compare.costs)


class TestRemembering:
    """What is compared only once."""

    def test_once_each(self, compare: Compare) -> None:
        """A login that was compared before costs nothing, right or wrong."""
        accepted(Logins(compare), *[b"alice:right", b"alice:wrong", b"carol:wrong"] * 10)

        assert 3 == len(compare.hashes)

    def test_at_the_same_time(self, compare: Compare) -> None:
        """Equal logins that arrive together are compared once."""
        logins = Logins(compare)

        async def ask() -> Sequence[bool]:
            """Ask for the same login several times at once."""
            login = Login(b"alice", b"right")
            return await asyncio.gather(*(logins.accepts(USERS, login) for _ in range(50)))

        assert [True] * 50 == asyncio.run(ask())
        assert 1 == len(compare.hashes)

    def test_changed_hash(self, compare: Compare) -> None:
        """What is remembered counts only for the same hash."""
        logins = Logins(compare)
        before = accepted(logins, b"alice:right")
        changed = [(b"alice", hashed("new").encode())]

        assert [True] == before
        assert not asyncio.run(logins.accepts(changed, Login(b"alice", b"right")))
        assert asyncio.run(logins.accepts(changed, Login(b"alice", b"new")))

    def test_removed_user(self) -> None:
        """A user who is removed is refused at once, though another user has the same hash."""
        logins = Logins()
        same = hashed("right").encode()
        login = Login(b"alice", b"right")
        before = asyncio.run(logins.accepts([(b"alice", same), (b"bob", same)], login))
        after = asyncio.run(logins.accepts([(b"bob", same)], login))

        assert (True, False) == (before, after)
        assert asyncio.run(logins.accepts([(b"bob", same)], Login(b"bob", b"right")))

    def test_wrong_ones_do_not_displace_right_ones(self) -> None:
        """However many wrong logins come, the right one stays remembered."""
        calls: list[bytes] = []

        def compare(password: bytes, hashed_password: bytes) -> bool:
            """Accept one password."""
            calls.append(password)
            return password == b"right"

        wrong = [f"alice:{number}".encode() for number in range(MAX_REMEMBERED + 10)]
        accepted(Logins(compare), b"alice:right", *wrong, b"alice:right", wrong[0])

        assert 1 == calls.count(b"right")
        assert 2 == calls.count(b"0")


class TestFlood:
    """Many logins at once."""

    @pytest.fixture
    def slow(self) -> tuple[Callable[[bytes, bytes], bool], threading.Event]:
        """Return a comparison that waits for an event, and the event."""
        go_on = threading.Event()

        def compare(password: bytes, _hashed: bytes) -> bool:
            """Wait."""
            return go_on.wait(20) and password == b"right"

        return compare, go_on

    def test_too_many(self, slow: tuple[Callable[[bytes, bytes], bool], threading.Event]) -> None:
        """Beyond a bound, logins are refused at once; remembered ones are not."""
        compare, go_on = slow
        go_on.set()
        logins = Logins(compare)
        assert [True] == accepted(logins, b"alice:right")
        go_on.clear()

        async def flood() -> tuple[bool, list[object]]:
            """Ask for a remembered login while others are waiting."""
            wrong = [
                asyncio.create_task(logins.accepts(USERS, Login(b"alice", str(number).encode())))
                for number in range(MAX_PENDING + 5)
            ]
            await asyncio.sleep(0)
            remembered = await logins.accepts(USERS, Login(b"alice", b"right"))
            go_on.set()
            return remembered, list(await asyncio.gather(*wrong, return_exceptions=True))

        remembered, results = asyncio.run(flood())

        assert remembered
        assert [False] * MAX_PENDING == results[:MAX_PENDING]
        assert {TooManyLoginsError} == {type(each) for each in results[MAX_PENDING:]}

    def test_a_client_that_goes_away(
        self, slow: tuple[Callable[[bytes, bytes], bool], threading.Event]
    ) -> None:
        """A client that disconnects does not cancel the comparison for another."""
        compare, go_on = slow
        logins = Logins(compare)

        async def ask() -> bool:
            """Ask twice for the same login, and cancel the first."""
            first, second = (
                asyncio.create_task(logins.accepts(USERS, Login(b"alice", b"right")))
                for _ in range(2)
            )
            await asyncio.sleep(0)
            first.cancel()
            go_on.set()
            return await second

        assert asyncio.run(ask())
