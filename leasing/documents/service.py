"""A document in the form that was asked for. What takes long is done in a thread, so that other
requests are answered meanwhile."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from leasing.db.pool import Connection, Database
from leasing.documents import pages, sheets, store, ubl
from leasing.documents.model import Named
from leasing.documents.pdf import Layout, Printer
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.time import system_now
from schemas.documents import DocumentFormat, DocumentLanguage

log: structlog.stdlib.BoundLogger = structlog.get_logger()

WRITERS: dict[DocumentFormat, Callable[[Named, DocumentLanguage], bytes]] = {
    DocumentFormat.JSON: lambda named, _: named.content,
    DocumentFormat.HTML: pages.write,
    DocumentFormat.CSV: sheets.write_csv,
    DocumentFormat.XLSX: sheets.write_xlsx,
    DocumentFormat.UBL: lambda named, _: ubl.write(named),
}


async def render(named: Named, format_: DocumentFormat, language: DocumentLanguage) -> bytes:
    """A document as a file."""
    return await asyncio.to_thread(WRITERS[format_], named, language)


MAX_KEPT_BYTES = 20_000_000
"""A PDF larger than this is made again each time."""


class Printed(Protocol):
    """A document with its name, the SHA-256 of its canonical JSON."""

    @property
    def sha256(self) -> str: ...


class Press:
    """PDFs as they are asked for: from the cache, or printed and then kept.

    A request that reads cannot write, so what it printed is kept after it, in a transaction of its
    own. If that fails the next one prints again."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.printer = Printer(db.settings.fonts)
        self.keeping: set[asyncio.Task[None]] = set()

    async def pdf(
        self,
        tx: Connection,
        named: Printed,
        language: DocumentLanguage,
        layout: Layout | None = None,
    ) -> bytes:
        version = await self.printer.version()
        kept = await store.pdf(tx, named.sha256, language, version)
        if kept is not None:
            return kept
        content = await self.printer.print(named, language, layout)
        if len(content) <= MAX_KEPT_BYTES:
            task = asyncio.create_task(self.keep(named.sha256, language, version, content))
            self.keeping.add(task)
            task.add_done_callback(self.keeping.discard)
        return content

    async def keep(self, sha256: str, language: str, version: str, content: bytes) -> None:
        try:
            async with self.db.transaction() as tx:
                await store.keep_pdf(tx, sha256, language, version, content, system_now())
        except Exception as error:  # nobody waits for it
            log.warning("document.pdf_not_kept", sha256=sha256, reason=repr(error))


async def archive_next(tx: Connection, limit: int, *, by: str, now: datetime) -> int:
    """Keep the documents of some final invoices that are not kept yet; returns how many."""
    found = await store.unarchived(tx, limit)
    for invoice_id in found:
        await archived(tx, invoice_id, by=by, now=now)
    return len(found)


async def archived(tx: Connection, invoice_id: UUID, *, by: str, now: datetime) -> Named:
    """The document of an invoice, which is kept from now on if it was not before."""
    named = await store.load(tx, invoice_id)
    if await store.archive(tx, invoice_id, named, now):
        facts: dict[str, object] = {"number": named.document.number, "sha256": named.sha256}
        kept = Event("invoice", invoice_id, "invoice.archived", facts)
        await events.append(tx, [kept], actor=by, now=now)
    return named
