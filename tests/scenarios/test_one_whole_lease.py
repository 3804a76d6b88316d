"""The main job from end to end, as staff, a customer and a recycler see it."""

from datetime import date

from jobs import runner
from jobs.registry import JOBS
from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.build import World


async def advance(world: World, to: date) -> None:
    await runner.advance(world.db, JOBS, midnight(to))


def test_a_pack_is_leased_found_weak_swapped_billed_returned_and_recycled(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            await tell_the_story(world)

    database(scenario)


async def tell_the_story(world: World) -> None:
    staff = world.staff
    firm = await build.recycler(world)
    near = await build.outlet(world, firm["id"], store_limit_kg=30)
    far = await build.outlet(world, firm["id"], latitude=35.2)

    await world.set_clock(date(2026, 1, 11))
    lease = await build.leased_pack(world, on="2026-01-11", rent_amount=31_000)
    line, weak = lease["line"]["id"], lease["pack"]["id"]
    customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
    assert (await customer.get("/v1/packs"))["items"][0]["id"] == weak

    # The pack reports a full charge of 70 Ah; 80 are guaranteed.
    start = midnight(date(2026, 1, 20))
    await world.set_clock(date(2026, 1, 21))
    readings = build.charge_readings(weak, start, capacity_ah=70)
    receipt = await staff.post("/v1/readings", {"readings": readings})
    assert receipt == {"stored": len(readings), "repeated": 0, "refused": []}
    await advance(world, date(2026, 1, 23))
    checks = (await customer.get(f"/v1/packs/{weak}/health-checks"))["items"]
    assert [check["verdict"] for check in checks] == ["breach"]
    assert checks[0]["lower_mah"] <= 70_000 <= checks[0]["upper_mah"]
    (duty,) = (await customer.get("/v1/duties", open=True))["items"]
    assert (duty["kind"], duty["due_on"]) == ("replacement", "2026-01-28")

    # It is swapped within the seven days of the contract.
    strong = (await build.pack(world))["id"]
    swap = build.acceptance(strong, "2026-01-23")
    await staff.post(f"/v1/lines/{line}/swaps", swap)
    assert (await customer.get("/v1/duties", open=True))["items"] == []

    # February 1st: January is billed from the 11th on, over both packs, to the fen.
    await advance(world, date(2026, 2, 2))
    (invoice,) = (await customer.get("/v1/invoices"))["items"]
    assert invoice["number"] == "INV-2026-000001"
    assert (invoice["period_from"], invoice["period_to"]) == ("2026-01-01", "2026-02-01")
    assert invoice["net_amount"] == 21_000
    assert invoice["vat_amount"] == 2_730
    assert invoice["due_on"] == "2026-03-03"
    charges = (await customer.get(f"/v1/invoices/{invoice['id']}/lines"))["items"]
    assert [(charge["pack_id"], charge["days"], charge["amount"]) for charge in charges] == [
        (weak, 12, 12_000),
        (strong, 9, 9_000),
    ]

    # The weak pack is found damaged beyond another lease and goes to the outlet with room.
    inspection = {
        "inspected_on": "2026-02-01",
        "grade": "D",
        "hazard": "intact",
        "lessor_signatory": "王工",
        "lessee_signatory": "李工",
    }
    await staff.post(f"/v1/packs/{weak}/inspections", inspection)
    verdict = {"decision": "recycle", "decided_on": "2026-02-01", "reason": "70 % capacity"}
    await staff.post(f"/v1/packs/{weak}/dispositions", verdict)
    routing = await staff.post(f"/v1/packs/{weak}/routings", {"hand_over_on": "2026-02-02"})
    assert routing["outlet_id"] == far
    assert routing["explanation"]["nearer_excluded_by_reason"] == {"SPACE": 1}
    assert near != far
    recycler = await world.login(Role.RECYCLER, firm["id"])
    (announced,) = (await recycler.get("/v1/routings"))["items"]
    assert announced["id"] == routing["id"]
    assert announced["explanation"] == {}  # it speaks of other firms
    hand_over = {"handed_over_on": "2026-02-02"}
    await staff.post(f"/v1/routings/{routing['id']}/hand-over", hand_over)
    certificate = await staff.post(
        f"/v1/routings/{routing['id']}/certificate",
        {"number": "R-1", "recycled_on": "2026-02-02", "lithium_percent": "91.5"},
    )
    assert certificate["below_floor"] is False

    # The line ends in the middle of February: the day of return is free.
    await advance(world, date(2026, 2, 15))
    await staff.post(f"/v1/lines/{line}/returns", build.returned("2026-02-15"))
    await advance(world, date(2026, 3, 2))
    invoices = (await customer.get("/v1/invoices"))["items"]
    assert [one["net_amount"] for one in invoices] == [21_000, 15_500]
    await staff.post(f"/v1/contracts/{lease['contract']['id']}/end")

    balance = await staff.get("/v1/ledger/trial-balance")
    assert balance["balanced"]
    receivable = next(one for one in balance["accounts"] if one["account"] == "receivable")
    assert receivable["debit"] == sum(one["total_amount"] for one in invoices)

    life = await staff.get(f"/v1/packs/{weak}/life")
    assert [record["kind"] for record in life["records"]] == [
        "pack.acquired",
        "pack.commissioned",
        "pack.returned",
        "pack.inspected",
        "waste.declared",
        "route.chosen",
        "waste.outbound",
        "waste.inbound",
        "recycle.completed",
    ]
    assert [record["sequence"] for record in life["records"]] == list(range(1, 10))
