"""What the tests of consignments have in common: packs on their way to one outlet, and a
carrier."""

from typing import Any

from tests import build
from tests.api import stories
from tests.build import Json, World

TODAY = "2026-06-15"


async def carrier(
    world: World, mode: str = "road", valid_from: str = "2026-01-01", valid_to: str | None = None
) -> Json:
    """A carrier with a permit for class 9."""
    made: Json = await world.staff.post(
        "/v1/parties", {"kind": "partner", "name": "Dangerous goods carrier"}
    )
    path = f"/v1/parties/{made['id']}"
    await world.staff.post(f"{path}/roles", {"role": "carrier", "valid_from": "2020-01-01"})
    given = {"mode": mode, "document": "道路运输许可证 1", "valid_from": valid_from}
    await world.staff.post(f"{path}/carrier-permits", {**given, "valid_to": valid_to})
    return made


async def ways(
    world: World, count: int, hazards: tuple[str, ...] = ("intact",), **changes: Any
) -> tuple[list[Json], str, Json]:
    """Routings of packs to one outlet, the outlet, and its recycler. The hazards are those that the
    packs are found with, in turn."""
    firm = await build.recycler(world)
    everything = ("intact", "damaged", "critical")
    outlet = await build.outlet(world, firm["id"], kind="concentrated", hazards=everything)
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = [build.line_terms(place["id"], slot=slot + 1) for slot in range(count)]
    _, lines = await build.active_contract(world, lessee["id"], terms)
    made = []
    for number, line in enumerate(lines):
        pack = await build.pack(world, **changes)
        given = build.acceptance(pack["id"], "2026-01-11")
        await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
        await stories.give_back(world, line["id"])
        hazard = hazards[number % len(hazards)]
        await stories.inspect(world, pack["id"], stories.RETURNED_ON, hazard)
        await stories.decide(world, pack["id"], "recycle", stories.RETURNED_ON)
        planned = {"hand_over_on": TODAY}
        made.append(await world.staff.post(f"/v1/packs/{pack['id']}/routings", planned))
    return made, outlet, firm


def packed(routings: list[Json], number: str = "TY-1", **changes: Any) -> Json:
    ids = [routing["id"] for routing in routings]
    return {"number": number, "packed_on": TODAY, "routing_ids": ids, **changes}


def sent(carrier_id: str, mode: str = "road", **changes: Any) -> Json:
    return {
        "dispatched_on": TODAY,
        "mode": mode,
        "carrier_id": carrier_id,
        "vehicle": "豫A·D1234",
        "driver": "张师傅",
        **changes,
    }


async def pack_lot(world: World, routings: list[Json], **changes: Any) -> Json:
    made: Json = await world.staff.post("/v1/consignments", packed(routings, **changes))
    return made


async def send(world: World, lot: Json, **changes: Any) -> Json:
    by = await carrier(world)
    path = f"/v1/consignments/{lot['id']}/dispatch"
    made: Json = await world.staff.post(path, sent(by["id"], **changes))
    return made


async def room(world: World, outlet_id: str) -> tuple[int, int, int]:
    """What an outlet has reserved, on the way and in stock, in kilograms."""
    sql = "SELECT reserved_kg, in_transit_kg, stock_kg FROM outlet WHERE id = $1::text::uuid"
    async with world.db.transaction() as tx:
        row = await tx.fetchrow(sql, outlet_id)
    return tuple(row)


async def arrived(world: World, count: int = 2) -> tuple[Json, list[Json], str, Json]:
    """A lot that was weighed in as expected."""
    routings, outlet, firm = await ways(world, count)
    lot = await pack_lot(world, routings)
    await send(world, lot)
    weight = {"weighed_on": TODAY, "weighed_kg": str(46 * count)}
    lot = await world.staff.post(f"/v1/consignments/{lot['id']}/weigh-in", weight)
    return lot, routings, outlet, firm
