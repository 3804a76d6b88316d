"""Working off what is due: claimed once among all machines, resumable, in order.

A job falls due at an instant; the row (job, instant) is unique. Whoever holds the job's
advisory lock runs it. The lock lives in a database session of its own: when a process is
killed the server drops the session and with it the lock, and the next worker finds the run
still `running`, takes the lock and goes on. Nothing depends on clocks that agree.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import structlog

from jobs import timetable
from leasing.db import clock
from leasing.db.pool import Database, LoneConnection, is_lost
from leasing.kit.errors import Invalid
from leasing.kit.time import CIVIL_ZONE, civil_date, midnight, system_now
from leasing.runs import store
from leasing.runs.store import Run

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_ATTEMPTS = 3
HELD_PAUSE_S = 0.1
BATCH = 1000


class NotYet(Invalid):
    code = "not_yet"
    title = "A job is not run for a day to come"


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
            # Nothing depends on this number, so we do not wait until it is on disk.
            await tx.execute("SET LOCAL synchronous_commit = off")
            await store.note_progress(tx, self.run_id, self.done, self.parked)
        self.report(self.done, self.total)

    @asynccontextmanager
    async def item(self, subject: str, subject_id: UUID) -> AsyncIterator[None]:
        """Work on one item. If it fails it is parked with its reason and the run goes on;
        if the database is lost, the run stops and is resumed later."""
        try:
            yield
        except Exception as error:
            if is_lost(error):
                raise
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

UNLOCK = """
SELECT pg_advisory_unlock(hashtextextended('job ' || current_schema() || ' ' || $1, 0))
"""


@asynccontextmanager
async def lock_session(db: Database) -> AsyncIterator[LoneConnection]:
    """A database session for locks and nothing else. When it ends, so do they."""
    connection = await db.connect_alone()
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked(session: LoneConnection, job: str) -> AsyncIterator[bool]:
    """Hold a job's lock for the block; False when another worker holds it."""
    mine: bool = await session.fetchval(TRY_LOCK, job)
    try:
        yield mine
    finally:
        if mine and not session.is_closed():
            await session.execute(UNLOCK, job)


@asynccontextmanager
async def exclusive(db: Database, job: str) -> AsyncIterator[bool]:
    """The same with a session of its own."""
    async with lock_session(db) as session, locked(session, job) as mine:
        yield mine


EARLIEST = "SELECT min(created_at) FROM party"


async def enter_due(db: Database, until: datetime) -> None:
    """Note every instant up to `until` at which a job fell due, also while nothing was running.

    A job that never ran is due from the day the first party was entered: before that there was
    nothing to do.
    """
    # Each statement is a transaction of its own: a due instant that is entered twice is there once.
    async with db.statement() as tx:
        earliest = await tx.fetchval(EARLIEST)
        if earliest is None:
            return
        newest = await store.newest(tx, list(timetable.TIMETABLE))
        found = [
            (job, at.astimezone(UTC))
            for job in timetable.TIMETABLE
            for at in timetable.due(job, max(newest[job] or earliest, earliest), until)
        ]
        if found:
            await store.enter(tx, found, system_now())


async def work_off(db: Database, jobs: dict[str, Job]) -> int:
    """Run what is unfinished, oldest first; a job whose lock is taken is left to its holder.
    Returns how many runs ended."""
    if await next_run(db, set()) is None:
        return 0
    async with lock_session(db) as session:
        ended, _ = await work_off_in(session, db, jobs)
        return ended


async def work_off_in(
    session: LoneConnection, db: Database, jobs: dict[str, Job]
) -> tuple[int, set[str]]:
    """The same, with the locks in a session that is there already. Returns also the jobs of which
    something is left."""
    ended = 0
    left_alone: set[str] = set()
    while (run := await next_run(db, left_alone)) is not None:
        async with locked(session, run.job) as mine:
            # Another worker may have finished it before we had the lock.
            if not mine or not await still_unfinished(db, run):
                left_alone |= set() if mine else {run.job}
                continue
            state = await execute(db, run, jobs[run.job])
        ended += 1
        if state == "failed":
            # Later runs of the job wait: months are billed in order.
            left_alone.add(run.job)
    return ended, left_alone


async def next_run(db: Database, left_alone: set[str]) -> Run | None:
    async with db.statement() as tx:
        waiting = await store.unfinished(tx, None, BATCH)
    return next((run for run in waiting if run.job not in left_alone), None)


async def still_unfinished(db: Database, run: Run) -> bool:
    async with db.statement() as tx:
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
    async with db.statement() as tx:
        await store.start(tx, run.id, worker_name(), system_now())
    work = Work(db, run, report)
    log.info("job.started", job=run.job, as_of=run.as_of.isoformat(), attempt=run.attempts + 1)
    try:
        await job(work)
    except Exception as error:
        if is_lost(error):
            log.warning("job.interrupted", job=run.job, as_of=run.as_of.isoformat())
            raise
        log.exception("job.failed", job=run.job, as_of=run.as_of.isoformat())
        state = "failed" if run.attempts + 1 < MAX_ATTEMPTS else "parked"
        reason: str | None = f"{type(error).__name__}: {error}"
    else:
        state, reason = "done", None
    async with db.statement() as tx:
        await store.finish(tx, run.id, state, reason, work.parked, system_now())
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
    async with db.statement() as tx:
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
    async with lock_session(db) as session, locked(session, SANDBOX_CLOCK) as mine:
        if mine:
            # What fell due before, or was cut short, comes first.
            await enter_due(db, await sandbox_now(db))
            await work_off_all(session, db, jobs)
            await advance_in(session, db, jobs, to, report)


SANDBOX_CLOCK = "sandbox clock"


async def sandbox_now(db: Database) -> datetime:
    async with db.transaction() as tx:
        time = await clock.read(tx)
    if time.now_at is None:
        raise clock.NotASandbox("only a sandbox clock can be moved")
    return time.now_at


async def advance_in(
    session: LoneConnection,
    db: Database,
    jobs: dict[str, Job],
    to: datetime,
    report: Callable[[datetime], None] = lambda at: None,
) -> None:
    """The same for whoever left nothing undone and holds the lock on the sandbox clock, so that
    it can be moved again and again."""
    now = await sandbox_now(db)
    if to < now:
        raise clock.ClockGoesBack(f"{to} is before {now}")
    steps = {
        at.astimezone(UTC) for job in timetable.TIMETABLE for at in timetable.due(job, now, to)
    }
    for at in sorted(steps | {to}):
        async with db.statement() as tx:
            await clock.move(tx, at)
        await enter_due(db, at)
        await work_off_all(session, db, jobs)
        report(at)


async def work_off_all(session: LoneConnection, db: Database, jobs: dict[str, Job]) -> None:
    """Work off until every run is done or parked: a sandbox does not go on past a failed run
    that will be tried again, nor past one that another worker is at."""
    while True:
        ended, left = await work_off_in(session, db, jobs)
        if not left:
            return
        if ended == 0:
            await asyncio.sleep(HELD_PAUSE_S)


async def run_once(
    db: Database,
    name: str,
    job: Job,
    on: date,
    report: Callable[[int, int | None], None],
) -> str:
    """Run a job by hand as of a civil date, whatever its state: a run that was done changes
    nothing, a parked one gets another try. Returns how it ended, or `busy`. Raises `NotYet` for
    a day to come."""
    as_of = instant_on(name, on)
    async with db.transaction() as tx:
        now = await clock.now(tx)
    if on > civil_date(now):
        raise NotYet(f"{on} is after today, {civil_date(now)}")
    # What fell due is looked for after the newest entry, which this one may be.
    await enter_due(db, now)
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
