"""What became of retired packs, on the command line."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import click

from jobs.shell import database, run

if TYPE_CHECKING:
    from schemas.balances import MassBalance

DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "from_on", type=DAY, required=True, help="The first day.")
@click.option("--to", "to_on", type=DAY, required=True, help="The first day after the period.")
@click.option("--party", type=click.UUID, help="Only what this party had.")
@click.option("--outlet", type=click.UUID, help="Only what came to this outlet.")
@click.option("--adcode", help="Only a prefecture (410100) or a province (410000).")
@click.option("--json", "as_json", is_flag=True, help="All of it, as one line of JSON.")
def balance(
    from_on: datetime,
    to_on: datetime,
    party: UUID | None,
    outlet: UUID | None,
    adcode: str | None,
    as_json: bool,
) -> None:
    """Add up what became of retired packs: reused, recycled, stored, in transit, lost.

    Ends with 1 when records and the table of custody differ, or a pack is unaccounted for.
    """
    import msgspec

    from leasing.balances import service
    from leasing.db import clock
    from leasing.kit.time import civil_date

    async def work() -> "MassBalance":
        async with database() as db, db.transaction(read_only=True) as tx:
            today = civil_date(await clock.now(tx))
            return await service.balance(
                tx,
                from_on.date(),
                to_on.date(),
                party_id=party,
                outlet_id=outlet,
                adcode=adcode,
                today=today,
            )

    made = run(work())
    if as_json:
        click.echo(msgspec.json.encode(made))
    else:
        show(made)
    sys.exit(0 if made.balances else 1)


def show(made: "MassBalance") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "packs", "kg", "kWh", title=f"{made.from_on} until {made.to_on}")
    rows = [
        ("opening", made.opening),
        ("came in", made.came_in),
        ("retired", made.retired),
        *made.by_fate.items(),
        ("unaccounted", made.unaccounted),
    ]
    for name, sums in rows:
        label = str(name).replace("_", " ")
        table.add_row(label, f"{sums.packs:,}", f"{sums.kg:,}", f"{sums.kwh:,.1f}")
    console = Console()
    console.print(table)
    for one in made.differences:
        days = f"{one.from_on or ''}–{one.to_on or ''}"
        console.print(
            f"{one.kind} {one.code or ''} {days}: records {one.by_records}; table {one.by_table}"
        )
    if made.more_differences:
        console.print(f"… and {made.more_differences:,} more")
