"""Working off what is due: claimed once among all machines, resumable, in order.

A job falls due at an instant; the row (job, instant) is unique. Whoever holds the job's
advisory lock runs it. The lock lives in a database session of its own: when a process is
killed the server drops the session and with it the lock, and the next worker finds the run
still `running`, takes the lock and goes on. Nothing depends on clocks that agree.
"""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from jobs import timetable
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import CIVIL_ZONE, civil_date, midnight, system_now
from leasing.runs import store
from leasing.runs.store import Run

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_ATTEMPTS = 3
BATCH = 1000

# What says that the database is gone, rather than that one item is bad.
LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.InternalClientError,
)


class Work:
    """One run of a job: what the job reads, and where it says how far it is."""

    def __init__(self, db: Database, run: Run, report: Callable[[int, int | None], None]) -> None:
        self.db = db
        self.run_id = run.id
        self.as_of = run.as_of
        self.by = f"job:{run.job}"
        self.report = report
        self.done = 0
        self.parked = 0
        self.total: int | None = None

    @property
    def as_of_date(self) -> date:
        return civil_date(self.as_of)

    async def step(self, done: int) -> None:
        """Note that so many more items are done, for people who watch."""
        self.done += done
        async with self.db.transaction() as tx:
            await store.note_progress(tx, self.run_id, self.done, self.parked)
        self.report(self.done, self.total)

    @asynccontextmanager
    async def item(self, subject: str, subject_id: UUID) -> AsyncIterator[None]:
        """Work on one item. If it fails it is parked with its reason and the run goes on;
        if the database is lost, the run stops and is resumed later."""
        try:
            yield
        except LOST:
            raise
        except Exception as error:
            log.warning("job.item_parked", subject=subject, id=str(subject_id), exc_info=error)
            self.parked += 1
            async with self.db.transaction() as tx:
                reason = f"{type(error).__name__}: {error}"
                await store.park(tx, self.run_id, subject, subject_id, reason, system_now())


Job = Callable[[Work], Awaitable[None]]


def worker_name() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


TRY_LOCK = """
SELECT pg_try_advisory_lock(hashtextextended('job ' || current_schema() || ' ' || $1, 0))
"""


@asynccontextmanager
async def exclusive(db: Database, job: str) -> AsyncIterator[bool]:
    """Hold a job's lock for the block; False when another worker holds it."""
    connection = await db.connect_alone()
    try:
        yield await connection.fetchval(TRY_LOCK, job)
    finally:
        await connection.close()


EARLIEST = "SELECT min(created_at) FROM party"


async def enter_due(db: Database, until: datetime) -> None:
    """Note every instant up to `until` at which a job fell due, also while nothing was running.

    A job that never ran is due from the day the first party was entered: before that there was
    nothing to do.
    """
    async with db.transaction() as tx:
        earliest = await tx.fetchval(EARLIEST)
        if earliest is None:
            return
        for job in timetable.TIMETABLE:
            newest = await store.newest(tx, job) or earliest
            found = [(job, at.astimezone(UTC)) for at in timetable.due(job, newest, until)]
            if found:
                await store.enter(tx, found, system_now())


async def work_off(db: Database, jobs: dict[str, Job]) -> int:
    """Run what is unfinished, oldest first; a job whose lock is taken is left to its holder.
    Returns how many runs ended."""
    ended = 0
    left_alone: set[str] = set()
    while True:
        async with db.transaction() as tx:
            waiting = await store.unfinished(tx, None, BATCH)
        run = next((run for run in waiting if run.job not in left_alone), None)
        if run is None:
            return ended
        async with exclusive(db, run.job) as mine:
            # Another worker may have finished it before we had the lock.
            if not mine or not await still_unfinished(db, run):
                left_alone |= set() if mine else {run.job}
                continue
            state = await execute(db, run, jobs[run.job])
        ended += 1
        if state == "failed":
            # Later runs of the job wait: months are billed in order.
            left_alone.add(run.job)


async def still_unfinished(db: Database, run: Run) -> bool:
    async with db.transaction() as tx:
        current = await store.get(tx, run.job, run.as_of)
    return current is not None and current.state in ("due", "running", "failed")


async def execute(
    db: Database,
    run: Run,
    job: Job,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> str:
    """Run a job under its lock and note how it ended: done, failed, or after the last attempt
    parked. If the database is lost the run stays `running` and is resumed by whoever comes."""
    async with db.transaction() as tx:
        await store.start(tx, run.id, worker_name(), system_now())
    work = Work(db, run, report)
    log.info("job.started", job=run.job, as_of=run.as_of.isoformat(), attempt=run.attempts + 1)
    try:
        await job(work)
    except LOST:
        log.warning("job.interrupted", job=run.job, as_of=run.as_of.isoformat())
        raise
    except Exception as error:
        log.exception("job.failed", job=run.job, as_of=run.as_of.isoformat())
        state = "failed" if run.attempts + 1 < MAX_ATTEMPTS else "parked"
        reason: str | None = f"{type(error).__name__}: {error}"
    else:
        state, reason = "done", None
    async with db.transaction() as tx:
        await store.finish(tx, run.id, state, reason, system_now())
    log.info(
        "job.ended",
        job=run.job,
        as_of=run.as_of.isoformat(),
        state=state,
        done=work.done,
        parked=work.parked,
    )
    return state


async def tick(db: Database, jobs: dict[str, Job]) -> None:
    """What the scheduler wakes us for: note what is due, work it off. In a sandbox the clock
    is first taken where somebody asked it to go."""
    async with db.transaction() as tx:
        time = await clock.read(tx)
    if time.target_at is not None:
        await advance(db, jobs, time.target_at)
        return
    await enter_due(db, time.now_at or system_now())
    await work_off(db, jobs)


async def advance(
    db: Database,
    jobs: dict[str, Job],
    to: datetime,
    report: Callable[[datetime], None] = lambda at: None,
) -> None:
    """Take the sandbox clock to an instant. Jobs that fall due on the way run in order, each
    with the clock at its own instant."""
    async with exclusive(db, "sandbox clock") as mine:
        if not mine:
            return
        async with db.transaction() as tx:
            time = await clock.read(tx)
        if time.now_at is None:
            raise clock.NotASandbox("only a sandbox clock can be moved")
        # What fell due before, or was cut short, comes first.
        await enter_due(db, time.now_at)
        await work_off_all(db, jobs)
        steps = {
            at.astimezone(UTC)
            for job in timetable.TIMETABLE
            for at in timetable.due(job, time.now_at, to)
        }
        for at in sorted(steps | {to}):
            async with db.transaction() as tx:
                await clock.move(tx, at)
            await enter_due(db, at)
            await work_off_all(db, jobs)
            report(at)


async def work_off_all(db: Database, jobs: dict[str, Job]) -> None:
    """Work off until every run is done or parked: a sandbox does not go on past a failed run
    that will be tried again."""
    for _ in range(MAX_ATTEMPTS):
        if await work_off(db, jobs) == 0:
            return


async def run_once(
    db: Database,
    name: str,
    job: Job,
    on: date,
    report: Callable[[int, int | None], None],
) -> str:
    """Run a job by hand as of a civil date, whatever its state: a run that was done changes
    nothing, a parked one gets another try. Returns how it ended, or `busy`."""
    as_of = instant_on(name, on)
    async with db.transaction() as tx:
        await store.enter(tx, [(name, as_of)], system_now())
        run = await store.get(tx, name, as_of)
    assert run is not None
    async with exclusive(db, name) as mine:
        return await execute(db, run, job, report) if mine else "busy"


def instant_on(job: str, on: date) -> datetime:
    """The instant on a civil date at which the job falls due; the date's midnight if it does
    not. So that a run by hand and the scheduled one are the same run."""
    start = midnight(on)
    before = start - timedelta(microseconds=1)
    found = next(timetable.due(job, before, start + timedelta(days=1)), None)
    if found is not None and found.astimezone(CIVIL_ZONE).date() == on:
        return found.astimezone(UTC)
    return start
