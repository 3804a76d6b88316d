"""What was recovered from batches: against the floors of its day, China and the Union apart."""

from datetime import date
from decimal import Decimal

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.end_of_life import floors
from schemas.recovery import FloorResult, Metal, Regime
from tests import build
from tests.build import Json, World
from tests.consignments import lots
from tests.consignments.lots import TODAY


def floor(regime: str, metal: str | None, on: date) -> Decimal | None:
    found = [one for one in floors.floors_on(on) if (one.regime, one.metal) == (regime, metal)]
    assert len(found) <= 1
    return found[0].percent if found else None


@pytest.mark.parametrize(
    ("regime", "metal", "steps"),
    [
        ("cn", "Li", {"2019-12-31": None, "2020-01-01": 85, "2024-12-31": 85, "2025-01-01": 90}),
        ("cn", "Ni", {"2024-12-31": 98, "2025-01-01": 98}),
        ("cn", "Cu", {"2026-01-01": None}),
        ("eu", None, {"2025-12-30": None, "2025-12-31": 65, "2030-12-30": 65, "2030-12-31": 70}),
        ("eu", "Li", {"2027-12-30": None, "2027-12-31": 50, "2031-12-30": 50, "2031-12-31": 80}),
        ("eu", "Co", {"2027-12-30": None, "2027-12-31": 90, "2031-12-30": 90, "2031-12-31": 95}),
        ("eu", "Cu", {"2027-12-31": 90, "2031-12-31": 95}),
        ("eu", "Mn", {"2031-12-31": None}),
    ],
)
def test_a_floor_holds_from_its_day_on(regime, metal, steps):
    assert {on: floor(regime, metal, date.fromisoformat(on)) for on in steps} == steps


@given(st.decimals(0, 100, places=2), st.dates(date(2020, 1, 1), date(2040, 1, 1)))
def test_more_recovered_is_never_judged_worse(percent, on):
    higher = min(Decimal(100), percent + Decimal("0.01"))
    for metal in Metal:
        less, more = [floors.judge({metal: each}, each, on) for each in (percent, higher)]
        for regime in Regime:
            assert not (floors.is_below(more, regime) and not floors.is_below(less, regime))


def test_every_floor_names_its_source_and_no_two_hold_at_once():
    for one in floors.FLOORS:
        assert one.source
        assert one.valid_to is None or one.valid_from < one.valid_to
        same = [
            other
            for other in floors.FLOORS
            if (other.regime, other.metal) == (one.regime, one.metal)
        ]
        for other in same:
            if other is not one:
                assert (one.valid_to or date.max) <= other.valid_from or (
                    other.valid_to or date.max
                ) <= one.valid_from


async def received_lot(world: World, count: int = 2) -> tuple[Json, list[Json], str, Json]:
    lot, routings, outlet, firm = await lots.arrived(world, count)
    path = f"/v1/consignments/{lot['id']}/receipt"
    lot = await world.staff.post(path, {"received_on": TODAY})
    return lot, routings, outlet, firm


def certificate(number: str = "RC-1", **changes: object) -> Json:
    return {
        "number": number,
        "recycled_on": TODAY,
        "metals": [
            {"metal": "Li", "percent": "91.67", "input_kg": "2.4", "output_kg": "2.2"},
            {"metal": "Cu", "percent": "98.5"},
        ],
        "recovered_kg": "64.4",
        "residue_kg": "20",
        "products": [{"product": "Li2CO3", "mass_kg": "11.7"}],
        **changes,
    }


def test_a_batch_of_a_consignment_is_certified_as_one_and_its_packs_are_no_more(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, routings, outlet, firm = await received_lot(world)
            its_own = await world.login(Role.RECYCLER, firm["id"])
            taken = {
                "number": "B-1",
                "received_on": TODAY,
                "mass_in_kg": "92",
                "consignment_id": lot["id"],
            }
            batch = await its_own.post("/v1/recovery-batches", taken)
            assert (batch["state"], batch["expected_kg"]) == ("received", 92)
            assert batch["floors"] == []
            assert await lots.room(world, outlet) == (0, 0, 92)
            path = f"/v1/recovery-batches/{batch['id']}"
            done = await its_own.post(f"{path}/certificate", certificate())
            assert await lots.room(world, outlet) == (0, 0, 0)
            assert (done["efficiency_percent"], done["lost_kg"]) == ("70.00", "7.60")
            assert (done["is_below_floor"], done["is_below_eu_floor"]) == (False, False)
            judged = {(one["regime"], one["metal"]): one["verdict"] for one in done["floors"]}
            assert judged == {
                ("cn", "Li"): "met",
                ("cn", "Ni"): "not_reported",
                ("cn", "Co"): "not_reported",
                ("cn", "Mn"): "not_reported",
                ("cn", "NiCoMn"): "not_reported",
                ("eu", None): "met",
            }
            for routing in routings:
                life = await world.staff.get(f"/v1/packs/{routing['pack_id']}/life")
                assert [one["kind"] for one in life["records"][-3:]] == [
                    "waste.inbound",
                    "recycle.received",
                    "recycle.completed",
                ]
                assert life["records"][-1]["data"]["rates"] == {"Li": "91.67", "Cu": "98.5"}
                pack = await world.staff.get(f"/v1/packs/{routing['pack_id']}")
                assert pack["state"] == "recycled"
            again = await its_own.refused("POST", f"{path}/certificate", 409, certificate("RC-2"))
            assert again["code"] == "recovery_batch_state"

    database(scenario)


def test_below_a_floor_is_marked_and_listed_and_not_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, routings, _, _ = await received_lot(world, 3)
            low = {"metals": [{"metal": "Li", "percent": "89.99"}], "recovered_kg": "40"}
            fine = {"metals": [{"metal": "Li", "percent": "90"}], "recovered_kg": "20"}
            made = []
            for number, changes in enumerate((low, fine)):
                taken = {
                    "number": f"B-{number}",
                    "received_on": TODAY,
                    "mass_in_kg": "46",
                    "routing_ids": [routings[number]["id"]],
                }
                batch = await world.staff.post("/v1/recovery-batches", taken)
                body = certificate(f"RC-{number}", residue_kg="0", **changes)
                path = f"/v1/recovery-batches/{batch['id']}/certificate"
                made.append(await world.staff.post(path, body))
            assert [one["is_below_floor"] for one in made] == [True, False]
            # 20 of 46 kg is 43 %: enough for China, which asks for none, and not for the Union.
            assert [one["is_below_eu_floor"] for one in made] == [False, True]
            below = await world.staff.get("/v1/recovery-batches", below_floor=True)
            assert [one["id"] for one in below["items"]] == [made[0]["id"]]
            # A certificate of one pack is a batch of one.
            single = {"number": "RC-9", "recycled_on": TODAY, "lithium_percent": "80"}
            path = f"/v1/routings/{routings[2]['id']}/certificate"
            assert (await world.staff.post(path, single))["below_floor"] is True
            below = await world.staff.get("/v1/recovery-batches", below_floor=True)
            assert [one["certificate_number"] for one in below["items"]] == ["RC-0", "RC-9"]

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"recovered_kg": "80"}, "too_much"),
        ({"metals": [{"metal": "Li", "percent": "1", "input_kg": "1"}]}, "one_mass"),
        (
            {"metals": [{"metal": "Li", "percent": "99", "input_kg": "2", "output_kg": "2.1"}]},
            "too_much",
        ),
        (
            {"metals": [{"metal": "Li", "percent": "99", "input_kg": "2", "output_kg": "1.9"}]},
            "contradicts",
        ),
        ({"metals": [{"metal": "Li", "percent": "99"}] * 2}, "twice"),
        ({"recycled_on": "2026-06-14"}, "before_receipt"),
    ],
)
def test_a_certificate_that_contradicts_itself_is_refused(database, changes, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, _, _ = await received_lot(world)
            taken = {"number": "B-1", "received_on": TODAY, "mass_in_kg": "92"}
            taken["consignment_id"] = lot["id"]
            batch = await world.staff.post("/v1/recovery-batches", taken)
            path = f"/v1/recovery-batches/{batch['id']}/certificate"
            problem = await world.staff.refused("POST", path, 400, certificate(**changes))
            assert problem["code"] == "bad_recovery"
            assert [error["code"] for error in problem["errors"]] == [code]

    database(scenario)


def test_a_pack_is_in_one_batch_of_its_own_recycler_and_a_certificate_stays(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, routings, _, firm = await received_lot(world)
            taken = {
                "number": "B-1",
                "received_on": TODAY,
                "mass_in_kg": "46",
                "routing_ids": [routings[0]["id"]],
            }
            path = "/v1/recovery-batches"
            stranger = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            await stranger.refused("POST", path, 404, taken)
            batch = await world.staff.post(path, taken)
            problem = await world.staff.refused("POST", path, 409, taken)
            assert problem["code"] == "recovery_batch_number_taken"
            another = {**taken, "number": "B-2"}
            problem = await world.staff.refused("POST", path, 409, another)
            assert problem["code"] == "in_another_batch"
            both = {**taken, "consignment_id": lot["id"]}
            assert (await world.staff.refused("POST", path, 400, both))["code"] == "bad_batch"
            one = f"{path}/{batch['id']}"
            await stranger.refused("GET", one, 404)
            await stranger.refused("POST", f"{one}/certificate", 404, certificate())
            assert (await stranger.get(path))["items"] == []
            certified = certificate(recovered_kg="30", residue_kg="0")
            await world.staff.post(f"{one}/certificate", certified)
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute("UPDATE recovery_batch SET recovered_kg = 46")
            assert caught.value.constraint_name == "recovery_certificate_is_final"
            its_own = await world.login(Role.RECYCLER, firm["id"])
            assert (await its_own.get(one))["certificate_number"] == "RC-1"
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            await customer.refused("GET", path, 403)

    database(scenario)


def test_a_metal_that_nobody_reported_is_neither_met_nor_below():
    judged = floors.judge({}, None, date(2032, 1, 1))
    assert {one.verdict for one in judged} == {FloorResult.NOT_REPORTED}
    assert not any(floors.is_below(judged, regime) for regime in Regime)
