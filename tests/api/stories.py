"""What the tests of the API have in common: packs at the end of a lease, and two neighbours."""

import asyncio
from datetime import date, timedelta
from typing import Any

from jobs import runner
from jobs.registry import JOBS
from leasing.kit.time import midnight
from tests import build
from tests.build import Json, World

RETURNED_ON = "2026-06-01"


async def run_job(world: World, name: str, on: date) -> None:
    """Run one job as of a day, with the clock at its noon."""
    await world.set_clock(on)
    assert await runner.run_once(world.db, name, JOBS[name], on, lambda done, total: None) == "done"


async def give_back(world: World, line_id: str, on: str = RETURNED_ON) -> None:
    await world.staff.post(f"/v1/lines/{line_id}/returns", build.returned(on))


def inspection(on: str, hazard: str = "intact") -> Json:
    return {
        "inspected_on": on,
        "grade": "D",
        "hazard": hazard,
        "lessor_signatory": "王工",
        "lessee_signatory": "李工",
    }


async def inspect(world: World, pack_id: str, on: str, hazard: str = "intact") -> None:
    await world.staff.post(f"/v1/packs/{pack_id}/inspections", inspection(on, hazard))


async def decide(world: World, pack_id: str, decision: str, on: str) -> None:
    verdict = {"decision": decision, "decided_on": on, "reason": "as inspected"}
    await world.staff.post(f"/v1/packs/{pack_id}/dispositions", verdict)


async def condemn(world: World, pack_id: str, on: str = RETURNED_ON) -> None:
    await inspect(world, pack_id, on)
    await decide(world, pack_id, "recycle", on)


async def condemned_packs(world: World, count: int, **changes: Any) -> list[Json]:
    """Packs that stood at one site, came back and wait for a way to a recycler."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = [build.line_terms(place["id"], slot=slot + 1) for slot in range(count)]
    _, lines = await build.active_contract(world, lessee["id"], terms)
    packs = []
    for line in lines:
        pack = await build.pack(world, **changes)
        given = build.acceptance(pack["id"], "2026-01-11")
        await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
        await give_back(world, line["id"])
        await condemn(world, pack["id"])
        packs.append(pack)
    return packs


async def neighbours(world: World) -> dict[str, Json]:
    """Two customers and two recyclers, each with one of everything there is to see."""
    staff = world.staff
    firms = [await build.recycler(world) for _ in range(2)]
    # Room for one pack in the nearer outlet, so that the packs part ways.
    outlets = [
        await build.outlet(world, firms[0]["id"], store_limit_kg=50),
        await build.outlet(world, firms[1]["id"], latitude=35.2),
    ]
    await world.set_clock(date(2026, 1, 11))
    leases = [await build.leased_pack(world, on="2026-01-11") for _ in range(2)]
    start = midnight(date(2026, 1, 20))
    await world.set_clock(date(2026, 1, 21))
    for lease in leases:
        readings = build.charge_readings(lease["pack"]["id"], start, capacity_ah=70)
        await staff.post("/v1/readings", {"readings": readings})
    await run_job(world, "health", date(2026, 1, 22))
    await run_job(world, "billing", date(2026, 2, 1))
    found: dict[str, Json] = {}
    for name, lease, firm, outlet in zip("ab", leases, firms, outlets, strict=True):
        line, worn = lease["line"]["id"], lease["pack"]["id"]
        fresh = await build.pack(world)
        swap = build.acceptance(fresh["id"], "2026-02-01")
        placement = await staff.post(f"/v1/lines/{line}/swaps", swap)
        await condemn(world, worn, "2026-02-01")
        routing = await staff.post(f"/v1/packs/{worn}/routings", {"hand_over_on": "2026-02-01"})
        assert routing["outlet_id"] == outlet
        (invoice,) = (await staff.get("/v1/invoices", buyer_id=lease["customer"]["id"]))["items"]
        charges = await staff.get(f"/v1/invoices/{invoice['id']}/lines")
        (duty,) = (await staff.get("/v1/duties", line_id=line))["items"]
        found[name] = {
            "customer": lease["customer"]["id"],
            "site": lease["site"]["id"],
            "contract": lease["contract"]["id"],
            "line": line,
            "worn": worn,
            "fresh": fresh["id"],
            "placement": placement["id"],
            "acceptance": placement["acceptance_id"],
            "duty": duty["id"],
            "health_check": duty["health_check_id"],
            "invoice": invoice["id"],
            "charge": charges["items"][0]["id"],
            "recycler": firm["id"],
            "outlet": outlet,
            "routing": routing["id"],
            "worn_code": lease["pack"]["code"],
            "fresh_code": fresh["code"],
        }
    await staff.post(
        f"/v1/routings/{found['a']['routing']}/hand-over", {"handed_over_on": "2026-02-01"}
    )
    return found


CUSTOMERS_THINGS = ("customer", "site", "contract", "line", "fresh", "duty", "invoice")
RECYCLERS_THINGS = ("recycler", "outlet", "routing")

UNSETTLED = """
SELECT EXISTS (
  SELECT FROM domain_event WHERE xact >= pg_snapshot_xmin(pg_current_snapshot()))
"""


async def settled(world: World) -> None:
    """Wait until every event can be read. A transaction that is open anywhere on the server,
    also in another test process, holds back the events of those that began after it."""
    for _ in range(1000):
        async with world.db.transaction() as tx:
            if not await tx.fetchval(UNSETTLED):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("some transaction stays open")


async def told(world: World) -> list[Json]:
    """The first two hundred events, once all can be read."""
    await settled(world)
    found: list[Json] = (await world.staff.get("/v1/events", limit=200))["items"]
    return found


def hours(count: int) -> timedelta:
    return timedelta(hours=count)
