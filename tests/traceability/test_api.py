"""Records over HTTP: put right by others, what parts and codes leave behind, and heads of days."""

from datetime import date
from typing import Any
from uuid import UUID

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.traceability import checking
from tests import build
from tests.api import stories
from tests.build import Json, World, acceptance

DAY = date(2026, 6, 15)


async def records(world: World, pack: Json) -> list[Json]:
    life = await world.staff.get(f"/v1/packs/{pack['id']}/life")
    found: list[Json] = life["records"]
    return found


def test_a_correction_is_a_new_record_that_names_the_old_which_stays(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            staff = world.staff
            pack, other = await build.pack(world), await build.pack(world)
            path = f"/v1/packs/{pack['id']}/life"
            (wrong,) = await records(world, pack)
            said = {
                "reason": "typed from the wrong sheet",
                "happened_on": "2025-01-03",
                "facts": {"from": "拆解厂二", "weighed_kg": 46, "sealed": True, "lot": None},
            }
            made = await staff.post(f"{path}/{wrong['id']}/correction", said)
            left, added = await records(world, pack)
            assert left == wrong
            assert (made["id"], made["sequence"], made["hash"]) == (added["id"], 2, added["hash"])
            assert added["kind"] == "record.corrected"
            assert added["corrects_id"] == made["corrects_id"] == wrong["id"]
            assert added["previous_hash"] == wrong["hash"]
            assert added["happened_on"] == "2026-06-15"
            assert added["data"] == {"corrects": 1, "kind": "pack.acquired", **said}
            # Once; and then the correction.
            again = await staff.refused("POST", f"{path}/{wrong['id']}/correction", 409, said)
            assert again["code"] == "record_corrected"
            await staff.post(
                f"{path}/{made['id']}/correction", {"reason": "still", "facts": {"lot": "7"}}
            )
            assert [one["sequence"] for one in await records(world, pack)] == [1, 2, 3]
            assert len(await records(world, other)) == 1
            events = await stories.told(world)
            kinds = [one["kind"] for one in events]
            assert kinds.count("trace.record_corrected") == 2

            for body, status, code in [
                ({"reason": "nothing"}, 400, "bad_correction"),
                ({"reason": "to come", "happened_on": "2026-06-16"}, 400, "bad_correction"),
                ({"reason": "x", "facts": {"Not a name": 1}}, 400, "invalid_payload"),
                ({"reason": "x", "facts": {"a": {"deep": 1}}}, 400, "invalid_payload"),
            ]:
                problem = await staff.refused(
                    "POST", f"{path}/{made['id']}/correction", status, body
                )
                assert problem["code"] == code, body
            gone = await staff.refused("POST", f"{path}/{UUID(int=9)}/correction", 404, said)
            assert gone["code"] == "record_not_found"
            nobody = path.replace(pack["id"], str(UUID(int=7)))
            gone = await staff.refused("POST", f"{nobody}/{wrong['id']}/correction", 404, said)
            assert gone["code"] == "pack_not_found"
            auditor = await world.login(Role.AUDITOR)
            await auditor.refused("POST", f"{path}/{made['id']}/correction", 403, said)

    database(scenario)


def test_who_may_read_a_record_may_read_its_correction(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, other = await build.customer(world), await build.customer(world)
            site = await build.site(world, one["id"])
            _, (line,) = await build.active_contract(
                world, one["id"], [build.line_terms(site["id"])]
            )
            pack = await build.pack(world)
            await world.staff.post(
                f"/v1/lines/{line['id']}/acceptances", acceptance(pack["id"], "2026-06-10")
            )
            path = f"/v1/packs/{pack['id']}/life"
            first, second = (await world.staff.get(path))["records"]
            facts = {"reason": "a", "facts": {"from": "x"}}
            await world.staff.post(f"{path}/{first['id']}/correction", facts)
            day = {"reason": "b", "happened_on": "2026-06-09"}
            await world.staff.post(f"{path}/{second['id']}/correction", day)
            lessee = await world.login(Role.CUSTOMER, one["id"])
            seen = (await lessee.get(path))["records"]
            assert [record["sequence"] for record in seen] == [2, 4]
            stranger = await world.login(Role.CUSTOMER, other["id"])
            await stranger.refused("GET", path, 404)

    database(scenario)


MODULES = ["9ZZMB51TEST001BC40000018", "9ZZMB51TEST001BC40000019"]
CASCADE = "9ZZPB51G1A0000001RP"


def test_assembling_taking_apart_origins_and_a_second_life_leave_records(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            staff = world.staff
            pack, origin = await build.pack(world), await build.pack(world)
            path = f"/v1/packs/{pack['id']}"
            parts = [{"kind": "module", "code": code} for code in MODULES]
            put_in = await staff.post(
                f"{path}/parts", {"installed_on": "2026-06-01", "parts": parts}
            )
            part = put_in["parts"][0]
            await staff.post(f"{path}/parts/{part['id']}/removal", {"removed_on": "2026-06-03"})
            await staff.post(f"{path}/origins", {"origins": [{"pack_id": origin["id"]}]})
            known = await staff.get(f"{path}/identifiers")
            printed = known["identifiers"][0]
            await staff.post(
                f"{path}/identifiers",
                {"value": CASCADE, "replaces": printed["id"], "valid_from": "2026-06-10"},
            )
            told: list[tuple[str, str, dict[str, Any]]] = [
                (one["kind"], one["happened_on"], one["data"]) for one in await records(world, pack)
            ]
            code = pack["code"]
            assert told[1:4] == [
                ("pack.assembled", "2026-06-01", {"code": code, "parts": MODULES}),
                (
                    "pack.decomposed",
                    "2026-06-03",
                    {"code": code, "part": part["code"], "with": 0},
                ),
                ("pack.assembled", "2026-06-15", {"code": code, "made_from": [origin["code"]]}),
            ]
            kind, on, facts = told[4]
            assert (kind, on) == ("cascade.coded", "2026-06-10")
            assert facts["value"] == CASCADE
            assert facts["originals"] == [code]
            assert (facts["rated_voltage_mv"], facts["rated_capacity_mah"]) == (51_200, 100_000)

    database(scenario)


def test_heads_are_listed_for_everybody_the_newest_first(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            customer = await build.customer(world)
            heads = []
            for day in (13, 14):
                async with db.transaction() as tx:
                    at = midnight(DAY)
                    heads.append(await checking.close_day(tx, date(2026, 6, day), by="x", now=at))
            assert (heads[0].packs, heads[0].hash) == (0, heads[0].hash)
            await world.set_clock(date(2026, 6, 16))
            async with db.transaction() as tx:
                last = await checking.close_day(tx, DAY, by="x", now=midnight(date(2026, 6, 16)))
            reader = await world.login(Role.CUSTOMER, customer["id"])
            page = await reader.get("/v1/trace-heads", limit=2)
            assert [one["as_of"] for one in page["items"]] == ["2026-06-15", "2026-06-14"]
            newest = page["items"][0]
            assert (newest["packs"], newest["records"]) == (1, 1)
            assert newest["sha256"] == last.hash.hex()
            rest = await reader.get("/v1/trace-heads", limit=2, cursor=page["next_cursor"])
            assert [one["as_of"] for one in rest["items"]] == ["2026-06-13"]
            assert pack["id"] not in str(page)
            event = (await stories.told(world))[-1]
            assert event["kind"] == "trace.head_taken"

    database(scenario)
