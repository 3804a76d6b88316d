"""Imports on the command line: progress while one runs, a table of what was refused."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Shown

from jobs.progress import Report, bars
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.errors import DomainError, FieldError
from leasing.sheets import service
from leasing.sheets.files import MAX_UNPACKED_BYTES
from leasing.sheets.model import Table
from leasing.sheets.service import Upload, refused_rows
from schemas.sheets import ImportResult, RowOutcome

__all__ = ["Imported", "content", "import_file", "refused_rows", "show"]

BY = "command line"
MAX_SHOWN = 50

Imported = tuple[ImportResult, Table]


def content(file: Path) -> bytes:
    """A file, unless it is larger than any sheet we take."""
    if file.stat().st_size > MAX_UNPACKED_BYTES:
        raise click.ClickException(f"{file} has more than {MAX_UNPACKED_BYTES:,} bytes")
    return file.read_bytes()


async def import_file(db: Database, upload: Upload) -> Imported:
    """Import a file in one transaction, with a bar for each stage."""
    with bars() as start:
        shown: dict[str, Report] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in shown:
                shown[stage] = start(f"{upload.kind} {stage}", total)
            shown[stage](done, total)

        try:
            async with db.transaction() as tx:
                now = await clock.now(tx)
                return await service.import_file(tx, upload, by=BY, now=now, report=report)
        except DomainError as error:
            raise click.ClickException(told(error)) from error


def told(error: DomainError) -> str:
    return "\n".join([f"{error.title}: {error.detail}", *map(line, error.fields[1:])])


def line(fault: FieldError) -> str:
    return f"  {fault.message}"


def show(result: ImportResult) -> None:
    """The counts, and the refused rows with their reasons."""
    kept = "" if result.written else "; nothing was written"
    show_faults(
        f"{result.kind} ({result.read_as}): {result.created:,} created, "
        f"{result.changed:,} changed, {result.unchanged:,} unchanged, "
        f"{result.refused:,} refused{kept}",
        result.outcomes,
    )


def show_faults(summary: str, outcomes: Sequence[RowOutcome]) -> None:
    """A summary, and below it what is wrong with rows."""
    console = Console(stderr=True)
    console.print(escape(summary), highlight=False)
    faults = [(one, fault) for one in outcomes for fault in one.faults]
    if not faults:
        return
    table = Shown("row", "key", "column", "reason")
    for one, fault in faults[:MAX_SHOWN]:
        table.add_row(str(one.row), escape(one.key), escape(fault.column), escape(fault.message))
    console.print(table)
    if len(faults) > MAX_SHOWN:
        console.print(f"… and {len(faults) - MAX_SHOWN:,} more; --errors FILE has them all")
