"""Commands on files of the user's: sheets written and read, contracts filled and activated."""

import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import click

from jobs.shell import database, run, say

KINDS = click.Choice(["sites", "vehicles", "packs", "outlets", "offers"])
BY_SUFFIX = {".csv": "csv", ".xlsx": "xlsx"}


def format_of(file: Path) -> str:
    found = BY_SUFFIX.get(file.suffix.lower())
    if found is None:
        raise click.BadParameter(f"{file.name} ends in neither .csv nor .xlsx")
    return found


@click.command("export")
@click.argument("kind", type=KINDS)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--party", type=click.UUID, help="Only what is this customer's or recycler's.")
@click.option("--state", help="Only packs in this state.")
def export_sheet(kind: str, file: Path, lang: str, party: UUID | None, state: str | None) -> None:
    """Write sites, vehicles, packs, outlets or recyclers' prices to a .csv or .xlsx FILE."""
    from leasing.sheets import service
    from schemas.packs import PackState
    from schemas.sheets import SheetFormat, SheetKind, SheetLanguage

    if (kind == "packs" and party) or (kind != "packs" and state):
        raise click.UsageError("--party does not choose packs, and --state nothing else")
    try:
        in_state = PackState(state) if state else None
    except ValueError as error:
        raise click.BadParameter(f"one of {', '.join(PackState)}", param_hint="--state") from error
    format_ = SheetFormat(format_of(file))

    async def work() -> bytes:
        async with database() as db, db.transaction(read_only=True) as tx:
            return await service.export(
                tx, SheetKind(kind), format_, SheetLanguage(lang), party_id=party, state=in_state
            )

    file.write_bytes(run(work()))
    say(f"{kind} are in {file}")


@click.command("import")
@click.argument("kind", type=KINDS)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@click.option("--partial", is_flag=True, help="Write the good rows although others are refused.")
@click.option("--sheet", help="Which sheet of an XLSX; the first without it.")
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A CSV to write refused rows to, each with its reasons; it can be mended and imported.",
)
def import_sheet(
    kind: str, file: Path, dry_run: bool, partial: bool, sheet: str | None, errors: Path | None
) -> None:
    """Enter and change sites, vehicles, packs or outlets, or enter recyclers' prices, from a .csv
    or .xlsx FILE."""
    from jobs import sheets
    from leasing.sheets.service import Upload
    from schemas.sheets import SheetFormat, SheetKind

    upload = Upload(
        kind=SheetKind(kind),
        format=SheetFormat(format_of(file)),
        body=sheets.content(file),
        sheet=sheet,
        dry_run=dry_run,
        partial=partial,
    )

    async def work() -> "sheets.Imported":
        async with database() as db:
            return await sheets.import_file(db, upload)

    result, table = run(work())
    sheets.show(result)
    if errors is not None and result.refused:
        errors.write_bytes(sheets.refused_rows(table, result.outcomes))
        say(f"the refused rows are in {errors}")
    if result.refused:
        sys.exit(1)


@click.group()
def contract() -> None:
    """Contracts of thousands of positions, from a file."""


def takes_roll_out(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of a command that takes a contract and a file of its positions."""
    for decorate in (
        click.option(
            "--errors",
            type=click.Path(dir_okay=False, path_type=Path),
            help="A CSV to write refused rows to, each with its reasons.",
        ),
        click.option("--sheet", help="Which sheet of an XLSX; the first without it."),
        click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing."),
        click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
        click.argument("number"),
    ):
        command = decorate(command)
    return command


@contract.command()
@takes_roll_out
def fill(number: str, file: Path, dry_run: bool, sheet: str | None, errors: Path | None) -> None:
    """Add the positions in a .csv or .xlsx FILE to the draft with this NUMBER."""
    roll_out("fill", number, file, dry_run, sheet, errors)


@contract.command()
@takes_roll_out
def activate(
    number: str, file: Path, dry_run: bool, sheet: str | None, errors: Path | None
) -> None:
    """Put the signed contract with this NUMBER into force and hand its packs over.

    Each row of FILE is a position, with a pack if one is handed over. What was done already is
    left alone, so the same command goes on after whatever stopped it.
    """
    roll_out("activate", number, file, dry_run, sheet, errors)


def roll_out(
    task: str, number: str, file: Path, dry_run: bool, sheet: str | None, errors: Path | None
) -> None:
    from jobs import rollout, sheets
    from leasing.sheets.rollout import Count, Task, outcomes
    from schemas.sheets import SheetFormat

    out = rollout.opened(sheets.content(file), SheetFormat(format_of(file)), sheet, Task(task))
    count = Count()

    async def work() -> None:
        async with database() as db:
            await rollout.run(db, number, out, count, dry_run=dry_run)

    try:
        run(work())
    except KeyboardInterrupt:
        say(f"stopped: {rollout.summary(out, count, dry_run=dry_run)}; run it again to go on")
        sys.exit(130)
    rollout.show(out, count, dry_run=dry_run)
    if errors is not None and count.refused:
        errors.write_bytes(sheets.refused_rows(out.table, outcomes(out)))
        say(f"the refused rows are in {errors}")
    if count.refused:
        sys.exit(1)
