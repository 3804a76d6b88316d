"""Many who want the same room at once: no outlet is ever filled beyond its limit, nobody waits for
each other, and no pack goes two ways."""

from datetime import date
from uuid import UUID

import pytest
import uvloop

from bench import races, waste
from leasing.db.pool import Database, connect
from leasing.end_of_life import plans
from leasing.kit.settings import Settings

ON = date(2026, 6, 15)


async def crowded(db: Database, many: int) -> tuple[UUID, list[UUID]]:
    """Packs of a few prefectures before outlets with room for two or so each; a plan for half of
    them."""
    adcodes = ("410100", "410200", "410300", "410700", "411000", "420100", "130400", "140500")
    async with db.transaction() as tx:
        await waste.country(tx)
        ids = await waste.waiting(tx, many // 2, 1, adcodes)
        await tx.execute("UPDATE outlet SET stock_kg = greatest(0, store_limit_kg - 700)")
    plan_id = await plans.make(db, ON, by="a test")
    assert plan_id is not None
    async with db.transaction() as tx:
        ids += await waste.waiting(tx, many // 2, 2, adcodes)
    return plan_id, ids


@pytest.mark.slow
def test_four_batches_and_four_streams_fill_no_outlet_beyond_its_limit(
    dsn: str, own_schema: Settings
):
    async def scenario() -> None:
        async with await connect(dsn, own_schema) as db:
            plan_id, ids = await crowded(db, 900)
            seen = await races.race(
                db, plan_id, ids, batches=4, streams=4, on=races.handed_over_on(ON)
            )
            everyone = seen.batches + seen.streams
            assert [ran.others for ran in everyone] == [[]] * 8
            assert sum(ran.deadlocks for ran in everyone) == 0
            assert (seen.oversold_kg, seen.unbalanced, seen.twice) == (0, 0, 0)
            # Both sides got something, or nothing was shown.
            assert sum(ran.routed for ran in seen.batches) > 50
            assert sum(ran.routed for ran in seen.streams) > 50
            async with db.transaction(read_only=True) as tx:
                routed = await tx.fetchval("SELECT count(*) FROM pack WHERE state = 'routed'")
                assert routed == sum(ran.routed for ran in everyone)

    uvloop.run(scenario())
