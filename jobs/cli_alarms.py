"""Commands on alarms."""

from typing import TYPE_CHECKING

import click

from jobs.shell import database, run, say

if TYPE_CHECKING:
    from schemas.alarms import AlarmView

MOST = 200
REPEATED_AT_ONCE = 1000


@click.group()
def alarms() -> None:
    """Alarms of packs."""


@alarms.command("list")
@click.option("--severity", type=click.Choice(["info", "warn", "critical"]))
def list_alarms(severity: str | None) -> None:
    """What nobody has acknowledged, the first 200."""
    from leasing.alarms import store
    from leasing.http.pages import FIRST
    from leasing.kit.rows import convert_all
    from schemas.alarms import AlarmView

    async def work() -> "list[AlarmView]":
        async with database() as db, db.transaction(read_only=True) as tx:
            rows = await store.after(tx, FIRST, "raised", severity, None, None, MOST)
            return convert_all(rows, AlarmView)

    show(run(work()))


def show(found: "list[AlarmView]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("since", "severity", "alarm", "cell", "pack", "told")
    for one in found:
        since, cell = f"{one.since:%Y-%m-%d %H:%M:%SZ}", "" if one.cell is None else str(one.cell)
        alarm = one.code or one.kind
        table.add_row(since, one.severity, alarm, cell, str(one.pack_id), str(one.repeats + 1))
    Console().print(table)


@alarms.command("repeat")
def repeat_alarms() -> None:
    """Tell again what is due and nobody has acknowledged. To be called every few minutes."""
    from leasing.alarms import service
    from leasing.db import clock

    async def work() -> int:
        async with database() as db, db.transaction() as tx:
            now = await clock.now(tx)
            return await service.repeat(tx, REPEATED_AT_ONCE, by="cli", now=now)

    say(f"{run(work())} alarms were told again")
