"""A typhoon week. 500 sites come back from sixteen prefectures, in twelve of which no outlet has
room; a plan is made overnight and proved; midway a recycler loses its papers; what can be recycled
is, and everything else is where the books say, for the reason they give."""

from collections import Counter, defaultdict
from dataclasses import dataclass
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
from tests import build
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
                rows = [outcome(coast.by_line[item["line_id"]], item, day) for item in order["items"]]
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
    refused = await world.staff.refused(
        "POST",
        f"/v1/packs/{next(iter(coast.of(LEAKS)))}/routings",
        409,
        {"hand_over_on": str(PLANNED_ON)},
    )
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
    assert all({"SPACE", "PROVINCE_RULE"} <= set(reasons[one].split(", ")) for one in on_island)
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
    outlets = {one["outlet_code"][:4] for one in ways}
    assert not outlets & {adcode[:4] for adcode in FULL}
