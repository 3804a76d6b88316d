"""Ninety, thirty and seven days before something lapses, each once."""

from datetime import date, timedelta

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import World
from tests.recyclers.steps import listed, report, run_job, step


async def told(world: World, **query: str) -> list[tuple[str, str, int, str]]:
    page = await world.staff.get("/v1/recycler-notices", limit=200, **query)
    return [
        (one["subject"], one["lapses_on"], one["days"], one["noticed_on"]) for one in page["items"]
    ]


def test_a_permit_that_runs_out_is_told_three_times_and_each_time_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            path = f"/v1/parties/{firm['id']}"
            lost = {"kind": "eia", "withdrawn_on": "2026-06-15", "document": "撤销"}
            await world.staff.post(f"{path}/withdrawals", lost)
            lapses = date(2030, 1, 1)
            for days in (91, 90, 89, 60, 30, 29, 8, 7, 6, 1, 0, -1):
                on = lapses - timedelta(days=days)
                await run_job(world, on)
                await run_job(world, on)
            expected = [
                (kind, str(lapses), days, str(lapses - timedelta(days=days)))
                for days in (90, 30, 7)
                for kind in ("discharge_permit", "filing")
            ]
            assert sorted(await told(world)) == sorted(expected)
            events = await stories.told(world)
            assert sum(one["kind"] == "recycler.noticed" for one in events) == 6

    database(scenario)


def test_who_looks_late_gets_the_nearest_notice_only(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.recycler(world, valid_to=date(2026, 7, 1))
            await run_job(world, date(2026, 6, 26))
            assert {one[2] for one in await told(world)} == {7}
            assert len(await told(world, subject="eia")) == 1
            assert await told(world, lapses_after="2026-07-01") == []

    database(scenario)


def test_evidence_that_other_evidence_takes_up_or_that_was_withdrawn_is_not_told(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world, valid_to=date(2026, 7, 10))
            path = f"/v1/parties/{firm['id']}"
            renewed = {"kind": "filing", "valid_from": "2026-07-10", "document": "续"}
            await world.staff.post(f"{path}/qualifications", renewed)
            # Withdrawn from a day to come: it is known already that it goes.
            gone = {"kind": "eia", "withdrawn_on": "2026-07-01", "document": "撤销"}
            await world.staff.post(f"{path}/withdrawals", gone)
            await run_job(world, date(2026, 6, 20))
            assert {one[0] for one in await told(world)} == {"discharge_permit"}

    database(scenario)


def test_a_report_and_a_rectification_are_told_before_it_is_too_late(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lazy, diligent = await listed(world, "2026-06-15"), await listed(world, "2026-06-15")
            await world.set_clock(date(2027, 2, 1))
            await report(world, diligent["id"], 2026, "2027-02-01")
            for on in (date(2027, 3, 2), date(2027, 4, 1), date(2028, 1, 2), date(2028, 3, 25)):
                await run_job(world, on)
            assert await told(world, recycler_id=lazy["id"]) == [
                ("annual_report", "2027-04-01", 30, "2027-03-02"),
                ("rectification", "2028-04-01", 90, "2028-01-02"),
                ("rectification", "2028-04-01", 7, "2028-03-25"),
            ]
            assert await told(world, recycler_id=diligent["id"]) == [
                ("annual_report", "2028-04-01", 90, "2028-01-02"),
                ("annual_report", "2028-04-01", 7, "2028-03-25"),
            ]
            page = await world.staff.get(f"/v1/recyclers/{lazy['id']}")
            assert [one["days"] for one in page["notices"]] == [7, 90]
            await step(world, lazy["id"], "rectified", "2028-03-25")
            theirs = await world.login(Role.RECYCLER, diligent["id"])
            own = (await theirs.get("/v1/recycler-notices"))["items"]
            assert {one["recycler_id"] for one in own} == {diligent["id"]}

    database(scenario)
