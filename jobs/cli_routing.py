"""Commands that solve problems of routing in files, and check what was solved; and plans in the
database: listed, proved, applied."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from leasing.routing.certificate import Verdict
    from leasing.routing.files import PlanFile
    from leasing.routing.model import Instance

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group()
def routing() -> None:
    """Where returned packs go: solve a problem in a file, check a plan."""


@routing.command("solve-flow")
@click.argument("file", type=EXISTING)
@click.option("--out", type=NEW, help="File for the flow of each arc.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Give up after this time.")
def solve_flow(file: Path, out: Path | None, seconds: float | None) -> None:
    """Solve a DIMACS min-cost-flow file (gzipped or not) and print the least cost.

    The flow is checked, and shown to be of least cost by potentials, before it is printed.
    """
    from leasing.kit.errors import DomainError
    from leasing.routing import dimacs, flow
    from leasing.routing.worker import within

    try:
        arcs = dimacs.read(file)
        found = flow.solve(arcs) if seconds is None else within(seconds, flow.solve, arcs)
        value = flow.certify(arcs, found)
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    except (UnicodeDecodeError, EOFError, OSError) as error:
        raise click.ClickException(f"{file.name} cannot be read: {error}") from error
    if out is not None:
        out.write_text(dimacs.written(arcs, found.flow, value), "ascii")
    click.echo(value)


@routing.command("solve-gap")
@click.argument("file", type=EXISTING)
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(min=0.1))
@click.option("--out", type=NEW, help="File for the agent of each job, counted from 1.")
def solve_gap(file: Path, seconds: float, out: Path | None) -> None:
    """Solve a generalised assignment file at the least cost.

    Prints the cost, a bound that no assignment is below, the gap, and the agent of each job in the
    order of the jobs, counted from 1.
    """
    from leasing.kit.errors import DomainError
    from leasing.routing import gap

    try:
        found = gap.solve(gap.read(file), seconds)
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file.name} cannot be read: {error}") from error
    agents = " ".join(str(agent + 1) for agent in found.agent.tolist())
    if out is not None:
        out.write_text(agents + "\n", "ascii")
    click.echo(f"value {found.value}\nbound {found.bound}\ngap {found.gap_percent:.4f} %")
    click.echo(f"assignment {agents}")


@routing.command()
@click.argument("file", type=EXISTING, metavar="INSTANCE")
@click.option("--out", type=NEW, help="File for the plan, as kilograms.")
@click.option("--packs-out", type=NEW, help="File for the plan of whole packs.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Then take a greedy plan.")
def solve(file: Path, out: Path | None, packs_out: Path | None, seconds: float | None) -> None:
    """Plan an instance (.npz) and say how far from the best the plan can be.

    Values are in 0.0001 CNY. The flow in kilograms is the best of all; whole packs lose a little.
    """
    from leasing.kit.errors import DomainError
    from leasing.routing import files, planning
    from leasing.routing.model import instance_digest

    try:
        instance = files.read_instance(file)
        if seconds is None:
            planned = planning.plan(instance)
        else:
            planned = planning.plan_within(seconds, instance)
        flow, packs = planning.judged(instance, planned)
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    of = instance_digest(instance)
    if flow is not None and planned.flow is not None:
        click.echo(f"flow in kilograms: {shown(flow)}")
        if out is not None:
            flow_file = files.PlanFile(planned.flow, planned.prices, of, planned.limit_prices)
            files.write_plan(out, flow_file)
    else:
        click.echo("time is over: this is the plan pack by pack")
    click.echo(f"whole packs: {shown(packs)}")
    click.echo(f"plan {planned.plan_id}")
    if packs_out is not None:
        whole = planned.kilograms(instance)
        files.write_plan(packs_out, files.PlanFile(whole, planned.prices, of, planned.limit_prices))


@routing.command()
@click.argument("plan", metavar="[INSTANCE] PLAN", nargs=-1, required=True)
def verify(plan: tuple[str, ...]) -> None:
    """Check a plan against its problem alone, and bound it by its prices.

    INSTANCE and PLAN are files; one name alone is a plan in the database, by its id or the
    beginning of its digest. Uses nothing of the solver. Ends with 1 when the plan is not one, or
    when what is stored of it differs from what is found.
    """
    from leasing.kit.errors import DomainError
    from leasing.routing import files

    if len(plan) == 1:
        verify_stored(plan[0])
        return
    if len(plan) != 2:
        raise click.UsageError("give a plan of the database, or the files INSTANCE and PLAN")
    for name in plan:
        if not Path(name).is_file():
            raise click.UsageError(f"File '{name}' does not exist.")
    try:
        verdict = checked(files.read_instance(Path(plan[0])), files.read_plan(Path(plan[1])))
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    click.echo(shown(verdict))


def verify_stored(named: str) -> None:
    from jobs.shell import database, run
    from leasing.end_of_life import plan_store, verifying
    from leasing.routing.certificate import Wrong

    async def work() -> verifying.Proved:
        async with database() as db, db.transaction(read_only=True) as tx:
            row = await plan_store.find(tx, named)
        if row is None:
            raise click.ClickException(f"there is no plan {named}")
        return verifying.prove(row)

    try:
        proved = run(work())
    except Wrong as error:
        raise click.ClickException(f"not a plan: {error}") from error
    click.echo(f"plan {proved.plan_id}: {shown(proved.verdict)}")
    if not proved.agrees:
        raise click.ClickException("the plan is stored with other figures")


@routing.command("plans")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
def list_plans(limit: int) -> None:
    """Plans in the database, the newest first."""
    from rich.console import Console
    from rich.table import Table

    from jobs.shell import database, run
    from leasing.end_of_life import plan_store
    from leasing.http.pages import LAST

    async def work() -> list[Any]:
        async with database() as db, db.transaction(read_only=True) as tx:
            return await plan_store.before(tx, LAST, None, limit)

    table = Table("plan", "as of", "state", "packs", "held", "CNY", "gap ppm", "solver", "s")
    for row in run(work()):
        cny = f"{row['value_cny_e4'] / 10_000:,.2f}"
        figures = (str(row["packs"]), str(row["held"]), cny, f"{row['gap_ppm']:.0f}")
        about = (str(row["as_of"]), row["state"])
        took = (row["solver"], str(row["solver_seconds"]))
        table.add_row(str(row["id"]), *about, *figures, *took)
    Console().print(table)


@routing.command("apply")
@click.argument("plan")
def apply_plan(plan: str) -> None:
    """Apply a plan of the database, prefecture by prefecture, each in a transaction."""
    from jobs.progress import progress
    from jobs.shell import database, run, say
    from leasing.db import clock
    from leasing.end_of_life import plan_store, plans, snapshot
    from leasing.kit.errors import DomainError

    async def work() -> tuple[int, int, int]:
        applied = elsewhere = refused = 0
        async with database() as db:
            async with db.transaction(read_only=True) as tx:
                row = await plan_store.find(tx, plan)
                if row is None:
                    raise click.ClickException(f"there is no plan {plan}")
                places = await plan_store.prefectures(tx, row["id"])
                known = await snapshot.load(tx)
            with progress("prefectures") as report:
                for number, adcode in enumerate(places, 1):
                    async with db.transaction() as tx:
                        now = await clock.now(tx)
                        done = await plans.apply(
                            tx, row["id"], adcode, by="cli", now=now, known=known
                        )
                    applied += done.applied
                    elsewhere += done.elsewhere
                    refused += done.refused
                    report(number, len(places))
        return applied, elsewhere, refused

    try:
        applied, elsewhere, refused = run(work())
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    say(f"{applied} packs are on their way, {elsewhere} of them elsewhere; {refused} refused")


def checked(instance: "Instance", held: "PlanFile") -> "Verdict":
    from leasing.routing import certificate
    from leasing.routing.model import instance_digest

    if held.instance != instance_digest(instance):
        raise click.ClickException("the plan is for another instance")
    try:
        return certificate.judge(instance, held.prices, held.plan, held.limit_prices)
    except certificate.Wrong as error:
        raise click.ClickException(f"not a plan: {error}") from error


@routing.command()
@click.argument("packs", type=click.IntRange(1, 300_000))
@click.argument("file", type=NEW)
@click.option("--fill", type=click.FloatRange(0.001, 1.0), help="Share of the room to be filled.")
def generate(packs: int, file: Path, fill: float | None) -> None:
    """Write a generated instance: so many packs before 10,235 outlets. Nothing in it is real."""
    from leasing.routing import files, generator

    made = generator.national(packs, fill=fill)
    files.write_network(file, made.network)
    click.echo(made.note, err=True)


def shown(verdict: "Verdict") -> str:
    return (
        f"value {verdict.value}, bound {verdict.bound}, gap {verdict.gap} ({verdict.gap_ppm:.1f} "
        f"ppm: outbid {verdict.outbid}, room unused {verdict.unused})"
    )
