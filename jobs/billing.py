"""Billing: everything that is due on a day, through all stages of a run.

Whoever holds the job plans the run; any number of workers, on any machine, help with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from uuid import UUID

from jobs.runner import NotYet, Work, worker_name
from leasing.billing import results, running, runs
from leasing.billing.running import Did, Step
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import civil_date

PAUSE_S = 0.1
"""Between two looks while others are at what is left."""


async def run(work: Work) -> None:
    await bill(work)


async def bill(
    work: Work, buyer_id: UUID | None = None, max_invoices: int = running.MAX_INVOICES
) -> None:
    """Bill what is due as of the run's day, for one who pays or for all."""
    run_id = await begin(work.db, work.as_of_date, buyer_id, max_invoices)
    if run_id is None:
        return

    async def note(did: Did) -> None:
        await work.step(did.charges)

    await help_with(work.db, run_id, work.by, note)
    async with work.db.transaction(read_only=True) as tx:
        work.parked = (await results.by_state(tx, run_id))["parked"]


async def bill_one(db: Database, on: date, buyer_id: UUID, max_invoices: int) -> None:
    """The same by hand for one who pays. Raises `NotYet` for a day to come."""
    async with db.transaction() as tx:
        today = civil_date(await clock.now(tx))
    if on > today:
        raise NotYet(f"{on} is after today, {today}")
    run_id = await begin(db, on, buyer_id, max_invoices)
    if run_id is not None:
        await help_with(db, run_id, "operator")


async def begin(db: Database, as_of: date, buyer_id: UUID | None, max_invoices: int) -> UUID | None:
    async with db.transaction() as tx:
        run = await running.begin(tx, as_of, buyer_id, max_invoices, await clock.now(tx))
    return None if run is None else run.id


async def help_with(
    db: Database,
    run_id: UUID,
    by: str,
    note: Callable[[Did], Awaitable[None]] | None = None,
) -> None:
    """Work on a run until it is over or waits for a person."""
    worker = worker_name()
    while True:
        did = await running.work(db, run_id, worker, by)
        if did.step in (Step.OVER, Step.STOPPED):
            return
        if did.step is Step.WAIT:
            await asyncio.sleep(PAUSE_S)
        elif did.charges and note is not None:
            await note(did)


async def help_others(db: Database) -> None:
    """Work on the runs that other workers have begun."""
    async with db.transaction(read_only=True) as tx:
        begun = await runs.unfinished(tx)
    for run_id in begun:
        await help_with(db, run_id, "job:billing")
