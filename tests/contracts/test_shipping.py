"""A cascade product that leaves the warehouse for a lessee is recorded, and so to be reported."""

from typing import Any

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World

CASCADE_CODES = ("9ZZPB51FAL0000001RP", "9ZZDP51200-R-26040001")


async def two_lines(world: World) -> list[Json]:
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = [build.line_terms(place["id"], slot=slot) for slot in (1, 2)]
    _, lines = await build.active_contract(world, lessee["id"], terms)
    return lines


async def coded(world: World, code: str) -> Json:
    pack = await build.pack(world)
    path = f"/v1/packs/{pack['id']}/identifiers"
    (printed,) = (await world.staff.get(path))["identifiers"]
    given = {"value": code, "replaces": printed["id"], "valid_from": "2026-01-05"}
    await world.staff.post(path, given)
    return pack


async def shipped(world: World, pack: Json) -> list[Json]:
    life = await world.staff.get(f"/v1/packs/{pack['id']}/life")
    return [one for one in life["records"] if one["kind"] == "cascade.shipped"]


async def hand_over(world: World, line: Json, pack: Json, on: str, **changes: Any) -> None:
    given = build.acceptance(pack["id"], on) | changes
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)


def test_a_cascade_product_is_shipped_to_its_site_and_no_other_pack_is(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines = await two_lines(world)
            pack, new = await coded(world, CASCADE_CODES[0]), await build.pack(world)
            await hand_over(world, lines[0], pack, "2026-01-11", shipped_on="2026-01-09")
            await hand_over(world, lines[1], new, "2026-01-11")
            (left,) = await shipped(world, pack)
            assert (left["happened_on"], left["adcode"]) == ("2026-01-09", "410100")
            site = await world.staff.get(f"/v1/sites/{lines[0]['site_id']}")
            assert left["party_id"] == site["party_id"]
            assert left["data"] == {
                "code": CASCADE_CODES[0],
                "contract_id": lines[0]["contract_id"],
                "site_id": lines[0]["site_id"],
                "longitude": 113.56,
                "latitude": 34.81,
            }
            assert await shipped(world, new) == []
            # Another takes its place on the day on which it leaves, as nobody says otherwise.
            fresh = await coded(world, CASCADE_CODES[1])
            swap = build.acceptance(fresh["id"], "2026-02-02")
            await world.staff.post(f"/v1/lines/{lines[0]['id']}/swaps", swap)
            assert [one["happened_on"] for one in await shipped(world, fresh)] == ["2026-02-02"]
            assert len(await shipped(world, pack)) == 1

    database(scenario)


def test_a_pack_leaves_neither_after_its_test_nor_before_it_was_there(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            line, _ = await two_lines(world)
            pack = await build.pack(world, acquired_on="2026-01-08")
            path = f"/v1/lines/{line['id']}/acceptances"
            given = build.acceptance(pack["id"], "2026-01-11")
            late = await world.staff.refused(
                "POST", path, 400, given | {"shipped_on": "2026-01-12"}
            )
            assert late["code"] == "shipped_after_test"
            assert [one["pointer"] for one in late["errors"]] == ["/shipped_on"]
            early = await world.staff.refused(
                "POST", path, 409, given | {"shipped_on": "2026-01-07"}
            )
            assert early["code"] == "later_change"

    database(scenario)
