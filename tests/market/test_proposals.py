"""The market over HTTP: from a need to reserved packs in a contract."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from leasing.db.pool import Database
from tests import build
from tests.build import TODAY, Json, World

TERMS = {"warehouse_adcode": "410100"}


Told = Callable[[World], Awaitable[None]]


def told(story: Told) -> Callable[[Any], None]:
    """A test that is told on an empty deployment."""

    def test(database: Any) -> None:
        async def scenario(db: Database) -> None:
            async with build.world(db) as world:
                await story(world)

        database(scenario)

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def need(site_id: str, **changes: Any) -> Json:
    """Two packs of 100 Ah at 90 % after two years of fading by 2 points each: 4,403 Wh each."""
    return {
        "site_id": site_id,
        "slots": 4,
        "system_voltage_mv": 51_200,
        "energy_wh": 8_000,
        "lowest_celsius": 0,
        "starts_on": str(TODAY + timedelta(days=16)),
        "months": 24,
        "rent_amount": 60_000,
        **changes,
    }


def draft(**changes: Any) -> Json:
    terms = build.contract_terms("", [], starts_on="2026-07-01", ends_on="2028-07-01", **changes)
    return {name: value for name, value in terms.items() if name not in ("lessee_id", "lines")}


async def proposed(world: World, packs: int = 3, **changes: Any) -> tuple[Json, list[Json], Json]:
    """A need, packs in stock, and the proposal a plan makes."""
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    stock = [await build.estimated_pack(world, 90_000 + 1_000 * at) for at in range(packs)]
    wanted = await world.staff.post("/v1/market-needs", need(site["id"], **changes))
    run = await world.staff.post("/v1/market-runs", TERMS)
    assert run["served"] == 1, run
    page = await world.staff.get("/v1/market-proposals", run_id=run["id"])
    return wanted, stock, page["items"][0]


@told
async def test_a_proposal_names_packs_and_says_why_to_the_fen(world: World) -> None:
    wanted, _, found = await proposed(world)
    assert len(found["packs"]) == 2
    assert found["energy_wh"] >= wanted["energy_wh"]
    why = await world.staff.get(f"/v1/market-proposals/{found['id']}/explanation")
    chosen = why["chosen"]
    assert chosen["rent_amount"] == 24 * 60_000
    assert chosen["value_amount"] == (
        chosen["rent_amount"] - chosen["freight_amount"] - chosen["residual_amount"]
    )
    verdict = await world.staff.get(f"/v1/market-runs/{found['run_id']}/verdict")
    assert verdict["holds"]
    assert verdict["value_amount"] == chosen["value_amount"]


@told
async def test_accepted_packs_become_lines_and_are_reserved_for_them(world: World) -> None:
    wanted, _, found = await proposed(world)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    made = await world.staff.post(path, {"draft": draft()})
    lines = (await world.staff.get("/v1/lines", contract_id=made["contract_id"]))["items"]
    assert sorted(line["named_pack_id"] for line in lines) == sorted(
        one["pack_id"] for one in found["packs"]
    )
    assert sum(line["rent_amount"] for line in lines) == wanted["rent_amount"]
    assert all(one["reserved"] for one in made["proposal"]["packs"])
    again = await world.staff.refused("POST", path, 409, {"draft": draft()})
    assert again["code"] == "market_proposal_decided"
