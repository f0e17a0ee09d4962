"""Basic authentication: who may log in, without telling who exists.

A password is compared with a bcrypt hash, which takes tens of milliseconds on purpose. That is
done in a thread of its own, once for each login: the results are remembered.
"""

import asyncio
import binascii
import hashlib
import hmac
import secrets
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import bcrypt

from exporter.web.worker import NoThreadError, Worker

MAX_PENDING: Final = 16
"""Different logins that wait to be compared; more are refused until one of them is done."""

MAX_REMEMBERED: Final = 1000
"""Logins that are remembered, right ones and wrong ones separately."""

MAX_PASSWORD: Final = 72
"""Bytes of a password: what bcrypt uses of it."""

Users = Sequence[tuple[bytes, bytes]]
"""Names and hashes."""


class TooManyLoginsError(Exception):
    """More logins than can be compared at once."""


class Login(NamedTuple):
    """What a client sends to log in."""

    name: bytes
    password: bytes


def parse_login(header: bytes) -> Login | None:
    """Return the login in a header ``Authorization``, None if there is none that can be right.

    bcrypt ignores what follows its 72 bytes, and repeats what is shorter, separated by NUL: such
    passwords would be accepted in place of others.
    """
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = b64decode(encoded.strip(b" "), validate=True)
    except binascii.Error:
        return None
    name, colon, password = decoded.partition(b":")
    if not colon or len(password) > MAX_PASSWORD or b"\0" in password:
        return None
    return Login(name, password)


class Logins:
    """Compares logins with hashes, and remembers the results; for one event loop."""

    def __init__(self, compare: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._compare = compare
        self._worker = Worker("login")
        self._key = secrets.token_bytes(32)
        self._right = _Recent()
        self._wrong = _Recent()
        self._pending: dict[bytes, asyncio.Future[bool]] = {}

    async def accepts(self, users: Users, login: Login) -> bool:
        """Return whether ``login`` is that of one of ``users``.

        Raises `TooManyLoginsError` if it is not known yet, and others are waiting.
        """
        hashed, is_user = _hash_for(users, login.name)
        digest = self._digest(hashed, login, is_user=is_user)
        if digest in self._right:
            return True
        if digest in self._wrong:
            return False
        pending = self._pending.get(digest)
        if pending is None:
            pending = self._begin(digest, hashed, login.password, is_user=is_user)
        # Shielded: the client may disconnect while others wait for the same result.
        return await asyncio.shield(pending)

    def _begin(
        self, digest: bytes, hashed: bytes, password: bytes, *, is_user: bool
    ) -> asyncio.Future[bool]:
        if len(self._pending) >= MAX_PENDING:
            raise TooManyLoginsError
        loop = asyncio.get_running_loop()
        try:
            pending = loop.run_in_executor(self._worker, self._verified, password, hashed, is_user)
        except NoThreadError:
            raise TooManyLoginsError from None
        self._pending[digest] = pending
        pending.add_done_callback(partial(self._finish, digest))
        return pending

    def _verified(self, password: bytes, hashed: bytes, is_user: bool) -> bool:  # noqa: FBT001
        # In this order: the comparison takes its time for an unknown name too.
        return self._compare(password, hashed) and is_user

    def _finish(self, digest: bytes, pending: asyncio.Future[bool]) -> None:
        del self._pending[digest]
        if not pending.cancelled() and pending.exception() is None:
            (self._right if pending.result() else self._wrong).add(digest)

    def _digest(self, hashed: bytes, login: Login, *, is_user: bool) -> bytes:
        """Return what stands for a login in memory, from which no password can be guessed."""
        # A user who is removed may be compared with the same hash as before: that of another one.
        parts = (hashed, login.name, login.password, bytes([is_user]))
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.blake2b(message, key=self._key).digest()


class _Recent:
    """The digests that were added or looked up last."""

    def __init__(self) -> None:
        # A dict as an ordered set.
        self._digests: dict[bytes, None] = {}

    def __contains__(self, digest: bytes) -> bool:
        if digest not in self._digests:
            return False
        self.add(digest)
        return True

    def add(self, digest: bytes) -> None:
        """Add a digest; the one that has not been used for longest gives way."""
        self._digests.pop(digest, None)
        self._digests[digest] = None
        if len(self._digests) > MAX_REMEMBERED:
            del self._digests[next(iter(self._digests))]


def _hash_for(users: Users, name: bytes) -> tuple[bytes, bool]:
    """Return the hash to compare with, and whether it is that of ``name``.

    An unknown name has the hash of one of the users: always the same one, also in the next
    process. So it costs as much as some user does, and its time never changes.
    """
    for user, hashed in users:
        if hmac.compare_digest(user, name):
            return hashed, True
    key = hashlib.blake2b(b"".join(hashed for _, hashed in users)).digest()
    choice = int.from_bytes(hashlib.blake2b(name, key=key).digest())
    return users[choice % len(users)][1], False
