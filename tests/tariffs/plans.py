"""Price plans that tests begin with."""

from typing import Any

from tests.build import NUMBERS, Json, World

SERVICE: Json = {"kind": "service", "code": "care", "amount": 31_000, "vat_percent": "6"}
CAPACITY: Json = {
    "kind": "capacity",
    "code": "capacity",
    "basis": "tested",
    "bands": [
        {"from_percent": "0", "unit_price": "2000"},
        {"from_percent": "80", "unit_price": "2500"},
    ],
}
THROUGHPUT: Json = {
    "kind": "throughput",
    "code": "energy",
    "pricing": {"model": "per_unit", "unit_price": "8.5"},
}


async def plan(world: World, currency: str = "CNY") -> Json:
    made: Json = await world.staff.post(
        "/v1/price-plans",
        {
            "code": f"PLAN-{next(NUMBERS)}",
            "name": "标准价",
            "name_en": "Standard",
            "currency": currency,
        },
    )
    return made


async def draft(world: World, plan_id: str, *components: Json, **changes: Any) -> Json:
    body = {"valid_from": "2026-01-01", "components": list(components or [SERVICE]), **changes}
    made: Json = await world.staff.post(f"/v1/price-plans/{plan_id}/versions", body)
    return made


async def publish(world: World, version: Json) -> Json:
    path = f"/v1/price-plan-versions/{version['id']}/publication"
    made: Json = await world.staff.post(path, **{"if-match": f'"v{version["version"]}"'})
    return made


async def published(world: World, *components: Json, currency: str = "CNY", **changes: Any) -> Json:
    """A version that lines may use."""
    made = await plan(world, currency)
    return await publish(world, await draft(world, made["id"], *components, **changes))
