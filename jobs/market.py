"""Nightly: proposals whose time is over expire, reservations whose lines are gone are given up,
and the market is planned anew by the terms of the plan before."""

from asyncio import to_thread

from jobs.runner import Work
from leasing.db import clock
from leasing.market import planning, service


async def run(work: Work) -> None:
    """A market nobody ever planned is left alone. The same market on the same day is planned once:
    a second run finds the plan it would make, and writes nothing."""
    async with work.db.transaction() as tx:
        done = await service.tidy(tx, by=work.by, now=await clock.now(tx))
        before = await service.last_run(tx)
        stall, standing = None, False
        if before is not None:
            stall = await service.look(tx, before.terms, work.as_of_date)
            standing = await service.untouched(tx, before.id)
    await work.step(done)
    if before is None or stall is None or not stall.demands:
        return
    # Minutes, perhaps: no transaction is kept open for that.
    planned = await to_thread(planning.solve_within, stall.market, service.JOB_SECONDS)
    if standing and (before.as_of, before.plan_id) == (stall.as_of, planned.plan_id):
        return
    async with work.db.transaction() as tx:
        await service.queue_up(tx)
        now = await clock.now(tx)
        made = await service.propose(tx, stall, planned, before.terms, by=work.by, now=now)
    await work.step(made.served)
