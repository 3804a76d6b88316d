"""Packs: their identifiers, parts, origins, capacity tests, and finding them by any of these."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.batteries import capacity_store
from leasing.batteries.codes import Chemistry, ProductType, encode
from leasing.db.pool import Actor, Database, DbRole
from tests import build
from tests.api.stories import settled
from tests.api.test_lists import pages
from tests.build import NUMBERS, Json, World

VIN = "1M8GDM9AXKP042788"


def code(
    kind: ProductType = ProductType.PACK,
    manufacturer: str = "9ZZ",
    made_on: date = date(2021, 12, 4),
    traceability: str = "PARTS01",
) -> str:
    return encode(
        manufacturer=manufacturer,
        product_type=kind,
        chemistry=Chemistry.LFP,
        specification="51",
        traceability=traceability,
        made_on=made_on,
        serial=next(NUMBERS),
    )


def cascade_code(made_on: date = date(2026, 1, 10)) -> str:
    return encode(
        manufacturer="8YY",
        product_type=ProductType.PACK,
        chemistry=Chemistry.LFP,
        specification="51",
        made_on=made_on,
        serial=next(NUMBERS),
        cascade_source=ProductType.PACK,
    )


def module(**more: Any) -> Json:
    return {"kind": "module", "code": code(ProductType.MODULE), **more}


def cell(within: str | None = None, **more: Any) -> Json:
    return {"kind": "cell", "code": code(ProductType.CELL), "within": within, **more}


def faults(problem: Json) -> dict[str, str]:
    return {error["pointer"]: error["code"] for error in problem["errors"]}


async def identify(world: World, pack_id: str, value: str, **more: Any) -> Json:
    path = f"/v1/packs/{pack_id}/identifiers"
    made: Json = await world.staff.post(path, {"value": value, **more})
    return made


async def install(world: World, pack_id: str, parts: list[Json], on: str | None = None) -> Json:
    path = f"/v1/packs/{pack_id}/parts"
    body = {"parts": parts, **({"installed_on": on} if on else {})}
    made: Json = await world.staff.post(path, body)
    return made


async def search(world: World, q: str) -> Json:
    found: Json = await world.staff.get("/v1/packs/search", q=q)
    return found


async def found_ids(world: World, q: str) -> list[str]:
    return [match["pack"]["id"] for match in (await search(world, q))["matches"]]


# --- Packs ------------------------------------------------------------------------------------


def test_rated_energy_is_voltage_times_capacity_unless_the_maker_gives_its_own(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            assert (await build.pack(world))["rated_energy_wh"] == 5_120
            own = await build.pack(world, maker_energy_wh=5_000)
            assert (own["rated_energy_wh"], own["maker"]) == (5_000, "9ZZ")

    database(scenario)


def test_a_pack_remembers_its_first_life_and_what_cannot_be_true_of_it_is_refused(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first = {"vin": VIN.lower(), "carmaker": "某汽车", "vehicle_model": "E1"}
            pack = await build.pack(world, **first, removed_on="2024-12-01")
            assert {**first, "vin": VIN}.items() <= pack.items()
            body = {
                "code": build.battery_code(),
                "cells_in_series": 16,
                "rated_voltage_mv": 51_200,
                "rated_capacity_mah": 100_000,
                "mass_kg": 46,
                "acquired_on": "2025-01-02",
                "acquired_from": "Dismantler",
                "vin": "1M8GDM9A1KP042788",
                "removed_on": "2025-01-03",
                "max_voltage_mv": 51_199,
                "min_voltage_mv": 51_201,
                "maker_energy_wh": 5_120_000,
            }
            problem = await world.staff.refused("POST", "/v1/packs", 400, body)
            assert faults(problem) == {
                "/vin": "bad_vin",
                "/removed_on": "bad_date",
                "/max_voltage_mv": "bad_rating",
                "/min_voltage_mv": "bad_rating",
                "/maker_energy_wh": "bad_rating",
            }

    database(scenario)


def test_a_correction_needs_the_version_that_was_read_and_is_checked_as_a_whole(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, max_voltage_mv=58_400)
            path = f"/v1/packs/{pack['id']}"
            assert (await world.staff.ask("GET", path)).headers["etag"] == '"v1"'
            assert (await world.staff.ask("PATCH", path, json={"mass_kg": 47})).status_code == 428

            async def correct(version: str, **changes: Any) -> Any:
                headers = {"if-match": version}
                return await world.staff.ask("PATCH", path, json=changes, headers=headers)

            changed = await correct('"v1"', vin=f" {VIN} ", mass_kg=47)
            assert changed.json() == {**pack, "vin": VIN, "mass_kg": 47, "version": 2}
            assert changed.headers["etag"] == '"v2"'
            assert (await correct('"v1"', mass_kg=48)).status_code == 412
            # The highest voltage stands; the rated one may not pass it.
            refused = await correct('"v2"', rated_voltage_mv=60_000)
            assert faults(refused.json()) == {"/max_voltage_mv": "bad_rating"}
            for field, value in (("code", "x"), ("state", "leased"), ("made_on", "2020-01-01")):
                refused = await correct('"v2"', **{field: value})
                assert faults(refused.json()) == {f"/{field}": "unknown_field"}
            await settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            (said,) = [one["data"] for one in events if one["kind"] == "pack.changed"]
            assert said == {"vin": VIN, "mass_kg": 47}

    database(scenario)


def test_packs_are_listed_by_what_they_are_in_either_order(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one = await build.pack(world, rated_capacity_mah=50_000)
            two = await build.pack(world, rated_voltage_mv=25_600)
            three = await build.pack(
                world,
                code=code(manufacturer="04Q", made_on=date(2023, 5, 6)),
            )
            four = await build.pack(
                world,
                code=build.battery_code(chemistry=Chemistry.TERNARY),
            )
            ids = [pack["id"] for pack in (one, two, three, four)]
            for query, wanted in (
                ({}, ids),
                ({"chemistry": "E"}, ids[3:]),
                ({"maker": "04Q"}, ids[2:3]),
                ({"made_from": "2023-05-06"}, ids[2:3]),
                ({"made_to": "2023-05-05"}, [ids[0], ids[1], ids[3]]),
                ({"made_to": "2023-05-06"}, ids),
                ({"most_capacity_mah": 50_000}, ids[:1]),
                ({"least_capacity_mah": 50_001}, ids[1:]),
                ({"most_voltage_mv": 25_600}, ids[1:2]),
                ({"least_voltage_mv": 25_601}, [ids[0], *ids[2:]]),
                ({"state": "in_stock", "chemistry": "B", "maker": "9ZZ"}, ids[:2]),
                ({"state": "leased"}, []),
                ({"code": four["code"].lower()}, ids[3:]),
            ):
                for limit in (1, 3, 200):
                    found = await pages(world.staff, "/v1/packs", limit, **query)
                    assert [pack["id"] for page in found for pack in page] == wanted, query
                    found = await pages(world.staff, "/v1/packs", limit, order="-id", **query)
                    assert [pack["id"] for page in found for pack in page] == wanted[::-1], query
            refused = await world.staff.ask("GET", "/v1/packs", params={"order": "id desc"})
            assert refused.status_code == 400

    database(scenario)


# --- Identifiers ------------------------------------------------------------------------------


def test_a_repurposed_pack_gets_a_new_printed_code_and_keeps_the_old(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/identifiers"
            (old,) = (await world.staff.get(path))["identifiers"]
            assert (old["value"], old["is_current"]) == (pack["code"], True)
            new = await identify(
                world, pack["id"], cascade_code(), replaces=old["id"], valid_from="2026-01-10"
            )
            assert new["scheme"] == "gbt34014_cascade"
            listed = (await world.staff.get(path))["identifiers"]
            assert [one["is_current"] for one in listed] == [True, False]
            assert listed == [new, {**old, "valid_to": "2026-01-10", "is_current": False}]
            after = await world.staff.get(f"/v1/packs/{pack['id']}")
            assert (after["code"], after["maker"]) == (new["value"], "8YY")
            assert await found_ids(world, pack["code"]) == [pack["id"]]
            life = await world.staff.get(f"/v1/packs/{pack['id']}/life")
            assert [record["kind"] for record in life["records"]][-1] == "cascade.coded"
            # What is not printed any more is not replaced again.
            again = {"value": cascade_code(), "replaces": old["id"]}
            problem = await world.staff.refused("POST", path, 409, again)
            assert problem["code"] == "identifier_ended"
            early = {"value": cascade_code(), "replaces": new["id"], "valid_from": "2026-01-10"}
            problem = await world.staff.refused("POST", path, 409, early)
            assert problem["code"] == "identifier_ended"

    database(scenario)


def test_two_codes_are_never_printed_on_a_pack_on_one_day(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            with pytest.raises(asyncpg.ExclusionViolationError, match="pack_code_one_printed"):
                async with db.transaction() as tx:
                    await tx.execute(
                        "INSERT INTO pack_code (pack_id, scheme, code, is_printed, valid)"
                        " VALUES ($1, 'unrecognised', 'X', true, '[2022-01-01,2022-01-02)')",
                        UUID(pack["id"]),
                    )
            # Two who replace the code at once: one is told that it is not printed any more.
            path = f"/v1/packs/{pack['id']}/identifiers"
            (old,) = (await world.staff.get(path))["identifiers"]
            both = await asyncio.gather(
                *(
                    world.staff.ask(
                        "POST", path, json={"value": cascade_code(), "replaces": old["id"]}
                    )
                    for _ in range(2)
                )
            )
            assert sorted(answer.status_code for answer in both) == [201, 409]

    database(scenario)


def test_identifiers_of_every_scheme_are_kept_and_read(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack, other = await build.pack(world), await build.pack(world)
            for value, more, scheme, assigned_by in (
                (cascade_code(), {}, "gbt34014_cascade", "8YY"),
                ("ab3dP5120-r-251103 001", {}, "gbt45565", "AB3D"),
                (
                    "sn 0815",
                    {"scheme": "maker_serial", "assigned_by": "EVE"},
                    "maker_serial",
                    "EVE",
                ),
                ("half 中 readable?", {}, "unrecognised", None),
                ("9" * 26, {}, "unrecognised", None),
            ):
                made = await identify(world, pack["id"], value, **more)
                assert (made["scheme"], made["assigned_by"]) == (scheme, assigned_by)
            path = f"/v1/packs/{other['id']}/identifiers"
            taken = {"value": "AB3DP5120-R-251103001"}
            problem = await world.staff.refused("POST", path, 409, taken)
            assert problem["code"] == "pack_code_taken"
            # A serial is unique to its maker, however it is written; another maker may use it.
            taken = {"value": "SN0815", "scheme": "maker_serial", "assigned_by": "eve"}
            problem = await world.staff.refused("POST", path, 409, taken)
            assert problem["code"] == "identifier_taken"
            await identify(world, other["id"], "SN0815", scheme="maker_serial", assigned_by="CATL")
            await identify(world, other["id"], "9" * 26)
            problem = await world.staff.refused("POST", path, 409, {"value": "9" * 26})
            assert problem["code"] == "identifier_taken"

    database(scenario)


def test_an_identifier_that_its_own_scheme_cannot_read_is_refused_with_the_reason(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/identifiers"
            right = code()
            swapped = f"{right[14:]}{right[:14]}"
            for body, pointer, status in (
                ({"value": swapped}, "/value", "battery_code_swapped_halves"),
                ({"value": right[:-1], "scheme": "gbt34014"}, "/value", "battery_code_length"),
                ({"value": right, "scheme": "gbt34014_cascade"}, "/scheme", "bad_identifier"),
                ({"value": "AIODP-1", "scheme": "gbt45565"}, "/value", "battery_code_invalid"),
                ({"value": "S1", "scheme": "maker_serial"}, "/assigned_by", "bad_identifier"),
                ({"value": " \n "}, "/value", "bad_identifier"),
                ({"value": "X", "valid_from": "2026-06-16"}, "/valid_from", "future_date"),
                (
                    {"value": "X", "valid_from": "2026-06-01", "valid_to": "2026-06-01"},
                    "/valid_to",
                    "bad_date",
                ),
                (
                    {"value": code(made_on=date(2029, 1, 1))},
                    "/value",
                    "battery_code_future_date",
                ),
            ):
                problem = await world.staff.refused("POST", path, 400, body)
                assert faults(problem).get(pointer) == status, problem
            problem = await world.staff.refused("POST", path, 400, {"value": swapped})
            assert problem["extra"]["suggestions"] == [right]
            made = await identify(world, pack["id"], swapped, scheme="unrecognised")
            assert made["scheme"] == "unrecognised"
            assert len((await world.staff.get(path))["identifiers"]) == 2

    database(scenario)


def test_an_identifier_ends_but_a_pack_keeps_its_printed_code(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/identifiers"
            (printed,) = (await world.staff.get(path))["identifiers"]
            made = await identify(world, pack["id"], "TAG-77", valid_from="2026-02-01")
            ended = await world.staff.post(f"{path}/{made['id']}/end", {"ended_on": "2026-03-01"})
            assert ended == {**made, "valid_to": "2026-03-01"}
            (match,) = (await search(world, "tag-77"))["matches"]
            assert (match["pack"]["id"], match["until"]) == (pack["id"], "2026-03-01")
            for one, day, code_ in (
                (made["id"], "2026-04-01", "identifier_ended"),
                (printed["id"], "2026-04-01", "printed_code_stays"),
            ):
                body = {"ended_on": day}
                problem = await world.staff.refused("POST", f"{path}/{one}/end", 409, body)
                assert problem["code"] == code_
            later = await identify(world, pack["id"], "TAG-78", valid_from="2026-02-01")
            where = f"{path}/{later['id']}/end"
            await world.staff.refused("POST", where, 409, {"ended_on": "2026-02-01"})
            await world.staff.refused("POST", where, 400, {"ended_on": "2026-06-16"})
            await world.staff.refused(
                "POST", f"{path}/{uuid4()}/end", 404, {"ended_on": "2026-03-01"}
            )

    database(scenario)


# --- Search -----------------------------------------------------------------------------------


def test_a_pack_is_found_by_whatever_it_is_known_by_however_that_is_written(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.pack(world)
            pack = await build.pack(world, original_codes=["Old Label 5"])
            await identify(world, pack["id"], "sn 99", scheme="maker_serial", assigned_by="EVE")
            inner = module()
            await install(world, pack["id"], [inner])
            path = f"/v1/packs/{pack['id']}/origins"
            await world.staff.post(path, {"origins": [{"code": "GONE-PACK-1"}]})
            own = pack["code"]
            wide = own.translate({i: i + 0xFEE0 for i in range(0x30, 0x5B)})
            for question, found_by in (
                (own, "identifier"),
                (own.lower(), "identifier"),
                (f" {own[:14]}\r\n{own[14:]} ", "identifier"),
                (wide, "identifier"),
                ("OLDLABEL5", "identifier"),
                ("Sn99", "identifier"),
                (inner["code"].lower(), "part"),
                ("gone pack-1".replace(" ", "-"), "origin"),
            ):
                answer = await search(world, question)
                (match,) = answer["matches"]
                assert (match["pack"]["id"], match["found_by"]) == (pack["id"], found_by)
                assert match["is_exact"]
                assert match["pack"] == await world.staff.get(f"/v1/packs/{pack['id']}")
                assert (answer["suggestions"], answer["more"]) == ([], False)

    database(scenario)


def test_what_begins_with_the_question_is_found_after_what_is_it(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, two = await build.pack(world), await build.pack(world)
            await identify(world, one["id"], "SHELF-10")
            await identify(world, two["id"], "SHELF-1")
            matches = (await search(world, "shelf-1"))["matches"]
            assert [(m["pack"]["id"], m["is_exact"]) for m in matches] == [
                (two["id"], True),
                (one["id"], False),
            ]
            assert len((await search(world, "shel"))["matches"]) == 2
            assert (await search(world, "she"))["matches"] == []
            # A sign that has a meaning in patterns has none here.
            assert (await search(world, "shel%"))["matches"] == []
            assert (await search(world, "shel_-1"))["matches"] == []
            for number in range(25):
                await identify(world, one["id"], f"MANY{number:02}")
            many = await search(world, "MANY")
            assert (len(many["matches"]), many["more"]) == (20, True)
            assert [m["value"] for m in many["matches"]] == [f"MANY{n:02}" for n in range(20)]
            answer = await world.staff.ask("GET", "/v1/packs/search", params={"q": "  "})
            assert answer.json()["code"] == "bad_search"

    database(scenario)


def test_when_nothing_is_found_what_was_meant_is_suggested_with_the_reason(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, code=f"10ZPB51TEST001BC4{next(NUMBERS):07}")
            own = pack["code"]
            await identify(world, pack["id"], "UPPER-11LOWER-22")
            for question, right, told in (
                (f"{own[14:]}{own[:14]}", own, "halves"),
                (f"{own[14:]}\n{own[:14]}", own, "halves"),
                (f"I{own[1:]}", None, ""),
                ("LOWER-22\nUPPER-11", "UPPER-11LOWER-22", "lines"),
                (own[:16].replace("4", "A") + own[16:], None, ""),
                (f"{own[:17]}O{own[18:]}", own, "position 18"),
                (f"{own[:17]}OO{own[19:]}", own, "position 18"),
                (f"IO{own[2:]}", own, "position 1 read 1, not I; position 2 read 0, not O"),
            ):
                answer = await search(world, question)
                if right is None:
                    continue
                assert answer["matches"] == [], question
                first = answer["suggestions"][0]
                assert (first["value"], first["pack_id"]) == (right, pack["id"])
                assert told in first["reason"]
            # A code that is right but nobody's: the halves are told all the same.
            stranger = code()
            (only,) = (await search(world, stranger[14:] + stranger[:14]))["suggestions"]
            assert (only["value"], only["pack_id"]) == (stranger, None)
            assert (await search(world, "NOTHING-LIKE-IT"))["suggestions"] == []

    database(scenario)


def test_a_customer_finds_only_packs_that_stand_in_its_lines(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine = await build.leased_pack(world, on="2026-06-01")
            theirs = await build.leased_pack(world, on="2026-06-01")
            parts, codes = {}, {}
            for name, lease in (("mine", mine), ("theirs", theirs)):
                pack_id = lease["pack"]["id"]
                parts[name] = module()
                await install(world, pack_id, [parts[name]])
                body = {"origins": [{"code": f"GONE-{name}"}]}
                await world.staff.post(f"/v1/packs/{pack_id}/origins", body)
                codes[name] = [lease["pack"]["code"], parts[name]["code"], f"GONE-{name}"]
                await world.staff.post(f"/v1/packs/{pack_id}/capacity-tests", report())
            client = await world.login(Role.CUSTOMER, mine["customer"]["id"])
            for question in codes["mine"]:
                (match,) = (await client.get("/v1/packs/search", q=question))["matches"]
                assert match["pack"]["id"] == mine["pack"]["id"]
            for question in codes["theirs"]:
                answer = await client.get("/v1/packs/search", q=question)
                assert (answer["matches"], answer["suggestions"]) == ([], [])
                # Nor is it told by a beginning, or by a suggestion.
                answer = await client.get("/v1/packs/search", q=question[:-1])
                found = {match["pack"]["id"] for match in answer["matches"]}
                assert found <= {mine["pack"]["id"]}
                assert all(one["pack_id"] is None for one in answer["suggestions"])
            swapped = codes["theirs"][0][14:] + codes["theirs"][0][:14]
            (only,) = (await client.get("/v1/packs/search", q=swapped))["suggestions"]
            assert only["pack_id"] is None
            for what in ("identifiers", "parts", "origins"):
                await client.get(f"/v1/packs/{mine['pack']['id']}/{what}")
                await client.refused("GET", f"/v1/packs/{theirs['pack']['id']}/{what}", 404)
            for lease, number in ((mine, 1), (theirs, 0)):
                page = await client.get(f"/v1/packs/{lease['pack']['id']}/capacity-tests")
                assert len(page["items"]) == number

    database(scenario)


SEEN = """
SELECT (SELECT count(*) FROM pack_code) AS codes,
       (SELECT count(*) FROM part) AS parts,
       (SELECT count(*) FROM part_stay) AS stays,
       (SELECT count(*) FROM pack_origin) AS origins,
       (SELECT count(*) FROM capacity_test) AS tests
"""


def test_of_what_hangs_on_packs_a_customer_s_database_role_sees_its_own(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            leases = [await build.leased_pack(world, on="2026-06-01") for _ in range(2)]
            for lease in leases:
                pack_id = lease["pack"]["id"]
                await install(world, pack_id, [module(), cell()])
                body = {"origins": [{"code": f"GONE-{next(NUMBERS)}"}]}
                await world.staff.post(f"/v1/packs/{pack_id}/origins", body)
                await world.staff.post(f"/v1/packs/{pack_id}/capacity-tests", report())
            one = {"codes": 1, "parts": 2, "stays": 2, "origins": 1, "tests": 1}
            for party_id, wanted in (
                (UUID(leases[0]["customer"]["id"]), one),
                (uuid4(), dict.fromkeys(one, 0)),
            ):
                async with db.transaction(Actor(DbRole.CUSTOMER, party_id)) as tx:
                    row = await tx.fetchrow(SEEN)
                assert dict(row) == wanted

    database(scenario)


# --- Parts ------------------------------------------------------------------------------------


def shape(tree: Json) -> list[tuple[str, int]]:
    return [(part["code"], part["depth"]) for part in tree["parts"]]


def test_a_pack_holds_modules_and_cells_to_any_depth(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            outer, loose = module(), cell()
            inner = module(within=outer["code"].lower())
            cells = [cell(inner["code"]) for _ in range(2)]
            # A row may come before what it is in.
            tree = await install(world, pack["id"], [*cells, inner, loose, outer])
            assert sorted(shape(tree)) == sorted(
                [(outer["code"], 1), (loose["code"], 1), (inner["code"], 2)]
                + [(one["code"], 3) for one in cells]
            )
            by_id = {part["id"]: part for part in tree["parts"]}
            place = [part["id"] for part in tree["parts"]]
            for part in tree["parts"]:
                if part["within_id"] is not None:
                    assert place.index(part["within_id"]) < place.index(part["id"])
                    assert by_id[part["within_id"]]["depth"] == part["depth"] - 1
            assert {part["installed_on"] for part in tree["parts"]} == {pack["made_on"]}
            # More goes into a module that is there already.
            more = await install(world, pack["id"], [cell(inner["code"])])
            assert len(more["parts"]) == 6
            assert await world.staff.get(f"/v1/packs/{pack['id']}/parts") == more

    database(scenario)


def test_parts_are_installed_all_or_none_and_each_row_is_told_what_is_wrong(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/parts"
            fine, twice, a_cell = module(), module(), cell()
            one, other = module(), module()
            rows = [
                fine,
                {"kind": "cell", "code": code(ProductType.MODULE)},
                twice,
                twice,
                cell("NOWHERE"),
                a_cell,
                cell(a_cell["code"]),
                {"kind": "cell", "code": "S-1", "scheme": "maker_serial"},
                {"kind": "cell", "code": "short", "scheme": "gbt34014"},
            ]
            body = {"parts": rows, "installed_on": "2026-06-16"}
            problem = await world.staff.refused("POST", path, 400, body)
            assert faults(problem) == {
                "/parts/1/kind": "other_kind",
                "/parts/3/code": "named_twice",
                "/parts/4/within": "no_such_module",
                "/parts/6/within": "not_a_module",
                "/parts/7/assigned_by": "bad_identifier",
                "/parts/8/code": "battery_code_length",
                "/installed_on": "future_date",
            }
            circle = [
                {**one, "within": other["code"]},
                {**other, "within": one["code"]},
                module(within=one["code"]),
            ]
            problem = await world.staff.refused("POST", path, 400, {"parts": circle})
            assert set(faults(problem).values()) == {"too_deep"}
            assert (await world.staff.get(path))["parts"] == []
            await install(world, pack["id"], [fine])

    database(scenario)


def test_a_part_is_in_one_pack_at_a_time_and_takes_its_contents_along(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, two = await build.pack(world), await build.pack(world)
            mod = module()
            tree = await install(world, one["id"], [mod, cell(mod["code"])], "2026-01-01")
            path = f"/v1/packs/{two['id']}/parts"
            again = {"parts": [mod], "installed_on": "2026-03-01"}
            problem = await world.staff.refused("POST", path, 409, again)
            assert faults(problem) == {"/parts/0/code": "in_a_pack"}
            outside = tree["parts"][0]["id"]
            where = f"/v1/packs/{one['id']}/parts/{outside}/removal"
            problem = await world.staff.refused("POST", where, 409, {"removed_on": "2026-01-01"})
            assert problem["code"] == "removed_before_installed"
            await world.staff.refused("POST", where, 400, {"removed_on": "2026-06-16"})
            assert (await world.staff.post(where, {"removed_on": "2026-02-01"}))["parts"] == []
            await world.staff.refused("POST", where, 404, {"removed_on": "2026-02-02"})
            # Not before it was taken out of the other.
            early = {"parts": [mod], "installed_on": "2026-01-31"}
            problem = await world.staff.refused("POST", path, 409, early)
            assert faults(problem) == {"/parts/0/code": "in_a_pack"}
            holder = module()
            moved = await install(
                world, two["id"], [holder, {**mod, "within": holder["code"]}], "2026-02-01"
            )
            assert [depth for _, depth in shape(moved)] == [1, 2, 3]
            # Each pack still knows what was in it on a day.
            for pack, day, number in (
                (one, "2025-12-31", 0),
                (one, "2026-01-31", 2),
                (one, "2026-02-01", 0),
                (two, "2026-01-31", 0),
                (two, "2026-02-01", 3),
            ):
                then = await world.staff.get(f"/v1/packs/{pack['id']}/parts", on=day)
                assert len(then["parts"]) == number, (pack["id"], day)
            found = (await search(world, mod["code"]))["matches"]
            assert [(m["pack"]["id"], m["until"]) for m in found] == [
                (two["id"], None),
                (one["id"], "2026-02-01"),
            ]

    database(scenario)


def test_a_module_taken_out_of_another_keeps_what_is_in_it(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, two = await build.pack(world), await build.pack(world)
            outer = module()
            inner = module(within=outer["code"])
            leaf = cell(inner["code"])
            tree = await install(world, one["id"], [outer, inner, leaf], "2026-01-01")
            (taken,) = [part["id"] for part in tree["parts"] if part["code"] == inner["code"]]
            where = f"/v1/packs/{one['id']}/parts/{taken}/removal"
            left = await world.staff.post(where, {"removed_on": "2026-02-01"})
            assert shape(left) == [(outer["code"], 1)]
            alone = {"kind": "module", "code": inner["code"]}
            moved = await install(world, two["id"], [alone], "2026-03-01")
            assert shape(moved) == [(inner["code"], 1), (leaf["code"], 2)]
            assert {part["installed_on"] for part in moved["parts"]} == {"2026-03-01"}

    database(scenario)


def test_nothing_is_in_a_module_before_the_module_is_there(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            holder = module()
            await install(world, pack["id"], [holder], "2026-03-01")
            early = {"parts": [module(), cell(holder["code"])], "installed_on": "2026-02-28"}
            path = f"/v1/packs/{pack['id']}/parts"
            problem = await world.staff.refused("POST", path, 409, early)
            assert faults(problem) == {"/parts/1/within": "not_yet_there"}
            await install(world, pack["id"], [cell(holder["code"])], "2026-03-01")

    database(scenario)


def test_parts_that_nobody_can_read_are_never_taken_for_one_another(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, two = await build.pack(world), await build.pack(world)
            blank = {"kind": "cell", "code": "no label"}
            await install(world, one["id"], [blank, blank])
            tree = await install(world, two["id"], [blank])
            assert len(tree["parts"]) == 1
            assert len((await search(world, "NOLABEL"))["matches"]) == 2

    database(scenario)


IMPOSSIBLE = """
INSERT INTO part_stay (part_id, within_id, depth, pack_id, during)
SELECT $1, $2, $3, $4, daterange($5, NULL)
"""


async def put_instead(db: Database, stays: list[tuple[Any, ...]]) -> None:
    async with db.transaction() as tx:
        moved = [stay[0] for stay in stays]
        await tx.execute("DELETE FROM part_stay WHERE part_id = ANY ($1)", moved)
        for stay in stays:
            await tx.execute(IMPOSSIBLE, *stay)


def test_the_database_refuses_a_part_inside_itself_or_apart_from_what_it_is_in(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack, other = await build.pack(world), await build.pack(world)
            rows = [module(), module(), cell()]
            tree = await install(world, pack["id"], rows, "2026-01-01")
            first, second, leaf = [
                next(UUID(p["id"]) for p in tree["parts"] if p["code"] == row["code"])
                for row in rows
            ]
            here, there = UUID(pack["id"]), UUID(other["id"])
            day, before = date(2026, 1, 1), date(2025, 12, 31)
            circle = [(first, second, 2, here, day), (second, first, 3, here, day)]
            for stays in (
                [(first, first, 2, here, day)],
                circle,
                [(first, second, 2, there, day)],
                [(first, second, 2, here, before)],
                [(first, second, 3, here, day)],
                [(first, leaf, 2, here, day)],
            ):
                with pytest.raises(asyncpg.ForeignKeyViolationError):
                    await put_instead(db, stays)
            assert shape(await world.staff.get(f"/v1/packs/{pack['id']}/parts")) == shape(tree)

    database(scenario)


# --- Origins ----------------------------------------------------------------------------------


def test_what_a_pack_was_made_from_is_followed_back_and_never_in_a_circle(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first, second, third = [await build.pack(world) for _ in range(3)]

            async def made(pack: Json, *origins: Json, status: int = 201) -> Any:
                path = f"/v1/packs/{pack['id']}/origins"
                answer = await world.staff.ask("POST", path, json={"origins": list(origins)})
                assert answer.status_code == status, answer.text
                return answer.json()

            gone = code()
            # A code that a pack of ours carries leads to that pack.
            await made(second, {"code": first["code"].lower()}, {"code": gone})
            seen = await made(third, {"pack_id": second["id"]})
            assert [
                (one["generation"], one["made_id"], one["pack_id"], one["code"])
                for one in sorted(seen["origins"], key=lambda one: (one["generation"], str(one)))
            ] == [
                (1, third["id"], second["id"], None),
                *sorted(
                    [(2, second["id"], first["id"], None), (2, second["id"], None, gone)],
                    key=lambda row: str(row[2] is None),
                ),
            ]
            for pack, origin in ((first, third), (first, second), (first, first)):
                problem = await made(pack, {"pack_id": origin["id"]}, status=409)
                assert problem["code"] == "origin_circle"
            problem = await made(third, {"pack_id": second["id"]}, status=409)
            assert problem["code"] == "origin_exists"
            problem = await made(
                third, {}, {"pack_id": str(uuid4())}, {"code": "x", "pack_id": first["id"]},
                status=400,
            )  # fmt: skip
            assert set(faults(problem)) == {"/origins/0", "/origins/1/pack_id", "/origins/2"}

    database(scenario)


def test_two_links_that_would_close_a_circle_together_are_not_both_made(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for _ in range(4):
                one, two = await build.pack(world), await build.pack(world)
                both = await asyncio.gather(
                    *(
                        world.staff.ask(
                            "POST",
                            f"/v1/packs/{made['id']}/origins",
                            json={"origins": [{"pack_id": origin["id"]}]},
                        )
                        for made, origin in ((one, two), (two, one))
                    )
                )
                codes = sorted(answer.status_code for answer in both)
                assert codes[0] == 201, codes
                assert codes[1] in (409, 503), codes

    database(scenario)


LINK = "INSERT INTO pack_origin (pack_id, origin_id) VALUES ($1, $2)"


def test_a_circle_is_not_closed_by_links_that_share_no_pack(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a, b, c, d = [UUID((await build.pack(world))["id"]) for _ in range(4)]

            async def link(made: UUID, origin: UUID) -> None:
                async with db.transaction() as tx:
                    await tx.execute(LINK, made, origin)

            await link(a, b)
            await link(c, d)
            async with db.transaction() as tx:
                await tx.execute(LINK, b, c)
                closing = asyncio.create_task(link(d, a))
                await asyncio.sleep(0.2)
                # It waits: the first link may yet be taken back.
                assert not closing.done()
            with pytest.raises(asyncpg.CheckViolationError, match="made from itself"):
                await closing

    database(scenario)


# --- Capacity tests ---------------------------------------------------------------------------


def report(**changes: Any) -> Json:
    return {
        "tested_on": "2026-05-01",
        "method": "gbt34015",
        "temperature_c": 25.0,
        "c_rate": 0.33,
        "depth_percent": 100,
        "discharged_mah": 91_000,
        "energy_wh": 4_600,
        "internal_resistance_uohm": 900,
        "laboratory": "检测中心",
        "report_number": f"R-{next(NUMBERS)}",
        "document_sha256": "ab" * 32,
        "signatory": "张工",
        **changes,
    }


def test_a_check_discharge_that_stops_early_is_never_shown_as_a_capacity(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack, untested = await build.pack(world), await build.pack(world)
            path = f"/v1/packs/{pack['id']}/capacity-tests"
            body = report()
            full = await world.staff.post(path, body)
            assert body.items() <= full.items()
            assert (full["extent"], full["capacity_mah"]) == ("full", 91_000)
            stopped = report(
                method="site_check_discharge",
                tested_on="2026-06-01",
                depth_percent=35,
                discharged_mah=33_000,
                energy_wh=None,
            )
            partial = await world.staff.post(path, stopped)
            assert (partial["extent"], partial["capacity_mah"]) == ("partial", None)
            assert (await world.staff.get(path))["items"] == [full, partial]
            async with db.transaction() as tx:
                ids = [UUID(pack["id"]), UUID(untested["id"])]
                (latest,) = await capacity_store.latest_full(tx, ids)
                assert (str(latest["id"]), latest["capacity_mah"]) == (full["id"], 91_000)
            newer = await world.staff.post(
                path, report(method="maker", tested_on="2026-05-02", discharged_mah=90_000)
            )
            await world.staff.post(path, report(tested_on="2026-04-30"))
            async with db.transaction() as tx:
                (latest,) = await capacity_store.latest_full(tx, ids)
                assert str(latest["id"]) == newer["id"]

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "pointer", "reason"),
    [
        ({"discharged_mah": 130_001}, "/discharged_mah", "impossible_capacity"),
        (
            {"method": "other", "depth_percent": 40, "discharged_mah": 52_001},
            "/discharged_mah",
            "impossible_capacity",
        ),
        ({"tested_on": "2026-06-16"}, "/tested_on", "future_date"),
        ({"tested_on": "2021-12-03"}, "/tested_on", "bad_date"),
        ({"depth_percent": 99}, "/depth_percent", "not_a_full_test"),
        ({"energy_wh": 46}, "/energy_wh", "impossible_energy"),
    ],
)
def test_a_report_that_cannot_be_right_is_refused_with_the_reason(
    database, changes, pointer, reason
) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/capacity-tests"
            problem = await world.staff.refused("POST", path, 400, report(**changes))
            assert faults(problem)[pointer] == reason
            assert (await world.staff.get(path))["items"] == []

    database(scenario)


def test_a_report_is_entered_once_and_what_is_just_possible_passes(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/capacity-tests"
            body = report(discharged_mah=130_000, tested_on="2026-06-15", energy_wh=None)
            await world.staff.post(path, body)
            problem = await world.staff.refused("POST", path, 409, body)
            assert problem["code"] == "report_exists"
            await world.staff.refused("POST", f"/v1/packs/{uuid4()}/capacity-tests", 404, report())

    database(scenario)
