"""Outlets on the command line: a file of them, and how far they reach."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli_files import import_sheet
from jobs.shell import database, run

if TYPE_CHECKING:
    from schemas.outlets import CoverageView


@click.group()
def outlets() -> None:
    """Collection outlets (回收服务网点)."""


@outlets.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@click.option("--partial", is_flag=True, help="Write the good rows although others are refused.")
@click.option("--sheet", help="Which sheet of an XLSX; the first without it.")
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A CSV to write refused rows to, each with its reasons.",
)
@click.pass_context
def import_outlets(
    context: click.Context,
    file: Path,
    dry_run: bool,
    partial: bool,
    sheet: str | None,
    errors: Path | None,
) -> None:
    """Enter and change outlets from a .csv or .xlsx FILE; a row is known by its code."""
    context.invoke(
        import_sheet,
        kind="outlets",
        file=file,
        dry_run=dry_run,
        partial=partial,
        sheet=sheet,
        errors=errors,
    )


@outlets.command("coverage")
@click.option("--json", "as_json", is_flag=True, help="The answer of the API instead of a table.")
def coverage(as_json: bool) -> None:
    """How many outlets in how many divisions, generated and real ones apart."""
    import msgspec

    from leasing.db import clock
    from leasing.kit.time import civil_date
    from leasing.outlets import service

    async def work() -> "CoverageView":
        async with database() as db, db.transaction(read_only=True) as tx:
            return await service.coverage(tx, civil_date(await clock.now(tx)))

    found = run(work())
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show(found)


def show(found: "CoverageView") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(escape(found.note), highlight=False)
    counts = Table("", "outlets", "prefectures", "provinces")
    for name, one in (
        ("announced 2022-08-31", found.announced),
        ("generated", found.generated_network),
        ("real", found.real_network),
    ):
        numbers = (one.outlets, one.prefectures, one.provinces)
        counts.add_row(name, *(f"{number:,}" for number in numbers))
    console.print(counts)
    verdict = "agree" if found.reconciles else "do not agree"
    console.print(f"generated and announced counts {verdict}; {found.closed:,} outlets are closed")
    provinces = Table("province", "", "outlets", "generated", "real", "prefectures", "t", "t free")
    for row in found.by_province:
        provinces.add_row(
            row.province_adcode,
            row.province_zh,
            f"{row.outlets:,}",
            f"{row.generated:,}",
            f"{row.real:,}",
            f"{row.prefectures:,}",
            f"{row.store_limit_kg / 1000:,.0f}",
            f"{row.free_kg / 1000:,.0f}",
        )
    console.print(provinces)
