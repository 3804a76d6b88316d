"""Nightly, before anything is checked or billed: terms that ran out, and steps of escalators."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from jobs.runner import Work
from leasing.contracts import amending, ending, store
from leasing.db import clock
from leasing.db.pool import Connection

CHUNK_CONTRACTS = 500
LOOK_BACK = timedelta(days=7)
"""A step is taken as long as it is no older: somebody may have had to put something right."""

Page = Callable[[Connection, UUID], Awaitable[list[UUID]]]


async def run(work: Work) -> None:
    on = work.as_of_date

    async def expire(contract_id: UUID) -> None:
        async with work.db.transaction() as tx:
            await ending.expire(tx, contract_id, on, by=work.by, now=await clock.now(tx))

    async def escalate(contract_id: UUID) -> None:
        # Step by step, each for itself: an index that is not published yet keeps back its own step,
        # and those after it. The contract is then parked with the reason, and tried every night.
        changed = True
        while changed:
            async with work.db.transaction() as tx:
                now = await clock.now(tx)
                since = on - LOOK_BACK
                changed = bool(
                    await amending.take_step(tx, contract_id, on, since, by=work.by, now=now)
                )

    await each(work, lambda tx, after: store.expired(tx, on, after, CHUNK_CONTRACTS), expire)
    await each(work, lambda tx, after: store.escalating(tx, on, after, CHUNK_CONTRACTS), escalate)


async def each(work: Work, page: Page, do: Callable[[UUID], Awaitable[None]]) -> None:
    """Do something for every contract of a list, each as an item of its own."""
    after = UUID(int=0)
    while True:
        async with work.db.statement() as tx:
            found = await page(tx, after)
        if not found:
            return
        for contract_id in found:
            async with work.item("contract", contract_id):
                await do(contract_id)
        await work.step(len(found))
        after = found[-1]
