"""Nightly: give up reservations that expired, route anew what lost its recycler, and propose a plan
for all packs that wait."""

from uuid import UUID

from jobs.runner import Work
from leasing.consignments import rerouting
from leasing.db import clock
from leasing.end_of_life import plans, service
from leasing.end_of_life.model import NothingToReroute
from schemas.end_of_life import ReleaseCreate

AT_ONCE = 1_000

EXPIRED = """
SELECT id
  FROM routing
 WHERE state = 'reserved'
   AND expires_at <= $1
   AND NOT EXISTS (
         SELECT
           FROM consignment_pack
           JOIN consignment ON consignment.id = consignment_id
          WHERE consignment_pack.routing_id = routing.id
            AND NOT is_let_go
            AND consignment.state IN ('packed', 'dispatched', 'weighed_in'))
 ORDER BY id
 LIMIT $2
"""


async def run(work: Work) -> None:
    await sweep(work)
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
        try:
            reason = "it may not be handed over there on its day"
            done = await rerouting.reroute(tx, reason, by=work.by, now=now)
        except NothingToReroute:
            done = None
    if done is not None:
        await work.step(done.hit)
    plan_id = await plans.make(work.db, work.as_of_date, by=work.by)
    if plan_id is not None:
        async with work.db.transaction(read_only=True) as tx:
            plan = await plans.get(tx, plan_id)
        await work.step(plan.packs)


async def sweep(work: Work) -> None:
    """Give up what was reserved and never handed over."""
    tried: set[UUID] = set()
    while True:
        async with work.db.transaction(read_only=True) as tx:
            now = await clock.now(tx)
            rows = await tx.fetch(EXPIRED, now, AT_ONCE + len(tried))
        waiting = [row["id"] for row in rows if row["id"] not in tried]
        if not waiting:
            return
        for routing_id in waiting:
            tried.add(routing_id)
            async with work.item("routing", routing_id), work.db.transaction() as tx:
                expired = ReleaseCreate(
                    released_on=work.as_of_date, reason="the reservation expired"
                )
                await service.release(tx, routing_id, expired, by=work.by, now=now)
        await work.step(len(waiting))
