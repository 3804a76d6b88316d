"""Who wants the same room at the same time: batches that apply a plan and streams of single packs,
each in a process of its own."""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing import get_context
from random import Random
from uuid import UUID

import asyncpg

from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.end_of_life import plan_store, plans, service, snapshot
from leasing.end_of_life.model import NoFeasibleOutlet, NotDecided
from leasing.kit.errors import DomainError
from leasing.kit.settings import Settings
from schemas.end_of_life import RoutingCreate

STARTING_S = 8.0
"""Until all processes know all outlets; then they begin together."""

UNBALANCED = """
SELECT outlet.code
  FROM outlet
  LEFT JOIN routing ON routing.outlet_id = outlet.id
   AND routing.state = 'reserved'
 GROUP BY outlet.id
HAVING outlet.reserved_kg <> coalesce(sum(routing.mass_kg), 0)
"""

OVERSOLD = """
SELECT coalesce(sum(greatest(0, stock_kg + reserved_kg + in_transit_kg - store_limit_kg)), 0)
  FROM outlet
"""

TWICE = """
SELECT count(*)
  FROM (SELECT pack_id
          FROM routing
         WHERE state <> 'released'
         GROUP BY pack_id
        HAVING count(*) > 1) AS twice
"""


@dataclass
class Ran:
    """What one process saw."""

    routed: int = 0
    refused: int = 0
    deadlocks: int = 0
    others: list[str] = field(default_factory=list)
    """Errors that nobody expects."""
    milliseconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Raced:
    batches: list[Ran]
    streams: list[Ran]
    oversold_kg: int
    unbalanced: int
    twice: int
    seconds: float


def batch(dsn: str, settings: Settings, begins: float, plan_id: UUID, adcodes: list[str]) -> Ran:
    """Apply a plan for some prefectures, one after the other."""
    return asyncio.run(apply_all(dsn, settings, begins, plan_id, adcodes))


async def apply_all(
    dsn: str, settings: Settings, begins: float, plan_id: UUID, adcodes: list[str]
) -> Ran:
    ran = Ran()
    async with await connect(dsn, settings) as db:
        outlets = snapshot.Outlets(db)
        await outlets.known()
        await asyncio.sleep(max(0, begins - time.monotonic()))
        for adcode in adcodes:
            begun = time.perf_counter()
            try:
                known = await outlets.known()
                async with db.transaction() as tx:
                    now = await clock.now(tx)
                    done = await plans.apply(tx, plan_id, adcode, by="race", now=now, known=known)
                ran.routed += done.applied
                ran.refused += done.refused
            except asyncpg.DeadlockDetectedError:
                ran.deadlocks += 1
            except (DomainError, asyncpg.PostgresError) as error:
                ran.others.append(repr(error))
            ran.milliseconds.append(1e3 * (time.perf_counter() - begun))
    return ran


def stream(
    dsn: str,
    settings: Settings,
    begins: float,
    pack_ids: list[UUID],
    on: date,
    seconds: float | None,
) -> Ran:
    """Route packs one by one, each in a transaction, for so long at most."""
    return asyncio.run(route_all(dsn, settings, begins, pack_ids, on, seconds))


async def route_all(
    dsn: str,
    settings: Settings,
    begins: float,
    pack_ids: list[UUID],
    on: date,
    seconds: float | None,
) -> Ran:
    ran = Ran()
    async with await connect(dsn, settings) as db:
        outlets = snapshot.Outlets(db)
        (await outlets.known()).on(on)
        await asyncio.sleep(max(0, begins - time.monotonic()))
        until = None if seconds is None else time.perf_counter() + seconds
        for pack_id in pack_ids:
            begun = time.perf_counter()
            if until is not None and begun > until:
                break
            try:
                known = await outlets.known()
                async with db.transaction() as tx:
                    now = await clock.now(tx)
                    asked = RoutingCreate(hand_over_on=on)
                    await service.route(tx, pack_id, asked, by="race", now=now, known=known)
                ran.routed += 1
            except (NoFeasibleOutlet, NotDecided):
                ran.refused += 1
            except asyncpg.DeadlockDetectedError:
                ran.deadlocks += 1
            except (DomainError, asyncpg.PostgresError) as error:
                ran.others.append(repr(error))
            ran.milliseconds.append(1e3 * (time.perf_counter() - begun))
    return ran


async def race(
    db: Database,
    plan_id: UUID,
    pack_ids: list[UUID],
    *,
    batches: int,
    streams: int,
    on: date,
    seconds: float | None = None,
) -> Raced:
    """Apply a plan in so many processes while others route the same and other packs."""
    async with db.transaction(read_only=True) as tx:
        places = await plan_store.prefectures(tx, plan_id)
    mixed = list(pack_ids)
    Random(3).shuffle(mixed)
    # The clock is the same for all processes of a machine.
    begins = time.monotonic() + STARTING_S
    with ProcessPoolExecutor(batches + streams, mp_context=get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        applying = [
            loop.run_in_executor(
                pool, batch, db.dsn, db.settings, begins, plan_id, places[one::batches]
            )
            for one in range(batches)
        ]
        routing = [
            loop.run_in_executor(
                pool, stream, db.dsn, db.settings, begins, mixed[one::streams], on, seconds
            )
            for one in range(streams)
        ]
        applied = list(await asyncio.gather(*applying))
        routed = list(await asyncio.gather(*routing))
    took = time.monotonic() - begins
    async with db.transaction(read_only=True) as tx:
        return Raced(
            applied,
            routed,
            await tx.fetchval(OVERSOLD),
            len(await tx.fetch(UNBALANCED)),
            await tx.fetchval(TWICE),
            took,
        )


def handed_over_on(as_of: date) -> date:
    return as_of + timedelta(days=plans.LEAD_DAYS)
