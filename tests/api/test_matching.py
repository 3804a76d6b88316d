"""Cabinet strings, and packs of the stock for lines, over HTTP and in the database."""

import random
from collections import Counter
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.http.pages import encode
from leasing.kit.rows import convert_all
from leasing.matching import rules, service, store
from leasing.matching.model import Candidate, Limits
from leasing.sites import cabinets
from leasing.sites.strings import MixedString
from tests import build
from tests.api import stories
from tests.build import Json, World


def faults(problem: Json) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in problem["errors"]]


async def lines_at(
    world: World, count: int, contract: Json | None = None, **site: Any
) -> tuple[Json, list[Json]]:
    """A site, and the lines of a contract in force for its first slots."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"], **site)
    terms = [build.line_terms(place["id"], slot=slot) for slot in range(1, count + 1)]
    _, lines = await build.active_contract(world, lessee["id"], terms, **(contract or {}))
    return place, lines


async def hand_over(world: World, line: Json, pack: Json, on: str = "2026-06-10") -> None:
    given = build.acceptance(pack["id"], on)
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)


async def candidates(world: World, line: Json, **query: Any) -> Json:
    found: Json = await world.staff.get(f"/v1/lines/{line['id']}/candidates", **query)
    return found


def refusals(found: Json) -> dict[str, int]:
    return {one["code"]: one["packs"] for one in found["refusals"]}


def suggested(found: Json) -> list[str]:
    return [one["pack_id"] for one in found["items"]]


# --- Strings ----------------------------------------------------------------------------------


def test_strings_are_put_as_a_whole_and_the_same_again_changes_nothing(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, _ = await lines_at(world, 1)
            path = f"/v1/sites/{place['id']}/strings"
            assert await world.staff.get(path) == {"site_id": place["id"], "strings": []}
            two, one = build.string(2, 5, 8), build.string(1, 1, 4)
            made = await build.put_strings(world, place["id"], two, one)
            assert made == {"site_id": place["id"], "strings": [one, two]}
            assert await build.put_strings(world, place["id"], one, two) == made
            assert await world.staff.get(path) == made
            await build.put_strings(world, place["id"], build.string(1, 1, 8))
            kinds = "SELECT kind FROM domain_event WHERE aggregate_id = $1 ORDER BY sequence"
            async with db.transaction() as tx:
                told = [row[0] for row in await tx.fetch(kinds, UUID(place["id"]))]
            assert told == ["site.created", "site.strings_changed", "site.strings_changed"]

    database(scenario)


def test_strings_that_contradict_each_other_are_refused_all_at_once(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, _ = await lines_at(world, 1)
            path = f"/v1/sites/{place['id']}/strings"
            wrong = [build.string(1, 1, 4), build.string(1, 4, 3), build.string(2, 4, 6)]
            problem = await world.staff.refused("PUT", path, 400, {"strings": wrong})
            assert problem["code"] == "bad_strings"
            assert faults(problem) == [
                ("/strings/1/last_slot", "last_before_first"),
                ("/strings/1/number", "number_twice"),
                ("/strings/2/first_slot", "slots_shared"),
            ]
            unknown = f"/v1/sites/{uuid4()}/strings"
            await world.staff.refused("PUT", unknown, 404, {"strings": []})
            await world.staff.refused("GET", unknown, 404)

    database(scenario)


def test_the_database_itself_refuses_a_slot_in_two_strings(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, _ = await lines_at(world, 1)
            await build.put_strings(world, place["id"], build.string(1, 1, 4))
            with pytest.raises(asyncpg.ExclusionViolationError) as refused:
                async with db.transaction() as tx:
                    await tx.execute(
                        "INSERT INTO site_string VALUES ($1, 2, 51200, '[4,6]')", UUID(place["id"])
                    )
            assert refused.value.constraint_name == "site_string_slot_once"

    database(scenario)


def test_packs_that_stand_at_a_site_forbid_strings_that_would_mix_or_forget_them(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, lines = await lines_at(world, 3)
            other = await build.pack(world, code=build.battery_code(manufacturer="001"))
            for line, pack in zip(lines, [await build.pack(world), other], strict=False):
                await hand_over(world, line, pack)
            path = f"/v1/sites/{place['id']}/strings"
            one, two = build.string(1, 1, 1), build.string(2, 2, 3)
            await build.put_strings(world, place["id"], one, two)
            both = [build.string(1, 1, 3, system_voltage_mv=48_000)]
            problem = await world.staff.refused("PUT", path, 409, {"strings": both})
            assert problem["code"] == "strings_in_use"
            assert faults(problem) == [
                ("/strings/0", "voltage_mismatch"),
                ("/strings/0", "voltage_mismatch"),
                ("/strings/0", "mixed_maker"),
            ]
            problem = await world.staff.refused("PUT", path, 409, {"strings": [one]})
            assert faults(problem) == [("/strings", "slot_in_use")]
            assert "slot 2 " in problem["errors"][0]["message"]
            # Slot 3 is empty: it may go.
            await build.put_strings(world, place["id"], one, build.string(2, 2, 2))

    database(scenario)


def test_a_customer_reads_the_strings_of_its_own_sites_only(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine, _ = await lines_at(world, 1)
            other, _ = await lines_at(world, 1)
            for place in (mine, other):
                await build.put_strings(world, place["id"], build.string(1, 1, 4))
            client = await world.login(Role.CUSTOMER, mine["party_id"])
            assert len((await client.get(f"/v1/sites/{mine['id']}/strings"))["strings"]) == 1
            await client.refused("GET", f"/v1/sites/{other['id']}/strings", 404)

    database(scenario)


# --- A pack that would mix a string -------------------------------------------------------------


def test_a_pack_that_would_mix_a_string_is_refused_on_every_day_it_would(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, lines = await lines_at(world, 3)
            await build.put_strings(world, place["id"], build.string(1, 1, 2))
            first, alike = await build.pack(world), await build.pack(world)
            other = await build.pack(world, code=build.battery_code(manufacturer="001"))
            weak = await build.pack(world, rated_voltage_mv=48_000, cells_in_series=15)
            await hand_over(world, lines[0], first, "2026-05-10")
            await stories.give_back(world, lines[0]["id"], "2026-06-01")

            async def refused(pack: Json, slot: int, on: date) -> list[str]:
                try:
                    async with db.transaction() as tx:
                        await cabinets.refuse_mixed(
                            tx, UUID(place["id"]), slot, UUID(pack["id"]), on
                        )
                except MixedString as error:
                    return [reason.code for reason in error.extra["reasons"]]
                return []

            last, after = date(2026, 5, 31), date(2026, 6, 1)
            assert await refused(alike, 2, last) == []
            # Entered late, the other would have stood beside the first one.
            assert await refused(other, 2, date(2026, 4, 1)) == ["mixed_maker"]
            assert await refused(other, 2, last) == ["mixed_maker"]
            assert await refused(other, 2, after) == []
            assert await refused(other, 3, last) == []
            assert await refused(weak, 2, after) == ["voltage_mismatch"]

    database(scenario)


# --- Candidates of a line -------------------------------------------------------------------------


def test_a_line_is_told_which_packs_may_stand_there_and_why_the_others_may_not(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, lines = await lines_at(world, 2, load_w=1_000, required_autonomy_minutes=300)
            await build.put_strings(world, place["id"], build.string(1, 1, 4))
            await hand_over(world, lines[0], await build.pack(world))
            strong = await build.estimated_pack(world, 99_000)
            close = await build.estimated_pack(world, 81_000)
            untested = await build.pack(world)
            weak = await build.estimated_pack(world, 79_000)
            code = build.battery_code(date(2019, 1, 1), manufacturer="001")
            odd = await build.estimated_pack(world, code=code)
            found = await candidates(world, lines[1])
            assert suggested(found) == [close["id"], strong["id"]]
            assert (found["packs_in_stock"], found["packs_admissible"]) == (5, 2)
            assert found["need"] == {
                "line_id": lines[1]["id"],
                "site_id": place["id"],
                "slot": 2,
                "string_number": 1,
                "system_voltage_mv": 51_200,
                "guaranteed_capacity_mah": 80_000,
                "load_w": 1_000,
                "required_autonomy_minutes": 300,
                "standing_energy_wh": 4_864,
                "least_energy_wh": 2_373,
            }
            # 95 Ah stand there and 81 Ah come: 9,011.2 Wh x 0.76 / 1,100 W.
            assert found["items"][0]["site_autonomy_minutes"] == 373
            assert found["items"][0]["capacity_source"] == "estimate"
            reasons = {
                one["pack_id"]: [reason["code"] for reason in one["reasons"]]
                for one in found["refused"]
            }
            assert reasons == {
                untested["id"]: ["never_tested"],
                weak["id"]: ["capacity_short"],
                odd["id"]: ["mixed_maker", "mixed_age"],
            }
            (short,) = [one for one in found["refused"] if one["pack_id"] == weak["id"]]
            assert short["reasons"][0] == {
                "code": "capacity_short",
                "detail": "79000 mAh usable, 80000 mAh guaranteed",
                "detail_zh": "可用容量 79000 mAh，低于合同保证的 80000 mAh",
            }
            assert refusals(found) == {
                "capacity_short": 1, "mixed_age": 1, "mixed_maker": 1, "never_tested": 1,
            }  # fmt: skip
            # For the slot that is taken these are packs to swap in: its own pack makes room.
            swap = await candidates(world, lines[0])
            assert swap["need"]["standing_energy_wh"] == 0
            assert "mixed_maker" not in refusals(swap)

    database(scenario)


def test_a_margin_that_is_too_wide_for_a_pack_refuses_it(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, (line,) = await lines_at(world, 1, load_w=1_000, required_autonomy_minutes=191)
            pack = await build.estimated_pack(world)
            assert suggested(await candidates(world, line)) == [pack["id"]]
            found = await candidates(world, line, margin_percent=11)
            assert suggested(found) == []
            assert refusals(found) == {"autonomy_short": 1}
            problem = await world.staff.ask(
                "GET", f"/v1/lines/{line['id']}/candidates", params={"margin_percent": 101}
            )
            assert problem.status_code == 400

    database(scenario)


def test_suggestions_come_page_by_page_in_their_order(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, (line,) = await lines_at(world, 1)
            for mah, on in ((90_000, 5), (85_000, 4), (90_000, 3), (90_000, 5), (99_000, 1)):
                await build.estimated_pack(world, mah, acquired_on=f"2025-01-0{on}")
            whole = await candidates(world, line)
            order = [(one["usable_capacity_mah"], one["acquired_on"]) for one in whole["items"]]
            assert order == sorted(order)
            assert len(order) == 5
            pages, cursor = [], None
            while True:
                query = {} if cursor is None else {"cursor": cursor}
                page = await candidates(world, line, limit=2, **query)
                pages += page["items"]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert pages == whole["items"]
            path = f"/v1/lines/{line['id']}/candidates"
            for foreign in ("a", encode(line["id"]), encode(2**40, "2025-01-01", line["id"])):
                answer = await world.staff.ask("GET", path, params={"cursor": foreign})
                assert answer.status_code == 400, foreign

    database(scenario)


def test_a_pack_whose_capacity_was_never_estimated_counts_with_its_joint_test(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, (line, other) = await lines_at(world, 2)
            pack = await build.pack(world)
            await hand_over(world, line, pack, "2026-05-01")
            await stories.give_back(world, line["id"])
            await stories.inspect(world, pack["id"], "2026-06-02")
            await stories.decide(world, pack["id"], "release", "2026-06-03")
            (one,) = (await candidates(world, other))["items"]
            assert one["usable_capacity_mah"] == 95_000
            assert (one["capacity_source"], one["measured_on"]) == ("acceptance", "2026-05-01")
            await build.estimate(world, pack["id"], 88_000, date(2026, 5, 20))
            await build.estimate(world, pack["id"], 87_000, date(2026, 6, 5))
            (one,) = (await candidates(world, other))["items"]
            assert one["usable_capacity_mah"] == 87_000
            assert (one["capacity_source"], one["measured_on"]) == ("estimate", "2026-06-05")
            # The line that ended asks for nothing.
            path = f"/v1/lines/{line['id']}/candidates"
            assert (await world.staff.refused("GET", path, 409))["code"] == "line_ended"
            await world.staff.refused("GET", f"/v1/lines/{uuid4()}/candidates", 404)

    database(scenario)


def test_only_a_tower_has_a_voltage_that_nobody_entered(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, (line,) = await lines_at(world, 1, kind="depot")
            pack = await build.estimated_pack(world)
            assert refusals(await candidates(world, line)) == {"voltage_unknown": 1}
            await build.put_strings(world, place["id"], build.string(1, 1, 1))
            assert suggested(await candidates(world, line)) == [pack["id"]]

    database(scenario)


def test_a_customer_does_not_see_the_stock(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, (line,) = await lines_at(world, 1)
            client = await world.login(Role.CUSTOMER, place["party_id"])
            for path in (
                f"/v1/lines/{line['id']}/candidates",
                f"/v1/contracts/{line['contract_id']}/candidates",
            ):
                assert (await client.refused("GET", path, 403))["code"] == "role_not_allowed"

    database(scenario)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_database_counts_and_picks_is_what_the_rules_say_pack_by_pack(
    database, seed
) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            chance = random.Random(seed)
            place, lines = await lines_at(world, 4, load_w=900, required_autonomy_minutes=700)
            await build.put_strings(world, place["id"], build.string(1, 1, 2))
            for line in lines[:1]:
                await hand_over(world, line, await some_pack(world, random.Random(0), mah=None))
            for _ in range(40):
                await some_pack(
                    world, chance, mah=chance.choice([None, 70_000, 80_000, 85_000, 99_000])
                )
            async with db.transaction() as tx:
                # A pack whose state is wrong: it stands somewhere and is in stock all the same.
                placed = "UPDATE pack SET state = 'in_stock' WHERE state = 'leased'"
                await tx.execute(placed)
                for line in lines:
                    await compare(tx, UUID(line["id"]))

    database(scenario)


async def some_pack(world: World, chance: random.Random, mah: int | None) -> Json:
    made_on = date(chance.choice([2020, 2021, 2021]), chance.randint(1, 12), chance.randint(1, 28))
    code = build.battery_code(
        made_on,
        chance.choice("BBBE"),
        chance.choice(["9ZZ", "9ZZ", "001"]),
        chance.choice(["51", "51", "52"]),
    )
    cells = chance.choice([16, 16, 15])
    pack = await build.pack(
        world,
        code=code,
        cells_in_series=cells,
        rated_voltage_mv=3_200 * cells,
        rated_capacity_mah=chance.choice([100_000, 100_000, 150_000]),
    )
    if mah is not None:
        await build.estimate(world, pack["id"], mah)
    return pack


async def compare(tx: Any, line_id: UUID) -> None:
    today, limits = build.TODAY, Limits()
    found = await service.candidates(
        tx, line_id, limits=limits, after=None, limit=200, refused=200, today=today
    )
    stock = convert_all(await store.everything(tx, today), Candidate)
    suggestions, refused = rules.ranked(found.need, found.mates, stock)
    assert found.suggestions == suggestions
    assert found.refused == refused
    assert found.packs_in_stock == len(stock) == 41
    assert found.packs_admissible == len(suggestions)
    counted = Counter(reason.code for one in refused for reason in one.reasons)
    assert found.refusals == counted
    assert {"never_tested", "capacity_short", "held"} <= set(counted)


# --- A whole contract ---------------------------------------------------------------------------


def test_a_contract_is_planned_with_distinct_packs_and_no_string_mixed(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, lines = await lines_at(world, 5)
            await build.put_strings(
                world, place["id"], build.string(1, 1, 2), build.string(2, 3, 4)
            )
            await hand_over(world, lines[0], await build.pack(world))
            mate = await build.estimated_pack(world)
            others = [
                await build.estimated_pack(world, code=build.battery_code(manufacturer="001"))
                for _ in range(2)
            ]
            untested = await build.pack(world)
            path = f"/v1/contracts/{lines[0]['contract_id']}/candidates"
            plan = await world.staff.get(path)
            got = {one["need"]["slot"]: one["pack"]["pack_id"] for one in plan["assigned"]}
            assert set(got) == {2, 3, 4}
            assert got[2] == mate["id"]
            assert {got[3], got[4]} == {one["id"] for one in others}
            (left,) = plan["unfilled"]
            assert left["need"]["slot"] == 5
            assert refusals(left) == {"never_tested": 1, "taken_by_this_plan": 3}
            assert (plan["packs_in_stock"], plan["lines_left_out"]) == (4, 0)
            assert untested["id"] not in got.values()
            # Nothing was reserved, and each can be handed over as proposed.
            assert await world.staff.get(path) == plan
            for line in lines[1:4]:
                await hand_over(world, line, {"id": got[line["slot"]]})
            assert (await world.staff.get(path))["assigned"] == []
            assert (await world.staff.get(f"/v1/sites/{place['id']}/strings"))["strings"]

    database(scenario)


def test_a_contract_that_is_not_there_or_has_ended_is_not_planned(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await world.staff.refused("GET", f"/v1/contracts/{uuid4()}/candidates", 404)
            lease = await build.leased_pack(world)
            path = f"/v1/contracts/{lease['contract']['id']}"
            await stories.give_back(world, lease["line"]["id"])
            plan = await world.staff.get(f"{path}/candidates")
            assert (plan["assigned"], plan["unfilled"]) == ([], [])
            await world.staff.post(f"{path}/end")
            problem = await world.staff.refused("GET", f"{path}/candidates", 409)
            assert problem["code"] == "contract_state"

    database(scenario)


def test_two_hand_overs_into_one_empty_string_queue_up(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            place, _ = await lines_at(world, 2)
            await build.put_strings(world, place["id"], build.string(1, 1, 2))
            site_id = UUID(place["id"])
            packs = [UUID((await build.pack(world))["id"]) for _ in range(2)]
            async with db.transaction() as first:
                await cabinets.refuse_mixed(first, site_id, 1, packs[0], build.TODAY)
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await without_patience(db, site_id, packs[1])

    database(scenario)


async def without_patience(db: Database, site_id: UUID, pack_id: UUID) -> None:
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL lock_timeout = '50ms'")
        await cabinets.refuse_mixed(tx, site_id, 2, pack_id, build.TODAY)


def test_what_a_site_lacks_is_shared_by_the_lines_that_will_be_filled(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            site = {"load_w": 1_000, "required_autonomy_minutes": 456}
            place, lines = await lines_at(world, 3, **site)
            # 456 min at 1,100 W and 76 % want 11,000 Wh.
            shares = [(await candidates(world, line))["need"] for line in lines]
            assert {one["least_energy_wh"] for one in shares} == {3_667}
            # A draft may come to nothing: its line takes no share from those in force.
            terms = build.contract_terms(place["party_id"], [build.line_terms(place["id"], slot=9)])
            draft = await world.staff.post("/v1/contracts", terms)
            (drafted,) = (await world.staff.get("/v1/lines", contract_id=draft["id"]))["items"]
            assert (await candidates(world, lines[0]))["need"]["least_energy_wh"] == 3_667
            assert (await candidates(world, drafted))["need"]["least_energy_wh"] == 2_750
            await hand_over(world, lines[0], await build.pack(world))
            # 4,864 Wh stand there, 6,136 Wh are missing: a half for each of two empty lines.
            need = (await candidates(world, lines[1]))["need"]
            assert (need["standing_energy_wh"], need["least_energy_wh"]) == (4_864, 3_068)
            # The pack that is swapped out takes its energy along: a third of all again.
            need = (await candidates(world, lines[0]))["need"]
            assert (need["standing_energy_wh"], need["least_energy_wh"]) == (0, 3_667)
            # What was returned is neither standing nor empty.
            await stories.give_back(world, lines[0]["id"], "2026-06-15")
            need = (await candidates(world, lines[1]))["need"]
            assert (need["standing_energy_wh"], need["least_energy_wh"]) == (0, 5_500)

    database(scenario)
