"""Readings from files of measurements."""

import sys
from pathlib import Path

import click

from jobs.shell import database, run, say


@click.group("readings")
def readings() -> None:
    """Readings of packs, from files."""


@readings.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--pack", help="A code on the pack, for a file that names none.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and store nothing.")
def import_readings(file: Path, pack: str | None, dry_run: bool) -> None:
    """Store the readings in a .csv or .parquet FILE, columns as the Battery Data Format names them.

    What is there already is left alone, so the same command goes on after whatever stopped it.
    """
    from jobs import readings_file

    count = readings_file.Count()

    async def work() -> None:
        async with database() as db:
            await readings_file.run(db, file, count, pack=pack, dry_run=dry_run)

    try:
        run(work())
    except KeyboardInterrupt:
        say(f"stopped: {count.summary(dry_run=dry_run)}; run it again to go on")
        sys.exit(130)
    for line in count.unmatched_lines():
        say(line)
    say(count.summary(dry_run=dry_run))
    if count.bad or count.unmatched or count.refused:
        sys.exit(1)
