"""The monthly billing run.

As of the first of a month (or any later day of it) everything before that first is billed: one
invoice per customer and currency. Lines are rated in chunks of bounded size, one transaction
each, so memory does not grow with the run and a kill loses one chunk at most, which the next
attempt does again.
"""

from datetime import date, timedelta
from uuid import UUID

from jobs.runner import Work
from leasing.billing import service, store
from leasing.db import clock
from leasing.kit.time import civil_date, month_of

CHUNK_LINES = 5_000


async def run(work: Work) -> None:
    to_on, _ = month_of(work.as_of_date)
    from_on, _ = month_of(to_on - timedelta(days=1))
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
        run_id = await store.open_run(tx, from_on, to_on, now)
        customers = await store.billable(tx, to_on)
    for lessee_id, currency in customers:
        async with work.item("customer", lessee_id):
            await bill(work, run_id, lessee_id, currency, from_on, to_on)
    async with work.db.transaction() as tx:
        await store.close_run(tx, run_id, await clock.now(tx))


async def bill(
    work: Work, run_id: UUID, lessee_id: UUID, currency: str, from_on: date, to_on: date
) -> None:
    """Rate a customer's lines chunk by chunk, then make the invoice final."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with work.db.transaction() as tx:
            charged, after = await service.rate_chunk(
                tx,
                run_id=run_id,
                lessee_id=lessee_id,
                currency=currency,
                from_on=from_on,
                to_on=to_on,
                after=after,
                limit=CHUNK_LINES,
            )
        if charged:
            await work.step(charged)
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
        await service.finalise(
            tx,
            lessee_id=lessee_id,
            currency=currency,
            from_on=from_on,
            to_on=to_on,
            issued_on=civil_date(now),
            by=work.by,
            now=now,
        )
