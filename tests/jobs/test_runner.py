"""What is due, claimed, done, failed or parked lives in rows; whoever looks may go on."""

import asyncio
from datetime import date, datetime
from uuid import UUID

import asyncpg
import pytest
from apscheduler.triggers.cron import CronTrigger

from jobs import runner, timetable
from jobs.runner import Job, Work
from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.kit.time import CIVIL_ZONE, civil_date, midnight, system_now
from leasing.runs import store
from tests import build, fleet

BAD, GOOD = UUID(int=1), UUID(int=2)


async def nothing(work: Work) -> None:
    pass


def jobs(**changed: Job) -> dict[str, Job]:
    """All jobs of the timetable; those not named do nothing."""
    return {name: changed.get(name, nothing) for name in timetable.TIMETABLE}


async def deploy(db: Database, on: date = date(2026, 1, 15)) -> None:
    """A sandbox at noon of a day on which its first customer is entered."""
    async with db.transaction() as tx:
        await clock.make_sandbox(tx, midnight(on) + build.NOON)
        await fleet.lease_out(tx, [1], on, entered_at=midnight(on) + build.NOON)


@pytest.fixture(autouse=True)
def monthly(monkeypatch):
    """The job that these tests look at is due once a month, so that they are quick to read."""
    monthly = CronTrigger(day=1, hour=3, timezone=CIVIL_ZONE)
    monkeypatch.setitem(timetable.TIMETABLE, "billing", monthly)


async def wait_until(db: Database, on: date) -> None:
    """Time passes and nobody is there to run anything."""
    async with db.transaction() as tx:
        await clock.move(tx, midnight(on) + build.NOON)


async def run_rows(db: Database, job: str = "billing") -> list[asyncpg.Record]:
    async with db.transaction() as tx:
        rows = await store.after(tx, UUID(int=0), job, None, 1000)
    return sorted(rows, key=lambda row: row["as_of"])


def test_a_run_missed_while_everything_was_down_is_caught_up_in_order(database):
    seen: list[tuple[str, date]] = []

    def noting(name: str) -> Job:
        async def job(work: Work) -> None:
            seen.append((name, work.as_of_date))

        return job

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 4, 2))
        every = {name: noting(name) for name in timetable.TIMETABLE}
        await runner.tick(db, every)
        assert [on for name, on in seen if name == "billing"] == [
            date(2026, 2, 1),
            date(2026, 3, 1),
            date(2026, 4, 1),
        ]
        assert [on for _, on in seen] == sorted(on for _, on in seen)
        assert len([on for name, on in seen if name == "health"]) == 77
        # The night before a first is checked before the month is billed.
        assert seen.index(("health", date(2026, 2, 1))) < seen.index(("billing", date(2026, 2, 1)))
        before = len(seen)
        await runner.tick(db, every)
        assert len(seen) == before
        assert {row["state"] for row in await run_rows(db)} == {"done"}

    database(scenario)


def test_before_the_first_party_there_is_nothing_to_do(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            await clock.make_sandbox(tx, midnight(date(2026, 4, 2)))
        await runner.tick(db, jobs())
        assert await run_rows(db) == []

    database(scenario)


def test_two_schedulers_on_two_machines_never_do_a_run_twice(database):
    begun: list[tuple[str, datetime]] = []

    async def slow(work: Work) -> None:
        begun.append((work.by, work.as_of))
        await asyncio.sleep(0.002)

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 3, 2))
        everything = jobs(**dict.fromkeys(timetable.TIMETABLE, slow))
        async with await connect(db.dsn, db.settings) as other:
            await asyncio.gather(
                *(runner.tick(machine, everything) for machine in (db, other, db, other))
            )
            # What one left to the other is done by now, or by the next look.
            await runner.tick(db, everything)
        assert len(begun) == len(set(begun))
        rows = [row for job in timetable.TIMETABLE for row in await run_rows(db, job)]
        assert len(rows) == len(begun) > 50
        assert {(row["state"], row["attempts"]) for row in rows} == {("done", 1)}

    database(scenario)


def test_a_job_and_its_instant_are_entered_once_whoever_enters_them(database):
    async def scenario(db: Database) -> None:
        await deploy(db)
        until = midnight(date(2026, 3, 2))
        await asyncio.gather(*(runner.enter_due(db, until) for _ in range(6)))
        rows = await run_rows(db)
        assert [civil_date(row["as_of"]) for row in rows] == [date(2026, 2, 1), date(2026, 3, 1)]
        with pytest.raises(asyncpg.UniqueViolationError, match="job_run_once"):
            async with db.transaction() as tx:
                await tx.execute(
                    "INSERT INTO job_run (job, as_of, created_at) VALUES ('billing', $1, now())",
                    rows[0]["as_of"],
                )

    database(scenario)


def test_a_run_killed_half_way_is_found_running_and_resumed(database):
    done: list[int] = []

    async def counting(work: Work) -> None:
        for number in range(len(done), 4):
            done.append(number)
            await work.step(1)
            if number == 1:
                raise asyncio.CancelledError  # what a killed process leaves: nothing is noted

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        with pytest.raises(asyncio.CancelledError):
            await runner.tick(db, jobs(billing=counting))
        (row,) = await run_rows(db)
        assert (row["state"], row["done"], row["finished_at"]) == ("running", 2, None)
        await runner.tick(db, jobs(billing=counting))
        (row,) = await run_rows(db)
        assert (row["state"], row["attempts"]) == ("done", 2)
        assert done == [0, 1, 2, 3]

    database(scenario)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("gone"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.ConnectionDoesNotExistError("closed in the middle"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.CannotConnectNowError("starting up"),
    ],
)
def test_a_lost_database_is_nobodys_failure_and_the_run_is_resumed(database, error):
    async def lost(work: Work) -> None:
        async with work.item("customer", GOOD):
            raise error

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        with pytest.raises(type(error)):
            await runner.tick(db, jobs(billing=lost))
        (row,) = await run_rows(db)
        assert (row["state"], row["parked"], row["error"]) == ("running", 0, None)

    database(scenario)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.exceptions._base.DataError(  # of the client, not the server's namesake
            "value out of int64 range"
        ),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.CheckViolationError("no"),
        ZeroDivisionError("a rule"),
    ],
)
def test_an_item_that_fails_is_parked_with_its_reason_and_the_run_goes_on(database, error):
    async def one_bad(work: Work) -> None:
        for item in (GOOD, BAD):
            async with work.item("customer", item):
                if item == BAD:
                    raise error
                await work.step(1)

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        await runner.tick(db, jobs(billing=one_bad))
        (row,) = await run_rows(db)
        assert (row["state"], row["done"], row["parked"]) == ("done", 1, 1)
        async with db.transaction() as tx:
            (parked,) = await store.parked(tx, row["id"])
        assert (parked["subject"], parked["subject_id"]) == ("customer", BAD)
        assert type(error).__name__ in parked["error"]
        assert str(error) in parked["error"]

    database(scenario)


def test_what_was_parked_and_then_mended_is_parked_no_longer(database):
    bad = True

    async def one_item(work: Work) -> None:
        async with work.item("customer", BAD):
            if bad:
                raise ValueError("broken")

    async def scenario(db: Database) -> None:
        nonlocal bad
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        await runner.tick(db, jobs(billing=one_item))
        bad = False
        assert await by_hand(db, one_item) == "done"
        (row,) = await run_rows(db)
        assert row["parked"] == 0
        async with db.transaction() as tx:
            assert await store.parked(tx, row["id"]) == []

    database(scenario)


async def by_hand(db: Database, job: Job, on: date = date(2026, 2, 1)) -> str:
    return await runner.run_once(db, "billing", job, on, lambda done, total: None)


def test_a_job_that_raises_fails_and_is_parked_after_three_attempts(database):
    async def broken(work: Work) -> None:
        raise RuntimeError("the third law")

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        for attempts, state in ((1, "failed"), (2, "failed"), (3, "parked"), (3, "parked")):
            await runner.tick(db, jobs(billing=broken))
            (row,) = await run_rows(db)
            assert (row["state"], row["attempts"]) == (state, attempts)
            assert row["error"] == "RuntimeError: the third law"

    database(scenario)


def test_later_months_wait_for_one_that_failed_and_then_run_in_order(database):
    begun: list[date] = []
    broken = True

    async def february_fails(work: Work) -> None:
        begun.append(work.as_of_date)
        if broken and work.as_of_date == date(2026, 2, 1):
            raise RuntimeError("not yet")

    async def scenario(db: Database) -> None:
        nonlocal broken
        await deploy(db)
        await wait_until(db, date(2026, 4, 2))
        await runner.tick(db, jobs(billing=february_fails))
        assert begun == [date(2026, 2, 1)]
        # Other jobs do not wait.
        assert {row["state"] for row in await run_rows(db, "health")} == {"done"}
        broken = False
        await runner.tick(db, jobs(billing=february_fails))
        assert begun[1:] == [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)]

    database(scenario)


def test_after_the_last_attempt_a_month_is_left_parked_and_the_others_go_on(database):
    begun: list[date] = []

    async def february_fails(work: Work) -> None:
        begun.append(work.as_of_date)
        if work.as_of_date == date(2026, 2, 1):
            raise RuntimeError("never")

    async def scenario(db: Database) -> None:
        await deploy(db)
        await runner.advance(db, jobs(billing=february_fails), midnight(date(2026, 3, 2)))
        assert begun == [date(2026, 2, 1)] * 3 + [date(2026, 3, 1)]
        assert [row["state"] for row in await run_rows(db)] == ["parked", "done"]
        # By hand it gets another try, and once mended it is done.
        assert await by_hand(db, february_fails) == "parked"
        assert await by_hand(db, nothing) == "done"
        assert [(row["state"], row["attempts"]) for row in await run_rows(db)] == [
            ("done", 5),
            ("done", 1),
        ]

    database(scenario)


def test_a_run_by_hand_is_the_scheduled_run_of_that_day(database):
    begun: list[datetime] = []

    async def noting(work: Work) -> None:
        begun.append(work.as_of)

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        assert await by_hand(db, noting) == "done"
        await runner.tick(db, jobs(billing=noting))
        assert len(begun) == 1
        assert len(await run_rows(db)) == 1

    database(scenario)


def test_a_run_by_hand_while_the_job_runs_elsewhere_is_told_to_wait(database):
    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 2, 2))
        async with runner.exclusive(db, "billing") as mine:
            assert mine
            assert await by_hand(db, nothing) == "busy"
            await runner.tick(db, jobs())
            assert [row["state"] for row in await run_rows(db)] == ["due"]
        await runner.tick(db, jobs())
        assert [row["state"] for row in await run_rows(db)] == ["done"]

    database(scenario)


def test_a_run_by_hand_does_not_make_the_timetable_skip_what_fell_due_before(database):
    begun: list[date] = []

    async def noting(work: Work) -> None:
        begun.append(work.as_of_date)

    async def scenario(db: Database) -> None:
        await deploy(db)
        await wait_until(db, date(2026, 4, 2))
        await by_hand(db, noting, date(2026, 4, 1))
        await runner.tick(db, jobs(billing=noting))
        assert sorted(begun) == [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)]

    database(scenario)


def test_a_run_by_hand_for_a_day_before_the_first_party_makes_nothing_else_due(database):
    async def scenario(db: Database) -> None:
        await deploy(db)
        assert await by_hand(db, nothing, date(2024, 6, 1)) == "done"
        await wait_until(db, date(2026, 3, 2))
        await runner.tick(db, jobs())
        assert [civil_date(row["as_of"]) for row in await run_rows(db)] == [
            date(2024, 6, 1),
            date(2026, 2, 1),
            date(2026, 3, 1),
        ]

    database(scenario)


def test_a_run_by_hand_for_a_day_to_come_is_refused(database):
    async def scenario(db: Database) -> None:
        await deploy(db)
        with pytest.raises(runner.NotYet, match="2026-02-01"):
            await by_hand(db, nothing)
        assert await run_rows(db) == []

    database(scenario)


END_HOLDER = """
SELECT pg_terminate_backend(pid)
  FROM pg_locks
 WHERE locktype = 'advisory'
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (classid::bigint << 32 | objid::bigint)
       = hashtextextended('job ' || current_schema() || ' billing', 0)
"""


def test_the_lock_of_a_job_falls_with_the_session_of_its_holder(database):
    async def scenario(db: Database) -> None:
        async with runner.exclusive(db, "billing") as mine:
            assert mine
            async with runner.exclusive(db, "billing") as theirs:
                assert not theirs
            async with runner.exclusive(db, "health") as another:
                assert another
            async with db.transaction() as tx:
                await tx.execute(END_HOLDER)
            await eventually_free(db)

    database(scenario)


async def eventually_free(db: Database) -> None:
    for _ in range(200):
        async with runner.exclusive(db, "billing") as mine:
            if mine:
                return
        await asyncio.sleep(0.01)
    raise AssertionError("the lock outlived its holder")


def test_rows_of_a_run_cannot_contradict_themselves(database):
    async def scenario(db: Database) -> None:
        await deploy(db)
        now = system_now()
        for state, started, finished, error in (
            ("due", now, None, None),
            ("running", None, None, None),
            ("done", now, None, None),
            ("failed", now, now, None),
            ("asleep", now, now, None),
        ):
            with pytest.raises(asyncpg.CheckViolationError, match="job_run_"):
                async with db.transaction() as tx:
                    await tx.execute(
                        "INSERT INTO job_run (job, as_of, created_at, state, started_at,"
                        " finished_at, error) VALUES ('billing', $1, $1, $2, $3, $4, $5)",
                        now,
                        state,
                        started,
                        finished,
                        error,
                    )

    database(scenario)
