"""A plan for all packs that wait: proved from what is stored, locked, applied; packs that lost
their recycler, routed anew together."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from uuid import UUID
from zipfile import ZipFile

import networkx
import numpy as np
import pytest
import uvloop
from click.testing import CliRunner, Result

from bench import waste
from jobs.cli import main
from leasing.access.model import Role
from leasing.db.pool import Database, connect
from leasing.end_of_life import loads, plan_store, plans, snapshot, verifying
from leasing.kit.time import civil_date, system_now
from leasing.regions.model import distance_km
from leasing.routing import certificate, files
from leasing.routing.model import FORBIDDEN
from tests import build
from tests.api import stories
from tests.consignments import lots

ON = date(2026, 6, 15)
NEAR = ("410100", "410200", "411000")


async def prepared(db: Database, many: int, adcodes: tuple[str, ...] | None = None) -> list[UUID]:
    async with db.transaction() as tx:
        await waste.country(tx)
        return await waste.waiting(tx, many, adcodes=adcodes)


async def made(db: Database, seconds: float = 120) -> UUID:
    plan_id = await plans.make(db, ON, by="a test", seconds=seconds)
    assert plan_id is not None
    return plan_id


WORK_IT_OUT = """
SELECT item.pack_id, item.mass_kg, item.outlet_id, item.parts, pack.chemistry,
       inspection.hazard, site.longitude, site.latitude, outlet.longitude AS outlet_longitude,
       outlet.latitude AS outlet_latitude, outlet.chemistries, outlet.hazards, outlet.kind,
       outlet.recycler_id,
       (SELECT cny_per_kg
          FROM scrap_offer
         WHERE scrap_offer.recycler_id = outlet.recycler_id
           AND scrap_offer.chemistry = pack.chemistry
           AND scrap_offer.disposition = 'recycle'
           AND scrap_offer.valid @> plan.hand_over_on) AS cny_per_kg,
       (SELECT count(DISTINCT kind)
          FROM qualification
         WHERE party_id = outlet.recycler_id
           AND kind <> 'listing'
           AND valid @> plan.hand_over_on) AS papers
  FROM routing_plan_item AS item
  JOIN routing_plan AS plan ON plan.id = item.plan_id
  JOIN pack ON pack.id = item.pack_id
  JOIN inspection ON inspection.pack_id = pack.id
  JOIN placement ON placement.pack_id = item.pack_id
  JOIN site ON site.id = placement.site_id
  JOIN outlet ON outlet.id = item.outlet_id
 WHERE plan_id = $1
"""

# CNY/(kg·km) of road and CNY/kg, as the documentation has them.
FREIGHT = {"intact": 0.0014, "damaged": 0.0026, "critical": 0.0055}
PACKING = {"intact": 0.12, "damaged": 0.65, "critical": 2.10}

FILLED = """
SELECT outlet_id, sum(item.mass_kg) AS kg,
       min(store_limit_kg - stock_kg - reserved_kg - in_transit_kg) AS free_kg
  FROM routing_plan_item AS item
  JOIN outlet ON outlet.id = outlet_id
 WHERE plan_id = $1
 GROUP BY outlet_id
"""


async def recheck(db: Database, plan_id: UUID) -> int:
    """Every assignment of a plan, judged from the tables by the rules of the trade alone."""
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch(WORK_IT_OUT, plan_id)
        for row in rows:
            assert row["chemistry"] in row["chemistries"]
            assert row["hazard"] in row["hazards"]
            assert row["hazard"] == "intact" or row["kind"] == "concentrated"
            assert row["papers"] == 3
            parts = row["parts"]
            offered = 100 * row["cny_per_kg"] * row["mass_kg"]
            assert parts["offer_amount"] == int(offered.quantize(Decimal(1), ROUND_HALF_UP))
            packing = round(100 * PACKING[row["hazard"]] * row["mass_kg"])
            assert parts["packing_amount"] == -packing
            km = distance_km(
                row["longitude"], row["latitude"], row["outlet_longitude"], row["outlet_latitude"]
            )
            freight = 130 * FREIGHT[row["hazard"]] * km * row["mass_kg"]
            # Distances are rounded to 100 m, and rates to 0.0001 CNY/kg.
            assert abs(parts["freight_amount"] + freight) < 2 + 0.035 * row["mass_kg"]
            three = [parts[f"{name}_amount"] for name in ("offer", "freight", "packing")]
            assert sum(three) == parts["net_amount"]
        for row in await tx.fetch(FILLED, plan_id):
            assert row["kg"] <= row["free_kg"]
    return len(rows)


def test_a_plan_is_proved_from_what_is_stored_and_every_assignment_is_allowed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            await prepared(db, 400)
            plan_id = await made(db)
            plan = await world.staff.get(f"/v1/routing-plans/{plan_id}")
            assert (plan["packs"], plan["state"], plan["solver"]) == (400, "proposed", "flow")
            assert plan["planned"] + plan["held"] == 400
            assert plan["bound_cny_e4"] - plan["value_cny_e4"] == (
                plan["outbid_cny_e4"] + plan["unused_cny_e4"]
            )
            assert plan["gap_ppm"] < 2_000
            assert await recheck(db, plan_id) == plan["planned"] > 380
            items = await world.staff.get(f"/v1/routing-plans/{plan_id}/items", state="held")
            assert all(one["reason"] for one in items["items"])
            # The auditor takes the proof away, and it holds by itself.
            auditor = await world.login(Role.AUDITOR)
            answer = await auditor.ask("GET", f"/v1/routing-plans/{plan_id}/proof")
            with ZipFile(BytesIO(answer.content)) as both:
                instance = files.read_instance(BytesIO(both.read("instance.npz")))
                held = files.read_plan(BytesIO(both.read("plan.npz")))
            verdict = certificate.judge(instance, held.prices, held.plan)
            assert (verdict.value, verdict.bound) == (plan["value_cny_e4"], plan["bound_cny_e4"])
            async with db.transaction(read_only=True) as tx:
                row = await plan_store.find(tx, plan["digest"][:12])
            assert verifying.prove(row).agrees

    database(scenario)


def test_a_plan_that_was_tampered_with_is_found_out(database):
    async def scenario(db: Database) -> None:
        await prepared(db, 60)
        plan_id = await made(db)
        async with db.transaction(read_only=True) as tx:
            row = dict(await plan_store.find(tx, str(plan_id)))
        assert not verifying.prove({**row, "value": row["value"] + 1}).agrees
        held = files.arrays(BytesIO(row["solution"]))
        for name, changed in (
            ("kg", held["kg"] + 1),
            ("kg", held["kg"] * 1000),
            ("price", held["price"] - 2**33),
            ("instance", np.array("0" * 64)),
        ):
            with pytest.raises(certificate.Wrong):
                verifying.prove({**row, "solution": files.packed({**held, name: changed})})
        # Another instance, with more room than there was.
        instance = files.read_instance(BytesIO(row["instance"]))
        roomy = replace(instance, free_kg=instance.free_kg + 1)
        with pytest.raises(certificate.Wrong):
            verifying.prove({**row, "instance": files.packed(files.network_arrays(roomy))})
        # Dearer prices still bound every plan; only the figures are others.
        dearer = verifying.prove(
            {**row, "solution": files.packed({**held, "price": held["price"] + 500})}
        )
        assert dearer.verdict.bound > row["bound"]
        assert not dearer.agrees

    database(scenario)


def test_plans_are_listed_proved_and_applied_from_the_command_line(dsn, own_schema):
    async def prepare() -> UUID:
        async with await connect(dsn, own_schema) as db:
            await prepared(db, 30, NEAR)
            plan_id = await plans.make(db, civil_date(system_now()), by="a test")
            assert plan_id is not None
            return plan_id

    async def spoil() -> None:
        async with await connect(dsn, own_schema) as db, db.transaction() as tx:
            await tx.execute("UPDATE routing_plan SET value = value + 1, bound = bound + 1")

    async def routed() -> int:
        async with await connect(dsn, own_schema) as db, db.transaction() as tx:
            count: int = await tx.fetchval("SELECT count(*) FROM routing")
            return count

    plan_id = str(uvloop.run(prepare()))
    env = {"LEASING_DSN": dsn, "LEASING_SCHEMA": own_schema.schema, "COLUMNS": "200"}

    def leasing(*words: str) -> Result:
        return CliRunner(env=env).invoke(main, ["routing", *words])

    told = leasing("plans")
    assert (told.exit_code, plan_id in told.output) == (0, True), told.output
    told = leasing("verify", plan_id)
    assert told.exit_code == 0, told.output
    assert told.output.startswith(f"plan {plan_id}: value ")
    assert leasing("verify", str(UUID(int=1))).exit_code == 1
    uvloop.run(spoil())
    told = leasing("verify", plan_id)
    assert told.exit_code == 1
    assert "stored with other figures" in told.output
    told = leasing("apply", plan_id)
    assert (told.exit_code, uvloop.run(routed()) > 20) == (0, True), told.output
    told = leasing("verify", "a", "b", "c")
    assert told.exit_code == 2


def test_the_same_input_gets_the_same_plan(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON):
            ids = await prepared(db, 120, NEAR)
            async with db.transaction() as tx:
                await tx.execute("UPDATE outlet SET stock_kg = greatest(0, store_limit_kg - 600)")
            first = await made(db)
            async with db.transaction(read_only=True) as tx:
                # Space has its price, by which the next plan starts.
                assert (await snapshot.load(tx)).prices
            assert await made(db) == first
            async with db.transaction(read_only=True) as tx:
                one = await plan_store.get(tx, first)
            # Something changes, and is put back.
            async with db.transaction() as tx:
                await tx.execute("UPDATE pack SET mass_kg = mass_kg + 1 WHERE id = $1", ids[0])
            second = await made(db)
            assert second != first
            async with db.transaction() as tx:
                assert (await plan_store.get(tx, first))["state"] == "superseded"
                await tx.execute("UPDATE pack SET mass_kg = mass_kg - 1 WHERE id = $1", ids[0])
            again = await made(db)
            async with db.transaction(read_only=True) as tx:
                other = await plan_store.get(tx, again)
            assert again == first
            assert (other["digest"], other["state"]) == (one["digest"], "proposed")

    database(scenario)


def test_when_time_is_over_the_greedy_plan_is_taken_and_proved_all_the_same(database):
    async def scenario(db: Database) -> None:
        await prepared(db, 60)
        plan_id = await made(db, seconds=0.01)
        async with db.transaction(read_only=True) as tx:
            row = await plan_store.find(tx, str(plan_id))
            plan = await plan_store.get(tx, plan_id)
        assert plan["solver"] == "greedy"
        assert plan["planned"] > 50
        assert verifying.prove(row).agrees
        await recheck(db, plan_id)

    database(scenario)


def test_what_is_beyond_all_room_is_held_before_anything_is_solved(database):
    async def scenario(db: Database) -> None:
        await prepared(db, 200)
        async with db.transaction() as tx:
            await tx.execute("UPDATE outlet SET stock_kg = store_limit_kg")
            few = "UPDATE outlet SET stock_kg = store_limit_kg - 1000 WHERE code LIKE '41%-0001'"
            await tx.execute(few)
            known = await snapshot.load(tx)
            everything = await loads.waiting(tx, 1000)
        day = known.on(date(2026, 6, 18))
        kept, held = loads.without_excess(day, everything)
        is_open = day.network.closed == 0
        assert sum(load.mass_kg for load in kept) <= day.network.free_kg[is_open].sum()
        assert len(kept) + len(held) == 200
        assert held
        plan_id = await made(db)
        async with db.transaction(read_only=True) as tx:
            items = await plan_store.items_after(tx, plan_id, UUID(int=0), "held", None, 1000)
        reasons = {item["pack_id"]: item["reason"] for item in items}
        assert {reasons[load.pack_id] for load in held} == {"SPACE"}
        await recheck(db, plan_id)

    database(scenario)


def test_a_plan_is_applied_chunk_by_chunk_and_what_it_cannot_do_is_done_otherwise(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            await prepared(db, 90, NEAR)
            plan_id = await made(db)
            path = f"/v1/routing-plans/{plan_id}"
            async with db.transaction() as tx:
                places = await plan_store.prefectures(tx, plan_id)
                rows = await plan_store.items_after(tx, plan_id, UUID(int=0), "planned", None, 1000)
                # Meanwhile an outlet filled up and another one's recycler lost its permit.
                firms = dict(await tx.fetch("SELECT id, recycler_id FROM outlet"))
                full = rows[0]["outlet_id"]
                await tx.execute(
                    "UPDATE outlet SET stock_kg = store_limit_kg - reserved_kg WHERE id = $1", full
                )
                firm = next(
                    firms[row["outlet_id"]]
                    for row in rows
                    if firms[row["outlet_id"]] != firms[full]
                )
                await tx.execute(
                    "UPDATE qualification SET valid = daterange(lower(valid), '2026-06-16')"
                    " WHERE party_id = $1 AND kind = 'eia'",
                    firm,
                )
            assert places == sorted({row["adcode"] for row in rows})
            totals = [0, 0, 0]
            for adcode in places:
                done = await world.staff.post(f"{path}/applications", {"adcode": adcode})
                for place, name in enumerate(("applied", "elsewhere", "refused")):
                    totals[place] += done[name]
            assert (done["left"], done["state"]) == (0, "applied")
            assert totals[0] + totals[2] == len(rows)
            assert totals[1] > 0
            async with db.transaction(read_only=True) as tx:
                reserved = await tx.fetch(
                    "SELECT outlet_id, recycler_id, explanation FROM routing"
                    " WHERE state = 'reserved'"
                )
                assert len(reserved) == totals[0]
                assert full not in {row["outlet_id"] for row in reserved}
                assert firm not in {row["recycler_id"] for row in reserved}
                assert {row["explanation"]["plan_id"] for row in reserved} == {str(plan_id)}
                await balanced(tx)
            problem = await world.staff.refused(
                "POST", f"{path}/applications", 409, {"adcode": places[0]}
            )
            assert problem["code"] == "routing_plan_closed"

    database(scenario)


UNBALANCED = """
SELECT outlet.code, outlet.reserved_kg, coalesce(sum(routing.mass_kg), 0) AS kg
  FROM outlet
  LEFT JOIN routing ON routing.outlet_id = outlet.id
   AND routing.state = 'reserved'
 GROUP BY outlet.id
HAVING outlet.reserved_kg <> coalesce(sum(routing.mass_kg), 0)
    OR outlet.stock_kg + outlet.reserved_kg + outlet.in_transit_kg > outlet.store_limit_kg
"""


async def balanced(tx) -> None:
    """What outlets have reserved is what routings say, and no more than they may store."""
    assert [dict(row) for row in await tx.fetch(UNBALANCED)] == []


def test_what_staff_locked_stays_when_the_next_plan_is_made(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            await prepared(db, 60, NEAR)
            first = await made(db)
            path = f"/v1/routing-plans/{first}"
            items = (await world.staff.get(f"{path}/items", state="planned"))["items"]
            chosen = items[7]
            locked = await world.staff.post(f"{path}/locks", {"pack_ids": [chosen["pack_id"]]})
            assert locked == {"locked": 1}
            # A price that would draw everything elsewhere.
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE scrap_offer SET cny_per_kg = cny_per_kg * 3 WHERE recycler_id ="
                    " (SELECT recycler_id FROM outlet WHERE code LIKE '4201%' LIMIT 1)"
                )
            second = await made(db)
            assert second != first
            told = await world.staff.get(
                f"/v1/routing-plans/{second}/items", pack_id=chosen["pack_id"]
            )
            (kept,) = told["items"]
            assert kept["outlet_id"] == chosen["outlet_id"]
            assert kept["locked_by"].startswith("staff")
            compared = await world.staff.get(
                f"/v1/routing-plans/{first}/comparison", other_id=str(second)
            )
            assert compared["packs_in_both"] == 60
            assert 0 < compared["moves"] < 60
            assert compared["other_value_cny_e4"] > compared["value_cny_e4"]
            problem = await world.staff.refused(
                "POST", f"{path}/locks", 409, {"pack_ids": [chosen["pack_id"]]}
            )
            assert problem["code"] == "routing_plan_closed"
            plans_listed = (await world.staff.get("/v1/routing-plans"))["items"]
            assert [one["id"] for one in plans_listed] == [str(second), str(first)]

    database(scenario)


def test_the_plans_flow_is_the_best_flow_that_another_library_finds(database):
    async def scenario(db: Database) -> None:
        await prepared(db, 25, NEAR)
        async with db.transaction() as tx:
            # Few outlets with little room, so that packs are in each other's way.
            keep = "SELECT id FROM outlet WHERE left(code, 4) IN ('4101', '4102', '4110', '4201')"
            await tx.execute(f"DELETE FROM outlet WHERE id NOT IN ({keep})")
            await tx.execute("UPDATE outlet SET stock_kg = greatest(0, store_limit_kg - 150)")
            known = await snapshot.load(tx)
            everything = await loads.waiting(tx, 1000)
        day = known.on(date(2026, 6, 18))
        problem = loads.problem(day, loads.without_excess(day, everything)[0])
        network = problem.network
        solved = plans.work(network, np.zeros(len(network.free_kg), dtype=np.int64))
        flow = solved.planned.flow
        assert flow is not None
        verdict = certificate.judge(network, solved.planned.prices, flow)
        assert verdict.value == by_networkx(network)
        assert solved.verdict.value <= verdict.value == verdict.bound

    database(scenario)


def by_networkx(network) -> int:
    graph = networkx.DiGraph()
    supply = network.classes.supply_kg
    graph.add_node("end", demand=int(supply.sum()))
    m = len(network.free_kg)
    for j in range(m):
        graph.add_edge(("outlet", j), "end", capacity=int(network.free_kg[j]), weight=0)
    for i in range(len(supply)):
        graph.add_node(i, demand=-int(supply[i]))
        graph.add_edge(i, "end", weight=-network.hold)
        value = certificate.pair_values(network, np.full(m, i), np.arange(m))
        for j in np.flatnonzero(value > FORBIDDEN).tolist():
            graph.add_edge(i, ("outlet", j), weight=-int(value[j]))
    cost, _ = networkx.network_simplex(graph)
    return -cost


def test_prices_of_space_of_the_newest_plan_turn_single_packs_away_from_dear_room(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            ids = await prepared(db, 40, ("410100",))
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE outlet SET stock_kg = greatest(0, store_limit_kg - 460)"
                    " WHERE kind = 'collecting'"
                )
            plan_id = await made(db)
            dear = await world.staff.get(f"/v1/routing-plans/{plan_id}/space-prices")
            assert dear
            assert float(dear[0]["cny_per_tonne"]) > 0
            told = await world.staff.get(
                f"/v1/packs/{ids[0]}/route-options", hand_over_on="2026-06-18"
            )
            assert told["prices_of_plan"] == str(plan_id)
            chosen, own = told["chosen"], told["own_best"]
            assert own["net_amount"] >= chosen["net_amount"]

    database(scenario)


UNFIT = """
UPDATE inspection
   SET form_version = 1,
       transport_passed = false
 WHERE pack_id = ANY ($1::uuid[])
"""
DISMANTLED = "UPDATE disposition SET decision = 'dismantle' WHERE pack_id = ANY ($1::uuid[])"
PAYS_FOR_DISMANTLING = """
INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg, source,
                         entered_by, entered_at)
SELECT recycler_id, chemistry, 'dismantle', valid, cny_per_kg + 5, source, entered_by, entered_at
  FROM scrap_offer
"""


async def changed(tx, statement: str, ids: list[UUID]) -> None:
    await tx.execute("SET LOCAL session_replication_role = replica")
    await tx.execute(statement, ids)
    await tx.execute("SET LOCAL session_replication_role = origin")


def test_packs_that_failed_their_transport_check_hold_nobody_else_up(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            ids = await prepared(db, 40, ("410100",))
            async with db.transaction() as tx:
                await changed(tx, UNFIT, ids[:3])
            plan_id = await made(db)
            path = f"/v1/routing-plans/{plan_id}"
            held = (await world.staff.get(f"{path}/items", state="held"))["items"]
            reasons = {one["pack_id"]: one["reason"] for one in held}
            assert [reasons[str(one)] for one in ids[:3]] == ["TRANSPORT_CHECK"] * 3
            # Three more fail between plan and application, and the others go all the same.
            async with db.transaction() as tx:
                await changed(tx, UNFIT, ids[3:6])
            done = await world.staff.post(f"{path}/applications", {"adcode": "410100"})
            assert done["refused"] == 3
            assert done["applied"] == 40 - len(held) - 3
            refused = (await world.staff.get(f"{path}/items", state="refused"))["items"]
            assert {one["reason"] for one in refused} == {"TRANSPORT_CHECK"}

    database(scenario)


def test_what_is_to_be_dismantled_goes_to_who_pays_most_for_either(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            ids = await prepared(db, 20, ("410100",))
            async with db.transaction() as tx:
                await changed(tx, DISMANTLED, ids[:10])
                await tx.execute(PAYS_FOR_DISMANTLING)
            plan_id = await made(db)
            items = await world.staff.get(
                f"/v1/routing-plans/{plan_id}/items", state="planned", limit=200
            )
            decided = {one["pack_id"]: one["parts"]["disposition"] for one in items["items"]}
            assert len(decided) > 15
            for number, pack_id in enumerate(map(str, ids)):
                expected = "dismantle" if number < 10 else "recycle"
                assert decided.get(pack_id, expected) == expected
            one = await world.staff.get(
                f"/v1/packs/{ids[0]}/route-options", hand_over_on="2026-06-18"
            )
            assert one["chosen"]["disposition"] == "dismantle"

    database(scenario)


# --- Withdrawn recyclers ----------------------------------------------------------------------

WITHDRAW = """
UPDATE qualification
   SET valid = daterange(lower(valid), $2::date),
       withdrawn_on = $2,
       withdrawal_document = 'Order 7'
 WHERE party_id = ANY ($1::uuid[])
   AND kind = 'discharge_permit'
"""

RESERVED = """
SELECT pack_id, outlet_id, recycler_id, explanation
  FROM routing
 WHERE state = 'reserved'
"""


def test_packs_of_withdrawn_recyclers_go_elsewhere_at_once_and_nobody_else_moves(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            await prepared(db, 300)
            plan_id = await made(db)
            async with db.transaction() as tx:
                places = await plan_store.prefectures(tx, plan_id)
            for adcode in places:
                await world.staff.post(
                    f"/v1/routing-plans/{plan_id}/applications", {"adcode": adcode}
                )
            problem = await world.staff.refused("POST", "/v1/reroutings", 409, {"reason": "R"})
            assert problem["code"] == "nothing_to_reroute"
            async with db.transaction() as tx:
                before = {row["pack_id"]: row for row in await tx.fetch(RESERVED)}
                firms = sorted({row["recycler_id"] for row in before.values()})[::4]
                await tx.execute(WITHDRAW, firms, date(2026, 6, 16))
            hit = {one for one, row in before.items() if row["recycler_id"] in firms}
            assert 20 < len(hit) < len(before)
            done = await world.staff.post("/v1/reroutings", {"reason": "撤销公告"})
            assert done["hit"] == len(hit)
            assert done["rerouted"] + len(done["held"]) == len(hit)
            assert done["rerouted"] > 0.8 * len(hit)
            assert 0 < done["after_amount"] <= done["before_amount"]
            async with db.transaction(read_only=True) as tx:
                after = {row["pack_id"]: row for row in await tx.fetch(RESERVED)}
                await balanced(tx)
            for pack_id, row in after.items():
                assert row["recycler_id"] not in firms
                if pack_id not in hit:
                    assert row["outlet_id"] == before[pack_id]["outlet_id"]
            held = {UUID(one["pack_id"]) for one in done["held"]}
            assert held == hit - after.keys()
            for one in done["held"]:
                assert one["excluded_by_reason"]["QUAL_SUSPENDED"] > 0
            moved = {after[one]["explanation"]["rerouting_id"] for one in hit & after.keys()}
            assert moved == {done["id"]}
            (listed,) = (await world.staff.get("/v1/reroutings"))["items"]
            assert listed == done
            told = await world.staff.get("/v1/reroutings/suggestion", hand_over_on="2026-06-18")
            assert told["routings"] == len(after)
            assert told["gain_amount"] >= 0
            assert told["moves"] < len(after)
            async with db.transaction(read_only=True) as tx:
                unchanged = {row["pack_id"]: row for row in await tx.fetch(RESERVED)}
            assert unchanged == after

    database(scenario)


def test_a_pack_on_the_road_goes_with_its_lot_and_holds_no_other_up(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            packs = await stories.condemned_packs(world, 2)
            first, second = [await build.recycler(world) for _ in range(2)]
            await build.outlet(world, first["id"])
            far = await build.outlet(world, second["id"], latitude=35.2)
            on = {"hand_over_on": "2026-06-16"}
            ways = [
                await world.staff.post(f"/v1/packs/{pack['id']}/routings", on) for pack in packs
            ]
            lot = await lots.pack_lot(world, ways[:1])
            await lots.send(world, lot)
            withdrawal = {"kind": "eia", "withdrawn_on": "2026-06-15", "document": "Order 7"}
            await world.staff.post(f"/v1/parties/{first['id']}/withdrawals", withdrawal)
            done = await world.staff.post("/v1/reroutings", {"reason": "R"})
            assert (done["hit"], done["rerouted"]) == (1, 1)
            # What the firm lost is in the life of the pack that was to go there.
            life = await world.staff.get(f"/v1/packs/{packs[1]['id']}/life")
            lost, released, chosen = life["records"][-3:]
            assert [one["kind"] for one in (lost, released, chosen)] == [
                "qualification.changed",
                "route.released",
                "route.chosen",
            ]
            assert lost["party_id"] == first["id"]
            assert lost["data"] == {"lacking": ["eia"], "as_of": "2026-06-16", "reason": "R"}
            still = await world.staff.get(f"/v1/routings/{ways[0]['id']}")
            assert still["state"] == "reserved"
            # Nor does the sweeper give it up.
            await stories.run_job(world, "routing", date(2026, 7, 1))
            still = await world.staff.get(f"/v1/routings/{ways[0]['id']}")
            assert still["state"] == "reserved"
            given_up = await world.staff.get("/v1/routings", state="released")
            assert {one["pack_id"] for one in given_up["items"]} == {packs[1]["id"]}
            assert far

    database(scenario)


def test_the_nightly_job_gives_up_what_expired_reroutes_and_proposes(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            (pack, other) = await stories.condemned_packs(world, 2)
            first, second = [await build.recycler(world) for _ in range(2)]
            near = await build.outlet(world, first["id"])
            far = await build.outlet(world, second["id"], latitude=35.2)
            plan = {"hand_over_on": "2026-06-16"}
            routing = await world.staff.post(f"/v1/packs/{pack['id']}/routings", plan)
            later = {"hand_over_on": "2026-07-20"}
            moved = await world.staff.post(f"/v1/packs/{other['id']}/routings", later)
            assert (routing["outlet_id"], moved["outlet_id"]) == (near, near)
            withdrawal = {"kind": "eia", "withdrawn_on": "2026-06-20", "document": "Order 7"}
            await world.staff.post(f"/v1/parties/{first['id']}/withdrawals", withdrawal)
            await stories.run_job(world, "routing", date(2026, 6, 24))
            given_up = await world.staff.get(f"/v1/routings/{routing['id']}")
            assert given_up["release_reason"] == "the reservation expired"
            (now_at,) = (await world.staff.get("/v1/routings", state="reserved"))["items"]
            assert (now_at["pack_id"], now_at["outlet_id"]) == (other["id"], far)
            (proposed,) = (await world.staff.get("/v1/routing-plans"))["items"]
            assert (proposed["packs"], proposed["planned"]) == (1, 1)
            # Given up twice is given up once.
            path = f"/v1/routings/{routing['id']}/release"
            again = {"released_on": "2026-06-24", "reason": "once more"}
            assert await world.staff.post(path, again) == given_up
            await stories.run_job(world, "routing", date(2026, 6, 24))
            (same,) = (await world.staff.get("/v1/routing-plans"))["items"]
            assert same["id"] == proposed["id"]

    database(scenario)


def test_a_night_on_which_everything_is_held_is_a_plan_with_the_reasons(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, ON) as world:
            ids = await prepared(db, 3, ("410100",))
            async with db.transaction() as tx:
                await changed(tx, UNFIT, ids)
            await stories.run_job(world, "routing", ON)
            (plan,) = (await world.staff.get("/v1/routing-plans"))["items"]
            assert (plan["packs"], plan["planned"]) == (3, 0)
            items = (await world.staff.get(f"/v1/routing-plans/{plan['id']}/items"))["items"]
            assert [one["reason"] for one in items] == ["TRANSPORT_CHECK"] * 3
            async with db.transaction(read_only=True) as tx:
                row = await plan_store.find(tx, plan["id"])
            assert verifying.prove(row).agrees

    database(scenario)
