"""From an `Authorization` header to a caller."""

import time
from datetime import timedelta

from leasing.access import rules, store
from leasing.access.model import Caller, KeyRefused
from leasing.db.pool import Database
from leasing.kit.time import system_now

MAX_REMEMBERED = 10_000
TOUCH_EVERY = timedelta(minutes=1)


class Gate:
    """Verifies keys against the database and remembers a good one for some seconds.

    A revoked key is therefore refused by every process `remember_seconds` later at most. A
    refused key is never remembered.
    """

    def __init__(self, db: Database, remember_seconds: float) -> None:
        self.db = db
        self.remember_seconds = remember_seconds
        self.remembered: dict[bytes, tuple[Caller, float]] = {}

    async def admit(self, authorization: str | None) -> Caller:
        """The caller. Raises `KeyRefused`."""
        kind, _, key = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not key:
            raise KeyRefused("send the API key as 'Authorization: Bearer bl_…'")
        digest = rules.digest(key.strip())
        caller, until = self.remembered.get(digest, (None, 0.0))
        if caller is not None and time.monotonic() < until and caller.expires_at > system_now():
            return caller
        caller = await self.verify(key.strip())
        if len(self.remembered) >= MAX_REMEMBERED:
            self.remembered.clear()
        self.remembered[digest] = (caller, time.monotonic() + self.remember_seconds)
        return caller

    async def verify(self, key: str) -> Caller:
        now = system_now()
        # Two statements, each by itself: a look, and a note that may as well be lost.
        async with self.db.statement() as tx:
            caller = await store.verify(tx, key, now)
            await store.touch(tx, caller.key_id, now, not_since=now - TOUCH_EVERY)
            return caller
