"""Which slot a device of a site's supervision unit speaks of."""

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Client, Json


def device(code: str, slot: int, part: int = 1) -> Json:
    return {"code": code, "part": part, "slot": slot}


async def put(client: Client, site_id: str, *devices: Json) -> list[Json]:
    body = {"devices": list(devices)}
    response = await client.ask("PUT", f"/v1/sites/{site_id}/devices", json=body)
    found: list[Json] = build.expect(response, 200)["devices"]
    return found


def test_devices_are_said_for_a_whole_site_at_once_and_said_again_change_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            site = await build.site(world, lessee["id"])
            wanted = [device("41010043200001", 2), device("41010043200001", 1, part=2)]
            assert await put(world.staff, site["id"], *wanted) == wanted
            assert await put(world.staff, site["id"], *reversed(wanted)) == wanted
            events = await world.staff.get(f"/v1/sites/{site['id']}/timeline")
            told = [one["kind"] for one in events["items"]]
            assert told.count("site.devices_changed") == 1
            assert await put(world.staff, site["id"], device("41010043200002", 2)) == [
                device("41010043200002", 2)
            ]
            own = await world.login(Role.CUSTOMER, lessee["id"])
            other = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            seen = await own.get(f"/v1/sites/{site['id']}/devices")
            assert seen["devices"] == [device("41010043200002", 2)]
            await other.refused("GET", f"/v1/sites/{site['id']}/devices", 404)

    database(scenario)


def test_every_contradiction_is_named(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            site = await build.site(world, lessee["id"])
            body = {"devices": [device("A", 1), device("A", 2), device("B", 2)]}
            path = f"/v1/sites/{site['id']}/devices"
            refusal = await world.staff.refused("PUT", path, 400, body)
            named = {(one["pointer"], one["code"]) for one in refusal["errors"]}
            assert named == {
                ("/devices/0/code", "device_twice"),
                ("/devices/1/code", "device_twice"),
                ("/devices/1/slot", "slot_twice"),
                ("/devices/2/slot", "slot_twice"),
            }

    database(scenario)


def test_a_device_is_at_one_site(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            here, there = [await build.site(world, lessee["id"]) for _ in range(2)]
            await put(world.staff, here["id"], device("A", 1))
            body = {"devices": [device("A", 1)]}
            path = f"/v1/sites/{there['id']}/devices"
            refusal = await world.staff.refused("PUT", path, 409, body)
            assert refusal["code"] == "device_taken"
            await put(world.staff, here["id"])
            await put(world.staff, there["id"], device("A", 1))

    database(scenario)
