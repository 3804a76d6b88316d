"""Steps of stories about returns: leases, sheets, inspections."""

from typing import Any

from tests import build
from tests.build import Json, World

RETURNED_ON = "2026-06-10"
TODAY = "2026-06-15"

TRANSPORT = [
    "leaks",
    "deformed",
    "heat",
    "burn_marks",
    "water",
    "bare_conductors",
    "impact",
    "opened",
    "voltage_abnormal",
]
CHECKS = [
    "code_readable",
    "parts_complete",
    "housing_sound",
    "terminals_sound",
    "bms_answers",
    "insulation",
]


def sheet(*yes: str) -> Json:
    """The default form, filled in; `yes` are the items of the transport check that fail."""
    return {
        "checks": [{"code": code, "passed": True} for code in CHECKS],
        "transport_checks": [{"code": code, "yes": code in yes} for code in TRANSPORT],
    }


def inspection(on: str = RETURNED_ON, **changes: Any) -> Json:
    return {
        "inspected_on": on,
        "grade": "B",
        "hazard": "intact",
        "tested_capacity_mah": 75_000,
        "lessor_signatory": "王工",
        "lessee_signatory": "李工",
        "photo_sha256": ["cd" * 32],
        **changes,
    }


async def inspect(world: World, pack: Json, on: str = RETURNED_ON, **changes: Any) -> Json:
    path = f"/v1/packs/{pack['id']}/inspections"
    made: Json = await world.staff.post(path, inspection(on, **changes))
    return made


async def decide(world: World, pack: Json, decision: str, **changes: Any) -> Json:
    verdict = {"decision": decision, "decided_on": TODAY, "reason": "as inspected", **changes}
    made: Json = await world.staff.post(f"/v1/packs/{pack['id']}/dispositions", verdict)
    return made


async def returned_pack(world: World, tested_capacity_mah: int = 75_000) -> Json:
    """A lease whose pack came back."""
    lease = await build.leased_pack(world)
    given_back = build.returned(RETURNED_ON, tested_capacity_mah)
    await world.staff.post(f"/v1/lines/{lease['line']['id']}/returns", given_back)
    return lease


async def leases(world: World, count: int, **terms: Any) -> Json:
    """A customer with one contract of several lines at a site, each with a pack."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    wanted = [build.line_terms(place["id"], slot=slot + 1) for slot in range(count)]
    contract, lines = await build.active_contract(world, lessee["id"], wanted, **terms)
    packs = []
    for line in lines:
        pack = await build.pack(world)
        packs.append(pack)
        given = build.acceptance(pack["id"], "2026-01-11")
        await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
    return {"customer": lessee, "contract": contract, "lines": lines, "packs": packs}


def order(lease: Json, mode: str = "pick_up", **changes: Any) -> Json:
    return {
        "contract_id": lease["contract"]["id"],
        "line_ids": [line["id"] for line in lease["lines"]],
        "mode": mode,
        "place": "郑州高新区铁塔",
        "contact_name": "李工",
        "contact_phone": "0371-5555",
        **changes,
    }


def gone(kind: str, on: str = RETURNED_ON, **changes: Any) -> Json:
    """An incident at the end of a lease."""
    return {"kind": kind, "happened_on": on, "description": "not there any more", **changes}


async def state_of(world: World, pack: Json) -> str:
    state: str = (await world.staff.get(f"/v1/packs/{pack['id']}"))["state"]
    return state


async def life_of(world: World, pack: Json) -> list[str]:
    """The kinds of steps of a pack's life."""
    life = await world.staff.get(f"/v1/packs/{pack['id']}/life")
    return [record["kind"] for record in life["records"]]
