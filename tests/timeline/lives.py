"""A lease to which everything happens, told through the API."""

from datetime import date

from tests import build
from tests.build import Json, World, acceptance, returned

BEGINS_ON = date(2026, 1, 5)
ENDED_ON = "2026-06-01"


async def on(world: World, day: str) -> None:
    await world.set_clock(date.fromisoformat(day))


async def full_life(world: World) -> Json:
    """Hand-over, suspension, swap, relocation, amendment, damage, loss, a new pack, return."""
    staff = world.staff
    lessee = await build.customer(world)
    first, second = [await build.site(world, lessee["id"]) for _ in range(2)]
    contract, (line,) = await build.active_contract(
        world, lessee["id"], [build.line_terms(first["id"])]
    )
    packs = [(await build.pack(world))["id"] for _ in range(3)]
    path = f"/v1/lines/{line['id']}"
    await on(world, "2026-01-12")
    await staff.post(f"{path}/acceptances", acceptance(packs[0], "2026-01-11", 96_500))
    await on(world, "2026-02-01")
    await staff.post(f"{path}/suspension", {"from_on": "2026-02-03", "reason": "flood"})
    await on(world, "2026-02-10")
    await staff.post(f"{path}/resumption", {"from_on": "2026-02-10"})
    await on(world, "2026-03-01")
    await staff.post(f"{path}/swaps", acceptance(packs[1], "2026-03-01"))
    await on(world, "2026-04-01")
    moved = {"site_id": second["id"], "slot": 3, "moved_on": "2026-04-01", "reason": "rebuilt"}
    await staff.post(f"{path}/relocations", moved)
    await on(world, "2026-04-15")
    await amend(world, contract["id"], line["id"])
    await on(world, "2026-05-08")
    damaged = {"kind": "damaged", "happened_on": "2026-05-02", "description": "lightning"}
    await staff.post(f"{path}/incidents", damaged)
    await on(world, "2026-05-10")
    stolen = {"kind": "stolen", "happened_on": "2026-05-09", "description": "door forced"}
    incident = await staff.post(f"{path}/incidents", stolen)
    await on(world, "2026-05-20")
    await staff.post(f"/v1/incidents/{incident['id']}/found", {"found_on": "2026-05-18"})
    await staff.post(f"{path}/acceptances", acceptance(packs[2], "2026-05-20"))
    await on(world, ENDED_ON)
    await staff.post(f"{path}/returns", returned(ENDED_ON))
    return {
        "customer": lessee["id"],
        "sites": [first["id"], second["id"]],
        "contract": contract["id"],
        "line": line["id"],
        "packs": packs,
        "incident": incident["id"],
    }


async def amend(world: World, contract_id: str, line_id: str) -> None:
    path = f"/v1/contracts/{contract_id}"
    version = (await world.staff.get(path))["version"]
    rents = [{"line_id": line_id, "rent_amount": 29_000}]
    await world.staff.post(
        f"{path}/amendments",
        {"from_on": "2026-05-06", "reason": "new price", "rents": rents},
        **{"If-Match": f'"v{version}"'},
    )


async def told(client: build.Client, kind: str, subject_id: str, **query: str) -> list[Json]:
    """All entries of a timeline, page by page."""
    found: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        path = f"/v1/{kind}s/{subject_id}/timeline"
        page = await client.get(path, limit=4, **query, **cursor)
        assert len(page["items"]) <= 4
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def days(entries: list[Json]) -> list[tuple[str, str]]:
    return [(entry["on"], entry["kind"]) for entry in entries]
