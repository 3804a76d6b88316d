"""The nightly health check of every pack that reported something new.

Packs are taken a chunk at a time. A chunk is one transaction; when one of its packs fails, the
chunk is done again pack by pack, so that only the bad one is parked.
"""

from uuid import UUID

from jobs.runner import Work
from leasing.db import clock
from leasing.db.pool import Connection, is_lost
from leasing.health import following, service, session_store, store, summaries
from leasing.health.store import PackToCheck
from leasing.kit.time import midnight

CHUNK_PACKS = 100


async def run(work: Work) -> None:
    async with work.db.transaction(read_only=True) as tx:
        work.total = await store.waiting(tx, midnight(work.as_of_date), work.as_of_date)
    position: UUID | None = UUID(int=0)
    while position is not None:
        after = position
        try:
            position = await check_next(work, after, CHUNK_PACKS)
        except Exception as error:
            if is_lost(error):
                raise
            position = await check_one_by_one(work, after)


async def check_next(work: Work, after: UUID, limit: int) -> UUID | None:
    """Check the next packs in one transaction; returns the last one, None when none were left."""
    async with work.db.transaction() as tx:
        packs = await take(tx, work, after, limit)
        if not packs:
            return None
        await check_all(tx, work, packs)
    await work.step(len(packs))
    return packs[-1].pack_id if len(packs) == limit else None


async def check_one_by_one(work: Work, after: UUID) -> UUID | None:
    """The same packs, each in a transaction of its own."""
    async with work.db.transaction() as tx:
        packs = await take(tx, work, after, CHUNK_PACKS)
    for pack in packs:
        async with work.item("pack", pack.pack_id):
            previous = UUID(int=pack.pack_id.int - 1)
            await check_next(work, previous, 1)
    return packs[-1].pack_id if packs else None


async def take(tx: Connection, work: Work, after: UUID, limit: int) -> list[PackToCheck]:
    return await store.take(tx, midnight(work.as_of_date), work.as_of_date, after, limit)


async def check_all(tx: Connection, work: Work, packs: list[PackToCheck]) -> None:
    """What an hourly run has not summed up yet is summed up first."""
    before = midnight(work.as_of_date)
    ids = [pack.pack_id for pack in packs]
    await summaries.seal_these(tx, ids)
    from_ats = [pack.unevaluated_from - following.LOOK_BACK for pack in packs]
    sessions = await session_store.ended(tx, ids, from_ats, before - following.MAX_AGE, before)
    now = await clock.now(tx)
    await service.check_all(tx, packs, sessions, as_of=work.as_of_date, by=work.by, now=now)
