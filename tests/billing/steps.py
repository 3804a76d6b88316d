"""Steps of billing stories: months billed, packs handed over, invoices read."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

from jobs import runner
from jobs.registry import JOBS
from leasing.billing import results, running
from leasing.db import clock
from leasing.db.pool import Connection, Database
from leasing.kit.time import midnight
from tests import build, fleet
from tests.build import Json, World

NOBODY = UUID(int=0)
JANUARY, FEBRUARY, MARCH = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)


async def lease_out(db: Database, lines: list[int], on: date = JANUARY) -> None:
    """A fleet in a sandbox, on the day it is handed over; the clock then shows February 1st."""
    async with db.transaction() as tx:
        await clock.make_sandbox(tx, midnight(on) + build.NOON)
        await fleet.lease_out(tx, lines, on, entered_at=midnight(on) + build.NOON)
        await clock.move(tx, midnight(FEBRUARY) + build.NOON)


async def bill(db: Database, on: date = FEBRUARY) -> str:
    return await runner.run_once(db, "billing", JOBS["billing"], on, lambda done, total: None)


async def books(db: Database) -> tuple[list[Any], list[Any]]:
    async with db.transaction(read_only=True) as tx:
        await fleet.refuse_disorder(tx)
        return await fleet.books(tx)


async def one(db: Database, query: str, *arguments: Any) -> Any:
    async with db.transaction() as tx:
        return await tx.fetchval(query, *arguments)


async def charge_all(tx: Connection, as_of: date = FEBRUARY) -> None:
    """Begin a run and charge everything that is due, in the caller's transaction."""
    run = await running.begin(tx, as_of, None, running.MAX_INVOICES, midnight(as_of))
    assert run is not None
    due = [row["contract_id"] for row in await results.after(tx, run.id, NOBODY, None, 1000)]
    await running.charge(tx, run, await results.items(tx, run.id, due))


async def hand_over(world: World, line: Json, pack: Json, on: date) -> None:
    acceptance = build.acceptance(pack["id"], on)
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", acceptance)


async def advance(world: World, to: date) -> None:
    await runner.advance(world.db, JOBS, midnight(to))
    assert await one(world.db, "SELECT count(*) FROM job_parked") == 0
    assert await one(world.db, "SELECT count(*) FROM billing_item WHERE code IS NOT NULL") == 0
    await books(world.db)


def cancel_soon(done: int, total: int | None) -> None:
    """A report that stops the run after the chunk it is told of."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def waiting_for_a_lock(db: Database) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    for _ in range(300):
        if await one(db, query):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waited")


async def invoices_of(world: World, lessee: Json) -> list[Json]:
    page = await world.staff.get("/v1/invoices", buyer_id=lessee["id"])
    found: list[Json] = page["items"]
    return found


async def lines_of(world: World, invoice: Json) -> list[Json]:
    page = await world.staff.get(f"/v1/invoices/{invoice['id']}/lines", limit=200)
    found: list[Json] = page["items"]
    return found


def shown(charges: list[Json]) -> list[tuple[str, str, int]]:
    """`(first day, first day after, amount)` in order of time; what was taken back first."""
    return sorted(
        ((one["from_on"], one["to_on"], one["amount"]) for one in charges),
        key=lambda row: (row[2] >= 0, row),
    )


BALANCES = """
SELECT account, sum(amount)::bigint
  FROM journal_entry
  JOIN posting ON entry_id = journal_entry.id
 WHERE source_id = $1
 GROUP BY account
"""


async def postings(world: World, invoice: Json) -> dict[str, int]:
    async with world.db.transaction() as tx:
        return dict(await tx.fetch(BALANCES, UUID(invoice["id"])))


BY_RATE = """
SELECT vat_percent::int, net_amount, vat_amount
  FROM invoice_vat
 WHERE invoice_id = $1
 ORDER BY vat_percent
"""


async def taxes(world: World, invoice: Json) -> list[tuple[int, int, int]]:
    async with world.db.transaction() as tx:
        return [tuple(row) for row in await tx.fetch(BY_RATE, UUID(invoice["id"]))]
