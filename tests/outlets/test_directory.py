"""The directory of outlets: who finds what, and what an outlet may store from which day on."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import Json, World, expect


def outlet(recycler_id: str, **changes: Any) -> Json:
    return {
        "code": f"ZZ-{next(build.NUMBERS)}",
        "name_zh": "郑州经开区回收网点",
        "name_en": "Zhengzhou outlet",
        "kind": "collecting",
        "adcode": "410100",
        "longitude": 113.7,
        "latitude": 34.7,
        "recycler_id": recycler_id,
        "chemistries": ["B", "E"],
        "hazards": ["intact"],
        **changes,
    }


async def entered(world: World, **changes: Any) -> Json:
    firm = await build.recycler(world)
    made: Json = await world.staff.post("/v1/outlets", outlet(firm["id"], **changes))
    return made


async def put_there(world: World, outlet_id: str, **masses: int) -> None:
    """Have so many kilograms in stock, reserved or on the road."""
    sets = ", ".join(f"{name} = {kg}" for name, kg in masses.items())
    async with world.db.transaction() as tx:
        await tx.execute(f"UPDATE outlet SET {sets} WHERE id = $1", UUID(outlet_id))


def test_an_outlet_is_entered_with_the_guides_limit_and_found(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(
                world, opening_hours="周一至周六 8:30-17:30", contact_phone="0371-65850000"
            )
            assert (made["store_limit_kg"], made["free_kg"]) == (5_000, 5_000)
            assert made["generated"] is False
            large = await entered(world, kind="concentrated")
            assert large["store_limit_kg"] == 30_000
            assert await world.staff.get(f"/v1/outlets/{made['id']}") == made
            page = await world.staff.get("/v1/outlets", recycler_id=made["recycler_id"])
            assert [one["id"] for one in page["items"]] == [made["id"]]

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"kind": "shop"}, 400, "invalid_payload"),
        ({"chemistries": ["X"]}, 400, "invalid_payload"),
        ({"chemistries": []}, 400, "invalid_payload"),
        ({"hazards": ["on_fire"]}, 400, "invalid_payload"),
        ({"adcode": "419900"}, 409, "unknown_prefecture"),
        ({"longitude": 3.0}, 400, "invalid_payload"),
        ({"store_limit_kg": 0}, 400, "invalid_payload"),
        ({"stock_kg": 1}, 400, "invalid_payload"),
    ],
)
def test_an_outlet_that_cannot_be_is_refused(database, changes, status, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            body = outlet(firm["id"], **changes)
            problem = await world.staff.refused("POST", "/v1/outlets", status, body)
            assert problem["code"] == code

    database(scenario)


def test_only_a_recycler_has_outlets_and_a_code_is_given_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            tower = await build.customer(world)
            problem = await world.staff.refused("POST", "/v1/outlets", 409, outlet(tower["id"]))
            assert problem["code"] == "outlet_of_no_recycler"
            assert problem["errors"][0]["pointer"] == "/recycler_id"
            made = await entered(world, code="ZZ-ONCE")
            again = outlet(made["recycler_id"], code="ZZ-ONCE")
            problem = await world.staff.refused("POST", "/v1/outlets", 409, again)
            assert problem["code"] == "outlet_code_taken"

    database(scenario)


def test_of_two_editors_the_second_learns_of_the_first(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world)
            path = f"/v1/outlets/{made['id']}"
            change = {"chemistries": ["B"], "address": "航海东路 1 号", "contact_name": "王芳"}
            first = {"if-match": '"v1"'}
            changed = expect(await world.staff.ask("PATCH", path, json=change, headers=first), 200)
            assert {**made, **change, "version": 2} == changed
            late = await world.staff.ask("PATCH", path, json={"address": None}, headers=first)
            assert late.status_code == 412
            assert (await world.staff.get(path))["address"] == "航海东路 1 号"
            kind = {"kind": "concentrated"}
            answer = await world.staff.ask("PATCH", path, json=kind, headers={"if-match": '"v2"'})
            assert answer.status_code == 400
            events = await stories.told(world)
            (event,) = [one for one in events if one["kind"] == "outlet.changed"]
            # The person to call is in no event.
            assert event["data"] == {"fields": ["address", "chemistries", "contact_name"]}

    database(scenario)


# --- Limits by date -----------------------------------------------------------------------------


def test_a_limit_of_today_holds_at_once_and_one_to_come_on_its_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world)
            path = f"/v1/outlets/{made['id']}"
            now = {"valid_from": "2026-06-15", "limit_kg": 3_000, "document": "消防意见 1"}
            answer = await world.staff.post(f"{path}/limits", now)
            assert answer["outlet"]["store_limit_kg"] == 3_000
            assert answer["note"] is None
            later = {
                "valid_from": "2026-07-01",
                "limit_kg": 8_000,
                "store_days": 30,
                "document": "扩建",
            }
            answer = await world.staff.post(f"{path}/limits", later)
            assert (answer["limit"]["in_force"], answer["outlet"]["store_limit_kg"]) == (
                False,
                3_000,
            )
            listed = (await world.staff.get(f"{path}/limits"))["items"]
            assert [one["in_force"] for one in listed] == [True, False]

    database(scenario)


def test_of_two_limits_for_one_day_the_later_entry_counts(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world)
            path = f"/v1/outlets/{made['id']}/limits"
            for kg in (400, 4_000):
                body = {"valid_from": "2026-06-01", "limit_kg": kg, "document": "核定"}
                await world.staff.post(path, body)
            listed = (await world.staff.get(path))["items"]
            assert [(one["limit_kg"], one["in_force"], one["superseded"]) for one in listed] == [
                (400, False, True),
                (4_000, True, False),
            ]
            outlet = await world.staff.get(f"/v1/outlets/{made['id']}")
            assert outlet["store_limit_kg"] == 4_000

    database(scenario)


def test_the_rule_of_the_day_bounds_a_limit_and_a_repealed_one_does_not(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world)
            path = f"/v1/outlets/{made['id']}/limits"
            body = {"valid_from": "2026-03-31", "limit_kg": 5_001, "document": "核定"}
            problem = await world.staff.refused("POST", path, 400, body)
            assert problem["code"] == "limit_against_rule"
            assert "5,000 kg at most on 2026-03-31" in problem["detail"]
            assert problem["errors"][0]["pointer"] == "/limit_kg"
            await world.staff.post(path, {**body, "valid_from": "2026-04-01"})

    database(scenario)


def test_a_limit_below_what_is_there_is_taken_leaves_no_room_and_says_so(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world)
            await put_there(world, made["id"], stock_kg=2_000, reserved_kg=500, in_transit_kg=100)
            path = f"/v1/outlets/{made['id']}"
            less = {"valid_from": "2026-06-15", "limit_kg": 1_000, "document": "消防整改"}
            answer = await world.staff.post(f"{path}/limits", less)
            outlet = answer["outlet"]
            assert (outlet["free_kg"], outlet["over_limit_kg"]) == (0, 1_600)
            assert answer["note"].startswith("2,600 kg are there")
            # Not a kilogram more, by whatever road; what is there may move on and go.
            for column in ("stock_kg", "reserved_kg", "in_transit_kg"):
                with pytest.raises(asyncpg.CheckViolationError) as refused:
                    await put_there(world, made["id"], **{column: 2_600})
                assert refused.value.constraint_name == "outlet_store_limit"
            await put_there(world, made["id"], reserved_kg=0, in_transit_kg=600)
            await put_there(world, made["id"], stock_kg=2_600, in_transit_kg=0)
            await put_there(world, made["id"], stock_kg=900)
            assert (await world.staff.get(path))["free_kg"] == 100
            with pytest.raises(asyncpg.CheckViolationError):
                await put_there(world, made["id"], reserved_kg=101)
            await put_there(world, made["id"], reserved_kg=100)

    database(scenario)


def test_many_at_once_without_looking_never_fill_an_outlet_beyond_its_limit(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world)

            async def add(_: int) -> str | None:
                try:
                    async with db.transaction() as tx:
                        await tx.execute(ADD, UUID(made["id"]))
                        await asyncio.sleep(0.001)
                except asyncpg.CheckViolationError as error:
                    return error.constraint_name
                return None

            refusals = await asyncio.gather(*map(add, range(60)))
            assert refusals.count(None) == 5_000 // 150
            assert set(refusals) == {None, "outlet_store_limit"}
            outlet = await world.staff.get(f"/v1/outlets/{made['id']}")
            assert outlet["reserved_kg"] == 33 * 150

    database(scenario)


ADD = "UPDATE outlet SET reserved_kg = reserved_kg + 150 WHERE id = $1"


# --- Closing ------------------------------------------------------------------------------------


def test_a_closed_outlet_takes_nothing_from_its_day_on_and_the_pack_goes_elsewhere(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            near = await build.outlet(world, firm["id"], longitude=113.57)
            far = await build.outlet(world, firm["id"], longitude=114.0)
            first, second = [one["id"] for one in await stories.condemned_packs(world, 2)]
            path = f"/v1/packs/{first}/routings"
            booked = await world.staff.post(path, {"hand_over_on": "2026-07-01"})
            assert booked["outlet_id"] == near
            closing = {"closed_from": "2026-07-01", "reason": "租约到期"}
            answer = await world.staff.post(f"/v1/outlets/{near}/closure", closing)
            assert (answer["open_routings"], answer["open_kg"]) == (1, 46)
            assert answer["outlet"]["free_kg"] > 0  # until its day
            path = f"/v1/packs/{second}/routings"
            other = await world.staff.post(path, {"hand_over_on": "2026-07-01"})
            assert other["outlet_id"] == far
            assert await refused_by_database(world, near) == "routing_to_an_open_outlet"
            await world.set_clock(date(2026, 7, 1))
            assert (await world.staff.get(f"/v1/outlets/{near}"))["free_kg"] == 0
            again = await world.staff.refused("POST", f"/v1/outlets/{near}/closure", 409, closing)
            assert again["code"] == "outlet_closed_already"

    database(scenario)


FREE_OTHERS = """
UPDATE routing
   SET state = 'released',
       released_on = '2026-06-15',
       release_reason = 'x'
 WHERE outlet_id <> $1
"""

ROUTE_ANYWAY = """
INSERT INTO routing (pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m,
                     hand_over_on, explanation, chosen_at)
SELECT pack_id, disposition_id, $1, recycler_id, mass_kg, distance_m, '2026-07-01', explanation,
       chosen_at
  FROM routing
 WHERE state = 'released'
"""


async def refused_by_database(world: World, outlet_id: str) -> str | None:
    """A routing written past our own search."""
    async with world.db.transaction() as tx:
        await tx.execute(FREE_OTHERS, UUID(outlet_id))
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with world.db.transaction() as tx:
            await tx.execute(ROUTE_ANYWAY, UUID(outlet_id))
    return refused.value.constraint_name


# --- Whose it is --------------------------------------------------------------------------------


async def maker(world: World, role: str) -> Json:
    made: Json = await world.staff.post("/v1/parties", {"kind": "partner", "name": f"示例{role}"})
    path = f"/v1/parties/{made['id']}/roles"
    await world.staff.post(path, {"role": role, "valid_from": "2026-01-01"})
    return made


def test_a_battery_maker_has_outlets_by_province_and_a_carmaker_by_city(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world, adcode="410200", longitude=114.3)
            path = f"/v1/outlets/{made['id']}/duties"
            batteries = await maker(world, "battery_maker")
            cars = await maker(world, "carmaker")
            areas = []
            for firm, role in ((batteries, "battery_maker"), (cars, "carmaker")):
                body = {
                    "party_id": firm["id"],
                    "role": role,
                    "valid_from": "2026-02-01",
                    "document": "网点备案",
                }
                areas.append((await world.staff.post(path, body))["area"])
                again = await world.staff.refused("POST", path, 409, body)
                assert again["code"] == "outlet_duty_overlaps"
                early = {**body, "valid_from": "2025-12-31", "valid_to": "2026-01-01"}
                problem = await world.staff.refused("POST", path, 409, early)
                assert problem["code"] == "role_not_played"
            assert areas == ["410000", "410200"]
            found = await world.staff.get("/v1/outlets", duty_of=cars["id"])
            assert [one["id"] for one in found["items"]] == [made["id"]]
            duty = (await world.staff.get(path))["items"][1]
            ended = await world.staff.post(f"{path}/{duty['id']}/end", {"ended_on": "2026-06-15"})
            assert ended["valid_to"] == "2026-06-15"
            assert (await world.staff.get("/v1/outlets", duty_of=cars["id"]))["items"] == []
            kept = (await world.staff.get(path, as_of="2026-06-14"))["items"]
            assert [one["role"] for one in kept] == ["battery_maker", "carmaker"]
            late = await world.staff.refused(
                "POST", f"{path}/{duty['id']}/end", 409, {"ended_on": "2026-07-01"}
            )
            assert late["code"] == "outlet_duty_ends_otherwise"

    database(scenario)


# --- Who sees what ------------------------------------------------------------------------------


def test_customers_find_where_to_go_and_see_no_stock_no_limit_and_no_prices(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await entered(world, opening_hours="8:30-17:30", contact_phone="0371-65850000")
            shut = await entered(world)
            path = f"/v1/outlets/{shut['id']}/closure"
            await world.staff.post(path, {"closed_from": "2026-06-15", "reason": "停业"})
            customer = await build.customer(world)
            theirs = await world.login(Role.CUSTOMER, customer["id"])
            (entry,) = (await theirs.get("/v1/outlets/directory"))["items"]
            assert entry["id"] == made["id"]
            assert set(entry) == {
                "id", "code", "name_zh", "name_en", "kind", "adcode", "longitude", "latitude",
                "address", "opening_hours", "generated",
            }  # fmt: skip
            for path in ("/v1/outlets", f"/v1/outlets/{made['id']}"):
                assert (await theirs.refused("GET", path, 403))["code"] == "role_not_allowed"

    database(scenario)


def test_a_recycler_sees_its_own_outlets_with_their_limits_and_no_others(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            own, other = await entered(world), await entered(world)
            for one in (own, other):
                body = {"valid_from": "2026-06-01", "limit_kg": 4_000, "document": "核定"}
                await world.staff.post(f"/v1/outlets/{one['id']}/limits", body)
            theirs = await world.login(Role.RECYCLER, own["recycler_id"])
            assert [one["id"] for one in (await theirs.get("/v1/outlets"))["items"]] == [own["id"]]
            assert (await theirs.get(f"/v1/outlets/{own['id']}/limits"))["items"] != []
            for tail in ("", "/limits", "/duties"):
                await theirs.refused("GET", f"/v1/outlets/{other['id']}{tail}", 404)

    database(scenario)
