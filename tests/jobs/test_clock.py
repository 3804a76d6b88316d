"""The sandbox clock: moved forward with every job on the way, in order, to the same documents."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import date, datetime, timedelta

import asyncpg
import msgspec
import pytest

from jobs import runner
from jobs.registry import JOBS
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import midnight, system_now
from tests import build, fleet

START = date(2025, 11, 25)


async def deploy(db: Database, on: date = START) -> None:
    async with db.transaction() as tx:
        await clock.make_sandbox(tx, midnight(on) + build.NOON)
        await fleet.lease_out(tx, [3, 1, 2], on, entered_at=midnight(on) + build.NOON)


async def advance(db: Database, to: date) -> None:
    await runner.advance(db, JOBS, midnight(to) + build.NOON)


async def now(db: Database) -> datetime:
    async with db.transaction() as tx:
        return await clock.now(tx)


async def fingerprint(db: Database) -> str:
    """Of every invoice and every charge, without ids."""
    async with db.transaction(read_only=True) as tx:
        await fleet.refuse_disorder(tx)
        return hashlib.sha256(msgspec.json.encode(await fleet.books(tx))).hexdigest()


def test_a_worker_that_was_down_for_six_months_bills_them_in_order_each_with_its_own_days(database):
    async def scenario(db: Database) -> None:
        await deploy(db, date(2025, 8, 5))
        async with db.transaction() as tx:
            await clock.move(tx, midnight(date(2026, 2, 3)))
        await runner.tick(db, JOBS)
        async with db.transaction() as tx:
            await fleet.refuse_disorder(tx)
            invoices, charges = await fleet.books(tx)
        of_first = [row for row in invoices if row[0] == "Customer 1"]
        assert [(row[4], row[5]) for row in of_first] == [
            (date(2025, 8, 1), date(2025, 9, 1)),
            (date(2025, 9, 1), date(2025, 10, 1)),
            (date(2025, 10, 1), date(2025, 11, 1)),
            (date(2025, 11, 1), date(2025, 12, 1)),
            (date(2025, 12, 1), date(2026, 1, 1)),
            (date(2026, 1, 1), date(2026, 2, 1)),
        ]
        assert [row[1] for row in invoices] == [f"INV-2026-{n:06}" for n in range(1, 19)]
        # Issued when they were made, not when they should have been.
        assert {row[6] for row in invoices} == {date(2026, 2, 3)}
        # Each charge is on the invoice of its own month.
        assert all(charge[3].replace(day=1) == charge[8] for charge in charges)
        before = await fingerprint(db)
        await runner.tick(db, JOBS)
        assert await fingerprint(db) == before

    database(scenario)


def test_numbers_begin_again_with_the_year_of_issue(database):
    async def scenario(db: Database) -> None:
        await deploy(db, date(2025, 10, 20))
        await advance(db, date(2026, 2, 2))
        async with db.transaction() as tx:
            await fleet.refuse_disorder(tx)
            invoices, _ = await fleet.books(tx)
        assert [(row[1], row[6]) for row in invoices if row[0] == "Customer 1"] == [
            ("INV-2025-000001", date(2025, 11, 1)),
            ("INV-2025-000004", date(2025, 12, 1)),
            # December is billed in arrears, in January.
            ("INV-2026-000001", date(2026, 1, 1)),
            ("INV-2026-000004", date(2026, 2, 1)),
        ]
        assert invoices[6][4:6] == (date(2025, 12, 1), date(2026, 1, 1))

    database(scenario)


def test_two_advances_are_one_advance(database):
    async def once(db: Database) -> str:
        await deploy(db)
        await advance(db, date(2026, 1, 5))
        return await fingerprint(db)

    async def in_steps(db: Database) -> str:
        await deploy(db)
        for to in (date(2025, 12, 1), date(2025, 12, 2), date(2025, 12, 31), date(2026, 1, 5)):
            await advance(db, to)
        return await fingerprint(db)

    assert database(once) == database(in_steps)


def test_an_advance_cut_short_and_taken_up_again_is_one_advance(database):
    async def once(db: Database) -> str:
        await deploy(db)
        await advance(db, date(2026, 1, 2))
        return await fingerprint(db)

    async def cut_short(db: Database) -> str:
        await deploy(db)
        async with db.transaction() as tx:
            await clock.ask(tx, midnight(date(2026, 1, 2)) + build.NOON)
        for stop_after in (10, 24):
            with pytest.raises(ConnectionResetError):
                await runner.advance(
                    db, JOBS, midnight(date(2026, 1, 2)) + build.NOON, stop(stop_after)
                )
        # The wish outlives whoever worked on it.
        await runner.tick(db, JOBS)
        assert await now(db) == midnight(date(2026, 1, 2)) + build.NOON
        return await fingerprint(db)

    assert database(once) == database(cut_short)


def stop(after: int) -> Callable[[datetime], None]:
    left = after

    def report(at: datetime) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise ConnectionResetError

    return report


HOURLY = "job:telemetry"
"""Works off what is there: a sandbox runs it where it stops for others, for its last hour."""


def test_each_job_runs_with_the_clock_at_its_own_instant(database):
    seen: list[tuple[datetime, datetime]] = []
    hourly: list[tuple[datetime, datetime]] = []

    async def noting(work: runner.Work) -> None:
        where = hourly if work.by == HOURLY else seen
        where.append((work.as_of, await now(work.db)))

    async def scenario(db: Database) -> None:
        await deploy(db)
        await runner.advance(db, dict.fromkeys(JOBS, noting), midnight(date(2025, 12, 5)))
        assert all(as_of == at for as_of, at in seen)
        # Nights of twelve jobs, a first of two more, a Sunday and a Monday.
        assert len(seen) == 12 * 9 + 2 + 1 + 1
        # Of an hourly one the last that was due does for all.
        assert 0 < len(hourly) <= len(seen) + 1
        assert all(as_of <= at for as_of, at in hourly)
        assert await now(db) == midnight(date(2025, 12, 5))

    database(scenario)


def test_of_two_advances_at_once_each_job_runs_once(database):
    begun: list[tuple[str, datetime]] = []

    async def noting(work: runner.Work) -> None:
        begun.append((work.by, work.as_of))

    async def scenario(db: Database) -> None:
        await deploy(db)
        noted = dict.fromkeys(JOBS, noting)
        to = midnight(date(2025, 12, 5))
        await asyncio.gather(*(runner.advance(db, noted, to) for _ in range(3)))
        assert len(begun) == len(set(begun))
        assert sum(by != HOURLY for by, _ in begun) == 12 * 9 + 2 + 1 + 1

    database(scenario)


def test_an_advance_waits_for_a_job_that_runs_elsewhere(database):
    """Were it to go on, the month would be issued on a later day than the first."""

    async def scenario(db: Database) -> None:
        await deploy(db, date(2025, 8, 1))
        await advance(db, date(2025, 8, 31))
        first = runner.instant_on("billing", date(2025, 9, 1))
        async with runner.exclusive(db, "billing") as mine:
            assert mine
            moving = asyncio.create_task(advance(db, date(2025, 10, 2)))
            await reached(db, first)
            await asyncio.sleep(0.3)
            assert await now(db) == first
        await moving
        async with db.transaction() as tx:
            invoices, _ = await fleet.books(tx)
        assert {row[6] for row in invoices} == {date(2025, 9, 1), date(2025, 10, 1)}

    database(scenario)


async def reached(db: Database, at: datetime) -> None:
    for _ in range(400):
        if await now(db) >= at:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the clock stood still")


def test_the_clock_never_goes_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 15)) as world:
            yesterday = midnight(date(2026, 1, 14))
            with pytest.raises(clock.ClockGoesBack):
                await runner.advance(db, JOBS, yesterday)
            problem = await world.staff.refused(
                "POST", "/v1/clock/advance", 409, {"to_at": yesterday.isoformat()}
            )
            assert problem["code"] == "clock_goes_back"
            for statement in (
                "UPDATE clock SET now_at = now_at - interval '1 s'",
                "UPDATE clock SET sandbox = false, now_at = NULL",
            ):
                with pytest.raises(asyncpg.CheckViolationError, match="does not go back"):
                    async with db.transaction() as tx:
                        await tx.execute(statement)
            assert await now(db) == midnight(date(2026, 1, 15)) + build.NOON

    database(scenario)


def test_a_clock_that_runs_by_itself_is_not_moved(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=None) as world:
            later = system_now() + timedelta(days=40)
            problem = await world.staff.refused(
                "POST", "/v1/clock/advance", 409, {"to_at": later.isoformat()}
            )
            assert problem["code"] == "not_a_sandbox"
            with pytest.raises(clock.NotASandbox):
                await runner.advance(db, JOBS, later)
            with pytest.raises(clock.NotASandbox):
                async with db.transaction() as tx:
                    await clock.move(tx, later)

    database(scenario)


def test_a_deployment_with_contracts_does_not_become_a_sandbox(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            await fleet.lease_out(tx, [1], START, entered_at=system_now())
        with pytest.raises(clock.SandboxTooLate):
            async with db.transaction() as tx:
                await clock.make_sandbox(tx, midnight(START))

    database(scenario)


def test_a_wish_to_advance_is_carried_out_by_the_next_tick_of_a_worker(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            await build.leased_pack(world, "2026-01-11")
            target = midnight(date(2026, 3, 2))
            answer = await world.staff.post("/v1/clock/advance", {"to_at": target.isoformat()})
            assert answer["now_at"] == "2026-01-11T04:00:00Z"
            assert answer["target_at"] == "2026-03-01T16:00:00Z"
            assert (await world.staff.get("/v1/invoices"))["items"] == []
            await runner.tick(db, JOBS)
            reached = await world.staff.get("/v1/clock")
            assert (reached["now_at"], reached["target_at"]) == ("2026-03-01T16:00:00Z", None)
            invoices = (await world.staff.get("/v1/invoices"))["items"]
            assert [row["issued_on"] for row in invoices] == ["2026-02-01", "2026-03-01"]

    database(scenario)
