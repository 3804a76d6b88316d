"""The way to an outlet: qualified on the day, and never more than it can store."""

import asyncio

from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import World

TODAY = "2026-06-15"


async def route(world: World, pack_id: str, on: str = TODAY) -> build.Json:
    made: build.Json = await world.staff.post(f"/v1/packs/{pack_id}/routings", {"hand_over_on": on})
    return made


async def withdraw(world: World, party_id: str, kind: str, on: str) -> None:
    withdrawal = {"kind": kind, "withdrawn_on": on, "document": "Order 7"}
    await world.staff.post(f"/v1/parties/{party_id}/withdrawals", withdrawal)


async def stores(world: World) -> dict[str, tuple[int, int]]:
    """What each outlet has reserved and in stock."""
    items = (await world.staff.get("/v1/outlets"))["items"]
    return {one["id"]: (one["reserved_kg"], one["stock_kg"]) for one in items}


def test_an_outlet_that_lost_its_qualification_takes_nothing_and_the_pack_goes_elsewhere(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            first, second = [await build.recycler(world) for _ in range(2)]
            near = await build.outlet(world, first["id"])
            far = await build.outlet(world, second["id"], latitude=35.2)
            routing = await route(world, pack["id"])
            assert routing["outlet_id"] == near
            assert (await stores(world))[near] == (46, 0)

            await withdraw(world, first["id"], "discharge_permit", "2026-06-14")
            path = f"/v1/routings/{routing['id']}"
            today = {"handed_over_on": TODAY}
            problem = await world.staff.refused("POST", f"{path}/hand-over", 409, today)
            assert problem["code"] == "outlet_not_qualified"
            assert problem["extra"] == {"missing": ["discharge_permit"]}
            assert (await world.staff.get(path))["state"] == "reserved"
            again = {"hand_over_on": TODAY}
            taken = await world.staff.refused(
                "POST", f"/v1/packs/{pack['id']}/routings", 409, again
            )
            assert taken["code"] == "not_condemned"

            given_up = {"released_on": TODAY, "reason": "permit withdrawn"}
            released = await world.staff.post(f"{path}/release", given_up)
            assert (released["state"], released["release_reason"]) == (
                "released",
                "permit withdrawn",
            )
            assert (await stores(world))[near] == (0, 0)
            routing = await route(world, pack["id"])
            assert routing["outlet_id"] == far
            explanation = routing["explanation"]
            assert explanation["nearer_excluded_by_reason"] == {"QUAL_SUSPENDED": 1}
            assert explanation["nearer_excluded"][0]["missing"] == ["discharge_permit"]
            await world.staff.post(f"/v1/routings/{routing['id']}/hand-over", today)
            assert await stores(world) == {near: (0, 0), far: (0, 46)}
            kinds = [
                record["kind"]
                for record in (await world.staff.get(f"/v1/packs/{pack['id']}/life"))["records"]
            ]
            assert kinds[-5:] == [
                "route.chosen",
                "route.released",
                "route.chosen",
                "waste.outbound",
                "waste.inbound",
            ]

    database(scenario)


def test_the_day_of_hand_over_decides_not_the_day_of_the_choice(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, other = await stories.condemned_packs(world, 2)
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            await withdraw(world, firm["id"], "eia", "2026-06-20")
            path = f"/v1/packs/{one['id']}/routings"
            problem = await world.staff.refused("POST", path, 409, {"hand_over_on": "2026-06-20"})
            assert problem["code"] == "no_feasible_outlet"
            assert problem["extra"] == {"excluded_by_reason": {"QUAL_SUSPENDED": 1}}
            await route(world, one["id"], "2026-06-19")
            await route(world, other["id"], TODAY)

    database(scenario)


def test_two_who_want_the_last_room_at_once_get_one_each_place(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await stories.condemned_packs(world, 4)
            firm = await build.recycler(world)
            near = await build.outlet(world, firm["id"], store_limit_kg=50)
            next_one = await build.outlet(world, firm["id"], latitude=35.2, store_limit_kg=50)
            far = await build.outlet(world, firm["id"], latitude=36.2)
            routings = await asyncio.gather(*(route(world, pack["id"]) for pack in packs))
            chosen = [routing["outlet_id"] for routing in routings]
            assert sorted(chosen, key=[near, next_one, far].index) == [near, next_one, far, far]
            assert await stores(world) == {near: (46, 0), next_one: (46, 0), far: (92, 0)}
            for routing in routings:
                if routing["outlet_id"] == far:
                    assert routing["explanation"]["nearer_excluded_by_reason"] == {"SPACE": 2}

    database(scenario)


def test_when_no_room_is_left_anywhere_the_pack_waits_for_a_release(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await stories.condemned_packs(world, 3)
            firm = await build.recycler(world)
            only = await build.outlet(world, firm["id"], store_limit_kg=50)
            answers = await asyncio.gather(
                *(
                    world.staff.ask(
                        "POST", f"/v1/packs/{pack['id']}/routings", json={"hand_over_on": TODAY}
                    )
                    for pack in packs
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
            for pack, answer in zip(packs, answers, strict=True):
                state = (await world.staff.get(f"/v1/packs/{pack['id']}"))["state"]
                if answer.status_code == 409:
                    assert answer.json()["code"] == "no_feasible_outlet"
                    assert answer.json()["extra"] == {"excluded_by_reason": {"SPACE": 1}}
                    assert state == "condemned"
                    waiting = pack
                else:
                    assert state == "routed"
                    routing = answer.json()
            assert await stores(world) == {only: (46, 0)}
            given_up = {"released_on": TODAY, "reason": "another load first"}
            await world.staff.post(f"/v1/routings/{routing['id']}/release", given_up)
            assert (await route(world, waiting["id"]))["outlet_id"] == only

    database(scenario)


def test_one_pack_routed_twice_at_once_reserves_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            only = await build.outlet(world, firm["id"])
            answers = await asyncio.gather(
                *(
                    world.staff.ask(
                        "POST", f"/v1/packs/{pack['id']}/routings", json={"hand_over_on": TODAY}
                    )
                    for _ in range(3)
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
            assert await stores(world) == {only: (46, 0)}

    database(scenario)


def test_a_certificate_gives_the_outlet_its_room_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, other = await stories.condemned_packs(world, 2)
            firm = await build.recycler(world)
            only = await build.outlet(world, firm["id"])
            number = {"number": "R-1", "recycled_on": TODAY, "lithium_percent": "89.99"}
            for pack, status in ((one, 201), (other, 409)):
                routing = await route(world, pack["id"])
                path = f"/v1/routings/{routing['id']}"
                early = await world.staff.refused("POST", f"{path}/certificate", 409, number)
                assert early["code"] == "routing_state"
                await world.staff.post(f"{path}/hand-over", {"handed_over_on": TODAY})
                before = {**number, "recycled_on": "2026-06-14"}
                problem = await world.staff.refused("POST", f"{path}/certificate", 409, before)
                assert problem["code"] == "recycled_before_hand_over"
                answer = await world.staff.ask("POST", f"{path}/certificate", json=number)
                assert answer.status_code == status
                if status == 201:
                    assert answer.json()["below_floor"] is True
                    assert await stores(world) == {only: (0, 0)}
                else:
                    assert answer.json()["code"] == "certificate_number_taken"
                    assert await stores(world) == {only: (0, 46)}

    database(scenario)


def test_a_damaged_pack_is_never_released_and_never_goes_to_a_collecting_outlet(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            pack = lease["pack"]["id"]
            await stories.give_back(world, lease["line"]["id"])
            path = f"/v1/packs/{pack}/dispositions"
            release = {"decision": "release", "decided_on": TODAY, "reason": "R"}
            problem = await world.staff.refused("POST", path, 409, release)
            assert problem["code"] == "not_inspected"
            await stories.inspect(world, pack, TODAY, hazard="damaged")
            again = stories.inspection(TODAY)
            problem = await world.staff.refused("POST", f"/v1/packs/{pack}/inspections", 409, again)
            assert problem["code"] == "inspected_already"
            problem = await world.staff.refused("POST", path, 409, release)
            assert problem["code"] == "hazard_forbids_release"
            await stories.decide(world, pack, "recycle", TODAY)
            firm = await build.recycler(world)
            everything = ("intact", "damaged", "critical")
            await build.outlet(world, firm["id"], hazards=everything)
            concentrated = await build.outlet(
                world, firm["id"], kind="concentrated", hazards=everything, latitude=35.2
            )
            routing = await route(world, pack)
            assert routing["outlet_id"] == concentrated
            assert routing["explanation"]["nearer_excluded_by_reason"] == {"HAZARD": 1}

    database(scenario)
