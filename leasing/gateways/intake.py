"""Reports of many connections, committed together.

A commit costs the same for one report and for thousands, so whoever comes while one is under way
waits for the next and shares it. Each is told when its own reports are durable; only then may it
acknowledge them to the sender. While the database is away nobody is told anything: senders wait,
and send again if they do not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog

from leasing.db.pool import is_lost
from leasing.gateways.model import Delivery

log = structlog.get_logger(__name__)

MAX_REPORTS = 10_000
"""In one commit; what exceeds it waits for the next."""
MAX_WAITING = 200_000
"""Reports that may wait; beyond that senders are not read from until some are committed."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0

Commit = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Stores deliveries in one transaction, all or none, and returns when they are durable."""


class Waiting(NamedTuple):
    delivery: Delivery
    told: asyncio.Future[None]


class Intake:
    """One writer for any number of connections. Use it as an asynchronous context."""

    def __init__(self, commit: Commit) -> None:
        self.commit = commit
        self.waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self.reports = 0
        self.room = asyncio.Condition()
        self.writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Intake":
        self.writer = asyncio.create_task(self.write())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop. What waits is not acknowledged, so its sender has it still."""
        assert self.writer is not None
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)

    async def put(self, delivery: Delivery) -> None:
        """Return when a delivery is durable. Raises what the database says against it."""
        size = len(delivery.reports)
        async with self.room:
            await self.room.wait_for(lambda: self.reports == 0 or self.reports + size < MAX_WAITING)
            self.reports += size
        told = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait(Waiting(delivery, told))
        try:
            await told
        finally:
            async with self.room:
                self.reports -= size
                self.room.notify_all()

    async def write(self) -> None:
        while True:
            taken = [await self.waiting.get()]
            size = len(taken[0].delivery.reports)
            while not self.waiting.empty() and size < MAX_REPORTS:
                taken.append(self.waiting.get_nowait())
                size += len(taken[-1].delivery.reports)
            await self.store([one for one in taken if not one.told.cancelled()])

    async def store(self, taken: Sequence[Waiting]) -> None:
        """Commit what was taken. When that fails the halves are tried, down to the one at fault."""
        if not taken:
            return
        try:
            await self.persist([one.delivery for one in taken])
        except Exception as error:
            if len(taken) == 1:
                log.warning("delivery_refused", error=str(error), source=taken[0].delivery.name)
                if not taken[0].told.done():
                    taken[0].told.set_exception(error)
                return
            middle = len(taken) // 2
            await self.store(taken[:middle])
            await self.store(taken[middle:])
        else:
            for one in taken:
                if not one.told.done():
                    one.told.set_result(None)

    async def persist(self, deliveries: Sequence[Delivery]) -> None:
        """Commit, and wait while the database is away."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await self.commit(deliveries)
            except Exception as error:
                if not is_lost(error):
                    raise
                log.warning("database_away", error=str(error), waiting=self.waiting.qsize())
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
