"""Billing by hand: a run, what it would make, and letting one go on that stopped."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from jobs.shell import database, run, say

if TYPE_CHECKING:
    from leasing.db.pool import Database
    from schemas.billing import BillingPreview, BillingRunDetail

LOOK_EVERY_S = 0.5


@click.command("billing")
@click.option("--as-of", "as_of", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--dry-run", is_flag=True, help="Show what it would make, and why; keep nothing.")
@click.option("--customer", type=click.UUID, help="Only what this one pays for.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option("--max-invoices", type=click.IntRange(1), help="More stop the run; 100,000.")
@click.option("--approve", metavar="REASON", help="Let a run go on that stopped.")
@click.option("--discard", metavar="REASON", help="Give up the drafts of a run; nothing else.")
@click.option("--page", type=click.Path(path_type=Path), help="Write a dry run to a page of HTML.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def run_billing(
    as_of: datetime,
    dry_run: bool,
    customer: UUID | None,
    workers: int,
    max_invoices: int | None,
    approve: str | None,
    discard: str | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Bill what is due on a day and not billed yet. Doing it twice changes nothing."""
    from msgspec import json

    on = as_of.date()
    if dry_run:
        preview = run(previewed(on, customer))
        if page is not None:
            write_page(preview, page)
        elif as_json:
            click.echo(json.encode(preview).decode())
        else:
            show_preview(preview)
        return
    if discard is not None:
        run(discarded(on, customer, discard))
        say(f"billing as of {on}: the drafts were discarded; the next run bills what is due")
        return
    found = run(billed(on, customer, workers, max_invoices, approve))
    if as_json:
        click.echo(json.encode(found).decode())
    else:
        show_run(on, found)
    if found is not None and found.state != "done":
        sys.exit(1)


@click.command("help-billing", hidden=True)
@click.argument("run_id", type=click.UUID)
def help_billing(run_id: UUID) -> None:
    """Work on a run that another process has begun."""
    from jobs import billing

    async def work() -> None:
        async with database() as db:
            await billing.help_with(db, run_id, "job:billing")

    run(work())


async def previewed(on: date, customer: UUID | None) -> "BillingPreview":
    from leasing.billing import preview
    from leasing.db import clock

    async with database() as db, db.transaction() as tx:
        # Everybody's bill may take longer than one statement of the service.
        await tx.execute("SET LOCAL statement_timeout = 0")
        return await preview.run(tx, on, customer, await clock.now(tx))


async def discarded(on: date, customer: UUID | None, reason: str) -> None:
    from leasing.billing import discarding, runs
    from leasing.db import clock

    async with database() as db, db.transaction() as tx:
        run_id = await runs.find(tx, on, customer)
        if run_id is None:
            raise click.ClickException(f"there is no billing run as of {on}")
        await discarding.run(tx, run_id, reason, by="operator", now=await clock.now(tx))


async def billed(
    on: date, customer: UUID | None, workers: int, max_invoices: int | None, approve: str | None
) -> "BillingRunDetail | None":
    """Bring a run to its end; None when nothing was due, then and before."""
    from jobs import billing, runner
    from leasing.billing import api, running, runs
    from leasing.db import clock

    async with database() as db:
        if approve is not None:
            async with db.transaction() as tx:
                run_id = await runs.find(tx, on, customer)
                if run_id is None:
                    raise click.ClickException(f"there is no billing run as of {on}")
                now = await clock.now(tx)
                await running.approve(tx, run_id, approve, by="operator", now=now)
        most = max_invoices or running.MAX_INVOICES
        job = partial(billing.bill, max_invoices=most)
        async with shown(db, on, customer), helped(db, on, customer, workers - 1):
            if customer is not None:
                await billing.bill_one(db, on, customer, most)
            elif await runner.run_once(db, "billing", job, on, unheard) == "busy":
                # Another process has planned it; we work on it too.
                await billing.help_others(db)
        async with db.transaction(read_only=True) as tx:
            run_id = await runs.find(tx, on, customer)
            return None if run_id is None else await api.detail(tx, run_id)


def unheard(done: int, total: int | None) -> None:
    """The bars look at the stages instead."""


@asynccontextmanager
async def helped(
    db: "Database", on: date, customer: UUID | None, helpers: int
) -> AsyncIterator[None]:
    """So many processes work on the run as well, once it is planned."""
    task = asyncio.create_task(help_when_planned(db, on, customer, helpers)) if helpers else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def help_when_planned(db: "Database", on: date, customer: UUID | None, helpers: int) -> None:
    from leasing.billing import runs

    processes: list[asyncio.subprocess.Process] = []
    environ = os.environ | {"LEASING_DSN": db.dsn, "LEASING_SCHEMA": db.settings.schema}
    try:
        while True:
            async with db.transaction(read_only=True) as tx:
                run_id = await runs.find(tx, on, customer)
                planned = run_id and await runs.current_stage(tx, run_id)
            if planned:
                break
            await asyncio.sleep(LOOK_EVERY_S / 5)
        for _ in range(helpers):
            command = [sys.executable, "-m", "jobs", "job", "help-billing", str(run_id)]
            processes.append(await asyncio.create_subprocess_exec(*command, env=environ))
        for process in processes:
            await process.wait()
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


@asynccontextmanager
async def shown(db: "Database", on: date, customer: UUID | None) -> AsyncIterator[None]:
    """Bars of the stages while the block lasts."""
    from jobs.progress import bars

    with bars() as start:
        reports = {}

        async def look() -> None:
            for stage in await stages(db, on, customer):
                name, total = stage["stage"], stage["total"]
                if name not in reports:
                    reports[name] = start(f"billing: {name}", total)
                reports[name](stage["done"], total)

        async def watch() -> None:
            while True:
                await look()
                await asyncio.sleep(LOOK_EVERY_S)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await look()


async def stages(db: "Database", on: date, customer: UUID | None) -> list[dict[str, Any]]:
    from leasing.billing import runs

    async with db.transaction(read_only=True) as tx:
        run_id = await runs.find(tx, on, customer)
        return [] if run_id is None else [dict(row) for row in await runs.stages(tx, run_id)]


def show_run(on: date, found: "BillingRunDetail | None") -> None:
    if found is None:
        say(f"billing as of {on}: nothing was due")
        return
    say(
        f"billing as of {on}: {found.state}; {found.invoices:,} invoices, "
        f"{found.held_invoices:,} held, {found.parked:,} contracts parked, "
        f"{found.held_lines:,} lines held"
    )
    if found.stopped_because:
        say(
            f"it stopped because {found.stopped_because}; --approve REASON lets it go on, "
            "--discard REASON gives it up"
        )


def write_page(found: "BillingPreview", to: Path) -> None:
    from leasing.billing import page

    to.write_text(page.render(found), "utf-8")
    say(f"{to}: {found.invoice_count:,} invoices, and why they differ; nothing was kept")


def show_preview(found: "BillingPreview") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("customer", "currency", "net", "VAT", "total", "last time")
    for column in (2, 3, 4, 5):
        table.columns[column].justify = "right"
    for one in found.invoices:
        before = "–" if one.before_amount is None else f"{one.before_amount:,}"
        amounts = [f"{amount:,}" for amount in (one.net_amount, one.vat_amount, one.total_amount)]
        table.add_row(one.buyer_name, one.currency, *amounts, before)
    console.print(table)
    causes = Table("why it differs", "currency", "lines", "amount")
    for column in (2, 3):
        causes.columns[column].justify = "right"
    for cause in found.causes:
        causes.add_row(cause.cause, cause.currency, f"{cause.lines:,}", f"{cause.amount:,}")
    console.print(causes)
    for trouble in found.trouble:
        console.print(f"contract {trouble.contract_id}: {trouble.code}: {trouble.reason}")
    console.print(
        f"{found.contracts:,} contracts, {found.charges:,} charges, {found.invoice_count:,} "
        f"invoices; {found.trouble_count:,} contracts cannot be billed, {found.held_lines:,} lines "
        "are held; amounts in the smallest unit of their currency; nothing was kept"
    )
