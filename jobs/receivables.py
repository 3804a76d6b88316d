"""Nightly: credit pays what became due, and overdue invoices reach steps of dunning. Monthly: late
interest. Each party and each chunk of invoices is a transaction of its own that asks what is still
missing, so that a kill loses one of them at most."""

from datetime import date
from uuid import UUID

from jobs.runner import Work
from leasing.db import clock
from leasing.db.pool import is_lost
from leasing.kit.time import month_of
from leasing.receivables import dunning, interest, service, store

CHUNK_PARTIES = 500
CHUNK_INVOICES = 500


async def run(work: Work) -> None:
    # What can be paid is not dunned for.
    await apply_credit(work)
    await note_steps(work)


async def apply_credit(work: Work) -> None:
    after = (UUID(int=0), "")
    while True:
        async with work.db.statement() as tx:
            found = await store.with_credit(tx, after, CHUNK_PARTIES)
        if not found:
            return
        for party_id, currency in found:
            async with work.item("party", party_id), work.db.transaction() as tx:
                now = await clock.now(tx)
                await service.apply_credit(tx, party_id, currency, by=work.by, now=now)
        await work.step(len(found))
        after = found[-1]


async def note_steps(work: Work) -> None:
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with work.db.transaction() as tx:
            looked_at, after = await dunning.note(
                tx,
                await dunning.steps(tx),
                work.as_of_date,
                after,
                CHUNK_INVOICES,
                by=work.by,
                now=await clock.now(tx),
            )
        if looked_at:
            await work.step(looked_at)


async def accrue(work: Work) -> None:
    """As of the first of a month, or any later day of it, interest for the days before that
    first."""
    until, _ = month_of(work.as_of_date)
    async with work.db.transaction() as tx:
        await interest.settle_paid_in_time(tx, until)
    after = UUID(int=0)
    while True:
        async with work.db.statement() as tx:
            found = await interest.candidates(tx, until, after, CHUNK_INVOICES)
        if not found:
            return
        try:
            await accrue_all(work, found, until)
        except Exception as error:
            if is_lost(error):
                raise
            # One of them is at fault: it is put aside, and the others are not.
            for invoice_id in found:
                async with work.item("invoice", invoice_id):
                    await accrue_all(work, [invoice_id], until)
        await work.step(len(found))
        after = found[-1]


async def accrue_all(work: Work, invoice_ids: list[UUID], until: date) -> None:
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
        await interest.accrue(tx, invoice_ids, until, work.as_of_date, by=work.by, now=now)
