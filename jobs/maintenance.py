"""What follows from health checks, nightly; and the schedule of check discharges, weekly."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from jobs.runner import Work
from leasing.db import clock
from leasing.db.pool import Connection
from leasing.maintenance import service, unavailability

CHUNK = 500

Next = Callable[[Connection, UUID], Awaitable[UUID | None]]
Some = Callable[[Connection], Awaitable[int]]


async def run(work: Work) -> None:
    """Nightly: orders that duties and alarms ask for, orders that nobody needs any more, and
    outages that a contract counts."""
    on, by = work.as_of_date, work.by

    async def needless(tx: Connection) -> int:
        now = await clock.now(tx)
        return await service.cancel_needless(tx, on, CHUNK, by=by, now=now)

    async def asked_for(tx: Connection, after: UUID) -> UUID | None:
        now = await clock.now(tx)
        return await service.plan_asked_for(tx, on, after, CHUNK, by=by, now=now)

    async def overdue(tx: Connection) -> int:
        now = await clock.now(tx)
        return await unavailability.find_overdue(tx, on, CHUNK, by=by, now=now)

    async def take_back(tx: Connection) -> int:
        return await unavailability.take_back(tx, CHUNK, by=by, now=await clock.now(tx))

    await until_none_is_left(work, needless)
    await page_by_page(work, asked_for)
    await until_none_is_left(work, take_back)
    await until_none_is_left(work, overdue)
    async with work.db.transaction() as tx:
        found = await unavailability.find_dark(tx, on, by=by, now=await clock.now(tx))
    await work.step(found)


async def schedule(work: Work) -> None:
    """Weekly: the check discharges that the rules of the sites' classes ask for."""

    async def due(tx: Connection, after: UUID) -> UUID | None:
        now = await clock.now(tx)
        return await service.plan_due(tx, work.as_of_date, after, CHUNK, by=work.by, now=now)

    await page_by_page(work, due)


async def page_by_page(work: Work, do: Next) -> None:
    position: UUID | None = UUID(int=0)
    while position is not None:
        async with work.db.transaction() as tx:
            position = await do(tx, position)
        await work.step(1)


async def until_none_is_left(work: Work, do: Some) -> None:
    done = CHUNK
    while done == CHUNK:
        async with work.db.transaction() as tx:
            done = await do(tx)
        await work.step(done)
