"""A run, from what is due to what was delivered, by as many workers as there are.

The stages follow one another; each is cut into chunks, and a worker claims one, does it in one
transaction, and claims the next. Whoever finds no chunk left moves the run on. A claim lasts for
a time: a worker that was killed is not waited for. Every step asks the database what is still
missing, so doing it again changes nothing, and whatever two workers believe, the database takes a
charge once.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from leasing.billing import chunks, issuing, planning, rating, results, runs, store
from leasing.billing.chunks import Chunk
from leasing.billing.model import Item, NoSuchRun, NotHeld
from leasing.billing.runs import Run
from leasing.db import clock
from leasing.db.pool import Connection, Database, is_lost, savepoint
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.time import civil_date

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LEASE_S = 5.0
"""How long a claim holds before its work begins. From then on the chunk's row is locked, as long as
the worker is there: the database ends a session that is gone, or that does nothing in a transaction
for a minute, and whoever comes next claims the chunk."""
CHUNK_LINES = 4_000
CHUNK_CONTRACTS = 1_000
CHUNK_INVOICES = 500
MAX_ATTEMPTS = 3
MAX_INVOICES = 100_000
JUMP_TIMES, JUMP_ABOVE = 10, 1_000_000
"""An invoice so many times the last one, and above so many minor units, waits for a person."""

PASSING = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
)
"""Errors that another attempt may not meet again."""


class Step(Enum):
    WORKED = "worked"
    WAIT = "wait"
    """Others are at what is left."""
    STOPPED = "stopped"
    OVER = "over"


class Did(NamedTuple):
    step: Step
    stage: str | None
    done: int = 0
    """Contracts or invoices."""
    charges: int = 0


async def begin(
    tx: Connection, as_of: date, buyer_id: UUID | None, max_invoices: int, now: datetime
) -> Run | None:
    """The run as of a day, planned: what is due and not done yet is to be done. A run that waits
    for a person goes on waiting. None when nothing is due, and nothing is written then."""
    with suppress(NothingDue):
        async with savepoint(tx):
            run_id = await runs.open_run(tx, as_of, buyer_id, max_invoices, now)
            run = await locked(tx, run_id)
            if run.state != "stopped" and await runs.current_stage(tx, run_id) is None:
                await plan(tx, run, now)
            return await locked(tx, run_id)
    return None


async def locked(tx: Connection, run_id: UUID) -> Run:
    run = await runs.lock(tx, run_id)
    if run is None:
        raise NoSuchRun(f"there is no billing run {run_id}")
    return run


class NothingDue(Exception):
    """A run that has nothing to do leaves no trace."""


async def plan(tx: Connection, run: Run, now: datetime) -> None:
    # For all contracts there are it may take longer than a request is given.
    await tx.execute("SET LOCAL statement_timeout = '10min'")
    due = await planning.plan(tx, run)
    if not due:
        raise NothingDue
    await runs.set_state(tx, run.id, "running", None, now)
    await runs.begin_stage(tx, run.id, "plan", due, now)
    await planning.make_chunks_to_rate(tx, run.id, CHUNK_LINES, CHUNK_CONTRACTS)
    await runs.count(tx, run.id, "plan", due)
    await runs.end_stage(tx, run.id, "plan", now)
    await runs.begin_stage(tx, run.id, "rate", due, now)


async def work(db: Database, run_id: UUID, worker: str, by: str) -> Did:
    """Do one chunk of a run, or move the run on."""
    async with db.transaction() as tx:
        stage = await runs.current_stage(tx, run_id)
        chunk = stage and await chunks.claim(tx, run_id, stage, worker, LEASE_S)
    if chunk:
        return await do(db, run_id, chunk, worker, by)
    async with db.transaction() as tx:
        return await move_on(tx, await locked(tx, run_id), await clock.now(tx))


async def do(db: Database, run_id: UUID, chunk: Chunk, worker: str, by: str) -> Did:
    if chunk.stage == "rate":
        return await rate(db, run_id, chunk, worker)
    async with db.transaction() as tx:
        if not await chunks.keep(tx, run_id, chunk, worker):
            return Did(Step.WORKED, chunk.stage)
        now = await clock.now(tx)
        if chunk.stage == "draft":
            await issuing.total(tx, chunk.ids)
        elif chunk.stage == "finalise":
            await issuing.finalise(tx, chunk.ids, issued_on=civil_date(now), by=by, now=now)
        else:
            await store.deliver(tx, chunk.ids, now)
        return await finished(tx, run_id, chunk)


async def finished(tx: Connection, run_id: UUID, chunk: Chunk, charges: int = 0) -> Did:
    await chunks.finish(tx, run_id, chunk)
    await runs.count(tx, run_id, chunk.stage, len(chunk.ids), charges)
    return Did(Step.WORKED, chunk.stage, len(chunk.ids), charges)


# Rating


async def rate(db: Database, run_id: UUID, chunk: Chunk, worker: str) -> Did:
    """Charge the contracts of a chunk, all at once; one by one if that fails, so that only those
    are left out that are bad."""
    if chunk.attempts <= MAX_ATTEMPTS:
        try:
            async with db.transaction() as tx:
                if not await chunks.keep(tx, run_id, chunk, worker):
                    return Did(Step.WORKED, chunk.stage)
                run = await runs.get_run(tx, run_id)
                items = await results.items(tx, run_id, chunk.ids)
                made = await charge(tx, run, items)
                return await finished(tx, run_id, chunk, made)
        except Exception as error:
            if is_lost(error):
                raise
            log.warning("billing.chunk_failed", chunk=chunk.number, exc_info=error)
    return await rate_singly(db, run_id, chunk, worker)


async def charge(tx: Connection, run: Run, items: Sequence[Item]) -> int:
    made = await rating.charge(tx, run, items)
    await results.note_done(tx, run.id, made)
    return sum(made.values())


async def rate_singly(db: Database, run_id: UUID, chunk: Chunk, worker: str) -> Did:
    """Each contract in a transaction of its own, begun by a note: one that takes the worker with
    it is known the next time, and parked after a few."""
    charges = 0
    for contract_id in chunk.ids:
        try:
            async with db.transaction() as tx:
                if not await chunks.keep(tx, run_id, chunk, worker):
                    return Did(Step.WORKED, chunk.stage, 0, charges)
                items = await results.items(tx, run_id, [contract_id])
                if not items:
                    continue
                lost = items[0].attempts >= MAX_ATTEMPTS
                await results.note_trouble(
                    tx,
                    run_id,
                    contract_id,
                    "parked" if lost else "failed",
                    "worker_lost",
                    "the worker stopped while it was at this contract",
                )
            if lost:
                continue
            async with db.transaction() as tx:
                charges += await charge(tx, await runs.get_run(tx, run_id), items)
        except Exception as error:
            if is_lost(error):
                raise
            again = isinstance(error, PASSING) and items[0].attempts + 1 < MAX_ATTEMPTS
            log.warning("billing.contract_failed", contract=str(contract_id), exc_info=error)
            async with db.transaction() as tx:
                await results.note_trouble(
                    tx,
                    run_id,
                    contract_id,
                    "failed" if again else "parked",
                    getattr(error, "code", None) or type(error).__name__,
                    str(error) or type(error).__name__,
                )
    async with db.transaction() as tx:
        if not await chunks.keep(tx, run_id, chunk, worker):
            return Did(Step.WORKED, chunk.stage, 0, charges)
        return await finished(tx, run_id, chunk, charges)


# From stage to stage


async def move_on(tx: Connection, run: Run, now: datetime) -> Did:
    """Begin the next stage if nothing is left of this one. The caller holds the run."""
    stage = await runs.current_stage(tx, run.id)
    if run.state == "stopped":
        return Did(Step.STOPPED, stage)
    if stage is None:
        return Did(Step.OVER, None)
    if await chunks.left(tx, run.id, stage):
        return Did(Step.WAIT, stage)
    if stage == "rate":
        again = await results.failed(tx, run.id)
        if again:
            await chunks.make_chunks(tx, run.id, stage, again, 1)
            return Did(Step.WORKED, stage)
        await store.drop_empty(tx, run.id)
        await follow(tx, run, stage, "draft", await store.drafts(tx, run.id), now)
    elif stage == "draft":
        await follow(tx, run, stage, "review", [], now)
    elif stage == "review":
        return await review(tx, run, now)
    elif stage == "finalise":
        await follow(tx, run, stage, "deliver", await store.not_delivered(tx, run.id), now)
    else:
        await runs.end_stage(tx, run.id, stage, now)
        await runs.set_state(tx, run.id, "done", None, now)
    return Did(Step.WORKED, stage)


async def follow(
    tx: Connection, run: Run, stage: str, following: str, ids: Sequence[UUID], now: datetime
) -> None:
    await runs.end_stage(tx, run.id, stage, now)
    await runs.begin_stage(tx, run.id, following, len(ids), now)
    await chunks.make_chunks(tx, run.id, following, ids, CHUNK_INVOICES)


async def review(tx: Connection, run: Run, now: datetime) -> Did:
    """Compare the drafts with what was billed before. One that jumps is held; too many stop the
    run, until somebody approves."""
    if run.approved_by is None:
        found = await store.count_drafts(tx, run.id)
        if found > run.max_invoices:
            because = f"{found} invoices are more than the {run.max_invoices} that were expected"
            await runs.set_state(tx, run.id, "stopped", because, now)
            return Did(Step.STOPPED, "review")
    await store.hold_jumps(tx, run.id, JUMP_ABOVE, JUMP_TIMES)
    drafts = await store.drafts(tx, run.id)
    await runs.count(tx, run.id, "review", len(drafts))
    await follow(tx, run, "review", "finalise", drafts, now)
    return Did(Step.WORKED, "review", len(drafts))


async def approve(tx: Connection, run_id: UUID, reason: str, *, by: str, now: datetime) -> None:
    """Let a run go on that stopped. Raises `NoSuchRun`, `NotHeld`."""
    run = await locked(tx, run_id)
    if run.state != "stopped":
        raise NotHeld(f"the run is {run.state}")
    await runs.approve(tx, run_id, by)
    approved = Event("billing_run", run_id, "billing_run.approved", {"reason": reason})
    await events.append(tx, [approved], actor=by, now=now)
