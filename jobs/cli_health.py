"""Health on the command line: predictions for a file, fitting, the report."""

from pathlib import Path

import click

from jobs.shell import say

TASK_NAMES = (
    "lfp102_charge",
    "pulse_retired_lfp",
    "nasa_pcoe_18650",
    "fade_rul",
    "severson_early_life",
)
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
def predict(task: str, file: Path, out: Path | None, commissioned: Path | None) -> None:
    """Estimate from a FILE of measurements, with 90 % intervals.

    Writes dataset, unit, index, pred, lower, upper, protocol. A row for which no honest answer can
    be given is left out.
    """
    from jobs import health_tables
    from leasing.health.estimators.model import MissingColumn
    from leasing.health.estimators.tasks import COMMISSIONED, TASKS

    if commissioned is not None and task != COMMISSIONED:
        raise click.UsageError(f"--commissioned goes with --task {COMMISSIONED}, not with {task}")
    try:
        table = health_tables.read(file)
        known = None if commissioned is None else health_tables.capacities(commissioned)
        predictions = TASKS[task](table, known)
    except (health_tables.BadFile, MissingColumn) as error:
        raise click.ClickException(str(error)) from error
    health_tables.write(out, task, predictions)
    units = len({one.unit for one in predictions})
    say(f"{len(predictions):,} predictions for {units:,} units")


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
