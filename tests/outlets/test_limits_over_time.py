"""The limit that reservations test is that of the day: the daily job carries it over."""

from datetime import date

from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.outlets.test_directory import entered, put_there
from tests.recyclers.steps import run_job


def test_a_limit_to_come_holds_from_the_job_of_its_day_on_and_twice_is_as_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = [await entered(world) for _ in range(3)]
            for outlet in made:
                await put_there(world, outlet["id"], stock_kg=1_500)
                path = f"/v1/outlets/{outlet['id']}/limits"
                for valid_from, kg in (("2026-07-01", 1_000), ("2026-08-01", 9_000)):
                    body = {
                        "valid_from": valid_from,
                        "limit_kg": kg,
                        "store_days": 30,
                        "document": "核定",
                    }
                    await world.staff.post(path, body)
            seen = []
            for on in (date(2026, 6, 30), date(2026, 7, 1), date(2026, 7, 1), date(2026, 8, 3)):
                await run_job(world, on)
                now = [await world.staff.get(f"/v1/outlets/{one['id']}") for one in made]
                seen += [{(one["store_limit_kg"], one["free_kg"]) for one in now}]
            assert seen == [{(5_000, 3_500)}, {(1_000, 0)}, {(1_000, 0)}, {(9_000, 7_500)}]
            events = await stories.told(world)
            carried = [one["data"] for one in events if one["kind"] == "outlet.limit_in_force"]
            assert [one["over_limit_kg"] for one in carried] == [500] * 3 + [0] * 3

    database(scenario)
