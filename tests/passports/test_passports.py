"""Battery passports: packs of every state, three groups of readers, and what nobody made up."""

import json
from typing import Any

import jsonschema_rs
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.passports import rules
from schemas.passports import Access
from tests import build
from tests.build import Json, World
from tests.passports.states import (
    MODEL,
    OPERATOR,
    READOUT,
    declaration,
    declare,
    declare_all,
    every_state,
    go,
    issue,
)

SCHEMA = jsonschema_rs.Draft4Validator(rules.SCHEMA)
"""The published schema itself, whatever our own judge makes of it."""

WASTE = ("burnt", "condemned", "routed", "handed_over", "recycled")
SECRETS = ("stateOfCharge", "fullCycles", "throughput", "negativeEvents", "intoServiceDate")


def value(made: Json, path: str) -> Any:
    return rules.value_at(made, path.split("."))


async def view(world: World, pack_id: str, name: str) -> Json:
    shown: Json = await world.staff.get(f"/v1/packs/{pack_id}/passport", view=name)
    return shown


async def anybody(world: World, path: str, status: int = 200) -> Json:
    """Ask without a key."""
    client = world.client("")
    client.http.headers.pop("authorization")
    response = await client.ask("GET", path)
    found: Json = build.expect(response, status)
    return found


def test_packs_of_every_state_have_a_passport_that_the_schema_has_nothing_against(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await every_state(world)
            await declare(world, "operator", OPERATOR)
            await declare(world, "model", MODEL, packs["in_stock"]["id"])
            for state, pack in packs.items():
                if state == "recycled":
                    continue  # its life was over before anyone declared anything
                await declare(world, "pack", READOUT, pack["id"])
                await issue(world, pack["id"])
                whole = await view(world, pack["id"], "authority")
                assert [error.message for error in SCHEMA.iter_errors(whole["passport"])] == []
                assert whole["withheld"] == []
                expected = "waste" if state in WASTE else "original"
                assert value(whole["passport"], "sustainability.status") == expected
                for name in ("legitimate_interest", "public"):
                    shown = await view(world, pack["id"], name)
                    assert rules.faults(shown["passport"], Access(name)) == []

    database(scenario)


def test_the_public_sees_neither_health_nor_events_nor_status(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            pack = lease["pack"]["id"]
            damaged = {"kind": "damaged", "happened_on": "2026-05-02", "description": "lightning"}
            await world.staff.post(f"/v1/lines/{lease['line']['id']}/incidents", damaged)
            await declare_all(world, pack)
            await issue(world, pack)
            whole = (await view(world, pack, "authority"))["passport"]
            interested = (await view(world, pack, "legitimate_interest"))["passport"]
            public = (await anybody(world, f"/passports/{lease['pack']['code']}"))["passport"]
            assert public == (await view(world, pack, "public"))["passport"]
            for secret in (*SECRETS, "dynamic", "lastModification", "resultOfTestReport"):
                assert f'"{secret}"' in json.dumps(whole), secret
                assert f'"{secret}"' not in json.dumps(public), secret
            assert value(public, "sustainability.status") is None
            assert value(interested, "sustainability.status") == "original"
            assert value(interested, "performance.dynamic.capacity.capacity.value") == 95.0
            assert value(interested, "conformity.resultOfTestReport") is None
            assert value(interested, "performance.rated.testReport") is None
            assert value(public, "materials.composition") is None
            assert value(interested, "materials.composition")[0]["unit"] == "unit:percent"
            (accident,) = value(interested, "performance.dynamic.negativeEvents")
            assert accident["header"] == "damaged on 2026-05-02"
            assert value(public, "identification.idDmc") == lease["pack"]["code"]

    database(scenario)


def test_a_value_that_nobody_holds_is_named_and_not_made_up(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = (await build.pack(world))["id"]
            path = f"/v1/packs/{pack}/passport"
            problem = await world.staff.refused("POST", path, 409, {})
            assert problem["code"] == "passport_incomplete"
            missing = problem["extra"]["missing"]
            assert "operation.manufacturer.manufacturer" in missing
            assert "performance.dynamic.stateOfCharge.value" in missing
            assert "characteristics.physicalDimension.weight.value" not in missing
            coverage = await world.staff.get("/v1/passports/coverage", pack_id=pack)
            assert coverage["missing"] == missing
            assert await world.staff.refused("GET", path, 404)

            await declare_all(world, pack)
            made = await issue(world, pack)
            again = await world.staff.refused("POST", path, 409, {})
            assert again["code"] == "passport_issued_already"
            whole = await view(world, pack, "authority")
            assert "sustainability.carbonFootprint" in whole["not_held"]
            assert value(whole["passport"], "sustainability.carbonFootprint") == []
            identifier = value(whole["passport"], "metadata.passportIdentifier")
            assert identifier == f"urn:uuid:{made['id']}"
            coverage = await world.staff.get("/v1/passports/coverage", pack_id=pack)
            assert coverage["missing"] == []
            given = {one["number"]: one["is_given"] for one in coverage["attributes"]}
            assert given[53]  # remaining capacity
            assert not given[19]  # carbon footprint
            assert not given[55]

    database(scenario)


def test_each_missing_value_by_itself_stops_the_export(database):
    """Whatever scalar of the declarations is left out, the refusal names it and nothing else."""

    def without(node: Json, path: tuple[str, ...]) -> Json:
        kept = {**node}
        if len(path) == 1:
            del kept[path[0]]
        else:
            kept[path[0]] = without(kept[path[0]], path[1:])
        return kept

    demanded = {
        path
        for path in rules.leaves(rules.SCHEMA)
        if ".".join(path) in rules.missing({}) and value(MODEL, ".".join(path)) is not None
    }
    assert len(demanded) > 20

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for path in sorted(demanded)[::5]:
                pack = (await build.pack(world, rated_capacity_mah=next(build.NUMBERS) + 90_000))[
                    "id"
                ]
                await declare(world, "operator", OPERATOR)
                await declare(world, "model", without(MODEL, path), pack)
                await declare(world, "pack", READOUT, pack)
                problem = await world.staff.refused("POST", f"/v1/packs/{pack}/passport", 409, {})
                assert problem["extra"]["missing"] == [".".join(path)]

    database(scenario)


@pytest.mark.parametrize(
    ("voltage", "capacity", "is_in"),
    [
        (51_200, 100_000, True),
        (51_200, 50_000, True),
        (48_000, 40_000, False),
        (50_000, 40_000, False),  # exactly 2 kWh
        (50_000, 40_001, True),
    ],
)
def test_a_pack_is_in_scope_above_two_kilowatt_hours_of_its_rating(voltage, capacity, is_in):
    assert rules.in_scope(voltage, capacity) is is_in


def test_a_pack_out_of_scope_has_none_and_the_answer_says_why(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            small = await build.pack(world, rated_voltage_mv=48_000, rated_capacity_mah=40_000)
            problem = await anybody(world, f"/passports/{small['code']}", 404)
            assert problem["code"] == "passport_out_of_scope"
            assert "1.92 kWh" in problem["detail"]
            posted = f"/v1/packs/{small['id']}/passport"
            assert (await world.staff.refused("POST", posted, 404, {}))["code"] == problem["code"]
            large = await build.pack(world)
            problem = await anybody(world, f"/passports/{large['code']}", 404)
            assert problem["code"] == "passport_not_issued"
            assert (await anybody(world, "/passports/NOSUCHCODE", 404))["code"] == "pack_not_found"

    database(scenario)


def test_after_recycling_the_passport_is_gone_and_authorities_keep_the_copy(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            lease = await build.leased_pack(world)
            pack, code = lease["pack"]["id"], lease["pack"]["code"]
            await declare_all(world, pack)
            made = await issue(world, pack)
            await go(world, 4, f"/v1/lines/{lease['line']['id']}", pack)
            problem = await anybody(world, f"/passports/{code}", 410)
            assert problem["code"] == "passport_ended"
            assert problem["extra"] == {"ended_on": "2026-06-15", "passport_id": made["id"]}
            interested = await world.staff.ask(
                "GET", f"/v1/packs/{pack}/passport", params={"view": "legitimate_interest"}
            )
            assert interested.status_code == 410
            kept = await view(world, pack, "authority")
            assert [error.message for error in SCHEMA.iter_errors(kept["passport"])] == []
            assert value(kept["passport"], "metadata.status") == "expired"
            assert value(kept["passport"], "metadata.expirationDate") == "2026-06-15"
            assert value(kept["passport"], "sustainability.status") == "waste"
            # What a maker says of the model afterwards changes nothing in the copy.
            other = {"characteristics": {"warranty": {"lifeValue": 1, "lifeUnit": "unit:day"}}}
            await declare(world, "model", other, pack)
            assert await view(world, pack, "authority") == kept
            late = declaration("pack", READOUT, pack)
            refused = await world.staff.refused("POST", "/v1/passport-declarations", 409, late)
            assert refused["code"] == "pack_is_recycled"

    database(scenario)


def test_a_repurposed_pack_names_the_passport_before_it_and_its_old_codes(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            old = await build.pack(world, vin="LZE4C1CB9RA000017", removed_on="2024-12-01")
            await declare_all(world, old["id"])
            first = await issue(world, old["id"])
            new = await build.pack(world)
            origins = {"origins": [{"pack_id": old["id"]}]}
            await world.staff.post(f"/v1/packs/{new['id']}/origins", origins)
            await declare(world, "pack", READOUT, new["id"])
            second = await issue(world, new["id"])
            assert second["predecessor_id"] == first["id"]
            shown = (await view(world, new["id"], "authority"))["passport"]
            assert value(shown, "metadata.predecessor") == f"urn:uuid:{first['id']}"
            assert value(shown, "sustainability.status") == "repurposed"
            serial = value(shown, "identification.identification.serial")
            assert {"key": "customKey:originalCode", "value": old["code"]} in serial
            before = (await view(world, old["id"], "authority"))["passport"]
            assert value(before, "sustainability.status") == "re-used"
            assert value(before, "metadata.predecessor") == f"urn:uuid:{rules.NO_PREDECESSOR}"

    database(scenario)


def test_a_declaration_of_what_is_not_the_declarer_s_is_refused_with_every_fault(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = (await build.pack(world))["id"]
            data = {
                "identification": {"idDmc": "X", "category": "tractor"},
                "performance": {"dynamic": {"fullCycles": {"value": 3}}},
                "sustainability": {"status": "original", "colour": "green"},
            }
            posted = declaration("model", data, pack)
            problem = await world.staff.refused("POST", "/v1/passport-declarations", 400, posted)
            found = {one["pointer"]: one["code"] for one in problem["errors"]}
            assert found == {
                "/data/identification/category": "invalid",
                "/data/identification/idDmc": "not_declared_here",
                "/data/performance/dynamic/fullCycles/value": "not_declared_here",
                "/data/sustainability/status": "not_declared_here",
                "/data/sustainability/colour": "unknown",
            }
            nobody = declaration("pack", READOUT)
            problem = await world.staff.refused("POST", "/v1/passport-declarations", 400, nobody)
            assert problem["errors"][0]["pointer"] == "/pack_id"

    database(scenario)


def test_of_two_declarations_the_later_and_the_narrower_holds(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = (await build.pack(world))["id"]
            await declare_all(world, pack)
            await issue(world, pack)

            async def expires() -> Any:
                shown = await view(world, pack, "public")
                return value(shown["passport"], "metadata.expirationDate")

            await declare(world, "model", {"metadata": {"expirationDate": "2037-01-01"}}, pack)
            assert await expires() == "2037-01-01"
            await declare(world, "pack", {"metadata": {"expirationDate": "2030-01-01"}}, pack)
            await declare(world, "model", {"metadata": {"expirationDate": "2038-01-01"}}, pack)
            await declare(world, "operator", {"metadata": {"expirationDate": "2039-01-01"}})
            assert await expires() == "2030-01-01"
            other = await build.pack(world, rated_capacity_mah=200_000)
            coverage = await world.staff.get("/v1/passports/coverage", pack_id=other["id"])
            assert "operation.manufacturer.manufacturer" in coverage["missing"]

    database(scenario)


def test_who_may_ask_for_a_passport(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            await declare_all(world, pack["id"])
            await issue(world, pack["id"])
            path = f"/v1/packs/{pack['id']}/passport"
            for role in (Role.AUDITOR, Role.REGULATOR):
                client = await world.login(role)
                shown = await client.get(path, view="authority")
                assert shown["passport"]["specVersion"] == rules.SPECIFICATION
                assert len((await client.get("/v1/passports/coverage"))["attributes"]) == 93
                assert len((await client.get("/v1/passport-declarations"))["items"]) == 3
                await client.refused("POST", path, 403, {})
            customer = await build.customer(world)
            client = await world.login(Role.CUSTOMER, customer["id"])
            await client.refused("GET", path, 403)

    database(scenario)


# --- The tables ---------------------------------------------------------------------------------


def test_every_value_of_the_schema_belongs_to_a_field_and_every_field_is_in_the_schema():
    assert [path for path in rules.leaves(rules.SCHEMA) if rules.field_of(path) is None] == []
    assert [path for path in rules.FIELDS if not rules.in_schema(path)] == []


def test_no_field_is_shown_to_more_readers_than_one_of_its_attributes():
    by_number = {one.number: one for one in rules.ATTRIBUTES}
    order = list(Access)
    assert len(by_number) == 93
    for field in rules.FIELDS.values():
        for number in field.attributes:
            allowed = by_number[number].access
            assert order.index(field.access) >= order.index(allowed), (field.path, number)


def test_dynamic_attributes_are_never_public():
    for field in rules.FIELDS.values():
        numbers = set(field.attributes)
        if any(one.is_dynamic for one in rules.ATTRIBUTES if one.number in numbers):
            assert field.access is not Access.PUBLIC, field.path
        if field.path[:2] == ("performance", "dynamic"):
            assert field.access is not Access.PUBLIC, field.path


def test_coverage_tells_how_each_attribute_is_filled():
    found = {one.attribute.number: one for one in rules.coverage()}
    assert found[10].coverage == "data"  # mass
    assert found[19].coverage == "declared"  # carbon footprint
    assert found[19].declared_for == ["model"]
    assert found[55].coverage == "not_held"  # certified usable energy is none of our packs'
    counts = {}
    for one in found.values():
        counts[one.coverage] = counts.get(one.coverage, 0) + 1
    assert counts == {"data": 18, "declared": 74, "not_held": 1}
