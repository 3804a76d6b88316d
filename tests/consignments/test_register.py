"""The register of an outlet: what came in, from where, and where it went."""

import csv
import io

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.consignments import lots
from tests.consignments.lots import TODAY


def test_a_register_says_what_came_in_from_where_and_where_it_went(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, routings, outlet, firm = await lots.arrived(world, 3)
            path = f"/v1/outlets/{outlet}/register"
            days = {"from_on": "2026-06-01", "to_on": TODAY}
            # On the road is neither in nor out.
            assert (await world.staff.get(path, **days))["items"] == []
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
            first = await its_own.get(path, **days, limit=2)
            second = await its_own.get(path, **days, limit=2, cursor=first["next_cursor"])
            rows = first["items"] + second["items"]
            assert [row["id"] for row in rows] == sorted(one["id"] for one in routings)
            by_id = {row["id"]: row for row in rows}
            gone = by_id[routings[0]["id"]]
            assert (gone["left_on"], gone["batch"]) == (TODAY, "B-1")
            assert gone["destination_id"] == firm["id"]
            for row in rows:
                assert (row["came_in_on"], row["consignment"]) == (TODAY, "TY-1")
                assert (row["mass_kg"], row["from_adcode"]) == (46, "410100")
                assert row["code"].startswith("9ZZP")
            assert by_id[routings[1]["id"]]["left_on"] is None
            before = {"from_on": "2026-06-01", "to_on": "2026-06-14"}
            assert (await its_own.get(path, **before))["items"] == []

            answer = await its_own.ask("GET", f"{path}/file", params={**days, "language": "en"})
            assert answer.headers["content-type"].startswith("text/csv")
            head, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
            assert head[:3] == ["Pack code", "Chemistry", "Vehicle (VIN)"]
            assert sorted(line[0] for line in lines) == sorted(row["code"] for row in rows)
            stranger = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            for one in (path, f"{path}/file"):
                hidden = await stranger.ask("GET", one, params=days)
                assert (hidden.status_code, hidden.json()["code"]) == (404, "outlet_not_found")
                assert (await customer.ask("GET", one, params=days)).status_code == 403

    database(scenario)


def test_a_pack_that_leaves_later_is_in_the_register_of_both_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, outlet, _ = await lots.ways(world, 1)
            path = f"/v1/routings/{routings[0]['id']}"
            await world.staff.post(f"{path}/hand-over", {"handed_over_on": "2026-06-10"})
            single = {"number": "RC-1", "recycled_on": TODAY, "lithium_percent": "91"}
            await world.staff.post(f"{path}/certificate", single)
            for on, count in (("2026-06-10", 1), ("2026-06-12", 0), (TODAY, 1)):
                days = {"from_on": on, "to_on": on}
                found = await world.staff.get(f"/v1/outlets/{outlet}/register", **days)
                assert len(found["items"]) == count, on

    database(scenario)
