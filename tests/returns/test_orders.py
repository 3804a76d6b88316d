"""Return orders: from the order to the last inspection, with packs that are gone among them."""

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Json, World
from tests.returns import steps


async def ordered(world: World, lease: Json, mode: str = "pick_up") -> Json:
    wanted = steps.order(lease, mode, planned_on=steps.RETURNED_ON)
    made: Json = await world.staff.post("/v1/return-orders", wanted)
    return made


def outcomes(order: Json, *told: Json, on: str = steps.RETURNED_ON) -> Json:
    """What became of the items of an order, in their order."""
    rows = [
        {"item_id": item["id"], **outcome}
        for item, outcome in zip(order["items"], told, strict=True)
    ]
    return {"on": on, "outcomes": rows}


RETURNED = {"returned": build.returned(steps.RETURNED_ON)}


def test_packs_are_picked_up_arrive_and_are_inspected_one_after_the_other(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.leases(world, 2)
            made = await world.staff.post("/v1/return-orders", steps.order(lease))
            assert (made["state"], made["planned_on"]) == ("ordered", None)
            path = f"/v1/return-orders/{made['id']}"
            early = await world.staff.refused(
                "POST", f"{path}/collection", 409, outcomes(made, RETURNED, RETURNED)
            )
            assert early["code"] == "return_order_state"
            for day in ("2026-06-09", steps.RETURNED_ON):
                planned = await world.staff.post(f"{path}/schedule", {"planned_on": day})
                assert (planned["state"], planned["planned_on"]) == ("scheduled", day)
            one = outcomes(made, RETURNED, RETURNED)
            del one["outcomes"][1]
            problem = await world.staff.refused("POST", f"{path}/collection", 400, one)
            assert problem["errors"][0]["code"] == "missing"
            both = outcomes(made, RETURNED, RETURNED)
            collected = await world.staff.post(f"{path}/collection", both)
            assert (collected["state"], collected["collected_on"]) == (
                "collected",
                steps.RETURNED_ON,
            )
            assert [item["result"] for item in collected["items"]] == ["returned"] * 2
            assert [await steps.state_of(world, pack) for pack in lease["packs"]] == [
                "returned",
                "returned",
            ]
            line = await world.staff.get(f"/v1/lines/{lease['lines'][0]['id']}")
            assert (line["ended_on"], line["end_reason"]) == (steps.RETURNED_ON, "returned")

            arrival = {"on": "2026-06-09"}
            await world.staff.refused("POST", f"{path}/arrival", 400, arrival)
            arrived = await world.staff.post(f"{path}/arrival", {"on": "2026-06-11"})
            assert (arrived["state"], arrived["arrived_on"]) == ("arrived", "2026-06-11")
            first = await steps.inspect(world, lease["packs"][0], "2026-06-11")
            halfway = await world.staff.get(path)
            assert (halfway["state"], halfway["items"][0]["inspection_id"]) == (
                "arrived",
                first["id"],
            )
            await steps.inspect(world, lease["packs"][1], "2026-06-12")
            assert (await world.staff.get(path))["state"] == "inspected"

    database(scenario)


def test_missing_stolen_and_burnt_packs_are_results_of_their_own(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.leases(world, 4)
            order = await ordered(world, lease)
            path = f"/v1/return-orders/{order['id']}/collection"
            owed = {"liable": "lessee", "compensation_amount": 80_000}
            damaged = {"incident": steps.gone("damaged")}
            told = [
                RETURNED,
                {"incident": steps.gone("missing", **owed)},
                {"incident": steps.gone("stolen", police_report="豫公 12")},
                {"incident": steps.gone("burnt", **owed)},
            ]
            problem = await world.staff.refused(
                "POST", path, 400, outcomes(order, *told[:3], damaged)
            )
            assert problem["errors"][0]["code"] == "comes_back"
            both = {**RETURNED, "incident": steps.gone("missing")}
            problem = await world.staff.refused("POST", path, 400, outcomes(order, *told[:3], both))
            assert problem["errors"][0]["code"] == "one_of_three"
            states = [await steps.state_of(world, pack) for pack in lease["packs"]]
            assert states == ["leased"] * 4

            done = await world.staff.post(path, outcomes(order, *told))
            assert [item["result"] for item in done["items"]] == [
                "returned",
                "missing",
                "stolen",
                "burnt",
            ]
            assert [await steps.state_of(world, pack) for pack in lease["packs"]] == [
                "returned",
                "lost",
                "lost",
                "burnt",
            ]
            lines = [await world.staff.get(f"/v1/lines/{one['id']}") for one in lease["lines"]]
            assert [line["end_reason"] for line in lines] == ["returned", "lost", "lost", "lost"]
            holders = []
            for pack in lease["packs"]:
                held = await world.staff.get(f"/v1/packs/{pack['id']}/custody")
                holders.append(held["held"]["held_by"])
            assert holders == ["lessor", "nobody", "nobody", "lessor"]
            fees = (await world.staff.get("/v1/fees"))["items"]
            assert [fee["component"] for fee in fees] == ["loss", "loss"]

            await world.staff.post(f"/v1/return-orders/{order['id']}/arrival", {"on": "2026-06-11"})
            await steps.inspect(world, lease["packs"][0], "2026-06-11")
            after = await world.staff.get(f"/v1/return-orders/{order['id']}")
            assert after["state"] == "inspected"  # it does not wait for remains
            await steps.inspect(world, lease["packs"][3], "2026-06-12", hazard="critical")

    database(scenario)


def test_an_incident_that_was_reported_before_is_the_result_of_an_order(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.leases(world, 1)
            other = await steps.leases(world, 1)
            order = await ordered(world, lease, "drop_off")
            stolen = steps.gone("stolen", "2026-05-20")
            incident, strange = [
                await world.staff.post(f"/v1/lines/{one['lines'][0]['id']}/incidents", stolen)
                for one in (lease, other)
            ]
            path = f"/v1/return-orders/{order['id']}/arrival"
            wrong = outcomes(order, {"incident_id": strange["id"]})
            await world.staff.refused("POST", path, 404, wrong)
            told = outcomes(order, {"incident_id": incident["id"]})
            done = await world.staff.post(path, told)
            assert (done["items"][0]["result"], done["items"][0]["resulted_on"]) == (
                "stolen",
                "2026-05-20",
            )
            assert done["state"] == "inspected"  # nothing came back

    database(scenario)


def test_what_the_lessee_brings_is_tested_where_it_arrives(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.leases(world, 1)
            order = await ordered(world, lease, "drop_off")
            path = f"/v1/return-orders/{order['id']}"
            told = outcomes(order, RETURNED)
            problem = await world.staff.refused("POST", f"{path}/collection", 409, told)
            assert problem["code"] == "return_order_state"
            await world.staff.refused("POST", f"{path}/arrival", 400, {"on": steps.RETURNED_ON})
            arrived = await world.staff.post(f"{path}/arrival", told)
            assert (arrived["state"], arrived["collected_on"]) == ("arrived", None)

    database(scenario)


def test_a_line_comes_back_by_one_order_at_a_time(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease, other = await steps.leases(world, 1), await steps.leases(world, 1)
            order = await ordered(world, lease)
            twice = steps.order(lease)
            problem = await world.staff.refused("POST", "/v1/return-orders", 409, twice)
            assert problem["code"] == "line_on_another_order"
            mixed = steps.order(lease, line_ids=[other["lines"][0]["id"]])
            problem = await world.staff.refused("POST", "/v1/return-orders", 400, mixed)
            assert problem["errors"][0]["code"] == "no_pack"
            path = f"/v1/return-orders/{order['id']}/cancellation"
            given_up = await world.staff.post(path, {"reason": "renewed"})
            assert (given_up["state"], given_up["cancel_reason"]) == ("cancelled", "renewed")
            assert await steps.state_of(world, lease["packs"][0]) == "leased"
            await world.staff.post("/v1/return-orders", twice)
            await world.staff.refused("POST", path, 409, {"reason": "again"})

    database(scenario)


def test_a_customer_reads_its_own_orders_and_their_story(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease, other = await steps.leases(world, 1), await steps.leases(world, 1)
            mine, strange = await ordered(world, lease), await ordered(world, other)
            customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            (seen,) = (await customer.get("/v1/return-orders"))["items"]
            assert (seen["id"], len(seen["items"])) == (mine["id"], 1)
            await customer.refused("GET", f"/v1/return-orders/{strange['id']}", 404)
            timeline = await customer.get(f"/v1/contracts/{lease['contract']['id']}/timeline")
            told = [entry["summary_en"] for entry in timeline["items"]]
            assert "1 packs were ordered back." in told
            auditor = await world.login(Role.AUDITOR)
            assert len((await auditor.get("/v1/return-orders"))["items"]) == 2
            firm = await build.recycler(world)
            recycler = await world.login(Role.RECYCLER, firm["id"])
            await recycler.refused("GET", "/v1/return-orders", 403)

    database(scenario)
