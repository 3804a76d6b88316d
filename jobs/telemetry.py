"""Hourly: put together what arrived, and sum it up as sessions and hours."""

from uuid import UUID

from jobs.runner import Work
from leasing.db.pool import is_lost
from leasing.health import summaries

CHUNK_PACKS = 50
"""In one transaction, in which these packs' new readings wait: some three days of each are read."""


async def run(work: Work) -> None:
    position: UUID | None = UUID(int=0)
    while position is not None:
        after = position
        try:
            position = await seal_next(work, after, CHUNK_PACKS)
        except Exception as error:
            if is_lost(error):
                raise
            position = await seal_one_by_one(work, after)


async def seal_next(work: Work, after: UUID, limit: int) -> UUID | None:
    """Seal the next packs in one transaction; returns the last one, None when none were left."""
    async with work.db.transaction() as tx:
        done = await summaries.seal_next(tx, after, limit)
    if done.packs:
        await work.step(done.packs)
    return done.last if done.packs == limit else None


async def seal_one_by_one(work: Work, after: UUID) -> UUID | None:
    """The same packs, each in a transaction of its own: only the bad one is parked."""
    async with work.db.transaction() as tx:
        pack_ids = await summaries.waiting(tx, after, CHUNK_PACKS)
    for pack_id in pack_ids:
        async with work.item("pack", pack_id):
            await seal_next(work, UUID(int=pack_id.int - 1), 1)
    return pack_ids[-1] if len(pack_ids) == CHUNK_PACKS else None
