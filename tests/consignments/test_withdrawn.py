"""What befalls lots whose recycler loses its evidence, or whose outlet closes."""

from datetime import date
from typing import Any

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.consignments import lots
from tests.consignments.lots import TODAY
from tests.consignments.test_consignments import refused_dispatch


async def withdraw(world: World, firm: Json, on: str = TODAY) -> None:
    withdrawal = {"kind": "eia", "withdrawn_on": on, "document": "Order 7"}
    await world.staff.post(f"/v1/parties/{firm['id']}/withdrawals", withdrawal)


async def close(world: World, outlet_id: str, **changes: Any) -> None:
    closing = {"closed_from": TODAY, "reason": "moved away", **changes}
    await world.staff.post(f"/v1/outlets/{outlet_id}/closure", closing)


async def elsewhere(world: World) -> str:
    return await build.outlet(world, (await build.recycler(world))["id"], latitude=35.2)


async def states(world: World, ways: list[Json]) -> list[str]:
    return [(await world.staff.get(f"/v1/routings/{way['id']}"))["state"] for way in ways]


def test_a_lot_that_has_not_left_is_unpacked_and_its_packs_go_elsewhere(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, outlet, firm = await lots.ways(world, 2)
            async with db.transaction() as tx:
                full = "UPDATE outlet SET store_limit_kg = reserved_kg"
                await tx.execute(full)
            other, near, _ = await lots.ways(world, 1)
            lot, bystander = [
                await lots.pack_lot(world, some, number=number)
                for some, number in ((ways, "TY-1"), (other, "TY-2"))
            ]
            far = await elsewhere(world)
            await withdraw(world, firm)
            done = await world.staff.post("/v1/reroutings", {"reason": "Order 7"})
            assert (done["hit"], done["rerouted"]) == (2, 2)
            unpacked = await world.staff.get(f"/v1/consignments/{lot['id']}")
            assert (unpacked["state"], unpacked["cancel_reason"]) == ("cancelled", "Order 7")
            assert await states(world, ways) == ["released"] * 2
            assert await lots.room(world, outlet) == (0, 0, 0)
            page = await world.staff.get("/v1/routings", state="reserved")
            moved = [one for one in page["items"] if one["id"] != other[0]["id"]]
            assert {one["outlet_id"] for one in moved} <= {far, near}
            # Nobody else is unpacked, and what moved may be packed again.
            same = await world.staff.get(f"/v1/consignments/{bystander['id']}")
            assert same["state"] == "packed"
            again = await lots.pack_lot(world, moved, number="TY-3")
            assert again["pack_count"] == 2
            problem = await world.staff.refused("POST", "/v1/reroutings", 409, {"reason": "R"})
            assert problem["code"] == "nothing_to_reroute"

    database(scenario)


def test_a_lot_is_unpacked_only_when_its_day_is_not_covered(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, _, firm = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, ways)
            await elsewhere(world)
            await withdraw(world, firm, "2026-06-16")
            await world.staff.refused("POST", "/v1/reroutings", 409, {"reason": "R"})
            same = await world.staff.get(f"/v1/consignments/{lot['id']}")
            assert same["state"] == "packed"

    database(scenario)


def test_a_lot_on_the_road_is_stranded_until_it_is_refused_and_goes_elsewhere_then(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, outlet, firm = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, ways)
            await lots.send(world, lot)
            recycler = await world.login(Role.RECYCLER, firm["id"])
            listing = {"stranded": True}
            assert (await world.staff.get("/v1/consignments", **listing))["items"] == []
            await withdraw(world, firm)
            for client in (world.staff, recycler, await world.login(Role.AUDITOR)):
                (found,) = (await client.get("/v1/consignments", **listing))["items"]
                assert (found["id"], found["state"]) == (lot["id"], "dispatched")
            # It is not called back from afar.
            await world.staff.refused("POST", "/v1/reroutings", 409, {"reason": "R"})
            assert await states(world, ways) == ["reserved"]
            far = await elsewhere(world)
            refusal = {"refused_on": TODAY, "reason": "no permit any more"}
            await recycler.post(f"/v1/consignments/{lot['id']}/refusal", refusal)
            assert (await world.staff.get("/v1/consignments", **listing))["items"] == []
            done = await world.staff.post("/v1/reroutings", {"reason": "R"})
            assert done["rerouted"] == 1
            (way,) = (await world.staff.get("/v1/routings", state="reserved"))["items"]
            assert way["outlet_id"] == far
            assert await lots.room(world, outlet) == (0, 0, 0)

    database(scenario)


def test_nothing_leaves_for_an_outlet_that_is_closed_or_is_handed_over_there(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, outlet, _ = await lots.ways(world, 3)
            on_road = await lots.pack_lot(world, ways[:1], number="TY-1")
            await lots.send(world, on_road)
            packed = await lots.pack_lot(world, ways[1:2], number="TY-2")
            await close(world, outlet)
            handed = {"handed_over_on": TODAY}
            path = f"/v1/routings/{ways[2]['id']}/hand-over"
            problem = await world.staff.refused("POST", path, 409, handed)
            assert problem["code"] == "outlet_closed"
            assert await refused_dispatch(world, packed) == {"outlet_closed"}
            path = f"/v1/consignments/{on_road['id']}"
            weight = {"weighed_on": TODAY, "weighed_kg": "46"}
            await world.staff.post(f"{path}/weigh-in", weight)
            received = {"received_on": TODAY}
            problem = await world.staff.refused("POST", f"{path}/receipt", 409, received)
            assert problem["code"] == "outlet_closed"
            assert await lots.room(world, outlet) == (92, 46, 0)
            (stranded,) = (await world.staff.get("/v1/consignments", stranded=True))["items"]
            assert stranded["id"] == on_road["id"]

    database(scenario)


def test_what_was_brought_before_the_outlet_closed_is_handed_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, outlet, _ = await lots.ways(world, 1)
            await close(world, outlet, closed_from="2026-06-16")
            path = f"/v1/routings/{ways[0]['id']}/hand-over"
            done = await world.staff.post(path, {"handed_over_on": TODAY})
            assert done["state"] == "handed_over"

    database(scenario)


def test_the_nightly_job_unpacks_what_lost_its_recycler_by_then(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, _, firm = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, ways)
            far = await elsewhere(world)
            await withdraw(world, firm, "2026-06-16")
            await stories.run_job(world, "routing", date(2026, 6, 16))
            unpacked = await world.staff.get(f"/v1/consignments/{lot['id']}")
            assert (unpacked["state"], unpacked["cancelled_on"]) == ("cancelled", "2026-06-16")
            (way,) = (await world.staff.get("/v1/routings", state="reserved"))["items"]
            assert way["outlet_id"] == far

    database(scenario)
