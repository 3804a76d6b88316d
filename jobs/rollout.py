"""Roll-out on the command line: a file, chunk by chunk, with a bar."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import click

from jobs.progress import Report, bars
from jobs.sheets import BY, show_faults, told
from leasing.db import clock
from leasing.db.pool import Connection, Database
from leasing.http.problems import database_error
from leasing.kit.errors import DomainError
from leasing.sheets import rollout
from leasing.sheets.rollout import Count, RollOut, Task
from leasing.sheets.rules import Draft
from schemas.sheets import RowResult, SheetFormat


class Undone(Exception):
    """Takes back what a dry run has written."""


def opened(body: bytes, format_: SheetFormat, sheet: str | None, task: Task) -> RollOut:
    try:
        return rollout.read(body, format_, sheet, task)
    except DomainError as error:
        raise click.ClickException(told(error)) from error


async def run(
    db: Database, number: str, out: RollOut, count: Count, *, dry_run: bool = False
) -> None:
    """Do what the rows of a file say for a contract, unless one is refused beforehand. A thousand
    rows are a transaction: what was counted is kept, whatever stops the rest."""
    with bars() as start:
        report = start(f"{number}: rows", len(out.drafts))
        try:
            await run_chunks(db, number, out, count, dry_run, report)
        except DomainError as error:
            raise click.ClickException(told(error)) from error
        except asyncpg.PostgresError as error:
            known = database_error(error)
            if known is None:
                raise
            so_far = summary(out, count, dry_run=dry_run)
            raise click.ClickException(f"{known.title}. {so_far}; run it again to go on") from error


async def run_chunks(
    db: Database, number: str, out: RollOut, count: Count, dry_run: bool, report: Report
) -> None:
    async with db.transaction() as tx:
        contract_id, before = await rollout.judge_all(tx, number, out, now=await clock.now(tx))
    add(count, before)
    if before.refused:
        return
    if not dry_run:
        async with db.transaction() as tx:
            add(count, await bring_into_force(tx, contract_id, out))
    done = 0
    for chunk in out.chunks():
        if any(draft.result is RowResult.CREATED for draft in chunk):
            add(count, await write(db, contract_id, out, chunk, dry_run))
        done += len(chunk)
        report(done, len(out.drafts))


async def bring_into_force(tx: Connection, contract_id: UUID, out: RollOut) -> Count:
    if out.task is not Task.ACTIVATE:
        return Count()
    now = await clock.now(tx)
    return Count(activated=int(await rollout.bring_into_force(tx, contract_id, by=BY, now=now)))


async def write(
    db: Database, contract_id: UUID, out: RollOut, chunk: Sequence[Draft], dry_run: bool
) -> Count:
    """Do a chunk in a transaction of its own."""
    try:
        async with db.transaction() as tx:
            if dry_run:
                await bring_into_force(tx, contract_id, out)
            now = await clock.now(tx)
            done = await rollout.write(tx, contract_id, out, chunk, by=BY, now=now)
            if dry_run:
                raise Undone
    except Undone:
        pass
    return done


def add(count: Count, more: Count) -> None:
    for name in Count.__struct_fields__:
        setattr(count, name, getattr(count, name) + getattr(more, name))


def summary(out: RollOut, count: Count, *, dry_run: bool) -> str:
    written = count.activated or count.positions or count.packs
    kept = "" if written and not dry_run else "; nothing was written"
    activated = "the contract is in force; " if count.activated else ""
    return (
        f"{activated}{len(out.drafts):,} rows: {count.positions:,} positions added, "
        f"{count.packs:,} packs handed over, {count.unchanged:,} as they should be, "
        f"{count.refused:,} refused{kept}"
    )


def show(out: RollOut, count: Count, *, dry_run: bool) -> None:
    show_faults(summary(out, count, dry_run=dry_run), rollout.outcomes(out))
