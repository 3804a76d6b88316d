"""Families of packs: what they were made from, however far, and where their parts went."""

from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from leasing.access.model import Role
from leasing.batteries.family import generations
from leasing.db.pool import Database
from tests import build
from tests.build import Json, World

OLD = "0EYPB51EXAMPLEBC40000021"


async def made_from(world: World, pack: Json, *origins: Json | str) -> None:
    rows = [{"code": one} if isinstance(one, str) else {"pack_id": one["id"]} for one in origins]
    await world.staff.post(f"/v1/packs/{pack['id']}/origins", {"origins": rows})


def by_code(family: Json) -> dict[str, int]:
    return {one["code"]: one["generation"] for one in family["members"]}


def test_a_family_is_told_up_and_down_and_by_the_nearest_way(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a, b, c, d, stranger = [await build.pack(world) for _ in range(5)]
            # c from a and b, b from a; d from c; and a from something that is known by its code.
            await made_from(world, a, OLD)
            await made_from(world, b, a)
            await made_from(world, c, a, b)
            await made_from(world, d, c)
            family = await world.staff.get(f"/v1/packs/{c['id']}/family")
            assert by_code(family) == {
                OLD: -2, a["code"]: -1, b["code"]: -1, c["code"]: 0, d["code"]: 1,
            }  # fmt: skip
            assert {(one["made"], one["origin"]) for one in family["links"]} == {
                (a["code"], OLD),
                (b["code"], a["code"]),
                (c["code"], a["code"]),
                (c["code"], b["code"]),
                (d["code"], c["code"]),
            }
            old = next(one for one in family["members"] if one["code"] == OLD)
            assert (old["pack_id"], old["scheme"]) == (None, "gbt34014")
            first = await world.staff.get(f"/v1/packs/{a['id']}/family")
            assert by_code(first) == {
                OLD: -1, a["code"]: 0, b["code"]: 1, c["code"]: 1, d["code"]: 2,
            }  # fmt: skip
            alone = await world.staff.get(f"/v1/packs/{stranger['id']}/family")
            assert (by_code(alone), alone["links"]) == ({stranger["code"]: 0}, [])
            path = f"/v1/packs/{a['id']}/origins"
            circle = {"origins": [{"pack_id": d["id"]}]}
            refused = await world.staff.refused("POST", path, 409, circle)
            assert refused["code"] == "origin_circle"
            await world.staff.refused("GET", f"/v1/packs/{UUID(int=9)}/family", 404)
            lessee = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            await lessee.refused("GET", f"/v1/packs/{c['id']}/family", 404)

    database(scenario)


def test_a_chain_of_a_hundred_and_fifty_packs_is_told_to_its_end(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = [await build.pack(world) for _ in range(151)]
            async with db.transaction() as tx:
                await tx.executemany(
                    "INSERT INTO pack_origin (pack_id, origin_id) VALUES ($1, $2)",
                    [(UUID(child["id"]), UUID(parent["id"])) for parent, child in pairwise(packs)],
                )
            family = await world.staff.get(f"/v1/packs/{packs[150]['id']}/family")
            assert by_code(family) == {
                pack["code"]: number - 150 for number, pack in enumerate(packs)
            }
            assert family["more"] is False

    database(scenario)


MODULE, CELL = "9ZZMB51TEST001BC40000031", "9ZZCB51TEST001BC40000032"


def test_parts_tell_in_which_packs_they_were(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, other = await build.pack(world), await build.pack(world)
            path = f"/v1/packs/{one['id']}"
            parts: list[dict[str, Any]] = [
                {"kind": "module", "code": MODULE},
                {"kind": "cell", "code": CELL, "within": MODULE},
            ]
            put_in = await world.staff.post(
                f"{path}/parts", {"installed_on": "2026-05-01", "parts": parts}
            )
            module, cell = put_in["parts"]
            removal = f"{path}/parts/{module['id']}/removal"
            await world.staff.post(removal, {"removed_on": "2026-05-10"})
            await world.staff.post(
                f"/v1/packs/{other['id']}/parts",
                {"installed_on": "2026-05-20", "parts": parts[:1]},
            )
            for pack in (one, other):
                family = await world.staff.get(f"/v1/packs/{pack['id']}/family")
                told = [
                    (part["code"], part["pack_id"], part["from_on"], part["to_on"])
                    for part in family["parts"]
                ]
                stays = [
                    (one["id"], "2026-05-01", "2026-05-10"),
                    (None, "2026-05-10", "2026-05-20"),
                    (other["id"], "2026-05-20", None),
                ]
                expected = [(code, *stay) for code in (MODULE, CELL) for stay in stays]
                assert sorted(map(str, told)) == sorted(map(str, expected))
            inside = {part["within_id"] for part in family["parts"] if part["code"] == CELL}
            assert inside == {module["id"]}
            assert cell["within_id"] == module["id"]

    database(scenario)


@given(
    st.integers(1, 12).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.sets(
                st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(
                    lambda link: link[0] > link[1]
                )
            ),
            st.integers(0, size - 1),
        )
    )
)
def test_generations_are_the_shortest_ways(case):
    size, links, start = case
    ids = [UUID(int=n + 1) for n in range(size)]
    found = generations(ids[start], [(ids[child], ids[parent]) for child, parent in links])
    far = size + 1
    ways = [
        [0 if a == b else 1 if (a, b) in links else far for b in range(size)] for a in range(size)
    ]
    for middle in range(size):
        for a in range(size):
            for b in range(size):
                ways[a][b] = min(ways[a][b], ways[a][middle] + ways[middle][b])
    expected = {ids[n]: -ways[start][n] for n in range(size) if ways[start][n] < far}
    expected |= {ids[n]: ways[n][start] for n in range(size) if ways[n][start] < far}
    assert found == expected
