"""A typhoon week. 500 sites come back from sixteen prefectures, in twelve of which no outlet has
room; a plan is made overnight and proved; midway a recycler loses its papers; what can be recycled
is, and everything else is where the books say, for the reason they give."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.routing import certificate, files
from tests import build, fleet
from tests.api import stories
from tests.build import Json, World
from tests.consignments import lots
from tests.returns import steps
from tests.returns.test_settlements import deposit
from tests.scenarios import typhoon
from tests.scenarios.typhoon import (
    BESIDE,
    BURNT,
    FULL,
    ISLAND,
    LEAKS,
    MISSING,
    SOUND,
    Coast,
    Pack,
    everything,
)

LANDFALL = date(2026, 9, 7)
PLANNED_ON = date(2026, 9, 14)
APPLIED_ON = date(2026, 9, 15)
WITHDRAWN_ON = date(2026, 9, 16)
WITHDRAWN_ON_AT = midnight(WITHDRAWN_ON)
SETTLED_ON = date(2026, 9, 19)
MEASURES = {
    "measures": "dried, discharged and insulated",
    "shipper_signatory": "王工",
    "consignee_signatory": "赵工",
}


@pytest.mark.slow
def test_a_typhoon_week_ends_with_every_kilogram_and_every_fen_in_its_place(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=typhoon.LEASED_ON) as world:
            await typhoon.country(world)
            coast = await typhoon.coast(world)
            await deposit(world, coast.leases["mainland"], 500_000)
            await strait_is_closed(world)
            orders = await ordered_back(world, coast)
            await brought_in(world, coast, orders)
            await inspected_and_decided(world, coast)
            async with db.transaction(read_only=True) as tx:
                before, _ = await typhoon.loads_of_outlets(tx)
            await planned_overnight(world, coast)
            await applied_by_prefecture(world)
            sent = await half_is_on_its_way(world)
            firm = await a_recycler_is_withdrawn(world, sent)
            await delivered_and_recycled(world, firm)
            await settled(world, coast, orders)
            await added_up(world, coast, before, firm)

    database(scenario)


async def strait_is_closed(world: World) -> None:
    await world.staff.post(
        "/v1/province-rules",
        {
            "province_adcode": ISLAND,
            "valid_from": str(LANDFALL),
            "document": "琼州海峡停航",
        },
    )


async def ordered_back(world: World, coast: Coast) -> list[Json]:
    """The morning after: an order for each prefecture of each lease."""
    await world.set_clock(LANDFALL)
    orders = []
    for number, adcode in enumerate(FULL + BESIDE):
        ours = [pack for pack in coast.packs if pack.adcode == adcode]
        name = "island" if adcode[:2] == ISLAND[:2] else "mainland"
        wanted = {
            "contract_id": coast.leases[name]["contract"]["id"],
            "line_ids": [pack.line_id for pack in ours],
            "mode": "pick_up",
            "place": f"depot of {adcode}",
            "contact_name": "李工",
            "contact_phone": "0759-5555",
            "planned_on": str(LANDFALL + timedelta(days=1 + number % 5)),
        }
        orders.append(await world.staff.post("/v1/return-orders", wanted))
    return orders


async def brought_in(world: World, coast: Coast, orders: list[Json]) -> None:
    """Day by day crews pick up what is there; it arrives the next day."""
    for day in (LANDFALL + timedelta(days=n) for n in range(1, 7)):
        await world.set_clock(day)
        for order in orders:
            path = f"/v1/return-orders/{order['id']}"
            if order["planned_on"] == str(day - timedelta(days=1)):
                arrived = await world.staff.post(f"{path}/arrival", {"on": str(day)})
                assert arrived["state"] == "arrived"
            if order["planned_on"] == str(day):
                rows = [
                    outcome(coast.by_line[item["line_id"]], item, day) for item in order["items"]
                ]
                await world.staff.post(f"{path}/collection", {"on": str(day), "outcomes": rows})


def outcome(pack: Pack, item: Json, day: date) -> Json:
    if pack.fate.gone:
        return {"item_id": item["id"], "incident": steps.gone(pack.fate.gone, str(LANDFALL))}
    test = build.returned(str(day), pack.fate.capacity_mah)
    return {"item_id": item["id"], "returned": test}


async def inspected_and_decided(world: World, coast: Coast) -> None:
    """Both sides look at each pack, and at what is left of those that burnt."""
    on = str(LANDFALL + timedelta(days=6))
    for pack in coast.packs:
        if pack.fate is MISSING:
            continue
        fate = pack.fate
        sheet = await world.staff.post(
            f"/v1/packs/{pack.id}/inspections",
            steps.inspection(
                on,
                grade=fate.grade,
                hazard=fate.hazard,
                tested_capacity_mah=None if fate is BURNT else fate.capacity_mah,
                sheet=steps.sheet(*fate.fails),
            ),
        )
        if fate.treated:
            treated = {"treated_on": on, **MEASURES}
            await world.staff.post(f"/v1/inspections/{sheet['id']}/treatment", treated)
        decided = {"decision": fate.decision, "decided_on": on, "reason": "as inspected"}
        await world.staff.post(f"/v1/packs/{pack.id}/dispositions", decided)
    leaking = next(p for p in coast.packs if p.fate is LEAKS and p.adcode[:2] != ISLAND[:2])
    path, wanted = f"/v1/packs/{leaking.id}/routings", {"hand_over_on": str(PLANNED_ON)}
    refused = await world.staff.refused("POST", path, 409, wanted)
    assert refused["code"] == "transport_check_failed"


async def planned_overnight(world: World, coast: Coast) -> None:
    """The job proposes a plan; whoever doubts it proves it, and what it holds says why."""
    await stories.run_job(world, "routing", PLANNED_ON)
    (plan,) = (await world.staff.get("/v1/routing-plans"))["items"]
    waiting = [p for p in coast.packs if p.fate not in (MISSING, SOUND)]
    assert (plan["packs"], plan["solver"], plan["state"]) == (len(waiting), "flow", "proposed")
    auditor = await world.login(Role.AUDITOR)
    answer = await auditor.ask("GET", f"/v1/routing-plans/{plan['id']}/proof")
    with ZipFile(BytesIO(answer.content)) as both:
        instance = files.read_instance(BytesIO(both.read("instance.npz")))
        held = files.read_plan(BytesIO(both.read("plan.npz")))
    certificate.whole(instance, held.plan)
    verdict = certificate.judge(instance, held.prices, held.plan)
    assert (verdict.value, verdict.bound) == (plan["value_cny_e4"], plan["bound_cny_e4"])
    assert plan["gap_ppm"] < 5_000
    items = await everything(world, f"/v1/routing-plans/{plan['id']}/items")
    reasons = {one["pack_id"]: one["reason"] for one in items if one["state"] == "held"}
    leaking = coast.of(LEAKS)
    on_island = {p.id for p in waiting if p.adcode[:2] == ISLAND[:2]} - leaking
    assert reasons.keys() == leaking | on_island
    assert {reasons[one] for one in leaking} == {"TRANSPORT_CHECK"}
    assert {reasons[one] for one in on_island} == {"SPACE"}
    # Asked for one of them: the island is full, and everything else is across the strait.
    told = await world.staff.get(
        f"/v1/packs/{min(on_island)}/route-options", hand_over_on=plan["hand_over_on"]
    )
    assert told["chosen"] is None
    counts = {one["code"]: one["outlets"] for one in told["excluded"]}
    assert 0 < counts["SPACE"] < counts["PROVINCE_RULE"] < told["outlets"]
    # Of what may leave nothing stays in a full prefecture, and nothing is held.
    going = [one for one in items if one["state"] == "planned"]
    assert not {one["outlet_code"][:4] for one in going} & {adcode[:4] for adcode in FULL}
    assert len(going) + len(reasons) == len(waiting)
    # Twice the same is the same.
    await stories.run_job(world, "routing", PLANNED_ON)
    (again,) = (await world.staff.get("/v1/routing-plans"))["items"]
    assert again == plan


async def applied_by_prefecture(world: World) -> None:
    await world.set_clock(APPLIED_ON)
    (plan,) = (await world.staff.get("/v1/routing-plans"))["items"]
    path = f"/v1/routing-plans/{plan['id']}"
    for adcode in FULL + BESIDE:
        if adcode[:2] != ISLAND[:2]:
            done = await world.staff.post(f"{path}/applications", {"adcode": adcode})
            assert (done["elsewhere"], done["refused"]) == (0, 0)
    assert (done["left"], done["state"]) == (0, "applied")
    ways = await everything(world, "/v1/routings", state="reserved")
    assert len(ways) == plan["planned"]


async def half_is_on_its_way(world: World) -> list[Json]:
    """All that has a way is packed, a lot for each outlet and hazard; every other lot leaves."""
    made = await packed(world, APPLIED_ON, "TY")
    await world.set_clock(WITHDRAWN_ON)
    carrier = await lots.carrier(world)
    for lot in made[::2]:
        await dispatched(world, lot, carrier, WITHDRAWN_ON)
    return await everything(world, "/v1/consignments")


async def packed(world: World, on: date, name: str) -> list[Json]:
    """Lots of all that is reserved and in no lot."""
    sheets = await everything(world, "/v1/inspections")
    hazard = {sheet["pack_id"]: sheet["hazard"] for sheet in sheets}
    taken = {
        pack["routing_id"]
        for state in ("packed", "dispatched", "weighed_in")
        for lot in await everything(world, "/v1/consignments", state=state)
        for pack in (await world.staff.get(f"/v1/consignments/{lot['id']}"))["packs"]
    }
    groups: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for way in await everything(world, "/v1/routings", state="reserved"):
        if way["id"] not in taken:
            groups[way["outlet_code"], hazard[way["pack_id"]]].append(way)
    made = []
    for number, key in enumerate(sorted(groups)):
        wanted = lots.packed(groups[key], f"{name}-{number:03}", packed_on=str(on))
        made.append(await world.staff.post("/v1/consignments", wanted))
    return made


async def dispatched(world: World, lot: Json, carrier: Json, on: date) -> None:
    leaves = lots.sent(carrier["id"], dispatched_on=str(on))
    await world.staff.post(f"/v1/consignments/{lot['id']}/dispatch", leaves)


async def a_recycler_is_withdrawn(world: World, sent: list[Json]) -> str:
    """The firm to which most goes, of those with lots on the road and lots still in the depot. Its
    lots in the depot are unpacked and go elsewhere; those on the road staff is told of; nobody else
    moves."""
    kg: Counter[str] = Counter()
    states = defaultdict(set)
    for lot in sent:
        kg[lot["recycler_id"]] += lot["expected_kg"]
        states[lot["recycler_id"]].add(lot["state"])
    both = [one for one in kg if len(states[one]) == 2]
    firm = max(both, key=lambda one: (kg[one], one))
    announced = {
        "announcement_no": "2026 年第 31 号",
        "document": "撤销公告",
        "withdrawn_on": str(WITHDRAWN_ON),
        "kinds": ["filing", "eia", "discharge_permit"],
        "firms": [firm],
    }
    before = {one["pack_id"]: one for one in await everything(world, "/v1/routings")}
    hit = {one["pack_id"] for one in before.values() if one["recycler_id"] == firm}
    withdrawal = await world.staff.post("/v1/withdrawals", announced)
    assert withdrawal["to_reroute"] == len(hit)
    on_road = [one for one in sent if one["recycler_id"] == firm and one["state"] == "dispatched"]
    gone = set()
    for lot in on_road:
        detail = await world.staff.get(f"/v1/consignments/{lot['id']}")
        gone |= {pack["pack_id"] for pack in detail["packs"]}
    done = await world.staff.post("/v1/reroutings", {"reason": "撤销公告 31"})
    assert done["hit"] == len(hit - gone) > 0
    assert done["rerouted"] == done["hit"]
    stranded = await everything(world, "/v1/consignments", stranded=True)
    assert {one["id"] for one in stranded} == {one["id"] for one in on_road}
    unpacked = await everything(world, "/v1/consignments", state="cancelled")
    assert {one["recycler_id"] for one in unpacked} == {firm}
    after = {
        one["pack_id"]: one for one in await everything(world, "/v1/routings", state="reserved")
    }
    assert after.keys() == before.keys()
    for pack_id, way in after.items():
        if pack_id in hit - gone:
            assert way["recycler_id"] != firm
        else:
            assert way == before[pack_id]
    # What is on the road is refused at the gate, and goes elsewhere then.
    for lot in stranded:
        path = f"/v1/consignments/{lot['id']}"
        refusal = {"refused_on": str(WITHDRAWN_ON), "reason": "the recycler was withdrawn"}
        assert (await world.staff.post(f"{path}/refusal", refusal))["state"] == "refused"
    done = await world.staff.post("/v1/reroutings", {"reason": "撤销公告 31"})
    assert done["hit"] == done["rerouted"] == len(gone)
    assert await everything(world, "/v1/consignments", stranded=True) == []
    return firm


async def delivered_and_recycled(world: World, firm: str) -> None:
    """The rest is packed and leaves; everything is weighed where it comes in, by the recycler's own
    scales, received, and treated. One lot weighs too little, one batch yields too little."""
    on = WITHDRAWN_ON + timedelta(days=1)
    await world.set_clock(on)
    await packed(world, on, "TZ")
    carrier = await lots.carrier(world)
    for lot in await everything(world, "/v1/consignments", state="packed"):
        await dispatched(world, lot, carrier, on)
    on += timedelta(days=1)
    await world.set_clock(on)
    keys: dict[str, build.Client] = {}
    for number, lot in enumerate(await everything(world, "/v1/consignments", state="dispatched")):
        assert lot["recycler_id"] != firm
        if lot["recycler_id"] not in keys:
            keys[lot["recycler_id"]] = await world.login(Role.RECYCLER, lot["recycler_id"])
        await taken_in(world, keys[lot["recycler_id"]], lot, on, number)


async def taken_in(world: World, recycler: build.Client, lot: Json, on: date, number: int) -> None:
    path = f"/v1/consignments/{lot['id']}"
    kg = Decimal(lot["expected_kg"]) - (40 if number == 3 else Decimal("0.3"))
    weighed = await recycler.post(
        f"{path}/weigh-in", {"weighed_on": str(on), "weighed_kg": str(kg)}
    )
    received = {"received_on": str(on)}
    if number == 3:
        assert weighed["is_discrepant"]
        await recycler.refused("POST", f"{path}/receipt", 409, received)
        why = {"explanation": "electrolyte ran out of a dented pack"}
        await world.staff.post(f"{path}/explanation", why)
    await recycler.post(f"{path}/receipt", received)
    batch = await world.staff.post(
        "/v1/recovery-batches",
        {
            "number": f"B-{number}",
            "received_on": str(on),
            "mass_in_kg": str(kg),
            "consignment_id": lot["id"],
        },
    )
    lithium = "88.5" if number == 5 else "91.2"
    recovered, residue = (kg * share for share in (Decimal("0.70"), Decimal("0.25")))
    certified = await world.staff.post(
        f"/v1/recovery-batches/{batch['id']}/certificate",
        {
            "number": f"RC-{number}",
            "recycled_on": str(on),
            "metals": [{"metal": "Li", "percent": lithium}, {"metal": "NiCoMn", "percent": "98.4"}],
            "recovered_kg": f"{recovered:.2f}",
            "residue_kg": f"{residue:.2f}",
        },
    )
    verdicts = {
        one["metal"]: (one["floor_percent"], one["verdict"])
        for one in certified["floors"]
        if one["regime"] == "cn"
    }
    assert verdicts["Li"] == ("90", "below" if number == 5 else "met")
    assert certified["is_below_floor"] == (number == 5)


async def settled(world: World, coast: Coast, orders: list[Json]) -> None:
    """One statement for each lease, and what was shown is what is posted: rent to the day, parts
    that are missing, a deposit."""
    await world.set_clock(SETTLED_ON)
    for lease in coast.leases.values():
        ours = [one for one in orders if one["contract_id"] == lease["contract"]["id"]]
        path = f"/v1/return-orders/{ours[0]['id']}"
        missing = [
            {"item_id": one["items"][0]["id"], "name": "communication cable", "amount": 3_000}
            for one in ours
        ]
        wanted = {
            "settled_on": str(SETTLED_ON),
            "with_order_ids": [one["id"] for one in ours[1:]],
            "missing_parts": missing,
            "logistics_amount": 80_000 * len(ours),
            "use_deposit": True,
        }
        shown = await world.staff.post(f"{path}/settlement-preview", wanted)
        posted = await world.staff.post(f"{path}/settlement", wanted)
        assert posted["statement"] == shown
        assert posted["order_ids"] == sorted(one["id"] for one in ours)
        sums = Counter[str]()
        for row in shown["rows"]:
            sums[row["component"]] += row["amount"]
        assert sums == {
            "rent": sum(
                rent_by_hand(coast.by_line[item["line_id"]], one)
                for one in ours
                for item in one["items"]
            ),
            "missing_parts": 3_000 * len(ours),
            "logistics": 80_000 * len(ours),
        }
        (owed,) = shown["owed"]
        assert owed["vat_amount"] == round(Decimal(sum(sums.values())) * 13 / 100)
        assert shown["deposit_used_amount"] == (500_000 if lease is coast.leases["mainland"] else 0)


def rent_by_hand(pack: Pack, order: Json) -> int:
    """From the first of September, 31,000 fen for its thirty days, to the day of the joint test, or
    of the storm for what it took."""
    until = LANDFALL if pack.fate.gone else date.fromisoformat(order["planned_on"])
    return (31_000 * (until - typhoon.LEASED_ON).days * 2 + 30) // 60


async def added_up(world: World, coast: Coast, before: dict[Any, int], firm: str) -> None:
    """In = recycled + held + with the lessor + lost, to the kilogram; the books balance; nothing
    was ever where it might not be."""
    await stories.run_job(world, "routing", SETTLED_ON)
    packs = {one["id"]: one for one in await everything(world, "/v1/packs")}
    assert packs.keys() == coast.by_id.keys()
    states = {pack_id: one["state"] for pack_id, one in packs.items()}
    kg = Counter[str]()
    for pack_id, state in states.items():
        kg[state] += coast.by_id[pack_id].mass_kg
    # What is held is held by the newest plan, and each with its reason.
    (plan,) = (await world.staff.get("/v1/routing-plans", state="proposed"))["items"]
    items = await everything(world, f"/v1/routing-plans/{plan['id']}/items")
    held = {one["pack_id"]: one["reason"] for one in items if one["state"] == "held"}
    assert held.keys() == {one for one, state in states.items() if state == "condemned"}
    assert Counter(held.values()) == {"TRANSPORT_CHECK": 20, "SPACE": len(held) - 20}
    # What was recycled came in over scales: what it weighed less explains itself.
    batches = await everything(world, "/v1/recovery-batches")
    lots_in = await everything(world, "/v1/consignments", state="received")
    assert sum(one["expected_kg"] for one in batches) == kg["recycled"]
    assert {one["consignment_id"] for one in batches} == {one["id"] for one in lots_in}
    short = sum((Decimal(one["discrepancy_kg"]) for one in lots_in), Decimal(0))
    for one in lots_in:
        assert not one["is_discrepant"] or one["discrepancy_explanation"]
    parts = [
        sum((Decimal(one[name]) for one in batches), Decimal(0))
        for name in ("mass_in_kg", "recovered_kg", "residue_kg", "lost_kg")
    ]
    assert parts[0] == parts[1] + parts[2] + parts[3]
    assert kg["recycled"] == parts[0] - short
    # And so of the whole: nothing came from nowhere and nothing went there.
    total = sum(pack.mass_kg for pack in coast.packs)
    assert {one for one, state in states.items() if state == "lost"} == coast.of(MISSING)
    assert {one for one, state in states.items() if state == "in_stock"} == coast.of(SOUND)
    assert total == kg["recycled"] + kg["condemned"] + kg["in_stock"] + kg["lost"]
    balance = await world.staff.get("/v1/mass-balance")
    # Nothing differs but lots that weighed otherwise, each of which somebody explained.
    assert [one["kind"] for one in balance["differences"]] == ["batch_mass"] * sum(
        one["is_discrepant"] for one in lots_in
    )
    fates = {
        name: quantity["kg"] for name, quantity in balance["by_fate"].items() if quantity["kg"]
    }
    assert fates == {
        "recycled": kg["recycled"],
        "stored": kg["condemned"] + kg["in_stock"],
        "lost": kg["lost"],
    }
    # Every way that any pack was given, also those given up later.
    ways = await everything(world, "/v1/routings")
    assert await typhoon.refuse_unlawful_ways(world.db, WITHDRAWN_ON_AT) == len(ways)
    to_it = [one for one in ways if one["recycler_id"] == firm]
    assert {one["state"] for one in to_it} == {"released"}
    assert max(one["chosen_at"] for one in to_it) < min(one["released_on"] for one in to_it)
    await typhoon.refuse_overfilled(world.db, before)
    # And the money.
    await stories.run_job(world, "billing", date(2026, 10, 1))
    trial = await world.staff.get("/v1/ledger/trial-balance")
    assert trial["balanced"]
    (owed,) = [one for one in trial["accounts"] if one["account"] == "receivable"]
    invoices = await everything(world, "/v1/invoices")
    statements = await everything(world, "/v1/return-settlements")
    assert sum(one["total_amount"] for one in invoices) == sum(
        one["owed_amount"] for one in statements
    )
    assert owed["closing"] == sum(one["balance_amount"] for one in statements)
    async with world.db.transaction(read_only=True) as tx:
        await fleet.refuse_disorder(tx)
