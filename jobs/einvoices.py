"""E-invoices sent to the tax administration, and its answers read.

Each batch is made in one transaction, handed over, and noted as sent in another: killed in between
it is handed over again, the very same. Each file of answers is entered in one transaction and then
put away: killed in between it is read again, and changes nothing.
"""

from collections.abc import Callable
from datetime import date
from uuid import UUID

import structlog

from jobs.runner import Work
from leasing.db import clock
from leasing.db.pool import Database, is_lost
from leasing.einvoices import service, store
from leasing.einvoices.gateway import FileDrop, Gateway
from leasing.kit.errors import DomainError
from schemas.einvoices import EInvoiceCreate, EInvoiceKind

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CHUNK_INVOICES = 100
MAX_BATCHES = 1_000
"""Sent in one go; more wait for the next."""


async def run(work: Work) -> None:
    """Read what was answered, then send what waits. Nothing without a folder to do it in."""
    folder = work.db.settings.einvoices
    if folder is None:
        return
    gateway = FileDrop(folder)
    read, _ = await read_all(work.db, gateway, by=work.by)
    sent = await send_all(work.db, gateway, by=work.by)
    if read + sent:
        await work.step(read + sent)


async def send_all(db: Database, gateway: Gateway, *, by: str) -> int:
    """Send everything that waits; returns how many requests were sent."""
    total = 0
    for _ in range(MAX_BATCHES):
        async with db.transaction() as tx:
            batch_id = await service.next_batch(tx, await clock.now(tx))
        if batch_id is None:
            break
        total += await send(db, gateway, batch_id, by=by)
    return total


async def send(db: Database, gateway: Gateway, batch_id: UUID, *, by: str) -> int:
    async with db.transaction(read_only=True) as tx:
        dispatch = await service.dispatch(tx, batch_id)
    await gateway.send(dispatch)
    async with db.transaction() as tx:
        return await service.note_sent(tx, batch_id, by=by, now=await clock.now(tx))


async def read_all(db: Database, gateway: Gateway, *, by: str) -> tuple[int, int]:
    """Read every file of answers; returns how many answers changed something, and how many files
    could not be read. Such a file is put aside, with the reason in the log, and nothing of it is
    entered."""
    changed = unreadable = 0
    for file in await gateway.answers():
        readable = True
        try:
            async with db.transaction() as tx:
                changed += await service.take_answers(tx, file, by=by, now=await clock.now(tx))
        except Exception as error:
            if is_lost(error):
                raise
            readable = False
            unreadable += 1
            log.warning("einvoice.answer_unreadable", file=file.name, reason=repr(error))
        await gateway.put_away(file.name, readable=readable)
    return changed, unreadable


async def draft_all(
    db: Database,
    kind: EInvoiceKind,
    from_on: date,
    to_on: date,
    *,
    by: str,
    refused: Callable[[UUID, DomainError], None],
) -> int:
    """Draft the e-invoices of all invoices of some days that have none; returns how many."""
    drafted, after = 0, UUID(int=0)
    while True:
        async with db.transaction() as tx:
            now = await clock.now(tx)
            found = await store.open_invoices(tx, from_on, to_on, after, CHUNK_INVOICES)
            wanted = [EInvoiceCreate(invoice_id=one, kind=kind) for one in found]
            outcomes = await service.draft_each(tx, wanted, by=by, now=now)
        for invoice_id, outcome in zip(found, outcomes, strict=True):
            if isinstance(outcome, DomainError):
                refused(invoice_id, outcome)
            else:
                drafted += 1
        if len(found) < CHUNK_INVOICES:
            return drafted
        after = found[-1]
