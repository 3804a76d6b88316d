"""Waste that comes into the lessor's own store is recorded and to be reported."""

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World
from tests.returns import steps


async def condemned(world: World, on: str = "2026-06-11") -> Json:
    lease = await steps.returned_pack(world)
    pack: Json = lease["pack"]
    await steps.inspect(world, pack)
    await steps.decide(world, pack, "recycle", decided_on=on)
    return pack


async def arrives(world: World, pack: Json, status: int, on: str = "2026-06-12") -> Json:
    answer = await world.staff.ask(
        "POST", f"/v1/packs/{pack['id']}/waste-receipt", json={"received_on": on}
    )
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


def test_waste_in_the_lessors_own_store_is_the_lessors_to_report(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await condemned(world)
            assert (await arrives(world, pack, 200))["state"] == "condemned"
            record = (await world.staff.get(f"/v1/packs/{pack['id']}/life"))["records"][-1]
            assert (record["kind"], record["happened_on"]) == ("waste.inbound", "2026-06-12")
            assert record["party_id"] is None
            (inspection,) = (await world.staff.get("/v1/inspections", pack_id=pack["id"]))["items"]
            assert record["data"] == {"mass_kg": 46, "inspection_id": inspection["id"]}
            due = (await world.staff.get(f"/v1/packs/{pack['id']}/obligations"))["items"][-1]
            assert (due["rule_code"], due["due_on"]) == ("repurposer.waste.inbound", "2026-07-12")
            # It waits there as before: the table of custody and the records agree on it.
            period = {"from_on": "2026-01-01", "to_on": "2026-06-16"}
            made = await world.staff.get("/v1/mass-balance", **period)
            assert (made["balances"], made["by_fate"]["stored"]["packs"]) == (True, 1)
            life = await world.staff.get(f"/v1/life-files/{pack['code']}")
            assert [one["kind"] for one in life["gaps"]] == ["first_life_unknown"]

    database(scenario)


def test_what_was_not_declared_or_is_there_or_has_left_does_not_arrive(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            fresh = await build.pack(world)
            assert (await arrives(world, fresh, 409))["code"] == "waste_not_awaited"
            pack = await condemned(world)
            early = await arrives(world, pack, 409, "2026-06-10")
            assert early["errors"][0]["pointer"] == "/received_on"
            assert (await arrives(world, pack, 400, "2026-06-16"))["code"] == "in_the_future"
            await arrives(world, pack, 200)
            assert (await arrives(world, pack, 409))["code"] == "waste_not_awaited"
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            gone = await condemned(world)
            path = f"/v1/packs/{gone['id']}/routings"
            way = await world.staff.post(path, {"hand_over_on": steps.TODAY})
            handed = {"handed_over_on": steps.TODAY}
            await world.staff.post(f"/v1/routings/{way['id']}/hand-over", handed)
            assert (await arrives(world, gone, 409, steps.TODAY))["code"] == "waste_not_awaited"

    database(scenario)
