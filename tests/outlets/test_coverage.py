"""How far the network reaches, and that what was generated never passes for real."""

from datetime import date

from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.outlets import generator
from leasing.outlets import store as outlets
from tests import build
from tests.outlets.test_directory import entered

DAY = date(2026, 6, 15)


def test_the_generated_network_reconciles_to_what_was_announced_and_says_that_it_is_generated(
    database,
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            async with world.db.transaction() as tx:
                await outlets.insert_network(tx, generator.generate(DAY), midnight(DAY))
            found = await world.staff.get("/v1/outlets/coverage")
            counted = {"outlets": 10_235, "prefectures": 326, "provinces": 31}
            assert found["announced"] == found["generated_network"] == counted
            assert found["real_network"] == {"outlets": 0, "prefectures": 0, "provinces": 0}
            assert found["reconciles"] is True
            assert found["note"].startswith("10,235 of the 10,235 outlets are generated")
            provinces = found["by_province"]
            assert len(provinces) == 31
            for field, total in (("outlets", 10_235), ("prefectures", 326), ("generated", 10_235)):
                assert sum(one[field] for one in provinces) == total
            assert sum(one["free_kg"] for one in provinces) == found["free_kg"]
            assert found["collecting"] + found["concentrated"] == 10_235

            # A real outlet and a closed one are counted apart.
            await entered(world)
            (first,) = (await world.staff.get("/v1/outlets", limit=1, adcode="110000"))["items"]
            closing = {"closed_from": str(DAY), "reason": "停业"}
            await world.staff.post(f"/v1/outlets/{first['id']}/closure", closing)
            found = await world.staff.get("/v1/outlets/coverage")
            assert found["real_network"] == {"outlets": 1, "prefectures": 1, "provinces": 1}
            assert (found["closed"], found["outlets"], found["generated"]) == (1, 10_235, 10_234)
            assert found["reconciles"] is False
            henan = next(one for one in found["by_province"] if one["province_adcode"] == "410000")
            assert henan["real"] == 1
            only_real = await world.staff.get("/v1/outlets", generated=False)
            assert len(only_real["items"]) == 1

    database(scenario)


def test_a_network_of_real_outlets_says_that_none_is_generated(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            assert (await world.staff.get("/v1/outlets/coverage"))[
                "note"
            ] == "there is no outlet yet"
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            found = await world.staff.get("/v1/outlets/coverage")
            assert found["note"] == "all 1 outlets were entered; none is generated"
            assert found["reconciles"] is False

    database(scenario)
