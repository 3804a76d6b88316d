"""Nightly: keep the documents of final invoices as they were issued, and drop old PDFs."""

from datetime import timedelta

from jobs.runner import Work
from leasing.db import clock
from leasing.documents import service, store
from leasing.kit.time import system_now

CHUNK_INVOICES = 20
"""In one transaction: an invoice may have twenty thousand lines."""

KEEP_PDFS = timedelta(days=30)
"""Since they were made; whoever asks later gets one that is made anew, of the same document."""


async def run(work: Work) -> None:
    kept = CHUNK_INVOICES
    while kept == CHUNK_INVOICES:
        async with work.db.transaction() as tx:
            now = await clock.now(tx)
            kept = await service.archive_next(tx, CHUNK_INVOICES, by=work.by, now=now)
        if kept:
            await work.step(kept)
    async with work.db.statement() as tx:
        await store.forget_pdfs(tx, before=system_now() - KEEP_PDFS)
