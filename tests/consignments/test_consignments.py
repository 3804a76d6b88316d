"""Lots on the road: of one hazard class, by whom it may, weighed, taken or refused."""

import asyncio
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.consignments import lots
from tests.consignments.lots import TODAY


async def refused_dispatch(world: World, lot: Json, **changes: Any) -> set[str]:
    """Why a lot may not leave, as codes."""
    carrier_id = changes.pop("carrier_id", None) or (await lots.carrier(world))["id"]
    path = f"/v1/consignments/{lot['id']}/dispatch"
    problem = await world.staff.refused("POST", path, 409, lots.sent(carrier_id, **changes))
    assert problem["code"] == "may_not_leave"
    return {one["code"] for one in problem["extra"]["hindrances"]}


def test_a_lot_goes_from_reserved_to_in_transit_to_stock_and_never_counts_twice(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, outlet, firm = await lots.ways(world, 3)
            assert await lots.room(world, outlet) == (138, 0, 0)
            lot = await lots.pack_lot(world, routings)
            assert (lot["state"], lot["un_number"], lot["expected_kg"]) == (
                "packed",
                "UN 3480",
                138,
            )
            assert lot["packing"]["packing_instructions"] == ["P909"]
            assert lot["packing"]["marks"] == ["LITHIUM BATTERIES FOR RECYCLING"]
            assert await lots.room(world, outlet) == (138, 0, 0)
            lot = await lots.send(world, lot)
            assert (lot["state"], lot["mode"]) == ("dispatched", "road")
            assert await lots.room(world, outlet) == (0, 138, 0)

            its_own = await world.login(Role.RECYCLER, firm["id"])
            path = f"/v1/consignments/{lot['id']}"
            weights = [{"routing_id": one["id"], "weighed_kg": "46.1"} for one in routings]
            lot = await its_own.post(f"{path}/weigh-in", {"weighed_on": TODAY, "packs": weights})
            assert (lot["weighed_kg"], lot["discrepancy_kg"]) == ("138.30", "0.30")
            assert (lot["tolerance_kg"], lot["is_discrepant"]) == ("1.50", False)
            assert await lots.room(world, outlet) == (0, 138, 0)
            lot = await its_own.post(f"{path}/receipt", {"received_on": TODAY})
            assert lot["state"] == "received"
            assert await lots.room(world, outlet) == (0, 0, 138)
            for routing in routings:
                way = await world.staff.get(f"/v1/routings/{routing['id']}")
                assert (way["state"], way["handed_over_on"]) == ("handed_over", TODAY)
            life = await world.staff.get(f"/v1/packs/{routings[0]['pack_id']}/life")
            inbound = life["records"][-1]
            assert inbound["kind"] == "waste.inbound"
            assert inbound["data"]["consignment"] == "TY-1"
            assert inbound["data"]["packing_instructions"] == ["P909"]
            assert inbound["data"]["weighed_kg"] == "46.10"
            page = await world.staff.get(f"/v1/packs/{routings[0]['pack_id']}/timeline")
            told = [one["kind"] for one in page["items"]]
            assert "routing.dispatched" in told

    database(scenario)


@pytest.mark.parametrize(
    ("hazard", "instructions", "mark"),
    [
        ("damaged", ["P908", "LP904"], "DAMAGED/DEFECTIVE LITHIUM ION BATTERIES"),
        ("critical", ["P911", "LP906"], "DAMAGED/DEFECTIVE LITHIUM ION BATTERIES"),
    ],
)
def test_what_is_damaged_is_packed_as_its_class_asks(database, hazard, instructions, mark):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 1, (hazard,))
            lot = await lots.pack_lot(world, routings)
            assert lot["hazard"] == hazard
            assert lot["packing"]["packing_instructions"] == instructions
            assert lot["packing"]["marks"] == [mark]
            assert (await lots.send(world, lot))["state"] == "dispatched"

    database(scenario)


@pytest.mark.parametrize("pair", [("intact", "damaged"), ("intact", "critical")])
def test_damaged_and_intact_packs_are_never_in_one_lot(database, pair):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 2, pair)
            problem = await world.staff.refused(
                "POST", "/v1/consignments", 409, lots.packed(routings)
            )
            assert problem["code"] == "mixed_hazards"
            assert problem["extra"]["by_hazard"] == {
                hazard: [routing["pack_id"]] for hazard, routing in zip(pair, routings, strict=True)
            }
            # Nor does the database take one, whoever writes it.
            lot = await lots.pack_lot(world, routings[:1])
            smuggled = """
            INSERT INTO consignment_pack
            SELECT $1, id, outlet_id, pack_id, $3, 'B', mass_kg
              FROM routing
             WHERE id = $2
            """
            with pytest.raises(asyncpg.ForeignKeyViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(smuggled, lot["id"], routings[1]["id"], pair[1])
            assert caught.value.constraint_name == "consignment_pack_of_its_hazard"

    database(scenario)


def test_a_pack_in_a_lot_goes_with_its_lot_and_in_no_other(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, outlet, _ = await lots.ways(world, 2)
            lot = await lots.pack_lot(world, routings)
            again = lots.packed(routings[:1], number="TY-2")
            problem = await world.staff.refused("POST", "/v1/consignments", 409, again)
            assert problem["code"] == "in_another_consignment"
            path = f"/v1/routings/{routings[0]['id']}"
            handed = {"handed_over_on": TODAY}
            problem = await world.staff.refused("POST", f"{path}/hand-over", 409, handed)
            assert problem["code"] == "routing_consigned"
            given_up = {"released_on": TODAY, "reason": "R"}
            problem = await world.staff.refused("POST", f"{path}/release", 409, given_up)
            assert problem["code"] == "routing_consigned"
            cancelled = {"cancelled_on": TODAY, "reason": "no vehicle"}
            lot = await world.staff.post(f"/v1/consignments/{lot['id']}/cancellation", cancelled)
            assert (lot["state"], lot["cancel_reason"]) == ("cancelled", "no vehicle")
            await lots.pack_lot(world, routings[:1], number="TY-3")
            await world.staff.post(f"/v1/routings/{routings[1]['id']}/release", given_up)
            assert await lots.room(world, outlet) == (46, 0, 0)

    database(scenario)


def test_a_carrier_needs_a_permit_of_its_mode_on_the_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, routings)
            over = await lots.carrier(world, valid_to=TODAY)
            assert await refused_dispatch(world, lot, carrier_id=over["id"]) == {
                "carrier_not_permitted"
            }
            rail = await lots.carrier(world, mode="rail")
            assert await refused_dispatch(world, lot, carrier_id=rail["id"]) == {
                "carrier_not_permitted"
            }
            good = await lots.carrier(world)
            (permit,) = (await world.staff.get("/v1/carrier-permits", carrier_id=good["id"]))[
                "items"
            ]
            withdrawn = {"withdrawn_on": TODAY, "document": "Order 9"}
            path = f"/v1/carrier-permits/{permit['id']}/withdrawal"
            ended = await world.staff.post(path, withdrawn)
            assert ended["valid_to"] == TODAY
            problem = await world.staff.refused("POST", path, 409, withdrawn)
            assert problem["code"] == "carrier_permit_ended"
            assert await refused_dispatch(world, lot, carrier_id=good["id"]) == {
                "carrier_not_permitted"
            }
            path = f"/v1/parties/{good['id']}/carrier-permits"
            anew = {"mode": "road", "document": "D 2", "valid_from": TODAY}
            await world.staff.post(path, anew)
            problem = await world.staff.refused("POST", path, 409, anew)
            assert problem["code"] == "carrier_permit_overlaps"
            nobody = await build.customer(world)
            path = f"/v1/parties/{nobody['id']}/carrier-permits"
            assert (await world.staff.refused("POST", path, 409, anew))["code"] == "not_a_carrier"
            sent = lots.sent(good["id"])
            sent_off = await world.staff.post(f"/v1/consignments/{lot['id']}/dispatch", sent)
            assert sent_off["state"] == "dispatched"

    database(scenario)


def test_what_flies_is_intact_read_within_a_day_and_charged_to_30_percent_at_most(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 2)
            lot = await lots.pack_lot(world, routings)
            plane = (await lots.carrier(world, mode="air"))["id"]
            approval = {"approval": "CAAC A183/2026-7"}

            async def against(**changes: Any) -> set[str]:
                return await refused_dispatch(world, lot, carrier_id=plane, mode="air", **changes)

            async def read(hours_ago: float, *percents: float) -> None:
                at = midnight(date.fromisoformat(TODAY)) + build.NOON
                readings = [
                    {
                        "pack_id": routing["pack_id"],
                        "at": (at - timedelta(hours=hours_ago)).isoformat(),
                        "voltage_v": 51.2,
                        "current_a": 0,
                        "soc_percent": percent,
                    }
                    for routing, percent in zip(routings, percents, strict=True)
                ]
                await world.staff.post("/v1/readings", {"readings": readings})

            assert await against() == {"approval_missing", "soc_unknown"}
            await read(24.5, 20, 20)
            assert await against(**approval) == {"soc_unknown"}
            await read(20, 30, 30.5)
            assert await against(**approval) == {"soc_too_high"}
            await read(2, 30, 28)
            by_air = lots.sent(plane, mode="air", **approval)
            path = f"/v1/consignments/{lot['id']}/dispatch"
            left = await world.staff.post(path, by_air)
            assert sorted(one["soc_percent"] for one in left["packs"]) == [28, 30]

    database(scenario)


def test_damaged_packs_never_fly(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 1, ("damaged",))
            lot = await lots.pack_lot(world, routings)
            plane = (await lots.carrier(world, mode="air"))["id"]
            found = await refused_dispatch(
                world, lot, carrier_id=plane, mode="air", approval="CAAC 1"
            )
            assert "hazard_forbidden" in found
            flown = """
            UPDATE consignment
               SET state = 'dispatched', dispatched_on = packed_on, mode = 'air',
                   carrier_id = $2, vehicle = 'V', driver = 'D',
                   permit_id = (SELECT id FROM carrier_permit LIMIT 1)
             WHERE id = $1
            """
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(flown, lot["id"], plane)
            assert caught.value.constraint_name == "consignment_damaged_not_by_air"

    database(scenario)


def test_a_lot_does_not_leave_for_a_recycler_that_lost_its_evidence(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, outlet, firm = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, routings)
            withdrawn = {"kind": "eia", "withdrawn_on": TODAY, "document": "Order 1"}
            await world.staff.post(f"/v1/parties/{firm['id']}/withdrawals", withdrawn)
            assert await refused_dispatch(world, lot) == {"recycler_not_qualified"}
            assert await lots.room(world, outlet) == (46, 0, 0)

    database(scenario)


def test_a_lot_that_weighs_too_little_is_not_received_before_somebody_says_why(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 2)
            lot = await lots.pack_lot(world, routings)
            await lots.send(world, lot)
            path = f"/v1/consignments/{lot['id']}"
            received = {"received_on": TODAY}
            early = await world.staff.refused("POST", f"{path}/receipt", 409, received)
            assert early["code"] == "consignment_state"
            # As a whole within a kilogram; but one is light, and the other heavy.
            weights = [
                {"routing_id": routings[0]["id"], "weighed_kg": "40"},
                {"routing_id": routings[1]["id"], "weighed_kg": "52"},
            ]
            wrong = {"weighed_on": TODAY, "weighed_kg": "93", "packs": weights}
            problem = await world.staff.refused("POST", f"{path}/weigh-in", 400, wrong)
            assert problem["errors"][0]["code"] == "does_not_add_up"
            partly = {"weighed_on": TODAY, "packs": weights[:1]}
            problem = await world.staff.refused("POST", f"{path}/weigh-in", 400, partly)
            assert problem["errors"][0]["code"] == "missing"
            before = {"weighed_on": "2018-01-01", "packs": weights}
            problem = await world.staff.refused("POST", f"{path}/weigh-in", 409, before)
            assert problem["code"] == "consignment_order"
            weighed = {"weighed_on": TODAY, "packs": weights}
            lot = await world.staff.post(f"{path}/weigh-in", weighed)
            assert (lot["discrepancy_kg"], lot["is_discrepant"]) == ("0.00", True)
            problem = await world.staff.refused("POST", f"{path}/receipt", 409, received)
            assert problem["code"] == "discrepancy_unexplained"
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(
                        "UPDATE consignment SET state = 'received', received_on = weighed_on"
                    )
            assert caught.value.constraint_name == "consignment_discrepancy_explained"
            said = {"explanation": "cover removed from one, put on the other"}
            await world.staff.post(f"{path}/explanation", said)
            assert (await world.staff.post(f"{path}/receipt", received))["state"] == "received"

    database(scenario)


def test_a_lot_is_received_on_a_day_on_which_its_recycler_is_qualified_or_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, routings, outlet, firm = await lots.arrived(world)
            path = f"/v1/consignments/{lot['id']}"
            withdrawn = {"kind": "discharge_permit", "withdrawn_on": TODAY, "document": "Order 1"}
            await world.staff.post(f"/v1/parties/{firm['id']}/withdrawals", withdrawn)
            received = {"received_on": TODAY}
            problem = await world.staff.refused("POST", f"{path}/receipt", 409, received)
            assert problem["code"] == "outlet_not_qualified"
            assert await lots.room(world, outlet) == (0, 92, 0)
            its_own = await world.login(Role.RECYCLER, firm["id"])
            refused = {"refused_on": TODAY, "reason": "permit withdrawn"}
            lot = await its_own.post(f"{path}/refusal", refused)
            assert (lot["state"], lot["refusal_reason"]) == ("refused", "permit withdrawn")
            assert await lots.room(world, outlet) == (92, 0, 0)
            given_up = {"released_on": TODAY, "reason": "permit withdrawn"}
            for routing in routings:
                await world.staff.post(f"/v1/routings/{routing['id']}/release", given_up)
            assert await lots.room(world, outlet) == (0, 0, 0)
            await world.staff.refused("POST", f"{path}/receipt", 409, received)

    database(scenario)


def test_who_receives_and_who_refuses_at_once_one_of_them_wins(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, outlet, _ = await lots.arrived(world, 3)
            path = f"/v1/consignments/{lot['id']}"
            received, refused = {"received_on": TODAY}, {"refused_on": TODAY, "reason": "R"}
            answers = await asyncio.gather(
                world.staff.ask("POST", f"{path}/receipt", json=received),
                world.staff.ask("POST", f"{path}/refusal", json=refused),
                world.staff.ask("POST", f"{path}/receipt", json=received),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
            taken = (await world.staff.get(path))["state"] == "received"
            assert await lots.room(world, outlet) == ((0, 0, 138) if taken else (138, 0, 0))

    database(scenario)


def test_a_lot_goes_to_one_outlet_and_of_packs_that_are_reserved(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"], store_limit_kg=50)
            await build.outlet(world, firm["id"], latitude=35.2)
            routings = [
                await world.staff.post(f"/v1/packs/{pack['id']}/routings", {"hand_over_on": TODAY})
                for pack in await stories.condemned_packs(world, 2)
            ]
            problem = await world.staff.refused(
                "POST", "/v1/consignments", 409, lots.packed(routings)
            )
            assert problem["code"] == "several_outlets"
            unknown = lots.packed([{"id": "00000000-0000-0000-0000-000000000001"}])
            await world.staff.refused("POST", "/v1/consignments", 404, unknown)
            handed = {"handed_over_on": TODAY}
            await world.staff.post(f"/v1/routings/{routings[0]['id']}/hand-over", handed)
            gone = lots.packed(routings[:1])
            problem = await world.staff.refused("POST", "/v1/consignments", 409, gone)
            assert problem["code"] == "routing_state"
            await lots.pack_lot(world, routings[1:])
            again = lots.packed(routings[1:])
            await world.staff.refused("POST", "/v1/consignments", 409, again)

    database(scenario)


def test_what_is_no_lithium_ion_battery_is_refused_a_lot(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            code = build.battery_code(chemistry="A")
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"], chemistries=("A",))
            (pack,) = await stories.condemned_packs(world, 1, code=code)
            routing = await world.staff.post(
                f"/v1/packs/{pack['id']}/routings", {"hand_over_on": TODAY}
            )
            problem = await world.staff.refused(
                "POST", "/v1/consignments", 409, lots.packed([routing])
            )
            assert problem["code"] == "no_packing_rule"
            assert problem["extra"] == {"chemistries": ["A"]}

    database(scenario)


def test_a_recycler_sees_its_own_lots_and_a_customer_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, _, firm = await lots.arrived(world)
            path = f"/v1/consignments/{lot['id']}"
            stranger = await build.recycler(world)
            its_own = await world.login(Role.RECYCLER, firm["id"])
            another = await world.login(Role.RECYCLER, stranger["id"])
            auditor = await world.login(Role.AUDITOR)
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            for reader in (its_own, auditor, world.staff):
                assert (await reader.get(path))["packs"] == lot["packs"]
                items = (await reader.get("/v1/consignments"))["items"]
                assert [one["id"] for one in items] == [lot["id"]]
            assert (await another.get("/v1/consignments"))["items"] == []
            await another.refused("GET", path, 404)
            for what, body in (
                ("receipt", {"received_on": TODAY}),
                ("refusal", {"refused_on": TODAY, "reason": "R"}),
                ("weigh-in", {"weighed_on": TODAY, "weighed_kg": "92"}),
            ):
                await another.refused("POST", f"{path}/{what}", 404, body)
                await customer.refused("POST", f"{path}/{what}", 403, body)
                await auditor.refused("POST", f"{path}/{what}", 403, body)
            await customer.refused("GET", path, 403)
            await its_own.refused("POST", f"{path}/explanation", 403, {"explanation": "E"})

    database(scenario)
