"""Commands for e-invoices (数电票): drafted, handed over as files, and answered."""

import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click

from jobs.shell import database, run, say
from leasing.kit.errors import DomainError

BY = "cli:einvoice"
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def einvoice() -> None:
    """E-invoices (数电票) in batches of files."""


@einvoice.command("export")
@click.argument("folder", type=FOLDER)
@click.option(
    "--kind",
    type=click.Choice(["special", "ordinary"]),
    default="special",
    show_default=True,
    help="Of those that are drafted now: 增值税专用发票 or 普通发票.",
)
@click.option("--month", type=click.DateTime(["%Y-%m"]), help="Draft the invoices issued in it.")
def export(folder: Path, kind: str, month: datetime | None) -> None:
    """Write what waits to FOLDER/out, a hundred requests to a file. With --month the invoices of
    that month that are no e-invoices yet are drafted first. Run again it goes on."""
    from jobs import einvoices
    from leasing.einvoices.gateway import FileDrop
    from leasing.kit.time import month_of
    from schemas.einvoices import EInvoiceKind

    faults = 0

    def refused(invoice_id: UUID, error: DomainError) -> None:
        nonlocal faults
        faults += 1
        say(f"{invoice_id}: {error.title}: {error.detail}")

    async def work() -> tuple[int, int]:
        async with database() as db:
            drafted = 0
            if month is not None:
                first, following = month_of(month.date())
                drafted = await einvoices.draft_all(
                    db, EInvoiceKind(kind), first, following, by=BY, refused=refused
                )
            return drafted, await einvoices.send_all(db, FileDrop(folder), by=BY)

    drafted, sent = run(work())
    say(f"drafted {drafted}, refused {faults}, sent {sent} to {folder / 'out'}")
    if faults:
        sys.exit(1)


@einvoice.command("read")
@click.argument("folder", type=FOLDER)
def read(folder: Path) -> None:
    """Read the answers in FOLDER/in. They are moved to FOLDER/done, or to FOLDER/unreadable."""
    from jobs import einvoices
    from leasing.einvoices.gateway import FileDrop

    async def work() -> tuple[int, int]:
        async with database() as db:
            return await einvoices.read_all(db, FileDrop(folder), by=BY)

    changed, unreadable = run(work())
    say(f"{changed} answers entered, {unreadable} files unreadable")
    if unreadable:
        sys.exit(1)
