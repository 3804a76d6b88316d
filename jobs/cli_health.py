"""Health on the command line: predictions for a file, fitting, the report."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.shell import say

if TYPE_CHECKING:
    from leasing.health.estimators.model import Prediction

TASK_NAMES = (
    "lfp102_charge",
    "pulse_retired_lfp",
    "nasa_pcoe_18650",
    "fade_rul",
    "severson_early_life",
    "ev_field_faults",
)
VEHICLES = "ev_field_faults"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
DATA = Path("../shared/data/health")


@click.group()
def health() -> None:
    """Battery health from files, without a database."""


@health.command("predict")
@click.option("--task", required=True, type=click.Choice(TASK_NAMES), help="What to estimate.")
@click.argument("file", type=FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="CSV to write.")
@click.option(
    "--commissioned", type=FILE, help="Measured capacities; those of cycles 1 to 3 are used."
)
@click.option(
    "--alarms",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Every alarm of {VEHICLES} as CSV; alarms.csv beside --out.",
)
def predict(
    task: str, file: Path, out: Path | None, commissioned: Path | None, alarms: Path | None
) -> None:
    """Estimate from a FILE of measurements, with 90 % intervals.

    Writes dataset, unit, index, pred, lower, upper, protocol. A row for which no honest answer can
    be given is left out. Of a vehicle's readings (ev_field_faults) that is the time of the first
    alarm, in minutes from the beginning of the file.
    """
    from jobs import health_tables
    from leasing.health.estimators.model import MissingColumn
    from leasing.health.estimators.tasks import COMMISSIONED, TASKS

    if commissioned is not None and task != COMMISSIONED:
        raise click.UsageError(f"--commissioned goes with --task {COMMISSIONED}, not with {task}")
    alarms = alarms or beside(out)
    for written in (out, alarms):
        if written is not None:
            written.parent.mkdir(parents=True, exist_ok=True)
    try:
        if task == VEHICLES:
            predictions = first_alarm(file, alarms)
            health_tables.write(out, task, predictions)
            return
        table = health_tables.read(file)
        known = None if commissioned is None else health_tables.capacities(commissioned)
        predictions = TASKS[task](table, known)
    except (health_tables.BadFile, MissingColumn) as error:
        raise click.ClickException(str(error)) from error
    health_tables.write(out, task, predictions)
    units = len({one.unit for one in predictions})
    say(f"{len(predictions):,} predictions for {units:,} units")


def beside(out: Path | None) -> Path | None:
    return None if out is None else out.with_name("alarms.csv")


def first_alarm(file: Path, alarms: Path | None) -> "list[Prediction]":
    """When a vehicle's readings first say that cells are at fault; nothing when they never do. An
    instant that is read off has no interval: both its ends are itself."""
    from jobs.health_tables import BadFile
    from leasing.alarms import files
    from leasing.health.estimators.model import Prediction

    try:
        found = files.predict(file, alarms_csv=alarms)
    except (OSError, ValueError) as error:
        raise BadFile(f"{file}: {error}") from error
    count = sum(change.severity is not None for change in found.changes)
    say(f"{count:,} alarms" + (f", written to {alarms}" if alarms else ""))
    if found.minutes is None:
        return []
    return [Prediction(found.unit, 0, found.minutes, found.minutes, found.minutes, "")]


@health.command("fit")
@click.option("--data", type=FOLDER, default=DATA, show_default=True, help="Measurements.")
@click.option("--out", type=FOLDER, help="Folder to write; the package's own.")
def fit(data: Path, out: Path | None) -> None:
    """Fit the estimators anew and write the parameters that ship."""
    from jobs import health_fit
    from jobs.progress import progress
    from leasing.health.estimators import shipped

    folder = out or Path(shipped.__file__).parent / shipped.FOLDER
    try:
        health_fit.require(data)
    except health_fit.NoData as error:
        raise click.ClickException(str(error)) from error
    with progress("fitted") as report:
        report(0, health_fit.FILES)
        for done, (name, parameters) in enumerate(health_fit.fits(data), start=1):
            size = health_fit.write(folder, name, parameters)
            report(done, health_fit.FILES)
            say(f"{name}.json: {size:,} bytes")


@health.command("report")
@click.option("--data", type=FOLDER, default=DATA, show_default=True, help="Measurements.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("docs/health-report.md"),
    show_default=True,
)
def report(data: Path, out: Path) -> None:
    """Judge the estimators on units left out, print the table and write it to a file."""
    from jobs import health_fit, health_report
    from jobs.progress import progress

    try:
        health_fit.require(data)
    except health_fit.NoData as error:
        raise click.ClickException(str(error)) from error
    rows = []
    with progress("judged") as tell:
        for done, part in enumerate(health_report.PARTS):
            tell(done, len(health_report.PARTS))
            for row in part(data):
                rows.append(row)
                click.echo(health_report.told(row))
        tell(len(health_report.PARTS), len(health_report.PARTS))
    out.write_text(health_report.page(rows), encoding="utf-8")
    say(f"written to {out}")


@click.command("soh")
@click.argument("file", type=FILE)
@click.option("--rated-ah", type=click.FloatRange(0, min_open=True), help="What it was made for.")
@click.option("--chemistry", type=click.Choice(["lfp", "nmc"]), default="lfp", show_default=True)
@click.option("--cells", type=click.IntRange(1, 2000), help="In series; told from the voltage.")
@click.option("--full-cell-v", type=float, help="Where a charge ends, for nmc: 4.2, 4.35 …")
@click.option("--discharge-positive", is_flag=True, help="The file has discharge as positive.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def soh(
    file: Path,
    rated_ah: float | None,
    chemistry: str,
    cells: int | None,
    full_cell_v: float | None,
    discharge_positive: bool,
    as_json: bool,
) -> None:
    """How much a pack still holds, from a FILE of its readings (CSV or Parquet).

    The columns are time (ts, or seconds in t_s), voltage_v, current_a, and if there are
    soc_percent and temperature_c; names of the Battery Data Format are understood. No database is
    needed. Where no honest answer can be given the reason is told and the exit code is 1.
    """
    import sys

    from msgspec import json

    from jobs import health_soh
    from jobs.health_tables import BadFile

    try:
        found = health_soh.estimate(
            file,
            rated_ah=rated_ah,
            chemistry=chemistry,
            cells=cells,
            full_cell_v=full_cell_v,
            discharge_positive=discharge_positive,
        )
    except BadFile as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.encode(found.health).decode())
    else:
        for line in health_soh.explanation(found):
            click.echo(line)
    if found.health.capacity_mah is None:
        sys.exit(1)
