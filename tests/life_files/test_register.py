"""The register of an outlet, as it reads it itself: what came in, from where, and where it went."""

import csv
import io

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.consignments import lots
from tests.consignments.lots import TODAY

DAYS = {"from_on": "2026-06-01", "to_on": "2026-06-16"}


def test_an_outlet_reads_what_came_in_from_where_and_where_it_went(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, routings, outlet, firm = await lots.arrived(world, 3)
            path = f"/v1/outlets/{outlet}/register"
            # On the road is neither in nor out.
            assert (await world.staff.get(path, **DAYS))["entries"] == []
            await world.staff.post(f"/v1/consignments/{lot['id']}/receipt", {"received_on": TODAY})
            taken = {
                "number": "B-1",
                "received_on": TODAY,
                "mass_in_kg": "46",
                "routing_ids": [routings[0]["id"]],
            }
            batch = await world.staff.post("/v1/recovery-batches", taken)
            certificate = {
                "number": "RC-1",
                "recycled_on": TODAY,
                "metals": [{"metal": "Li", "percent": "91"}],
            }
            await world.staff.post(f"/v1/recovery-batches/{batch['id']}/certificate", certificate)
            its_own = await world.login(Role.RECYCLER, firm["id"])
            made = await its_own.get(path, **DAYS)
            assert (made["packs_in"], made["kg_in"], made["packs_out"]) == (3, 138, 1)
            came = [one for one in made["entries"] if one["direction"] == "in"]
            for one in came:
                # Not who had it: that is the lessor's business.
                assert (one["on"], one["source"]) == (TODAY, "410100")
                assert (one["mass_kg"], one["consignment"]) == (46, "TY-1")
                assert one["code"].startswith("9ZZP")
            (gone,) = [one for one in made["entries"] if one["direction"] == "out"]
            assert (gone["evidence"], gone["destination"]) == ("RC-1", firm["name"])
            told = await world.staff.get(path, **DAYS)
            assert {one["source"] for one in told["entries"]} == {
                "Tower operator",
                made["outlet_code"],
            }
            before = DAYS | {"to_on": TODAY}
            assert (await its_own.get(path, **before))["entries"] == []

            asked = DAYS | {"format": "csv", "language": "en"}
            answer = await its_own.ask("GET", path, params=asked)
            assert answer.headers["content-type"].startswith("text/csv")
            head, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
            assert head[:3] == ["Day", "In or out", "Pack code"]
            assert sorted(line[2] for line in lines) == sorted(
                one["code"] for one in made["entries"]
            )
            assert "Tower operator" not in answer.text
            stranger = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            hidden = await stranger.ask("GET", path, params=DAYS)
            assert (hidden.status_code, hidden.json()["code"]) == (404, "outlet_not_found")
            assert (await customer.ask("GET", path, params=DAYS)).status_code == 403

    database(scenario)


def test_a_pack_that_leaves_later_is_in_the_register_of_both_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, outlet, _ = await lots.ways(world, 1)
            path = f"/v1/routings/{routings[0]['id']}"
            await world.staff.post(f"{path}/hand-over", {"handed_over_on": "2026-06-10"})
            single = {"number": "RC-1", "recycled_on": TODAY, "lithium_percent": "91"}
            await world.staff.post(f"{path}/certificate", single)
            for on, to, kinds in (
                ("2026-06-10", "2026-06-11", ["in"]),
                ("2026-06-12", "2026-06-13", []),
                (TODAY, "2026-06-16", ["out"]),
            ):
                days = {"from_on": on, "to_on": to}
                found = await world.staff.get(f"/v1/outlets/{outlet}/register", **days)
                assert [one["direction"] for one in found["entries"]] == kinds, on

    database(scenario)


def test_what_was_refused_at_the_gate_is_not_in_the_register(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, outlet, _ = await lots.arrived(world, 1)
            refused = {"refused_on": TODAY, "reason": "wet"}
            await world.staff.post(f"/v1/consignments/{lot['id']}/refusal", refused)
            made = await world.staff.get(f"/v1/outlets/{outlet}/register", **DAYS)
            assert made["entries"] == []

    database(scenario)


def test_a_register_that_is_too_long_is_asked_for_in_parts(database, monkeypatch):
    monkeypatch.setattr("leasing.life_files.service.MAX_ROWS", 1)

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, outlet, _ = await lots.arrived(world, 2)
            await world.staff.post(f"/v1/consignments/{lot['id']}/receipt", {"received_on": TODAY})
            path = f"/v1/outlets/{outlet}/register"
            problem = await world.staff.ask("GET", path, params=DAYS)
            assert (problem.status_code, problem.json()["code"]) == (400, "register_too_long")

    database(scenario)
