"""What the tests of deals have in common: offers for LFP and for ternary scrap."""

from typing import Any

from tests import build
from tests.build import NUMBERS, Json, World

TODAY = "2026-06-15"
TONIGHT = "2026-06-15T12:00:00Z"

LFP = {
    "metal": "Li",
    "material": "Li2CO3",
    "content_percent": "2.5",
    "recovery_percent": "100",
    "coefficient_percent": "76",
}
NICKEL = {
    "metal": "Ni",
    "material": "NiSO4.6H2O",
    "content_percent": "15",
    "recovery_percent": "98",
    "coefficient_percent": "187",
}
COBALT = {
    "metal": "Co",
    "material": "CoSO4.7H2O",
    "content_percent": "10",
    "recovery_percent": "98",
    "coefficient_percent": "187",
}
PRICES = {"Li2CO3": 7_500_000, "NiSO4.6H2O": 2_800_000, "CoSO4.7H2O": 5_000_000}


def snapshot(*materials: str, **changes: Any) -> Json:
    return {
        "source": "SMM 2026-06-15",
        "quoted_on": TODAY,
        "expires_at": TONIGHT,
        "prices": [
            {"material": one, "amount_per_tonne": changes.get(one, PRICES[one])}
            for one in materials
        ],
    } | {name: value for name, value in changes.items() if name not in PRICES}


def lfp(recycler_id: str, **changes: Any) -> Json:
    return {
        "number": f"D-{next(NUMBERS)}",
        "recycler_id": recycler_id,
        "chemistry": "B",
        "terms": [LFP],
        "snapshot": snapshot("Li2CO3"),
        "limit_kg": "100000",
        "limit_amount": 1_000_000_000,
        **changes,
    }


def ternary(recycler_id: str, **changes: Any) -> Json:
    terms = {"chemistry": "E", "terms": [NICKEL, COBALT]}
    prices = {"snapshot": snapshot("NiSO4.6H2O", "CoSO4.7H2O")}
    return lfp(recycler_id, **terms, **prices) | changes


async def accepted(world: World, terms: Json) -> Json:
    made = await world.staff.post("/v1/deals", terms)
    done: Json = await world.staff.post(f"/v1/deals/{made['id']}/acceptance")
    return done


async def a_deal(world: World, **changes: Any) -> Json:
    """An accepted deal for LFP scrap."""
    firm = await build.recycler(world)
    return await accepted(world, lfp(firm["id"], **changes))


def delivery(scrap_kg: str = "1000", **changes: Any) -> Json:
    return {"delivered_on": TODAY, "scrap_kg": scrap_kg, "document": "GBD-1", **changes}


def settlement(kg: str, kind: str = "material", material: str = "Li2CO3") -> Json:
    return {
        "settled_on": TODAY,
        "kind": kind,
        "material": material,
        "kg": kg,
        "document": "RK-1",
    }


async def balances(world: World, deal: Json) -> dict[str, tuple[str, int]]:
    found = await world.staff.get(f"/v1/deals/{deal['id']}")
    return {one["material"]: (one["kg"], one["amount"]) for one in found["balances"]}
