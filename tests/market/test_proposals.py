"""The market over HTTP: from a need to reserved packs in a contract."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.api.stories import run_job
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
    term = {"starts_on": "2026-07-01", "ends_on": "2028-07-01", **changes}
    terms = build.contract_terms("", [], **term)
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


@told
async def test_what_a_contract_gets_is_the_need_of_its_own_lessee(world: World) -> None:
    _, _, found = await proposed(world)
    other = await build.customer(world)
    contract = await world.staff.post("/v1/contracts", build.contract_terms(other["id"], []))
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    refused = await world.staff.refused("POST", path, 409, {"contract_id": contract["id"]})
    assert refused["code"] == "market_other_lessee"
    for body in ({}, {"contract_id": contract["id"], "draft": draft()}):
        refused = await world.staff.refused("POST", path, 400, body)
        assert refused["code"] == "bad_market_acceptance"
    page = await world.staff.get("/v1/market-proposals", state="proposed")
    assert len(page["items"]) == 1


@told
async def test_a_contract_that_is_there_gets_the_lines_too(world: World) -> None:
    wanted, _, found = await proposed(world)
    terms = build.contract_terms(wanted["lessee_id"], [])
    contract = await world.staff.post("/v1/contracts", terms)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    made = await world.staff.post(
        path, {"contract_id": contract["id"], "from_on": contract["starts_on"]}
    )
    assert len(made["line_ids"]) == 2
    need = await world.staff.get(f"/v1/market-needs/{wanted['id']}")
    assert need["state"] == "matched"


@told
async def test_a_pack_that_is_gone_makes_a_proposal_stale(world: World) -> None:
    wanted, _, found = await proposed(world)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    bad, weak = (one["pack_id"] for one in found["packs"])
    async with world.db.transaction() as tx:
        await tx.execute(QUARANTINE, UUID(bad))
    refused = await world.staff.refused("POST", path, 409, {"draft": draft()})
    assert refused["code"] == "market_proposal_stale"
    assert refused["extra"]["pack_ids"] == [bad]
    async with world.db.transaction() as tx:
        await tx.execute(RELEASE)
    await build.estimate(world, weak, 80_000, TODAY)
    refused = await world.staff.refused("POST", path, 409, {"draft": draft()})
    assert refused["extra"]["pack_ids"] == [weak]
    await build.estimate(world, weak, 95_000, TODAY + timedelta(days=1))
    # Leased to somebody else in the meantime.
    site = await build.site(world, wanted["lessee_id"])
    terms = [build.line_terms(site["id"])]
    _, (line,) = await build.active_contract(world, wanted["lessee_id"], terms)
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", build.acceptance(bad, TODAY))
    refused = await world.staff.refused("POST", path, 409, {"draft": draft()})
    assert refused["extra"]["pack_ids"] == [bad]
    # Nothing of it was written.
    assert (await world.staff.get("/v1/contracts", number="none"))["items"] == []
    need = await world.staff.get(f"/v1/market-needs/{wanted['id']}")
    assert need["state"] == "open"


QUARANTINE = """
WITH raised AS (
  INSERT INTO alarm (pack_id, kind, severity, since, last_seen_at, limits, evidence, raised_at,
                     next_repeat_at)
  VALUES ($1, 'thermal_runaway', 'critical', now(), now(), '{}', '{}', now(), now())
  RETURNING id
)
INSERT INTO quarantine (pack_id, alarm_id, reason, opened_at)
SELECT $1, id, 'thermal runaway', now()
  FROM raised
"""

RELEASE = """
UPDATE quarantine
   SET released_at = now(),
       released_by = 'test',
       inspection_note = 'looked at'
"""


@told
async def test_a_proposal_expires_by_the_clock_and_by_the_job(world: World) -> None:
    _, _, found = await proposed(world)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    await world.set_clock(TODAY + timedelta(days=3))
    refused = await world.staff.refused("POST", path, 409, {"draft": draft()})
    assert refused["code"] == "market_proposal_expired"
    await run_job(world, "market", TODAY + timedelta(days=3))
    shown = await world.staff.get(f"/v1/market-proposals/{found['id']}")
    assert shown["state"] == "expired"
    # The job planned anew by the same terms, once.
    await run_job(world, "market", TODAY + timedelta(days=3))
    runs = (await world.staff.get("/v1/market-runs"))["items"]
    assert [run["as_of"] for run in runs] == [str(TODAY), str(TODAY + timedelta(days=3))]
    page = await world.staff.get("/v1/market-proposals", state="proposed")
    assert [one["need_id"] for one in page["items"]] == [found["need_id"]]


@told
async def test_a_reserved_pack_goes_into_its_line_and_nowhere_else(world: World) -> None:
    wanted, _, found = await proposed(world)
    site = await build.site(world, wanted["lessee_id"])
    terms = [build.line_terms(site["id"])]
    _, (other,) = await build.active_contract(world, wanted["lessee_id"], terms)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    made = await world.staff.post(path, {"draft": draft(starts_on="2026-06-01")})
    pack = made["proposal"]["packs"][0]
    given = build.acceptance(pack["pack_id"], TODAY)
    refused = await world.staff.refused("POST", f"/v1/lines/{other['id']}/acceptances", 409, given)
    assert refused["code"] == "pack_reserved"
    # A later plan does not propose what is reserved.
    await world.staff.post("/v1/market-needs", need(site["id"], energy_wh=4_000))
    run = await world.staff.post("/v1/market-runs", TERMS)
    later = (await world.staff.get("/v1/market-proposals", run_id=run["id"]))["items"]
    reserved = {one["pack_id"] for one in found["packs"]}
    assert not reserved & {one["pack_id"] for p in later for one in p["packs"]}
    await build.put_into_force(world.staff, made["contract_id"])
    await world.staff.post(f"/v1/lines/{pack['line_id']}/acceptances", given)
    shown = await world.staff.get(f"/v1/market-proposals/{found['id']}")
    assert [one["reserved"] for one in shown["packs"]] == [False, True]


@told
async def test_a_match_falls_through_with_its_contract(world: World) -> None:
    wanted, _, found = await proposed(world)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    made = await world.staff.post(path, {"draft": draft()})
    await world.staff.post(f"/v1/contracts/{made['contract_id']}/cancellation")
    await run_job(world, "market", TODAY)
    shown = await world.staff.get(f"/v1/market-proposals/{found['id']}")
    assert shown["state"] == "fallen_through"
    assert not any(one["reserved"] for one in shown["packs"])
    page = await world.staff.get("/v1/market-proposals", state="proposed")
    assert [one["need_id"] for one in page["items"]] == [wanted["id"]]


@told
async def test_of_two_who_accept_at_once_one_gets_the_packs(world: World) -> None:
    _, _, found = await proposed(world)
    path = f"/v1/market-proposals/{found['id']}/acceptance"
    asked = [world.staff.ask("POST", path, json={"draft": draft()}) for _ in range(4)]
    answers = sorted(one.status_code for one in await asyncio.gather(*asked))
    assert answers == [200, 409, 409, 409]
    async with world.db.transaction() as tx:
        rows = await tx.fetch("SELECT pack_id FROM market_proposal_pack WHERE reserved")
    assert len(rows) == len({row["pack_id"] for row in rows}) == 2


@told
async def test_no_pack_is_in_two_accepted_matches_whoever_writes_them(world: World) -> None:
    """Two proposals that name the same packs, accepted by many at once: the database lets one."""
    wanted, _, found = await proposed(world)
    site = await build.site(world, wanted["lessee_id"])
    rival = await world.staff.post("/v1/market-needs", need(site["id"]))
    async with world.db.transaction() as tx:
        other = await tx.fetchval(RIVAL, UUID(found["id"]), UUID(rival["id"]))
    paths = [f"/v1/market-proposals/{one}/acceptance" for one in (found["id"], other) * 2]
    asked = [world.staff.ask("POST", path, json={"draft": draft()}) for path in paths]
    answers = sorted(one.status_code for one in await asyncio.gather(*asked))
    assert answers == [200, 409, 409, 409]
    with pytest.raises(asyncpg.UniqueViolationError, match="market_pack_reserved_once"):
        async with world.db.transaction() as tx:
            await tx.execute("UPDATE market_proposal_pack SET reserved = true")


RIVAL = """
WITH made AS (
  INSERT INTO market_proposal (run_id, need_id, packs, energy_wh, expires_at, created_at)
  SELECT run_id, $2, packs, energy_wh, expires_at, created_at
    FROM market_proposal
   WHERE id = $1
  RETURNING id
), named AS (
  INSERT INTO market_proposal_pack (proposal_id, pack_id, soh_permille, energy_wh)
  SELECT made.id, pack_id, soh_permille, energy_wh
    FROM market_proposal_pack, made
   WHERE proposal_id = $1
)
SELECT id FROM made
"""


@told
async def test_a_need_that_gets_nothing_is_told_why(world: World) -> None:
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    for at in range(2):
        await build.estimated_pack(world, 90_000 + at)
    asked = {
        "no_voltage": {"system_voltage_mv": 345_600},
        "too_cold": {"lowest_celsius": -30},
        "too_worn": {"months": 240},
        "too_few": {"slots": 1},
        "not_worth_it": {"rent_amount": 10},
        "outbid": {"rent_amount": 5_000, "weight_percent": 100},
        "served": {},
    }
    ids = {}
    for reason, changes in asked.items():
        made = await world.staff.post("/v1/market-needs", need(site["id"], **changes))
        ids[made["id"]] = reason
    run = await world.staff.post("/v1/market-runs", {**TERMS, "fade_permille": 21})
    page = await world.staff.get(f"/v1/market-runs/{run['id']}/unserved")
    assert {ids[one["need_id"]]: one["reason"] for one in page["items"]} == {
        reason: reason for reason in asked if reason != "served"
    }
    short = {one["reason"]: one["short_amount"] for one in page["items"]}
    # At most what the one that got the packs pays more.
    assert 0 < short["outbid"] <= 55_000 + 1
    assert short["no_voltage"] is None
    # Freight and residual value of two packs, over 24 months.
    assert 2_000 < short["not_worth_it"] < 8_000
    (dear, *_) = (await world.staff.get(f"/v1/market-runs/{run['id']}/bins"))["items"]
    assert (dear["packs"], dear["packs_taken"]) == (2, 2)
    assert dear["price_amount"] > 0


@told
async def test_packs_that_come_back_in_time_are_counted_on(world: World) -> None:
    """A pack whose contract ends before the need begins is matched; one whose does not is not."""
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    ends = ("2026-07-01", "2026-07-20", "2028-01-01")
    packs = []
    for slot, ends_on in enumerate(ends, 1):
        terms = [build.line_terms(site["id"], slot)]
        _, (line,) = await build.active_contract(world, lessee["id"], terms, ends_on=ends_on)
        pack = await build.estimated_pack(world, 90_000)
        await world.staff.post(
            f"/v1/lines/{line['id']}/acceptances", build.acceptance(pack["id"], "2026-01-11")
        )
        packs.append(pack["id"])
    place = await build.site(world, lessee["id"])
    early = need(place["id"], energy_wh=4_000, starts_on="2026-07-01")
    late = need(place["id"], energy_wh=4_000, first_slot=5, starts_on="2026-08-01")
    wanted = [await world.staff.post("/v1/market-needs", one) for one in (early, late)]
    run = await world.staff.post("/v1/market-runs", TERMS)
    assert (run["packs"], run["served"]) == (2, 2)
    page = await world.staff.get("/v1/market-proposals", run_id=run["id"])
    named = {one["need_id"]: one["packs"][0]["pack_id"] for one in page["items"]}
    assert named == {wanted[0]["id"]: packs[0], wanted[1]["id"]: packs[1]}
    path = f"/v1/market-proposals/{page['items'][0]['id']}/acceptance"
    await world.staff.post(path, {"draft": draft()})


@told
async def test_a_pack_on_offer_is_where_and_when_the_offer_says(world: World) -> None:
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    pack = await build.estimated_pack(world, 90_000)
    offer = {
        "pack_id": pack["id"],
        "from_on": str(TODAY + timedelta(days=20)),
        "adcode": "310000",
        "residual_amount": 12_345,
        "reason": "in the store in Shanghai",
    }
    made = await world.staff.post("/v1/market-offers", offer)
    again = await world.staff.refused("POST", "/v1/market-offers", 409, offer)
    assert again["code"] == "pack_offered"
    await world.staff.post("/v1/market-needs", need(site["id"], energy_wh=4_000))
    late = need(site["id"], energy_wh=4_000, starts_on="2026-07-10", first_slot=5)
    await world.staff.post("/v1/market-needs", late)
    run = await world.staff.post("/v1/market-runs", TERMS)
    (found,) = (await world.staff.get("/v1/market-proposals", run_id=run["id"]))["items"]
    why = await world.staff.get(f"/v1/market-proposals/{found['id']}/explanation")
    assert (why["chosen"]["adcode"], why["chosen"]["residual_amount"]) == ("310000", 12_345)
    assert why["chosen"]["freight_amount"] > 0
    (unserved,) = (await world.staff.get(f"/v1/market-runs/{run['id']}/unserved"))["items"]
    assert unserved["reason"] == "too_late"
    await world.staff.post(f"/v1/market-offers/{made['id']}/withdrawal")
    gone = await world.staff.refused("POST", f"/v1/market-offers/{made['id']}/withdrawal", 409)
    assert gone["code"] == "market_offer_withdrawn"


@told
async def test_priority_decides_between_needs_that_bid_alike(world: World) -> None:
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    await build.estimated_pack(world, 90_000)
    plain = need(site["id"], energy_wh=4_000)
    first = await world.staff.post("/v1/market-needs", {**plain, "rent_amount": 61_000})
    second = await world.staff.post("/v1/market-needs", {**plain, "weight_percent": 150})
    run = await world.staff.post("/v1/market-runs", TERMS)
    (found,) = (await world.staff.get("/v1/market-proposals", run_id=run["id"]))["items"]
    assert found["need_id"] == second["id"]
    (lost,) = (await world.staff.get(f"/v1/market-runs/{run['id']}/unserved"))["items"]
    assert (lost["need_id"], lost["reason"]) == (first["id"], "outbid")


@told
async def test_what_the_law_forbids_is_refused_with_the_article(world: World) -> None:
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    bike = need(site["id"], permitted_use="e_bike")
    vehicle = await build.site(
        world, lessee["id"], kind="vehicle", vin="LZE4C1CB9RA000017", code="V-1"
    )
    for body in (bike, need(vehicle["id"], permitted_use="logistics_vehicle")):
        refused = await world.staff.refused("POST", "/v1/market-needs", 400, body)
        assert refused["code"] == "forbidden_use"
        assert "Order No. 73" in refused["detail"]
        assert "Art. 22" in refused["detail"]


@told
async def test_a_customer_sees_and_changes_its_own_needs_alone(world: World) -> None:
    mine, yours = await build.customer(world), await build.customer(world)
    here, there = await build.site(world, mine["id"]), await build.site(world, yours["id"])
    me, you = [await world.login(Role.CUSTOMER, one["id"]) for one in (mine, yours)]
    made = await me.post("/v1/market-needs", need(here["id"]))
    await you.refused("POST", "/v1/market-needs", 404, need(here["id"]))
    weighty = need(here["id"], weight_percent=900)
    refused = await me.refused("POST", "/v1/market-needs", 400, weighty)
    assert refused["code"] == "market_weight"
    for at in range(2):
        await build.estimated_pack(world, 90_000 + at)
    await world.staff.post("/v1/market-needs", need(there["id"], rent_amount=10))
    run = await world.staff.post("/v1/market-runs", TERMS)
    (found,) = (await me.get("/v1/market-proposals"))["items"]
    assert (await you.get("/v1/market-proposals"))["items"] == []
    assert [one["site_id"] for one in (await you.get("/v1/market-needs"))["items"]] == [there["id"]]
    await you.refused("GET", f"/v1/market-needs/{made['id']}", 404)
    await you.refused("GET", f"/v1/market-proposals/{found['id']}", 404)
    for path in (f"/v1/market-runs/{run['id']}", f"/v1/market-proposals/{found['id']}/explanation"):
        await me.refused("GET", path, 403)
    await me.refused("POST", f"/v1/market-proposals/{found['id']}/refusal", 403, {"reason": "no"})
    path = f"/v1/market-needs/{made['id']}"
    theirs = await you.ask("PATCH", path, json={"months": 12}, headers={"If-Match": '"v1"'})
    assert theirs.status_code == 404
    changed = await me.ask("PATCH", path, json={"months": 12}, headers={"If-Match": '"v1"'})
    assert (changed.status_code, changed.json()["months"]) == (200, 12)
    late = await me.ask("PATCH", path, json={"months": 24}, headers={"If-Match": '"v1"'})
    assert late.status_code == 412
    # What was proposed for the need as it was is over.
    (found,) = (await me.get("/v1/market-proposals"))["items"]
    assert found["state"] == "superseded"
    gone = await me.ask("PATCH", path, json={"withdrawn": True}, headers={"If-Match": '"v2"'})
    assert gone.json()["state"] == "withdrawn"


@told
async def test_a_proposal_declined_leaves_its_need_open(world: World) -> None:
    wanted, _, found = await proposed(world)
    path = f"/v1/market-proposals/{found['id']}"
    made = await world.staff.post(f"{path}/refusal", {"reason": "the site is being rebuilt"})
    assert (made["state"], made["decline_reason"]) == ("declined", "the site is being rebuilt")
    refused = await world.staff.refused("POST", f"{path}/acceptance", 409, {"draft": draft()})
    assert refused["code"] == "market_proposal_decided"
    assert (await world.staff.get(f"/v1/market-needs/{wanted['id']}"))["state"] == "open"


@told
async def test_what_is_proposed_or_reserved_is_offered_to_no_other_line(world: World) -> None:
    _, stock, found = await proposed(world)
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    _, (line,) = await build.active_contract(world, lessee["id"], [build.line_terms(site["id"])])
    promised = {one["pack_id"] for one in found["packs"]}
    free = {one["id"] for one in stock} - promised

    async def offered(line_id: str) -> set[str]:
        told = await world.staff.get(f"/v1/lines/{line_id}/candidates")
        counts = {one["code"]: one["packs"] for one in told["refusals"]}
        assert counts.get("held", 0) + len(told["items"]) == len(stock)
        return {one["pack_id"] for one in told["items"]}

    assert await offered(line["id"]) == free
    path = f"/v1/market-proposals/{found['id']}"
    made = await world.staff.post(f"{path}/acceptance", {"draft": draft()})
    assert await offered(line["id"]) == free
    # For its own line a pack that is reserved is no stranger.
    own = (await world.staff.get(f"/v1/lines/{made['line_ids'][0]}"))["named_pack_id"]
    assert await offered(made["line_ids"][0]) == free | {own}
    plan = await world.staff.get(f"/v1/contracts/{made['contract_id']}/candidates")
    assert {one["pack"]["pack_id"] for one in plan["assigned"]} <= free


@told
async def test_what_was_declined_is_offered_again(world: World) -> None:
    _, stock, found = await proposed(world)
    lessee = await build.customer(world)
    site = await build.site(world, lessee["id"])
    _, (line,) = await build.active_contract(world, lessee["id"], [build.line_terms(site["id"])])
    path = f"/v1/market-proposals/{found['id']}/refusal"
    await world.staff.post(path, {"reason": "the site is given up"})
    told = await world.staff.get(f"/v1/lines/{line['id']}/candidates")
    assert {one["pack_id"] for one in told["items"]} == {one["id"] for one in stock}
