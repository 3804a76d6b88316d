"""Commands on the lessor's books: months checked, closed and opened again."""

import sys
from typing import TYPE_CHECKING

import click

from jobs.shell import database, run, say

if TYPE_CHECKING:
    from schemas.accounting import ChecklistView

BY = "cli"


@click.group()
def period() -> None:
    """Months of the ledger; a MONTH is like 2026-01."""


@period.command("check")
@click.argument("month")
def check_period(month: str) -> None:
    """What is in the way of closing a month."""
    from leasing.accounting import periods

    async def work() -> "ChecklistView":
        wanted = periods.month_named(month)
        async with database() as db, db.transaction(read_only=True) as tx:
            return await periods.checklist(tx, wanted)

    found = run(work())
    show(found)
    if not found.ready:
        sys.exit(1)


def show(found: "ChecklistView") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "check", "found", title=f"{found.month:%Y-%m} is {found.state}")
    for check in found.checks:
        sign = "[green]✓[/]" if check.passed else "[red]✗[/]"
        table.add_row(sign, check.title, "" if check.passed else f"{check.found:,}")
    Console().print(table)


@period.command("close")
@click.argument("month")
def close_period(month: str) -> None:
    """Close a month whose checks passed: nothing is posted in it any more."""
    from leasing.accounting import periods
    from leasing.db import clock

    async def work() -> "ChecklistView":
        wanted = periods.month_named(month)
        async with database() as db:
            async with db.transaction(read_only=True) as tx:
                found = await periods.checklist(tx, wanted)
            show(found)
            async with db.transaction() as tx:
                await periods.close(tx, wanted, by=BY, now=await clock.now(tx))
            return found

    run(work())
    say(f"{month} is closed")


@period.command("reopen")
@click.argument("month")
@click.option("--reason", required=True, help="Why its books must change.")
def reopen_period(month: str, reason: str) -> None:
    """Open the latest closed month again."""
    from leasing.accounting import periods
    from leasing.db import clock

    async def work() -> None:
        wanted = periods.month_named(month)
        async with database() as db, db.transaction() as tx:
            await periods.reopen(tx, wanted, reason, by=BY, now=await clock.now(tx))

    run(work())
    say(f"{month} is open")
