"""Faults that random plays of leases found, each told once in a few steps."""

from typing import Any

import pytest

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World

DAMAGE = {
    "kind": "damaged",
    "happened_on": "2026-03-01",
    "description": "dropped",
    "liable": "lessee",
    "compensation_amount": 5_000,
}
EARLY = {"early_termination": {"kind": "months_of_rent", "months": 1}}


async def refused(world: World, path: str, json: Any, code: str, status: int = 409) -> None:
    problem = await world.staff.refused("POST", path, status, json)
    assert problem["code"] == code


async def lost(world: World, lease: Json, on: str) -> Json:
    """The pack of a lease is missing from a day on."""
    incident = {"kind": "missing", "happened_on": on, "description": "gone"}
    made: Json = await world.staff.post(f"/v1/lines/{lease['line']['id']}/incidents", incident)
    return made


async def back_in_stock(world: World, pack_id: str, on: str) -> None:
    signed = {"lessor_signatory": "王工", "lessee_signatory": "李工"}
    found = {"grade": "B", "hazard": "intact", "tested_capacity_mah": 90_000}
    inspection = {"inspected_on": on, **found, **signed}
    await world.staff.post(f"/v1/packs/{pack_id}/inspections", inspection)
    decision = {"decision": "release", "decided_on": on, "reason": "as good as before"}
    await world.staff.post(f"/v1/packs/{pack_id}/dispositions", decision)


async def two_lines(world: World, **changes: Any) -> tuple[Json, list[Json], list[Json]]:
    """A contract, its lines with a pack in each, and the sites of its lessee."""
    lessee = await build.customer(world)
    places = [await build.site(world, lessee["id"]) for _ in range(2)]
    wanted = [build.line_terms(places[0]["id"], slot) for slot in (1, 2)]
    contract, lines = await build.active_contract(world, lessee["id"], wanted, **changes)
    for line in lines:
        handed = build.acceptance((await build.pack(world))["id"], "2026-01-11")
        await world.staff.post(f"/v1/lines/{line['id']}/acceptances", handed)
    return contract, lines, places


def test_a_line_that_never_had_a_pack_does_not_end_as_lost(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            added = {
                "from_on": "2026-02-01",
                "lines": [build.line_terms(lease["site"]["id"], slot=2)],
            }
            path = f"/v1/contracts/{lease['contract']['id']}/lines"
            (line_id,) = (await world.staff.post(path, added))["line_ids"]
            await refused(
                world, f"/v1/lines/{line_id}/loss", {"ended_on": "2026-03-01"}, "line_empty"
            )

    database(scenario)


def test_a_position_stays_in_an_offer_and_is_removed_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            terms = build.contract_terms(lessee["id"], [build.line_terms(place["id"])])
            draft = await world.staff.post("/v1/contracts", terms)
            (line,) = (await world.staff.get("/v1/lines", contract_id=draft["id"]))["items"]
            removal = f"/v1/lines/{line['id']}/removal"
            await world.staff.post(f"/v1/contracts/{draft['id']}/offer")
            await refused(world, removal, {"on": "2026-02-01"}, "contract_state")
            await world.staff.post(f"/v1/contracts/{draft['id']}/offer-withdrawal")
            await build.put_into_force(world.staff, draft["id"])
            await world.staff.post(removal, {"on": "2026-03-01"})
            await refused(world, removal, {"on": "2026-02-01"}, "line_ended")

    database(scenario)


def test_a_pack_is_not_handed_over_for_a_day_on_which_it_was_lost(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease, other = await build.leased_pack(world), await build.leased_pack(world)
            pack_id = lease["pack"]["id"]
            incident = await lost(world, lease, "2026-02-01")
            await lost(world, other, "2026-01-20")
            found = {"found_on": "2026-03-01"}
            await world.staff.post(f"/v1/incidents/{incident['id']}/found", found)
            await back_in_stock(world, pack_id, "2026-03-05")
            path = f"/v1/lines/{other['line']['id']}/acceptances"
            for day in ("2026-02-10", "2026-03-04"):
                await refused(world, path, build.acceptance(pack_id, day), "later_change")
            await world.staff.post(path, build.acceptance(pack_id, "2026-03-05"))

    database(scenario)


def test_a_pack_is_not_handed_over_before_it_was_acquired(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            await lost(world, lease, "2026-02-01")
            late = await build.pack(world, acquired_on="2026-04-01")
            path = f"/v1/lines/{lease['line']['id']}/acceptances"
            await refused(world, path, build.acceptance(late["id"], "2026-03-01"), "later_change")

    database(scenario)


@pytest.mark.parametrize("accepted_first", [True, False])
def test_a_pack_stands_where_its_line_stands_on_every_day(database, accepted_first):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            await lost(world, lease, "2026-03-01")
            line = f"/v1/lines/{lease['line']['id']}"
            move = {"site_id": lease["site"]["id"], "slot": 2, "reason": "rebuilt"}
            if accepted_first:
                early = {**move, "moved_on": "2026-02-01"}
                await refused(world, f"{line}/relocations", early, "later_change")
            await world.staff.post(f"{line}/relocations", {**move, "moved_on": "2026-04-01"})
            pack_id = (await build.pack(world))["id"]
            early = build.acceptance(pack_id, "2026-03-15")
            await refused(world, f"{line}/acceptances", early, "later_change")
            placed = await world.staff.post(
                f"{line}/acceptances", build.acceptance(pack_id, "2026-04-01")
            )
            assert placed["slot"] == 2

    database(scenario)


def test_one_damage_is_owed_once_a_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            path = f"/v1/lines/{lease['line']['id']}/incidents"
            await world.staff.post(path, DAMAGE)
            await refused(world, path, DAMAGE, "owed_already")
            await world.staff.post(path, {**DAMAGE, "happened_on": "2026-03-02"})

    database(scenario)


def test_a_contract_that_cannot_end_early_cannot_before_its_first_hand_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            terms = [build.line_terms(place["id"])]
            contract, _ = await build.active_contract(world, lessee["id"], terms)
            path = f"/v1/contracts/{contract['id']}/termination"
            early = {"on": "2026-06-01", "reason": "closed"}
            await refused(world, path, early, "not_allowed_by_contract")

    database(scenario)


def transfer(lessee_id: str, on: str) -> Json:
    return {
        "number": f"T-{next(build.NUMBERS)}",
        "lessee_id": lessee_id,
        "from_on": on,
        "lessor_signatory": "赵总",
        "lessee_signatory": "钱总",
        "new_lessee_signatory": "孙总",
    }


def test_an_escalation_outlives_a_transfer(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            rises = {"kind": "fixed", "percent": "10", "every_months": 3}
            lease = await build.leased_pack(world, escalator=rises)
            path = f"/v1/contracts/{lease['contract']['id']}"
            await world.staff.post(f"{path}/escalations", {"from_on": "2026-04-01"})
            other = await build.customer(world)
            successor = await world.staff.post(
                f"{path}/transfers", transfer(other["id"], "2026-05-01")
            )
            again = f"/v1/contracts/{successor['id']}/escalations"
            changed = await world.staff.post(again, {"from_on": "2026-06-01"})
            assert changed["line_ids"] == []
            page = await world.staff.get("/v1/lines", contract_id=successor["id"])
            assert [line["rent_amount"] for line in page["items"]] == [34_100]

    database(scenario)


@pytest.mark.parametrize("day", ["2026-06-01", "2026-06-02"])
def test_a_contract_whose_term_is_over_is_not_transferred(database, day):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, ends_on="2026-06-01")
            other = await build.customer(world)
            path = f"/v1/contracts/{lease['contract']['id']}/transfers"
            await refused(world, path, transfer(other["id"], day), "outside_term")

    database(scenario)


def test_a_contract_whose_term_is_over_ended_on_that_day_by_expiry(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, ends_on="2026-06-01")
            line = f"/v1/lines/{lease['line']['id']}"
            await world.staff.post(f"{line}/returns", build.returned("2026-05-01"))
            ended = await world.staff.post(f"/v1/contracts/{lease['contract']['id']}/end")
            assert (ended["ended_on"], ended["ending_reason"]) == ("2026-06-01", "expiry")

    database(scenario)


def test_a_contract_ends_when_its_last_pack_was_lost(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            contract, (first, second), _ = await two_lines(world)
            back = build.returned("2026-02-01")
            await world.staff.post(f"/v1/lines/{first['id']}/returns", back)
            await lost(world, {"line": second}, "2026-03-01")
            ended = await world.staff.post(f"/v1/contracts/{contract['id']}/end")
            assert (ended["ended_on"], ended["ending_reason"]) == ("2026-03-01", "agreement")

    database(scenario)


def test_a_contract_amended_after_its_last_return_can_be_ended(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            line = f"/v1/lines/{lease['line']['id']}"
            await world.staff.post(f"{line}/returns", build.returned("2026-02-01"))
            path = f"/v1/contracts/{lease['contract']['id']}"
            amended = {"from_on": "2026-03-01", "reason": "x", "terms": {"payment_days": 60}}
            version = (await world.staff.get(path))["version"]
            headers = {"If-Match": f'"v{version}"'}
            await world.staff.post(f"{path}/amendments", amended, **headers)
            ended = await world.staff.post(f"{path}/end")
            assert ended["ended_on"] == str(build.TODAY)

    database(scenario)
