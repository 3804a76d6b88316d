"""Packs that came back find their ways: options for one, a plan for all, another outlet for those
whose recycler lost its permit."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from leasing.access.model import Role
from leasing.end_of_life.snapshot import RELOAD_EVERY_S
from tests import build
from tests.api import stories
from tests.docs.teller import Teller, Voice
from tests.end_of_life.outlets import INSERT_OFFER


async def ways_to_recyclers(teller: Teller, staff: Voice) -> None:
    near, far = await two_recyclers(teller)
    packs = await stories.condemned_packs(teller.world, 3)
    await what_it_rests_on(teller, staff)
    await firms_behind(teller, staff, near, far)
    await outlets_are_known()
    hand_over = str(teller.on + timedelta(days=4))
    path = f"/v1/packs/{packs[0]['id']}/route-options"
    title = "the farther one brings more, and this is what the nearest lacks"
    await staff.get(title, path, hand_over_on=hand_over)
    together = {"pack_ids": [pack["id"] for pack in packs[:2]], "hand_over_on": hand_over}
    await staff.post("two that wait at one place", "/v1/lot-options", together)
    first = await a_plan(teller, staff)
    await teller.wait_until(teller.on + timedelta(days=1))
    plan = await a_plan(teller, staff, "the night after")
    await the_plan_in_detail(teller, staff, plan, first, packs[0]["id"])
    withdrawal = {
        "kind": "discharge_permit",
        "withdrawn_on": str(teller.on + timedelta(days=1)),
        "document": "环许撤〔2026〕3 号",
    }
    await teller.world.staff.post(f"/v1/parties/{far}/withdrawals", withdrawal)
    reason = {"reason": "排污许可证被撤销"}
    done = await staff.post("what was on its way there goes elsewhere", "/v1/reroutings", reason)
    assert done["hit"] == done["rerouted"] > 0
    await staff.get("what was routed anew so far", "/v1/reroutings")
    title = "would planning all of that day anew be worth it?"
    on = plan["hand_over_on"]
    await staff.get(title, "/v1/reroutings/suggestion", hand_over_on=on)
    assert near != far
    (late,) = await stories.condemned_packs(teller.world, 1)
    await outlets_are_known()
    alone = {"pack_ids": [late["id"]], "hand_over_on": on}
    await staff.post("a lot of one that came late", "/v1/lot-routings", alone)


async def outlets_are_known() -> None:
    """What a process was told of outlets it has read a second later."""
    await asyncio.sleep(RELOAD_EVERY_S + 0.2)


async def two_recyclers(teller: Teller) -> tuple[str, str]:
    """One nearby that pays less, one farther away that pays more."""
    found = []
    for number, latitude, cny_per_kg in ((1, 34.79, "2.85"), (2, 35.25, "3.20")):
        firm = await build.recycler(teller.world)
        made = await build.outlet(teller.world, firm["id"], latitude=latitude)
        async with teller.world.db.transaction() as tx:
            rename = "UPDATE outlet SET code = $2 WHERE id = $1"
            await tx.execute(rename, UUID(made), f"4101-70{number:02}")
            price = Decimal(cny_per_kg)
            day = date(2026, 1, 1)
            await tx.execute(INSERT_OFFER, UUID(firm["id"]), "B", day, None, price)
            await tx.execute("SELECT pg_notify('outlets_' || current_schema(), '')")
        found.append(firm["id"])
    return found[0], found[1]


async def what_it_rests_on(teller: Teller, staff: Voice) -> None:
    terms = {
        "from_on": str(teller.on),
        "circuity_percent": 128,
        "freight_cny_per_kg_km": ["0.0013", "0.0025", "0.0052"],
        "packing_cny_per_kg": ["0.12", "0.65", "2.10"],
        "hold_cny_per_kg": "-1.5",
        "collecting_load_kg": 600,
        "concentrated_load_kg": 5000,
        "reservation_days": 5,
        "reason": "2027 年运输合同",
    }
    await staff.post("rates of a new carrier", "/v1/routing-terms", terms)
    await staff.get("the rates entered so far", "/v1/routing-terms")
    rule = {
        "province_adcode": "540000",
        "valid_from": "2026-12-01",
        "valid_to": "2027-03-01",
        "document": "示例通告",
    }
    await staff.post("a province keeps its packs for a winter", "/v1/province-rules", rule)
    await staff.get("provinces that keep theirs", "/v1/province-rules")


async def firms_behind(teller: Teller, staff: Voice, near: str, far: str) -> None:
    """From 2028 on, so that nothing else of the story changes."""
    found = await teller.world.staff.get("/v1/outlets", recycler_id=near)
    link = {
        "outlet_id": found["items"][0]["id"],
        "recycler_id": far,
        "valid_from": "2028-01-01",
        "document": "综合利用协议 2027-12",
    }
    entered = await staff.post("another firm behind an outlet", "/v1/outlet-firms", link)
    end = {"ended_on": "2029-01-01"}
    await staff.post("for a year", f"/v1/outlet-firms/{entered['id']}/end", end)
    await staff.get("where that firm stands", "/v1/outlet-firms", recycler_id=far)
    plant = {
        "recycler_id": far,
        "chemistries": ["B"],
        "valid_from": "2028-01-01",
        "valid_to": "2028-02-01",
        "longitude": 113.9,
        "latitude": 35.3,
        "capacity_kg": 250_000,
        "document": "环评批复 示例",
    }
    path = "/v1/treatment-capacities"
    await staff.post("what its plant treats in a month", path, plant)
    await staff.get("and what is reserved of that", path, recycler_id=far)


async def a_plan(teller: Teller, staff: Voice, title: str = "proposed this night") -> build.Json:
    """The nightly job proposes one; the figures that differ from run to run get stand-ins."""
    await teller.wait_until(teller.on + timedelta(days=1))
    world = teller.world
    found = (await world.staff.get("/v1/routing-plans", limit=200))["items"]
    for number, plan in enumerate(reversed(found), 1):
        teller.known[plan["input_sha256"]] = f"{number:064x}"
        teller.known[plan["solver_seconds"]] = "0.050"
    page = await staff.get(title, "/v1/routing-plans", limit=1)
    plan: build.Json = page["items"][0]
    return plan


async def the_plan_in_detail(
    teller: Teller, staff: Voice, plan: build.Json, first: build.Json, pack_id: str
) -> None:
    path = f"/v1/routing-plans/{plan['id']}"
    await staff.get("how far from the best it can be", path)
    await staff.get("where each pack goes", f"{path}/items")
    await staff.get("no room is dear that night", f"{path}/space-prices")
    title = "beside the plan of the night before"
    await staff.get(title, f"{path}/comparison", other_id=first["id"])
    auditor = await teller.login(Role.AUDITOR, "auditor")
    await auditor.get("all that proves it", f"{path}/proof")
    await staff.post("this one stays where it is", f"{path}/locks", {"pack_ids": [pack_id]})
    place = {"adcode": "410100"}
    done = await staff.post("one prefecture goes", f"{path}/applications", place)
    assert done["state"] == "applied"
