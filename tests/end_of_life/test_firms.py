"""Utilisation firms behind outlets: the best lawful one with room ends the way, and is named."""

from datetime import date
from uuid import UUID

import pytest
import uvloop

from bench import races, waste
from leasing.access.model import Role
from leasing.db.pool import Database, connect
from leasing.end_of_life import plan_store, plans, verifying
from leasing.kit.settings import Settings
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.end_of_life import outlets
from tests.end_of_life.test_plans import NEAR, ON, balanced, made, prepared
from tests.end_of_life.test_routes import TODAY, kept, options

FAR = {"longitude": 113.65, "latitude": 36.0}


async def behind(world: World, outlet_id: str, recycler_id: str, **days: str) -> Json:
    link = {"outlet_id": outlet_id, "recycler_id": recycler_id, "document": "contract 7"}
    entered: Json = await world.staff.post(
        "/v1/outlet-firms", {**link, "valid_from": "2026-01-01", **days}
    )
    return entered


async def plant(world: World, recycler_id: str, kg: int | None, **changes: object) -> Json:
    treats = {
        "recycler_id": recycler_id,
        "chemistries": ["B", "E"],
        "valid_from": "2026-06-01",
        "valid_to": "2026-07-01",
        "document": "approval 3",
        **FAR,
    }
    entered: Json = await world.staff.post(
        "/v1/treatment-capacities", {**treats, "capacity_kg": kg, **changes}
    )
    return entered


async def reserved_kg(world: World, capacity: Json) -> int:
    told = await world.staff.get(
        "/v1/treatment-capacities", recycler_id=capacity["recycler_id"], on=TODAY
    )
    (found,) = [one["reserved_kg"] for one in told["items"] if one["id"] == capacity["id"]]
    return int(found)


async def route(world: World, pack: Json) -> Json:
    kept(world).loaded_at = -1e9
    routed: Json = await world.staff.post(
        f"/v1/packs/{pack['id']}/routings", {"hand_over_on": TODAY}
    )
    return routed


def adds_up(parts: Json) -> None:
    four = [parts[f"{name}_amount"] for name in ("offer", "onward", "freight", "packing")]
    assert sum(four) == parts["net_amount"]


def test_the_firm_that_brings_most_after_the_second_leg_ends_the_way(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            owner, rich, richer = [await build.recycler(world) for _ in range(3)]
            outlet = await build.outlet(world, owner["id"])
            for firm, price in ((owner, "3"), (rich, "4"), (richer, "4.1")):
                await outlets.offer(world, firm["id"], price)
            alone = (await options(world, pack["id"]))["chosen"]
            assert (alone["recycler_id"], alone["onward_amount"]) == (owner["id"], 0)
            assert alone["offer_amount"] == 13_800
            await behind(world, outlet, rich["id"])
            await behind(world, outlet, richer["id"])
            await plant(world, rich["id"], None)
            # Too far away for what it pays more.
            await plant(world, richer["id"], None, latitude=40.0)
            kept(world).loaded_at = -1e9
            told = (await options(world, pack["id"]))["chosen"]
            adds_up(told)
            assert (told["outlet_id"], told["recycler_id"]) == (outlet, rich["id"])
            assert told["offer_amount"] == 18_400
            # 137.9 km, at 1.3 · 1.4 CNY/(t·km) and 120 CNY/t, for 46 kg.
            assert told["onward_amount"] == pytest.approx(-(1.3 * 0.14 * 137.9 + 12) * 46, abs=8)
            assert told["net_amount"] > alone["net_amount"]
            routing = await route(world, pack)
            assert routing["recycler_id"] == rich["id"]
            adds_up(routing["explanation"]["parts"])
            assert routing["explanation"]["parts"]["net_amount"] == told["net_amount"]
            # Both see it: who runs the outlet, and who ends the way.
            for firm, sees in ((owner, 1), (rich, 1), (richer, 0)):
                there = await world.login(Role.RECYCLER, firm["id"])
                assert len((await there.get("/v1/routings"))["items"]) == sees

    database(scenario)


def test_a_full_firm_is_passed_over_and_its_room_comes_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await stories.condemned_packs(world, 4)
            owner, rich = [await build.recycler(world) for _ in range(2)]
            outlet = await build.outlet(world, owner["id"])
            for firm, price in ((owner, "3"), (rich, "4")):
                await outlets.offer(world, firm["id"], price)
            await behind(world, outlet, rich["id"])
            month = await plant(world, rich["id"], 100)
            year = await plant(
                world, rich["id"], 1_000, valid_from="2026-01-01", valid_to="2027-01-01"
            )
            routings = [await route(world, pack) for pack in packs]
            ends = [one["recycler_id"] for one in routings]
            assert ends == [rich["id"], rich["id"], owner["id"], owner["id"]]
            assert await reserved_kg(world, month) == await reserved_kg(world, year) == 92
            release = {"released_on": TODAY, "reason": "the truck broke down"}
            for _ in range(2):
                await world.staff.post(f"/v1/routings/{routings[0]['id']}/release", release)
            assert await reserved_kg(world, month) == await reserved_kg(world, year) == 46
            assert (await route(world, packs[0]))["recycler_id"] == rich["id"]
            # Of what does not name it there is none: another chemistry goes to the owner.
            async with db.transaction() as tx:
                await tx.execute("UPDATE treatment_capacity SET chemistries = '{E}'")
            await world.staff.post(f"/v1/routings/{routings[3]['id']}/release", release)
            assert (await route(world, packs[3]))["recycler_id"] == owner["id"]

    database(scenario)


def test_what_speaks_against_an_outlet_is_told_when_its_firms_are_full(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await stories.condemned_packs(world, 2)
            owner = await build.recycler(world)
            await build.outlet(world, owner["id"])
            await outlets.offer(world, owner["id"], "3")
            month = await plant(world, owner["id"], 46)
            await route(world, packs[0])
            assert await reserved_kg(world, month) == 46
            kept(world).loaded_at = -1e9
            told = await options(world, packs[1]["id"])
            assert told["chosen"] is None
            assert {one["code"]: one["outlets"] for one in told["excluded"]} == {"FIRM_FULL": 1}
            problem = await world.staff.refused(
                "POST", f"/v1/packs/{packs[1]['id']}/routings", 409, {"hand_over_on": TODAY}
            )
            assert problem["extra"]["excluded_by_reason"] == {"FIRM_FULL": 1}

    database(scenario)


def test_an_outlet_loses_a_chemistry_with_its_last_lawful_firm_for_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            # The outlet is run by somebody who may not utilise anything.
            owner = await build.recycler(world, valid_to=date(2026, 1, 1))
            one, other = [await build.recycler(world) for _ in range(2)]
            outlet = await build.outlet(world, owner["id"])
            for firm, price in ((owner, "9"), (one, "4"), (other, "3")):
                await outlets.offer(world, firm["id"], price)
            told = await options(world, pack["id"])
            assert {each["code"] for each in told["excluded"]} == {"QUAL_EXPIRED"}
            links = [await behind(world, outlet, firm["id"]) for firm in (one, other)]

            async def chosen() -> str | None:
                kept(world).loaded_at = -1e9
                option = (await options(world, pack["id"]))["chosen"]
                return option and option["recycler_id"]

            assert await chosen() == one["id"]
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE qualification SET valid = daterange(lower(valid), '2026-06-01')"
                    " WHERE party_id = $1 AND kind = 'eia'",
                    UUID(one["id"]),
                )
            assert await chosen() == other["id"]
            ended = await world.staff.post(
                f"/v1/outlet-firms/{links[1]['id']}/end", {"ended_on": TODAY}
            )
            assert ended["valid_to"] == TODAY
            assert await chosen() is None

    database(scenario)


def test_what_cannot_be_entered_is_refused_with_the_reason(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            outlet = await build.outlet(world, firm["id"])
            link = await behind(world, outlet, firm["id"])
            staff, nobody = world.staff, "00000000-0000-7000-8000-000000000000"

            async def code(path: str, status: int, body: Json) -> str:
                problem = await staff.refused("POST", path, status, body)
                return str(problem["code"])

            body = {
                "outlet_id": outlet,
                "recycler_id": firm["id"],
                "valid_from": "2026-05-01",
                "document": "contract 8",
            }
            path = "/v1/outlet-firms"
            assert await code(path, 409, body) == "outlet_firm_overlaps"
            assert await code(path, 404, {**body, "outlet_id": nobody}) == "outlet_not_found"
            assert await code(path, 404, {**body, "recycler_id": nobody}) == "recycler_not_found"
            assert await code(path, 400, {**body, "valid_to": "2026-05-01"}) == "empty_days"
            ends = f"{path}/{link['id']}/end"
            assert await code(ends, 409, {"ended_on": "2026-01-01"}) == "outlet_firm_ends_otherwise"
            gone = f"{path}/{nobody}/end"
            assert await code(gone, 404, {"ended_on": TODAY}) == "outlet_firm_not_found"
            treats = {
                "recycler_id": firm["id"],
                "chemistries": ["B"],
                "valid_from": "2026-06-01",
                "valid_to": "2026-07-01",
                "document": "approval 3",
                **FAR,
            }
            path = "/v1/treatment-capacities"
            assert await code(path, 404, {**treats, "recycler_id": nobody}) == "recycler_not_found"
            assert await code(path, 400, {**treats, "valid_to": "2026-06-01"}) == "empty_days"
            there = await world.login(Role.RECYCLER, firm["id"])
            await plant(world, firm["id"], 5)
            assert len((await there.get(path))["items"]) == 1
            stranger = await build.recycler(world)
            elsewhere = await world.login(Role.RECYCLER, stranger["id"])
            assert (await elsewhere.get(path))["items"] == []
            assert (await elsewhere.get("/v1/outlet-firms"))["items"] == []

    database(scenario)


# Every firm has a plant near the packs, which treats little in that month.
TIGHT = """
INSERT INTO treatment_capacity (recycler_id, chemistries, valid, longitude, latitude, capacity_kg,
                                document, entered_by, entered_at)
SELECT id, '{A,B,C,E}', '[2026-06-01,2026-07-01)', 113.65, 34.76, $1, 'approval', 'a test', now()
  FROM party
 WHERE kind = 'recycler'
"""

# Every outlet may hand on to two more firms.
SHARED = """
INSERT INTO outlet_firm (outlet_id, recycler_id, valid, document, entered_by, entered_at)
SELECT outlet.id, firm.id, '[2026-01-01,)', 'contract', 'a test', now()
  FROM outlet
 CROSS JOIN LATERAL (
         SELECT party.id
           FROM party
          WHERE party.kind = 'recycler'
            AND party.id <> outlet.recycler_id
          ORDER BY md5(party.id::text || outlet.adcode)
          LIMIT 2) AS firm
"""

EXCEEDED = """
SELECT treatment_capacity.id, reserved_kg, capacity_kg, coalesce(sum(mass_kg), 0) AS kg
  FROM treatment_capacity
  LEFT JOIN routing ON treatment_capacity.id = ANY (capacity_ids)
   AND state <> 'released'
 GROUP BY treatment_capacity.id
HAVING reserved_kg <> coalesce(sum(mass_kg), 0)
    OR reserved_kg > capacity_kg
"""


async def in_balance(tx) -> None:
    await balanced(tx)
    assert [dict(row) for row in await tx.fetch(EXCEEDED)] == []


def test_a_plan_keeps_to_what_firms_treat_and_its_bound_is_proved_for_both_stages(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            await prepared(db, 300, NEAR)
            first = await made(db)
            async with db.transaction() as tx:
                await tx.execute(SHARED)
                await tx.execute(TIGHT, 2_500)
            plan_id = await made(db)
            assert plan_id != first
            assert await made(db) == plan_id
            plan = await world.staff.get(f"/v1/routing-plans/{plan_id}")
            assert plan["solver"] == "flow"
            assert plan["gap_ppm"] < 30_000
            async with db.transaction(read_only=True) as tx:
                row = await plan_store.find(tx, str(plan_id))
                proved = verifying.prove(row)
                assert proved.agrees
                filled = await tx.fetch(
                    "SELECT recycler_id, sum(mass_kg) AS kg FROM routing_plan_item"
                    " WHERE plan_id = $1 AND recycler_id IN"
                    " (SELECT recycler_id FROM treatment_capacity) GROUP BY recycler_id",
                    plan_id,
                )
                assert max(one["kg"] for one in filled) <= 2_500
                assert max(one["kg"] for one in filled) > 2_000
                rows = await plan_store.items_after(tx, plan_id, UUID(int=0), "planned", None, 1000)
                assert len(rows) == plan["planned"] > 250
                for one in rows:
                    adds_up(one["parts"])
                places = await plan_store.prefectures(tx, plan_id)
            firm_of = {one["pack_id"]: one["recycler_id"] for one in rows}
            for adcode in places:
                await world.staff.post(
                    f"/v1/routing-plans/{plan_id}/applications", {"adcode": adcode}
                )
            async with db.transaction() as tx:
                await in_balance(tx)
                reserved = await tx.fetch("SELECT pack_id, recycler_id FROM routing")
                assert len(reserved) == len(rows)
                for one in reserved:
                    assert one["recycler_id"] == firm_of[one["pack_id"]]
                # The firm with most to do is withdrawn.
                busiest = max(filled, key=lambda one: one["kg"])["recycler_id"]
                await tx.execute(
                    "UPDATE qualification SET valid = daterange(lower(valid), '2026-06-16')"
                    " WHERE party_id = $1 AND kind = 'eia'",
                    busiest,
                )
            done = await world.staff.post("/v1/reroutings", {"reason": "withdrawn"})
            assert done["hit"] == sum(1 for one in reserved if one["recycler_id"] == busiest)
            assert done["rerouted"] > 0
            async with db.transaction(read_only=True) as tx:
                await in_balance(tx)
                moved = await tx.fetch(
                    "SELECT recycler_id, outlet_id FROM routing WHERE state = 'reserved'"
                )
                assert busiest not in {one["recycler_id"] for one in moved}
                assert not await tx.fetchval(
                    "SELECT sum(reserved_kg) FROM treatment_capacity WHERE recycler_id = $1",
                    busiest,
                )

    database(scenario)


@pytest.mark.slow
def test_batches_and_streams_at_once_send_no_firm_more_than_it_treats(
    dsn: str, own_schema: Settings
):
    async def scenario() -> None:
        async with await connect(dsn, own_schema) as db:
            adcodes = ("410100", "410200", "410300", "410700", "411000", "420100", "130400")
            async with db.transaction() as tx:
                await waste.country(tx)
                ids = await waste.waiting(tx, 160, 1, adcodes)
                await tx.execute(SHARED)
                await tx.execute(TIGHT, 700)
            plan_id = await plans.make(db, ON, by="a test")
            assert plan_id is not None
            async with db.transaction() as tx:
                ids += await waste.waiting(tx, 160, 2, adcodes)
            seen = await races.race(
                db, plan_id, ids, batches=3, streams=3, on=races.handed_over_on(ON)
            )
            everyone = seen.batches + seen.streams
            assert [ran.others for ran in everyone] == [[]] * 6
            assert sum(ran.deadlocks for ran in everyone) == 0
            assert (seen.oversold_kg, seen.unbalanced, seen.twice) == (0, 0, 0)
            assert sum(ran.routed for ran in seen.batches) > 5
            assert sum(ran.routed for ran in seen.streams) > 5
            async with db.transaction(read_only=True) as tx:
                await in_balance(tx)
                busiest = await tx.fetch(
                    "SELECT reserved_kg FROM treatment_capacity ORDER BY reserved_kg DESC LIMIT 5"
                )
                assert min(one["reserved_kg"] for one in busiest) > 600

    uvloop.run(scenario())
