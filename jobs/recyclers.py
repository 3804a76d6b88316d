"""Daily: what days bring to outlets and recyclers: limits that begin to hold, steps of listings
that came due, and notices of what will lapse.

Each transaction looks at what is there, so a run that was killed is done again from the beginning
and finds its work done.
"""

from uuid import UUID

from jobs.runner import Work
from leasing.db import clock
from leasing.outlets import service as outlets
from leasing.recyclers import notices, service, store

CHUNK_FIRMS = 100


async def run(work: Work) -> None:
    await carry_limits_over(work)
    await advance_listings(work)
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
        told = await notices.of_evidence(tx, work.as_of_date, by=work.by, now=now)
    await work.step(told)


async def carry_limits_over(work: Work) -> None:
    carried = outlets.CHUNK
    while carried == outlets.CHUNK:
        async with work.db.transaction() as tx:
            now = await clock.now(tx)
            carried = await outlets.carry_over(tx, work.as_of_date, by=work.by, now=now)
        await work.step(carried)


async def advance_listings(work: Work) -> None:
    """Firm by firm, the step before the notice: who is off the list has no report to file. A firm
    with which something is wrong is parked."""
    after: UUID = UUID(int=0)
    ids = [after]
    while ids:
        async with work.db.transaction(read_only=True) as tx:
            ids = await store.moving(tx, after, CHUNK_FIRMS)
        for recycler_id in ids:
            async with work.item("party", recycler_id):
                await advance_one(work, recycler_id)
        await work.step(len(ids))
        after = ids[-1] if ids else after


async def advance_one(work: Work, recycler_id: UUID) -> None:
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
        await service.advance(tx, [recycler_id], work.as_of_date, by=work.by, now=now)
        await notices.of_deadlines(tx, [recycler_id], work.as_of_date, by=work.by, now=now)
