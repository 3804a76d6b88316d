"""Sites: what they need of their packs, and vehicles."""

from leasing.db.pool import Database
from tests import build

VIN = "1M8GDM9AXKP042788"


def test_a_site_says_what_it_needs_and_that_can_be_changed(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world))["id"]
            needs = {"site_class": "B", "load_w": 1_800, "required_autonomy_minutes": 180}
            site = await build.site(world, owner, **needs)
            assert {name: site[name] for name in needs} == needs
            assert site["vin"] is None
            path = f"/v1/sites/{site['id']}"
            changed = await world.staff.ask(
                "PATCH", path, json={"load_w": 2_400}, headers={"if-match": '"v1"'}
            )
            assert changed.json() == {**site, "load_w": 2_400, "version": 2}
            cleared = await world.staff.ask(
                "PATCH", path, json={"site_class": None}, headers={"if-match": '"v2"'}
            )
            assert cleared.json()["site_class"] is None
            assert cleared.json()["load_w"] == 2_400

    database(scenario)


def test_a_vehicle_has_a_vin_that_is_right_and_its_own(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, "Fleet"))["id"]
            made = await build.site(world, owner, kind="vehicle", vin=VIN.lower())
            assert made["vin"] == VIN
            template = {
                name: made[name]
                for name in ("party_id", "name", "adcode", "longitude", "latitude", "datum")
            }
            for changes, told in (
                ({"kind": "vehicle", "vin": "1M8GDM9A1KP042788"}, "the others ask for 'X'"),
                ({"kind": "vehicle", "vin": "1M8GDM9AXKPO42788"}, "position 12: 'O'"),
                ({"kind": "vehicle"}, "a vehicle has a VIN"),
                ({"kind": "tower", "vin": VIN}, "nothing else has"),
            ):
                body = {**template, "code": "other", **changes}
                problem = await world.staff.refused("POST", "/v1/sites", 400, body)
                assert problem["code"] == "bad_vin"
                assert problem["errors"][0]["pointer"] == "/vin"
                assert told in problem["errors"][0]["message"]
            twice = {**template, "code": "other", "kind": "vehicle", "vin": VIN}
            problem = await world.staff.refused("POST", "/v1/sites", 409, twice)
            assert problem["code"] == "vin_taken"

    database(scenario)
