"""What failed its transport check goes into no lot, and leaves in none."""

from datetime import date

from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import World
from tests.consignments import lots
from tests.returns import steps

TREATED = {
    "treated_on": lots.TODAY,
    "measures": "discharged and insulated",
    "shipper_signatory": "王工",
    "consignee_signatory": "赵工",
}


async def check(world: World, pack_id: str, *yes: str, on: str = lots.TODAY) -> build.Json:
    return await steps.inspect(world, {"id": pack_id}, on, sheet=steps.sheet(*yes))


def test_a_check_that_fails_keeps_its_pack_out_of_every_lot_until_it_is_treated(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, _, _ = await lots.ways(world, 2)
            failed = await check(world, ways[1]["pack_id"], "leaks")
            problem = await world.staff.refused("POST", "/v1/consignments", 409, lots.packed(ways))
            assert problem["code"] == "transport_check_failed"
            assert ways[1]["pack_id"] in problem["detail"]
            await world.staff.post(f"/v1/inspections/{failed['id']}/treatment", TREATED)
            assert (await lots.pack_lot(world, ways))["state"] == "packed"

    database(scenario)


def test_a_check_that_fails_after_packing_stops_the_whole_lot(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, outlet, _ = await lots.ways(world, 2)
            lot = await lots.pack_lot(world, ways)
            await check(world, ways[0]["pack_id"])
            failed = await check(world, ways[1]["pack_id"], "heat", "deformed", on="2026-06-14")
            by = await lots.carrier(world)
            path = f"/v1/consignments/{lot['id']}/dispatch"
            problem = await world.staff.refused("POST", path, 409, lots.sent(by["id"]))
            assert problem["code"] == "transport_check_failed"
            assert await lots.room(world, outlet) == (92, 0, 0)
            await world.staff.post(f"/v1/inspections/{failed['id']}/treatment", TREATED)
            left = await world.staff.post(path, lots.sent(by["id"]))
            assert left["state"] == "dispatched"

    database(scenario)


def test_a_later_check_that_passes_lets_a_pack_go_without_a_treatment(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ways, _, _ = await lots.ways(world, 1)
            await check(world, ways[0]["pack_id"], "voltage_abnormal", on="2026-06-14")
            await check(world, ways[0]["pack_id"])
            assert (await lots.pack_lot(world, ways))["state"] == "packed"

    database(scenario)


def test_what_is_left_of_a_burnt_pack_is_not_found_intact_later_either(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            path = f"/v1/lines/{lease['line']['id']}/incidents"
            await world.staff.post(path, steps.gone("burnt"))
            await steps.inspect(world, lease["pack"], hazard="damaged")
            await steps.decide(world, lease["pack"], "recycle")
            again = steps.inspection("2026-06-14")
            inspections = f"/v1/packs/{lease['pack']['id']}/inspections"
            problem = await world.staff.refused("POST", inspections, 400, again)
            assert problem["code"] == "burnt_is_not_intact"

    database(scenario)


def test_the_plan_of_a_night_holds_what_may_not_be_packed_and_says_so(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await stories.condemned_packs(world, 3)
            failed = await check(world, packs[0]["id"], "water", on="2026-06-14")
            await check(world, packs[1]["id"], "water", on="2026-06-14")
            await check(world, packs[1]["id"])
            await build.outlet(world, (await build.recycler(world))["id"])

            async def states() -> list[tuple[str, str | None]]:
                await stories.run_job(world, "routing", date(2026, 6, 15))
                (plan,) = (await world.staff.get("/v1/routing-plans", state="proposed"))["items"]
                items = (await world.staff.get(f"/v1/routing-plans/{plan['id']}/items"))["items"]
                by_pack = {one["pack_id"]: (one["state"], one["reason"]) for one in items}
                return [by_pack[pack["id"]] for pack in packs]

            goes = ("planned", None)
            assert await states() == [("held", "TRANSPORT_CHECK"), goes, goes]
            await world.staff.post(f"/v1/inspections/{failed['id']}/treatment", TREATED)
            assert await states() == [goes] * 3

    database(scenario)
