"""Decisions: shown with reasons and money, kept with what was shown, refused by the rules."""

from datetime import date
from uuid import UUID

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Json, World
from tests.returns import steps

OFFER = """
INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg, source,
                         entered_by, entered_at)
VALUES ($1, 'B', $2, daterange($3, $4), $5, 'quote', 'test', now())
"""


async def offer(
    world: World,
    recycler_id: str,
    cny_per_kg: int,
    disposition: str = "recycle",
    to: date | None = None,
) -> None:
    async with world.db.transaction() as tx:
        await tx.execute(OFFER, UUID(recycler_id), disposition, date(2026, 6, 1), to, cny_per_kg)


async def inspected(world: World, tested_capacity_mah: int = 75_000, **changes: object) -> Json:
    lease = await steps.returned_pack(world, tested_capacity_mah)
    await steps.inspect(world, lease["pack"], tested_capacity_mah=tested_capacity_mah, **changes)
    pack: Json = lease["pack"]
    return pack


def by_kind(shown: Json) -> dict[str, Json]:
    return {one["decision"]: one for one in shown["options"]}


def test_options_show_reasons_money_and_a_proposal_and_are_kept_with_the_decision(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world)
            low, high, late = [await build.recycler(world) for _ in range(3)]
            await offer(world, low["id"], 3)
            await offer(world, high["id"], 5)
            await offer(world, late["id"], 9, to=date(2026, 6, 15))  # over that morning
            path = f"/v1/packs/{pack['id']}/disposition-options"
            asked = {"rent_per_kwh_month_amount": 600, "rent_months": 24}
            shown = await world.staff.get(path, **asked)
            assert (shown["on"], shown["health_percent"], shown["usable_wh"]) == (
                steps.TODAY,
                "75",
                3_840,
            )
            assert shown["law"].startswith("Order No. 73")
            found = by_kind(shown)
            assert {kind: one["amount"] for kind, one in found.items()} == {
                "release": 55_296,
                "repair": None,
                "dismantle": None,
                "recycle": 23_000,
            }
            assert high["name"] in found["recycle"]["parts"][0]["how"]
            assert shown["proposed"] == "release"
            auditor = await world.login(Role.AUDITOR)
            assert await auditor.get(path, **asked) == shown
            await auditor.get(f"/v1/packs/{pack['id']}/inspection-form")
            decided = await steps.decide(
                world, pack, "recycle", reason="the model is phased out", assumptions=asked
            )
            assert (decided["proposed"], decided["options"]) == ("release", shown)
            (kept,) = (await world.staff.get("/v1/dispositions", pack_id=pack["id"]))["items"]
            assert kept == decided

    database(scenario)


def test_a_use_that_is_closed_is_refused_by_its_article(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world, 95_000)
            path = f"/v1/packs/{pack['id']}/disposition-options"
            shown = await world.staff.get(path, permitted_use="e_bike")
            (reason,) = by_kind(shown)["release"]["reasons"]
            assert (reason["code"], reason["rule"]) == ("USE_PROHIBITED", "Order No. 73, Art. 22")
            verdict = {
                "decision": "release",
                "decided_on": steps.TODAY,
                "reason": "for e-bikes",
                "assumptions": {"permitted_use": "e_bike"},
            }
            decisions = f"/v1/packs/{pack['id']}/dispositions"
            problem = await world.staff.refused("POST", decisions, 409, verdict)
            assert problem["code"] == "disposition_inadmissible"
            assert "Art. 22" in problem["detail"]
            assert problem["extra"] == {"reasons": ["USE_PROHIBITED"]}
            assert await steps.state_of(world, pack) == "returned"

    database(scenario)


@pytest.mark.parametrize(
    ("tested", "hazard", "code"),
    [
        (75_000, "damaged", "hazard_forbids_release"),
        (75_000, "unknown", "hazard_forbids_release"),
        (59_000, "intact", "disposition_inadmissible"),
    ],
)
def test_a_pack_that_is_weak_or_dangerous_is_not_leased_again(database, tested, hazard, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world, tested, hazard=hazard)
            path = f"/v1/packs/{pack['id']}/dispositions"
            verdict = {"decision": "release", "decided_on": steps.TODAY, "reason": "try it"}
            assert (await world.staff.refused("POST", path, 409, verdict))["code"] == code

    database(scenario)


def test_bands_of_the_lessor_take_the_place_of_the_usual_ones_on_their_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world, 65_000)
            band = {
                "permitted_use": "telecom_backup",
                "valid_from": "2026-06-14",
                "release_from_percent": "70",
                "repair_from_percent": "50",
                "source": "lessor's rule 3 of 2026",
            }
            made = await world.staff.post("/v1/disposition-bands", band)
            assert made["release_from_percent"] == "70.00"
            problem = await world.staff.refused("POST", "/v1/disposition-bands", 409, band)
            assert problem["code"] == "band_taken"
            above = {**band, "valid_from": "2020-01-01", "repair_from_percent": "71"}
            await world.staff.refused("POST", "/v1/disposition-bands", 400, above)
            backwards = {**band, "valid_to": "2026-06-14"}
            await world.staff.refused("POST", "/v1/disposition-bands", 400, backwards)
            path = f"/v1/packs/{pack['id']}/disposition-options"
            before = by_kind(await world.staff.get(path, on="2026-06-13"))["release"]
            since = by_kind(await world.staff.get(path, on="2026-06-14"))["release"]
            assert (before["admissible"], since["admissible"]) == (True, False)
            assert since["reasons"][0]["rule"] == "lessor's rule 3 of 2026"

    database(scenario)


def test_a_repair_keeps_a_pack_with_the_lessor_until_it_is_done(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world, 50_000, hazard="damaged")
            done = {
                "repaired_on": steps.TODAY,
                "tested_capacity_mah": 88_000,
                "report": "two modules replaced",
            }
            path = f"/v1/packs/{pack['id']}/repair"
            early = await world.staff.refused("POST", path, 409, done)
            assert early["code"] == "not_to_repair"
            await steps.decide(world, pack, "repair")
            assert await steps.state_of(world, pack) == "returned"
            again = {"decision": "recycle", "decided_on": steps.TODAY, "reason": "after all"}
            decisions = f"/v1/packs/{pack['id']}/dispositions"
            problem = await world.staff.refused("POST", decisions, 409, again)
            assert problem["code"] == "decided_already"
            before = {**done, "repaired_on": "2026-06-14"}
            assert (await world.staff.refused("POST", path, 409, before))["code"] == "not_to_repair"
            repaired = await world.staff.post(path, done)
            assert repaired["repaired_on"] == steps.TODAY
            assert await steps.state_of(world, pack) == "in_stock"
            assert (await steps.life_of(world, pack))[-1] == "pack.repaired"
            custody = await world.staff.get(f"/v1/packs/{pack['id']}/custody")
            assert custody["held"]["state"] == "in_stock"
            await world.staff.refused("POST", path, 409, done)

    database(scenario)


def test_a_repair_that_failed_is_inspected_and_decided_on_anew(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world, 50_000)
            await steps.decide(world, pack, "repair")
            await steps.inspect(world, pack, "2026-06-12", tested_capacity_mah=30_000)
            await steps.decide(world, pack, "recycle")
            assert await steps.state_of(world, pack) == "condemned"

    database(scenario)


def test_a_pack_to_be_dismantled_goes_to_an_enterprise_by_the_same_way_as_waste(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await inspected(world)
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            await steps.decide(world, pack, "dismantle")
            way = f"/v1/packs/{pack['id']}/routings"
            routing = await world.staff.post(way, {"hand_over_on": steps.TODAY})
            assert routing["state"] == "reserved"

    database(scenario)


def test_before_it_is_inspected_a_pack_has_no_options(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = (await steps.returned_pack(world))["pack"]
            path = f"/v1/packs/{pack['id']}/disposition-options"
            problem = await world.staff.refused("GET", path, 409)
            assert problem["code"] == "not_inspected"

    database(scenario)
