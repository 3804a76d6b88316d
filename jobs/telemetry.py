"""Hourly: put together what arrived, and sum it up as sessions and hours. Then tell which packs
in lines fell silent, and tell again what nobody acknowledged."""

from uuid import UUID

from jobs.runner import Work
from leasing.alarms import service as alarms
from leasing.db import clock
from leasing.db.pool import is_lost
from leasing.health import summaries
from leasing.telemetry import silence

CHUNK_PACKS = 50
"""In one transaction, in which these packs' new readings wait: some three days of each are read."""
WATCHED_AT_ONCE = 500
REPEATED_AT_ONCE = 500
MOST_REPEATS = 200
"""Portions in one hour: what is left then is told in the next."""


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
    await watch_silence(work)
    await repeat(work)


async def watch_silence(work: Work) -> None:
    """Alarms of packs that fell silent, as of the clock: an hour that was missed is not told."""
    position: UUID | None = UUID(int=0)
    while position is not None:
        async with work.db.transaction() as tx:
            now = await clock.now(tx)
            done, last = await silence.watch_next(tx, position, WATCHED_AT_ONCE, now=now)
        position = last if done == WATCHED_AT_ONCE else None


async def repeat(work: Work) -> None:
    for _ in range(MOST_REPEATS):
        async with work.db.transaction() as tx:
            now = await clock.now(tx)
            told = await alarms.repeat(tx, REPEATED_AT_ONCE, by=work.by, now=now)
        if told == 0:
            return


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
