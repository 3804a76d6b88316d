"""Commands that match needs with packs in files, and check what was matched. They need no
database."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leasing.market.bound import Verdict

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group()
def market() -> None:
    """Supply and demand: solve a market in a file, check a plan."""


@market.command()
@click.argument("file", type=EXISTING, metavar="MARKET")
@click.option("--out", type=NEW, help="File for the market with its plan and prices.")
@click.option("--seconds", default=170.0, show_default=True, type=click.FloatRange(min=1))
def solve(file: Path, out: Path | None, seconds: float) -> None:
    """Plan a market (.npz) and say how far from the best the plan can be.

    Values are in CNY, weighted by priority.
    """
    from leasing.kit.errors import DomainError
    from leasing.market import files, planning

    try:
        with file.open("rb") as opened:
            instance = files.market_of(files.read(opened))
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    planned = planning.solve_within(instance, seconds)
    click.echo(f"{shown(planning.judged(instance, planned))}\nplan {planned.plan_id}")
    if planned.method != "solved":
        click.echo(f"time was over: {planned.method}")
    if out is not None:
        held = files.arrays_of(instance)
        held |= files.arrays_of_plan(instance, planned.plan, planned.prices)
        out.write_bytes(files.written(held))


@market.command()
@click.argument("file", type=EXISTING, metavar="PLAN")
def verify(file: Path) -> None:
    """Check a plan against the market in its file, and bound it by its prices.

    Uses nothing of the solver. Ends with 1 when the plan is not one.
    """
    from leasing.kit.errors import DomainError
    from leasing.market import bound, files

    try:
        with file.open("rb") as opened:
            held = files.read(opened)
        instance = files.market_of(held)
        plan, prices = files.plan_of(held, instance)
        click.echo(shown(bound.judge(instance, prices, plan)))
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    except bound.Wrong as error:
        raise click.ClickException(f"not a plan: {error}") from error


@market.command()
@click.argument("needs", type=click.IntRange(1, 20_000))
@click.argument("packs", type=click.IntRange(1, 100_000))
@click.argument("file", type=NEW)
def generate(needs: int, packs: int, file: Path) -> None:
    """Write a generated market: so many needs before so many packs. Nothing in it is real."""
    from leasing.market import files, generator

    file.write_bytes(files.written(files.arrays_of(generator.national(needs, packs))))
    click.echo(generator.NOTE, err=True)


def shown(verdict: "Verdict") -> str:
    return (
        f"value {verdict.value / 100:.2f}, bound {verdict.bound / 100:.2f}, gap "
        f"{verdict.gap_percent:.4f} %; {verdict.served} needs served with {verdict.packs} packs"
    )
