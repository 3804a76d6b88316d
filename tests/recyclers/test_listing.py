"""How a recycler comes on the list and goes, as its days pass."""

import asyncio
from datetime import date

import asyncpg
import pytest

from jobs import recyclers as job
from jobs import runner
from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.recyclers.steps import listed, report, run_job, states, step

LISTED = ("listed", "2026-06-15", "announced")


def test_a_firm_applies_is_listed_and_its_listing_is_evidence(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            await step(world, firm["id"], "application", "2026-03-01")
            await step(world, firm["id"], "announced", "2026-06-15")
            page = await world.staff.get(f"/v1/recyclers/{firm['id']}")
            assert page["listing_state"] == "listed"
            assert [one["state"] for one in page["steps"]] == ["applied", "listed"]
            (evidence,) = [one for one in page["evidence"] if one["kind"] == "listing"]
            assert (evidence["valid_from"], evidence["document"]) == (
                "2026-06-15",
                "公告 announced",
            )

    database(scenario)


@pytest.mark.parametrize(
    ("taken", "reason", "status", "code"),
    [
        ([], "rectified", 409, "listing_step_refused"),
        ([], "refused", 409, "listing_step_refused"),
        (["application"], "application", 409, "listing_step_refused"),
        (["application"], "accident", 409, "listing_step_refused"),
        (["announced"], "application", 409, "listing_step_refused"),
        (["announced", "accident"], "application", 409, "listing_step_refused"),
        (["announced", "accident"], "announced", 409, "listing_step_refused"),
        (["announced"], "no_annual_report", 400, "comes_by_itself"),
        (["announced", "accident"], "bar_over", 400, "comes_by_itself"),
        ([], "fame", 400, "invalid_payload"),
    ],
)
def test_a_step_that_cannot_follow_is_refused(database, taken, reason, status, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            for one in taken:
                await step(world, firm["id"], one, "2026-06-01")
            body = {"reason": reason, "on": "2026-06-15", "document": "x"}
            path = f"/v1/recyclers/{firm['id']}/listing-steps"
            problem = await world.staff.refused("POST", path, status, body)
            assert problem["code"] == code
            assert len(await states(world, firm["id"])) == len(taken)

    database(scenario)


def test_no_step_is_entered_for_a_day_to_come_or_before_the_last_one(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-10")
            path = f"/v1/recyclers/{firm['id']}/listing-steps"
            for on, status in (("2026-06-16", 400), ("2026-06-09", 409)):
                body = {"reason": "accident", "on": on, "document": "x"}
                problem = await world.staff.refused("POST", path, status, body)
                assert problem["errors"][0]["pointer"] == "/on"
            unknown = "/v1/recyclers/00000000-0000-0000-0000-000000000007/listing-steps"
            body = {"reason": "accident", "on": "2026-06-11", "document": "x"}
            assert (await world.staff.refused("POST", unknown, 404, body))["code"] == (
                "recycler_not_found"
            )
            customer = await build.customer(world)
            await world.staff.refused("GET", f"/v1/recyclers/{customer['id']}", 404)

    database(scenario)


def test_without_an_annual_report_a_firm_rectifies_is_withdrawn_and_may_apply_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-15")
            for on in (date(2027, 3, 31), date(2027, 4, 1), date(2028, 3, 31)):
                await run_job(world, on)
            assert await states(world, firm["id"]) == [
                LISTED,
                ("rectifying", "2027-04-01", "no_annual_report"),
            ]
            await run_job(world, date(2028, 4, 1))
            page = await world.staff.get(f"/v1/recyclers/{firm['id']}")
            assert (page["listing_state"], page["listing_ends_on"]) == ("withdrawn", "2030-04-01")
            (evidence,) = [one for one in page["evidence"] if one["kind"] == "listing"]
            assert evidence["withdrawn_on"] == "2028-04-01"
            # The list is advisory: what decides is untouched.
            assert page["missing"] == []
            await run_job(world, date(2030, 4, 1))
            assert [state for state, _, _ in await states(world, firm["id"])] == [
                "listed", "rectifying", "withdrawn", "eligible",
            ]  # fmt: skip
            await step(world, firm["id"], "application", "2030-04-01")

    database(scenario)


def test_a_job_that_comes_years_late_dates_each_step_by_the_day_it_was_due(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-15")
            await run_job(world, date(2033, 1, 1))
            assert await states(world, firm["id"]) == [
                LISTED,
                ("rectifying", "2027-04-01", "no_annual_report"),
                ("withdrawn", "2028-04-01", "not_rectified"),
                ("eligible", "2030-04-01", "bar_over"),
            ]

    database(scenario)


def test_a_report_in_time_keeps_a_firm_on_the_list_year_by_year(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-15")
            await world.set_clock(date(2027, 3, 31))
            (filed,) = await report(world, firm["id"], 2026, "2027-03-31")
            assert filed["in_time"] is True
            await run_job(world, date(2027, 4, 1))
            assert await states(world, firm["id"]) == [LISTED]
            await run_job(world, date(2028, 4, 1))
            assert (await states(world, firm["id"]))[1:] == [
                ("rectifying", "2028-04-01", "no_annual_report")
            ]

    database(scenario)


def test_a_report_of_time_that_was_entered_late_brings_the_firm_back_and_a_late_one_does_not(
    database,
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, other = await listed(world, "2026-06-15"), await listed(world, "2026-06-15")
            await run_job(world, date(2027, 4, 10))
            await report(world, one["id"], 2026, "2027-03-31")
            (late,) = await report(world, other["id"], 2026, "2027-04-01")
            assert late["in_time"] is False
            assert (await states(world, one["id"]))[2] == (
                "listed", "2027-04-10", "report_was_in_time",
            )  # fmt: skip
            assert len(await states(world, other["id"])) == 2
            await step(world, other["id"], "rectified", "2027-04-10")
            await run_job(world, date(2028, 3, 31))
            assert (await states(world, one["id"]))[-1][0] == "listed"
            assert (await states(world, other["id"]))[-1][0] == "listed"

    database(scenario)


@pytest.mark.parametrize(
    ("year", "filed_on", "status", "code"),
    [
        (2026, "2026-06-15", 400, "report_before_its_year_ended"),
        (2025, "2026-06-16", 400, "in_the_future"),
        (2018, "2026-06-15", 400, "invalid_payload"),
    ],
)
def test_a_report_that_cannot_be_is_refused(database, year, filed_on, status, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-15")
            path = f"/v1/recyclers/{firm['id']}/annual-reports"
            body = {"year": year, "filed_on": filed_on, "document": "x"}
            assert (await world.staff.refused("POST", path, status, body))["code"] == code
            await report(world, firm["id"], 2025, "2026-02-01")
            body = {"year": 2025, "filed_on": "2026-03-01", "document": "x"}
            problem = await world.staff.refused("POST", path, 409, body)
            assert problem["code"] == "annual_report_filed"

    database(scenario)


def test_an_accident_withdraws_at_once_and_a_penalty_begins_two_years_anew(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-01-10")
            (first,) = await step(world, firm["id"], "accident", "2026-05-01")
            assert (first["state"], first["ends_on"]) == ("withdrawn", "2028-05-01")
            (second,) = await step(world, firm["id"], "penalty", "2026-06-10")
            assert (second["state"], second["ends_on"]) == ("withdrawn", "2028-06-10")
            await run_job(world, date(2028, 6, 9))
            assert (await states(world, firm["id"]))[-1][0] == "withdrawn"
            await run_job(world, date(2028, 6, 10))
            assert (await states(world, firm["id"]))[-1] == ("eligible", "2028-06-10", "bar_over")
            never = await build.recycler(world)
            await step(world, never["id"], "penalty", "2028-06-10")
            path = f"/v1/recyclers/{never['id']}/listing-steps"
            body = {"reason": "application", "on": "2028-06-10", "document": "x"}
            await world.staff.refused("POST", path, 409, body)

    database(scenario)


def test_a_step_entered_before_the_job_ran_takes_what_was_due_with_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-15")
            await world.set_clock(date(2027, 4, 20))
            taken = await step(world, firm["id"], "rectified", "2027-04-15")
            assert [(one["state"], one["from_on"]) for one in taken] == [
                ("rectifying", "2027-04-01"),
                ("listed", "2027-04-15"),
            ]

    database(scenario)


def test_a_job_that_was_killed_and_one_that_runs_twice_leave_what_one_run_leaves(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firms = [await listed(world, "2026-06-15") for _ in range(4)]
            on = date(2027, 4, 1)
            await world.set_clock(on)
            killed, real = 0, job.advance_one

            async def dies_at_the_third(work: runner.Work, recycler_id: object) -> None:
                nonlocal killed
                killed += 1
                if killed == 3:
                    raise asyncio.CancelledError  # as a process that ends: nothing is parked
                await real(work, recycler_id)

            job.advance_one = dies_at_the_third
            try:
                with pytest.raises(asyncio.CancelledError):
                    await run_job(world, on)
            finally:
                job.advance_one = real
            done = [len(await states(world, firm["id"])) for firm in firms]
            assert done == [2, 2, 1, 1]
            await run_job(world, on)
            await run_job(world, on)
            for firm in firms:
                assert len(await states(world, firm["id"])) == 2
            notices = (await world.staff.get("/v1/recycler-notices", limit=200))["items"]
            assert notices == []

    database(scenario)


def test_the_history_is_never_changed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await listed(world, "2026-06-15")
            for change in ("UPDATE listing_step SET reason = 'idle'", "DELETE FROM listing_step"):
                with pytest.raises(asyncpg.CheckViolationError):
                    async with world.db.transaction() as tx:
                        await tx.execute(change)

    database(scenario)


def test_a_recycler_sees_its_own_page_and_no_other(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            own, other = await listed(world, "2026-06-15"), await listed(world, "2026-06-15")
            theirs = await world.login(Role.RECYCLER, own["id"])
            page = await theirs.get(f"/v1/recyclers/{own['id']}")
            assert page == await world.staff.get(f"/v1/recyclers/{own['id']}")
            await theirs.refused("GET", f"/v1/recyclers/{other['id']}", 404)
            body = {"reason": "given_up", "on": "2026-06-15", "document": "x"}
            await theirs.refused("POST", f"/v1/recyclers/{own['id']}/listing-steps", 403, body)
            customer = await build.customer(world)
            tower = await world.login(Role.CUSTOMER, customer["id"])
            await tower.refused("GET", f"/v1/recyclers/{own['id']}", 403)

    database(scenario)
