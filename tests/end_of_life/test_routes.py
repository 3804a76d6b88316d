"""One pack goes where it brings most, of all outlets that may and can take it, and says why."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from uuid import UUID

import numpy as np

from bench import waste
from leasing.db.pool import Database
from leasing.end_of_life import choosing, snapshot
from leasing.routing import certificate
from leasing.routing.model import FORBIDDEN, Packs, Places
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.end_of_life import outlets

TODAY = "2026-06-15"


async def options(world: World, pack_id: str, on: str = TODAY) -> Json:
    asked: Json = await world.staff.get(f"/v1/packs/{pack_id}/route-options", hand_over_on=on)
    return asked


def kept(world: World) -> snapshot.Outlets:
    """What the application knows of all outlets."""
    ours: snapshot.Outlets = world.app.app.alive["outlets"]
    return ours


async def chosen_in_the_end(world: World, pack_id: str, outlet_id: str) -> None:
    for _ in range(200):
        if (await options(world, pack_id))["chosen"]["outlet_id"] == outlet_id:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it is never chosen")


def adds_up(option: Json) -> None:
    parts = [option[f"{name}_amount"] for name in ("offer", "freight", "packing")]
    assert sum(parts) == option["net_amount"]
    assert parts[1] < 0
    assert parts[2] < 0


def test_the_best_value_wins_over_the_nearest_and_the_answer_says_by_how_much(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            poor, rich, third = [await build.recycler(world) for _ in range(3)]
            near = await build.outlet(world, poor["id"])
            far = await build.outlet(world, rich["id"], latitude=35.2)
            silent = await build.outlet(world, third["id"], latitude=34.80)
            await outlets.offer(world, poor["id"], "2.9")
            await outlets.offer(world, rich["id"], "3.12")
            told = await options(world, pack["id"])
            assert told["valued_by"] == "offers"
            assert told["chosen"]["outlet_id"] == far
            assert told["chosen"]["offer_amount"] == 14_352  # 46 kg at 3.12
            assert told["runner_up"]["outlet_id"] == near
            for option in (told["chosen"], told["runner_up"], told["own_best"]):
                adds_up(option)
            behind = told["chosen"]["net_amount"] - told["runner_up"]["net_amount"]
            assert told["runner_up"]["behind_amount"] == behind > 0
            # The nearest of all offers nothing; one that does is told with what it lacks.
            assert told["nearest"]["outlet_id"] == silent
            assert [one["code"] for one in told["nearest"]["against"]] == ["NO_OFFER"]
            assert told["nearest"]["against"][0]["text_zh"] == "未报价"
            assert {one["code"]: one["outlets"] for one in told["excluded"]} == {"NO_OFFER": 1}
            assert told["holds_while"]["evidence_until"] == "2030-01-01"
            assert not told["better_held"]
            # Nothing was reserved so far.
            assert (await world.staff.get("/v1/routings"))["items"] == []
            routing = await world.staff.post(
                f"/v1/packs/{pack['id']}/routings", {"hand_over_on": TODAY}
            )
            assert routing["outlet_id"] == far
            told_then = routing["explanation"]
            assert told_then["parts"]["net_amount"] == told["chosen"]["net_amount"]
            assert told_then["nearer_excluded_by_reason"] == {"NO_OFFER": 1, "VALUE": 1}
            assert told_then["runner_up"]["behind_amount"] == behind
            assert routing["expires_at"] == "2026-06-22T16:00:00Z"

    database(scenario)


def test_the_choice_holds_down_to_the_offer_that_is_told_and_no_lower(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            poor, rich = [await build.recycler(world) for _ in range(2)]
            await build.outlet(world, poor["id"])
            far = await build.outlet(world, rich["id"], latitude=35.2)
            await outlets.offer(world, poor["id"], "2.9")
            await outlets.offer(world, rich["id"], "3.12", valid_to=date(2026, 6, 20))
            least = (await options(world, pack["id"]))["holds_while"]["offer_cny_per_kg"]
            whole = int(least.replace(".", ""))
            for on, offered, stays in ((21, whole + 1, True), (22, whole - 1, False)):
                day = date(2026, 6, on)
                price = f"{offered // 10_000}.{offered % 10_000:04}"
                await outlets.offer(
                    world, rich["id"], price, valid_from=day, valid_to=day + timedelta(1)
                )
                kept(world).loaded_at = -1e9
                told = await options(world, pack["id"], str(day))
                assert (told["chosen"]["outlet_id"] == far) == stays

    database(scenario)


def test_without_any_prices_the_nearest_is_best_and_the_answer_says_so(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"], latitude=35.2)
            near = await build.outlet(world, firm["id"])
            told = await options(world, pack["id"])
            assert (told["valued_by"], told["hold_amount"]) == ("freight", None)
            assert told["chosen"]["outlet_id"] == near
            assert told["chosen"]["offer_amount"] == 0
            assert told["nearest"] is None
            adds_up(told["chosen"])

    database(scenario)


def test_why_a_recycler_may_not_take_packs_on_a_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            never = await world.staff.post("/v1/parties", {"kind": "recycler", "name": "New"})
            ran_out = await build.recycler(world, valid_to=date(2026, 6, 15))
            lost, good = [await build.recycler(world) for _ in range(2)]
            for kind in ("eia", "filing"):
                withdrawal = {"kind": kind, "withdrawn_on": "2026-06-01", "document": "Order 7"}
                await world.staff.post(f"/v1/parties/{lost['id']}/withdrawals", withdrawal)
            for firm in (never, ran_out, lost):
                await build.outlet(world, firm["id"])
            await build.outlet(world, good["id"], latitude=35.2)
            told = await options(world, pack["id"])
            found = {one["code"]: one["outlets"] for one in told["excluded"]}
            assert found == {"QUAL_NONE": 1, "QUAL_EXPIRED": 1, "QUAL_SUSPENDED": 1}
            # A day earlier two of them still may.
            told = await options(world, pack["id"], "2026-05-31")
            assert {one["code"] for one in told["excluded"]} == {"QUAL_NONE"}

    database(scenario)


STORED = "UPDATE outlet SET stock_kg = $2 WHERE id = $1"


def test_a_full_store_says_whether_the_five_tonnes_of_the_law_are_reached(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            at_law = await build.outlet(world, firm["id"])
            own = await build.outlet(world, firm["id"], store_limit_kg=4_000)
            large = await build.outlet(
                world, firm["id"], kind="concentrated", store_limit_kg=30_000
            )
            far = await build.outlet(world, firm["id"], latitude=35.2)
            async with db.transaction() as tx:
                for outlet_id, stock_kg in ((at_law, 4_955), (own, 3_955), (large, 29_955)):
                    await tx.execute(STORED, UUID(outlet_id), stock_kg)
            told = await options(world, pack["id"])
            assert told["chosen"]["outlet_id"] == far
            found = {one["code"]: one["outlets"] for one in told["excluded"]}
            assert found == {"STOCK_LIMIT_5T": 1, "SPACE": 2}
            async with db.transaction() as tx:
                await tx.execute(STORED, UUID(at_law), 4_954)
            kept(world).loaded_at = -1e9
            told = await options(world, pack["id"])
            assert told["chosen"]["outlet_id"] == at_law
            assert {one["code"] for one in told["excluded"]} == {"SPACE"}

    database(scenario)


STORED_FOR = "UPDATE outlet SET store_days = $2 WHERE id = $1"


def test_an_outlet_takes_nothing_while_something_lies_there_beyond_its_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first, second = await stories.condemned_packs(world, 2)
            firm = await build.recycler(world)
            near = await build.outlet(world, firm["id"])
            far = await build.outlet(world, firm["id"], latitude=35.2)
            async with db.transaction() as tx:
                for outlet_id in (near, far):
                    await tx.execute(STORED_FOR, UUID(outlet_id), 30)
            path = f"/v1/packs/{first['id']}/routings"
            routing = await world.staff.post(path, {"hand_over_on": TODAY})
            assert routing["outlet_id"] == near
            handed = {"handed_over_on": TODAY}
            await world.staff.post(f"/v1/routings/{routing['id']}/hand-over", handed)
            kept(world).loaded_at = -1e9
            told = await options(world, second["id"], "2026-07-14")
            assert (told["chosen"]["outlet_id"], told["excluded"]) == (near, [])
            told = await options(world, second["id"], "2026-07-15")
            assert told["chosen"]["outlet_id"] == far
            (excluded,) = told["excluded"]
            assert (excluded["code"], excluded["outlets"]) == ("STORE_DAYS", 1)
            assert [one["code"] for one in told["nearest"]["against"]] == ["STORE_DAYS"]

    database(scenario)


def test_a_pack_that_is_not_condemned_has_no_way_to_an_outlet(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/route-options?hand_over_on={TODAY}"
            problem = await world.staff.refused("GET", path, 409)
            assert problem["code"] == "not_condemned"
            unknown = f"/v1/packs/{UUID(int=1)}/route-options?hand_over_on={TODAY}"
            await world.staff.refused("GET", unknown, 404)

    database(scenario)


def test_what_changed_is_heard_of_and_what_nobody_told_is_found_in_the_end(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            far = await build.outlet(world, firm["id"], latitude=36.2)
            assert (await options(world, pack["id"]))["chosen"]["outlet_id"] == far
            ours = kept(world)
            version = ours.kept.version
            near = await build.outlet(world, firm["id"])
            assert ours.listener is not None
            await outlets.tell(world)
            await chosen_in_the_end(world, pack["id"], near)
            assert ours.kept.version != version
            # Deaf, it looks again by itself after a while.
            await ours.listener.close()
            nearer = await build.outlet(world, firm["id"], longitude=113.561, latitude=34.81)
            await chosen_in_the_end(world, pack["id"], nearer)

    database(scenario)


def test_a_recycler_that_lost_its_evidence_unheard_takes_nothing_all_the_same(database):
    """The snapshot may be old; the reservation is not."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            first, second = [await build.recycler(world) for _ in range(2)]
            near = await build.outlet(world, first["id"])
            far = await build.outlet(world, second["id"], latitude=35.2)
            assert (await options(world, pack["id"]))["chosen"]["outlet_id"] == near
            withdrawal = {"kind": "eia", "withdrawn_on": "2026-06-01", "document": "Order 7"}
            await world.staff.post(f"/v1/parties/{first['id']}/withdrawals", withdrawal)
            routing = await world.staff.post(
                f"/v1/packs/{pack['id']}/routings", {"hand_over_on": TODAY}
            )
            assert routing["outlet_id"] == far
            nearer = routing["explanation"]["nearer_excluded"]
            assert nearer[0]["reasons"] == ["QUAL_SUSPENDED"]
            assert nearer[0]["missing"] == ["eia"]

    database(scenario)


def test_packs_of_a_province_that_keeps_them_stay_in_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            abroad = await build.outlet(world, firm["id"])
            async with db.transaction() as tx:
                move = "UPDATE outlet SET adcode = '140100' WHERE id = $1"
                await tx.execute(move, UUID(abroad))
            home = await build.outlet(world, firm["id"], latitude=36.9)
            assert (await options(world, pack["id"]))["chosen"]["outlet_id"] == abroad
            rule = {
                "province_adcode": "410000",
                "valid_from": "2026-06-16",
                "valid_to": "2026-07-01",
                "document": "豫环函 1 号",
            }
            await world.staff.post("/v1/province-rules", rule)
            problem = await world.staff.refused("POST", "/v1/province-rules", 409, rule)
            assert problem["code"] == "province_rule_overlaps"
            kept(world).loaded_at = -1e9
            assert (await options(world, pack["id"]))["chosen"]["outlet_id"] == abroad
            told = await options(world, pack["id"], "2026-06-16")
            assert told["chosen"]["outlet_id"] == home
            assert [one["code"] for one in told["nearest"]["against"]] == ["PROVINCE_RULE"]

    database(scenario)


def test_freight_and_packing_follow_the_terms_of_the_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"], longitude=113.56, latitude=35.71)
            before = (await options(world, pack["id"]))["chosen"]
            # 0.9° of a meridian are 100.1 km; 130 km of road at 1.4 CNY/(t·km), 46 kg.
            assert (before["distance_m"], before["road_m"]) == (100_100, 130_130)
            assert (before["freight_amount"], before["packing_amount"]) == (-838, -552)
            terms = {
                "from_on": "2026-06-16",
                "circuity_percent": 200,
                "freight_cny_per_kg_km": ["0.001", "0.002", "0.003"],
                "packing_cny_per_kg": ["0.1", "0.2", "0.3"],
                "hold_cny_per_kg": "-2",
                "collecting_load_kg": 600,
                "concentrated_load_kg": 5_000,
                "reservation_days": 3,
                "reason": "new carrier",
            }
            await world.staff.post("/v1/routing-terms", terms)
            problem = await world.staff.refused("POST", "/v1/routing-terms", 409, terms)
            assert problem["code"] == "routing_terms_of_that_day"
            (entered,) = (await world.staff.get("/v1/routing-terms"))["items"]
            assert entered["freight_cny_per_kg_km"] == ["0.0010000", "0.0020000", "0.0030000"]
            kept(world).loaded_at = -1e9
            assert (await options(world, pack["id"]))["chosen"] == before
            after = (await options(world, pack["id"], "2026-06-16"))["chosen"]
            assert (after["freight_amount"], after["packing_amount"]) == (-921, -460)

    database(scenario)


def test_packs_of_one_place_go_together_where_they_bring_most_together(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            ternary = build.battery_code(chemistry="E")
            packs = await stories.condemned_packs(world, 2)
            packs += await one_more(world, packs[0], code=ternary)
            small, good, other = [await build.recycler(world) for _ in range(3)]
            # The best for each alone has no room for all of them.
            await build.outlet(world, small["id"], store_limit_kg=100)
            together = await build.outlet(world, good["id"], latitude=34.9)
            await build.outlet(world, other["id"], latitude=35.2, chemistries=("B",))
            for firm, iron, nickel in ((small, "9", "20"), (good, "3", "14"), (other, "8", "18")):
                await outlets.offer(world, firm["id"], iron)
                await outlets.offer(world, firm["id"], nickel, chemistry="E")
            lot = {"pack_ids": [pack["id"] for pack in packs], "hand_over_on": TODAY}
            told = await world.staff.post("/v1/lot-options", lot)
            assert told["mass_kg"] == 138
            assert told["chosen"]["outlet_id"] == together
            assert told["chosen"]["offer_amount"] == 2 * 13_800 + 64_400
            adds_up(told["chosen"])
            assert told["runner_up"] is None
            assert told["excluded_by_reason"] == {"CHEM": 1, "SPACE": 1}
            done = await world.staff.post("/v1/lot-routings", lot)
            assert {one["outlet_id"] for one in done["routings"]} == {together}
            nets = [one["explanation"]["parts"]["net_amount"] for one in done["routings"]]
            assert sum(nets) == told["chosen"]["net_amount"]
            problem = await world.staff.refused("POST", "/v1/lot-routings", 409, lot)
            assert problem["code"] == "not_condemned"
            elsewhere = await stories.condemned_packs(world, 1)
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE site SET longitude = longitude + 0.5 WHERE id ="
                    " (SELECT max(site_id::text)::uuid FROM placement WHERE pack_id = $1)",
                    UUID(elsewhere[0]["id"]),
                )
            both = {**lot, "pack_ids": [packs[0]["id"], elsewhere[0]["id"]]}
            problem = await world.staff.refused("POST", "/v1/lot-options", 409, both)
            assert problem["code"] == "lot_not_of_one_place"

    database(scenario)


async def one_more(world: World, like: Json, **changes: str) -> list[Json]:
    """Another condemned pack, brought to the place of one."""
    (made,) = await stories.condemned_packs(world, 1, **changes)
    async with world.db.transaction() as tx:
        await tx.execute(SAME_PLACE, UUID(made["id"]), UUID(like["id"]))
    return [made]


SAME_PLACE = """
UPDATE site
   SET longitude = other.longitude,
       latitude = other.latitude
  FROM placement AS mine, placement AS theirs, site AS other
 WHERE mine.pack_id = $1
   AND theirs.pack_id = $2
   AND site.id = mine.site_id
   AND other.id = theirs.site_id
"""


def test_over_all_10235_outlets_the_choice_is_the_best_and_every_exclusion_is_true(database):
    """Judged by the certificate's code, which shares nothing with what chooses."""

    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            await waste.country(tx)
            known = await snapshot.load(tx)
        assert len(known.ids) == 10_235
        random = Random(7)
        known.free_kg[:] = [random.randrange(0, 900) for _ in known.ids]
        day = known.on(date(2026, 6, 20))
        for _ in range(40):
            asked = day.question(
                longitude=random.uniform(80, 130),
                latitude=random.uniform(20, 50),
                adcode="410100",
                chemistry=random.choice("BE"),
                hazard=random.choice(["intact", "intact", "damaged", "critical"]),
                dispositions=snapshot.RECYCLE,
                mass_kg=random.choice([46, 330, 700]),
            )
            judged = choosing.judge(day, asked)
            value = checked(day, asked)
            fits = np.where(known.free_kg >= asked.mass_kg, value, FORBIDDEN)
            chosen = judged.answer.chosen
            if chosen is None:
                assert fits.max() == FORBIDDEN
                continue
            assert fits[chosen.outlet] == fits.max() == chosen.value
            assert chosen.offer + chosen.freight + chosen.packing == chosen.net
            for code, mask in judged.masks.items():
                worst = fits if code in choosing.FULL else value
                assert (worst[mask] == FORBIDDEN).all(), code
            assert ((fits > FORBIDDEN) == ~judged.refused).all()

    database(scenario)


def checked(day: snapshot.Day, asked) -> np.ndarray:
    """The value of a pack at every outlet, by the checker."""
    network = replace(
        day.network,
        classes=Packs(np.array([asked.mass_kg]), np.array([1])),
        at=Places(np.array([asked.longitude]), np.array([asked.latitude])),
        chemistry=np.array([asked.chemistry]),
        hazard=np.array([asked.hazard]),
        dispositions=np.array([asked.dispositions]),
    )
    m = len(day.known.ids)
    return certificate.pair_values(network, np.zeros(m, dtype=np.int64), np.arange(m))
