"""The command line. Commands import what they need when they run, so that `--help` is quick."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from jobs.cli_accounting import period
from jobs.cli_alarms import alarms
from jobs.cli_balance import balance
from jobs.cli_billing import help_billing, run_billing
from jobs.cli_decode import decode
from jobs.cli_einvoices import einvoice
from jobs.cli_files import contract, export_sheet, import_sheet
from jobs.cli_gateways import gateway_group
from jobs.cli_health import health, soh
from jobs.cli_market import market
from jobs.cli_obligations import calendar, obligations
from jobs.cli_outlets import outlets
from jobs.cli_readings import readings
from jobs.cli_routing import routing
from jobs.cli_trace import trace
from jobs.shell import database, run, say, server
from leasing.kit.settings import read as read_settings

if TYPE_CHECKING:
    from leasing.db.pool import Database


@click.group()
@click.version_option(package_name="battery-leasing")
def main() -> None:
    """Battery leasing (梯次电池以租代售): contracts, health, billing, end of life."""
    from leasing.kit import logs
    from leasing.kit.settings import BadSetting

    try:
        logs.configure(read_settings().log_level)
    except BadSetting as error:
        raise click.ClickException(error.detail) from error


main.add_command(export_sheet)
main.add_command(import_sheet)
main.add_command(contract)
main.add_command(period)
main.add_command(alarms)
main.add_command(einvoice)
main.add_command(decode)
main.add_command(health)
main.add_command(soh)
main.add_command(gateway_group)
main.add_command(routing)
main.add_command(trace)
main.add_command(market)
main.add_command(readings)
trace.add_command(balance)
main.add_command(outlets)
main.add_command(obligations)
main.add_command(calendar)


@main.command()
def migrate() -> None:
    """Bring the database up to date."""

    async def work() -> None:
        async with database():
            say("the database is up to date")

    run(work())


@main.command()
@click.option("--host", help="Address to listen on (LEASING_HOST, 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (LEASING_PORT, 8000).")
def serve(host: str | None, port: int | None) -> None:
    """Answer HTTP."""
    settings = read_settings()

    async def work() -> None:
        async with database(settings) as db:
            await serve_http(db, host or settings.host, port or settings.port)

    run(work())


async def serve_http(db: "Database", host: str, port: int) -> None:
    """Serve until a signal says stop."""
    import gc
    import signal

    import uvicorn

    from leasing.app import create

    config = uvicorn.Config(
        create(db), host=host, port=port, log_config=None, access_log=False, server_header=False
    )
    # What is loaded by now stays. A batch of readings makes so many objects that the collector
    # would look at all of it again, time after time.
    gc.collect()
    gc.freeze()

    class Server(uvicorn.Server):
        """Uvicorn sends itself the signal that stopped it once more, and a SIGTERM would end the
        process before the embedded database is stopped. Ours is over when serving is."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

    await Server(config).serve()


@main.command()
@click.option("--every", "every_s", default=5.0, show_default=True, help="Seconds between looks.")
def worker(every_s: float) -> None:
    """Run jobs when they are due. Several workers share the work."""

    async def work() -> None:
        async with database() as db:
            await work_until_stopped(db, every_s)

    with suppress(KeyboardInterrupt):
        run(work())


async def work_until_stopped(db: "Database", every_s: float) -> None:
    """Look for due work every few seconds, until cancelled or told to stop by a signal."""
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with ticking(db, every_s):
        await stop.wait()


@contextmanager
def ticking(db: "Database", every_s: float) -> Iterator[None]:
    """Look for due work every few seconds while the block lasts."""
    import structlog

    from jobs import billing, runner, timetable
    from jobs.registry import JOBS
    from leasing.db.pool import LOST

    log = structlog.get_logger()

    async def tick() -> None:
        try:
            await runner.tick(db, JOBS)
            # A bill that another machine has begun is work for all.
            await billing.help_others(db)
        except LOST as error:
            log.warning("worker.database_lost", reason=repr(error))

    scheduler = timetable.wake(tick, every_s)
    log.info("worker.started", worker=runner.worker_name())
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


@main.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["staff", "customer", "recycler", "auditor", "regulator"]),
    help="What the key may do.",
)
@click.option("--party", type=click.UUID, help="Whose key it is; for customers and recyclers.")
@click.option("--name", required=True, help="How the caller is named in records.")
@click.option("--days", default=365, show_default=True, help="Days until it expires.")
def create_key(role: str, party: UUID | None, name: str, days: int) -> None:
    """Make a key and print it. It is shown this once."""
    from asyncpg import CheckViolationError, ForeignKeyViolationError

    from leasing.access import store
    from leasing.access.model import Role
    from leasing.kit.time import system_now

    async def work() -> str:
        async with database() as db, db.transaction() as tx:
            now = system_now()
            return await store.create(
                tx,
                role=Role(role),
                party_id=party,
                name=name,
                now=now,
                expires_at=now + timedelta(days=days),
            )

    try:
        click.echo(run(work()))
    except CheckViolationError as error:
        raise click.ClickException(
            "--party goes with the roles customer and recycler, and only with them"
        ) from error
    except ForeignKeyViolationError as error:
        raise click.ClickException(f"there is no {role} with the id {party}") from error


@keys.command("list")
def list_keys() -> None:
    """Every key, without its secret."""
    from rich.console import Console
    from rich.table import Table

    from leasing.access import store

    async def work() -> list[Any]:
        async with database() as db, db.transaction(read_only=True) as tx:
            return await store.every(tx)

    table = Table("prefix", "role", "name", "party", "expires", "revoked", "last used")
    for row in run(work()):
        times = (row["expires_at"], row["revoked_at"], row["last_used_at"])
        shown = [f"{at:%Y-%m-%d %H:%M}" if at else "–" for at in times]
        table.add_row(row["prefix"], row["role"], row["name"], row["party"] or "–", *shown)
    Console().print(table)


@keys.command("revoke")
@click.argument("prefix")
def revoke_key(prefix: str) -> None:
    """Refuse a key from now on."""
    from leasing.access import store
    from leasing.kit.time import system_now

    async def work() -> bool:
        async with database() as db, db.transaction() as tx:
            return await store.revoke(tx, prefix, system_now())

    if not run(work()):
        raise click.ClickException(f"no key with the prefix {prefix} is in force")


@main.group()
def job() -> None:
    """Scheduled jobs, by hand."""


job.add_command(help_billing)


@job.group("run")
def run_group() -> None:
    """Run one job as of a date. Doing it twice changes nothing."""


run_group.add_command(run_billing)


def runs_job(name: str, about: str) -> click.Command:
    @click.command(name, help=about)
    @click.option("--as-of", "as_of", type=click.DateTime(["%Y-%m-%d"]), required=True)
    def command(as_of: datetime) -> None:
        run_job(name, as_of)

    return command


run_group.add_command(runs_job("accounting", "Post the month's income from leases."))
run_group.add_command(runs_job("documents", "Forget PDFs that nobody asked for lately."))
run_group.add_command(runs_job("einvoices", "Send e-invoices and read the answers."))
run_group.add_command(runs_job("health", "Check the packs that are due."))
run_group.add_command(runs_job("interest", "Accrue the interest of a month."))
run_group.add_command(runs_job("obligations", "Write, send and escalate reports."))
run_group.add_command(runs_job("receivables", "Use credit, and note who is to be reminded."))
run_group.add_command(runs_job("recyclers", "Limits, listings and notices that are due."))
run_group.add_command(runs_job("routing", "Propose where packs that wait should go."))
run_group.add_command(runs_job("duties", "Order tests that are asked for; find outages."))
run_group.add_command(runs_job("tests", "Plan the check discharges that are due."))
run_group.add_command(runs_job("telemetry", "Put readings together, and sum them up."))
run_group.add_command(runs_job("housekeeping", "Forget what is not needed any more."))


def run_job(name: str, as_of: datetime) -> None:
    from jobs import runner
    from jobs.progress import progress
    from jobs.registry import JOBS

    async def work() -> str:
        async with database() as db:
            with progress(name) as report:
                return await runner.run_once(db, name, JOBS[name], as_of.date(), report)

    state = run(work())
    say(f"{name} as of {as_of:%Y-%m-%d}: {state}")
    if state != "done":
        sys.exit(1)


@main.command()
@click.option("--fresh", is_flag=True, help="Start over: drop the demo's schema first.")
@click.option("--serve/--no-serve", default=True, help="Serve it, or only make and print it.")
@click.option("--host", help="Address to listen on (LEASING_HOST, 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (LEASING_PORT, 8000).")
def demo(fresh: bool, serve: bool, host: str | None, port: int | None) -> None:
    """Two customers' leases over 24 months, made on the sandbox clock, then served.

    The data is kept in a schema of its own, `demo` unless LEASING_SCHEMA says otherwise; a
    second start finds it there.
    """
    import os

    from msgspec.structs import replace

    from jobs.demo import play
    from jobs.demo.stage import InUse, NotOurs
    from leasing.db.migrate import MigrationError
    from leasing.kit import logs

    settings = read_settings()
    if not os.environ.get("LEASING_SCHEMA"):
        settings = replace(settings, schema="demo")
    if not os.environ.get("LEASING_LOG_LEVEL"):
        # Some 860 job runs would say that they began and ended.
        logs.configure("warning")
    phases = play.Phases()
    serving = False

    async def work() -> None:
        nonlocal serving
        stack = AsyncExitStack()
        with phases.phase("server"):
            dsn = await stack.enter_async_context(server(settings))
        async with stack, play.ready(dsn, settings, fresh=fresh, say=say, phases=phases) as db:
            await play.show(db, phases)
            if serve:
                at, on = host or settings.host, port or settings.port
                await play.show_keys(db, f"http://{at}:{on}")
                serving = True
                with ticking(db, every_s=1.0):
                    await serve_http(db, at, on)

    try:
        run(work())
    except KeyboardInterrupt:
        # That is how one leaves it; before it is ready, something was cut short.
        if not serving:
            raise
    except (InUse, NotOurs, MigrationError) as error:
        raise click.ClickException(str(error)) from error


@main.group("clock")
def clock_group() -> None:
    """The sandbox clock."""


@clock_group.command("advance")
@click.option("--to", "to_on", type=click.DateTime(["%Y-%m-%d"]), required=True)
def advance_clock(to_on: datetime) -> None:
    """Move the sandbox clock to the beginning of a day; due jobs run on the way, in order."""
    from jobs import runner
    from jobs.registry import JOBS
    from leasing.kit.time import midnight

    async def work() -> None:
        async with database() as db:
            await runner.advance(
                db,
                JOBS,
                midnight(to_on.date()),
                lambda at: say(f"{at:%Y-%m-%d %H:%M}Z"),
            )

    run(work())
