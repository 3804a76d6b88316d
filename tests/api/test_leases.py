"""What cannot happen in a lease, refused by the rules and once more by the database."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.app import CONSTRAINTS
from leasing.db.pool import Database
from leasing.http.problems import constraint_error
from tests import build
from tests.build import Json, World

FEBRUARY = date(2026, 2, 1)
Step = Callable[[World, Json], Awaitable[tuple[str, Json]]]


def acceptances(lease: Json) -> str:
    return f"/v1/lines/{lease['line']['id']}/acceptances"


async def free_line(world: World, lease: Json, **changes: Any) -> Json:
    """Another line of the same customer, with nothing in it."""
    _, (line,) = await build.active_contract(
        world, lease["customer"]["id"], [build.line_terms(lease["site"]["id"], slot=2)], **changes
    )
    return line


async def accept_a_leased_pack(world: World, lease: Json) -> tuple[str, Json]:
    line = await free_line(world, lease)
    return acceptances({"line": line}), build.acceptance(lease["pack"]["id"], "2026-06-01")


async def accept_into_an_occupied_line(world: World, lease: Json) -> tuple[str, Json]:
    pack = await build.pack(world)
    return acceptances(lease), build.acceptance(pack["id"], "2026-06-01")


async def accept_before_the_pack_that_stands_there(world: World, lease: Json) -> tuple[str, Json]:
    pack = await build.pack(world)
    return acceptances(lease), build.acceptance(pack["id"], "2026-01-02")


async def accept_tomorrow(world: World, lease: Json) -> tuple[str, Json]:
    line, pack = await free_line(world, lease), await build.pack(world)
    return acceptances({"line": line}), build.acceptance(pack["id"], "2026-06-16")


async def accept_before_the_term(world: World, lease: Json) -> tuple[str, Json]:
    line, pack = await free_line(world, lease), await build.pack(world)
    return acceptances({"line": line}), build.acceptance(pack["id"], "2025-12-31")


async def accept_on_the_first_day_after_the_term(world: World, lease: Json) -> tuple[str, Json]:
    line = await free_line(world, lease, ends_on="2026-06-01")
    pack = await build.pack(world)
    return acceptances({"line": line}), build.acceptance(pack["id"], "2026-06-01")


async def accept_below_the_guarantee(world: World, lease: Json) -> tuple[str, Json]:
    line, pack = await free_line(world, lease), await build.pack(world)
    return acceptances({"line": line}), build.acceptance(pack["id"], "2026-06-01", 79_999)


async def accept_under_a_draft(world: World, lease: Json) -> tuple[str, Json]:
    terms = build.contract_terms(
        lease["customer"]["id"], [build.line_terms(lease["site"]["id"], slot=2)]
    )
    draft = await world.staff.post("/v1/contracts", terms)
    (line,) = (await world.staff.get("/v1/lines", contract_id=draft["id"]))["items"]
    pack = await build.pack(world)
    return acceptances({"line": line}), build.acceptance(pack["id"], "2026-06-01")


async def accept_an_unknown_pack(world: World, lease: Json) -> tuple[str, Json]:
    line = await free_line(world, lease)
    return acceptances({"line": line}), build.acceptance(str(UUID(int=1)), "2026-06-01")


async def accept_a_pack_just_returned(world: World, lease: Json) -> tuple[str, Json]:
    line = await free_line(world, lease)
    path = f"/v1/lines/{lease['line']['id']}/returns"
    await world.staff.post(path, build.returned("2026-05-01"))
    return acceptances({"line": line}), build.acceptance(lease["pack"]["id"], "2026-06-01")


async def accept_into_a_line_that_ended(world: World, lease: Json) -> tuple[str, Json]:
    path = f"/v1/lines/{lease['line']['id']}/returns"
    await world.staff.post(path, build.returned("2026-05-01"))
    pack = await build.pack(world)
    return acceptances(lease), build.acceptance(pack["id"], "2026-06-01")


async def accept_without_a_signature(world: World, lease: Json) -> tuple[str, Json]:
    line, pack = await free_line(world, lease), await build.pack(world)
    unsigned = {**build.acceptance(pack["id"], "2026-06-01"), "lessee_signatory": " "}
    return acceptances({"line": line}), unsigned


async def return_before_the_placement(world: World, lease: Json) -> tuple[str, Json]:
    return f"/v1/lines/{lease['line']['id']}/returns", build.returned("2026-01-10")


async def return_on_the_day_of_placement(world: World, lease: Json) -> tuple[str, Json]:
    return f"/v1/lines/{lease['line']['id']}/returns", build.returned("2026-01-11")


async def return_tomorrow(world: World, lease: Json) -> tuple[str, Json]:
    return f"/v1/lines/{lease['line']['id']}/returns", build.returned("2026-06-16")


async def return_twice(world: World, lease: Json) -> tuple[str, Json]:
    path = f"/v1/lines/{lease['line']['id']}/returns"
    await world.staff.post(path, build.returned("2026-05-01"))
    return path, build.returned("2026-05-02")


async def swap_with_the_same_pack(world: World, lease: Json) -> tuple[str, Json]:
    swap = build.acceptance(lease["pack"]["id"], "2026-06-01")
    return f"/v1/lines/{lease['line']['id']}/swaps", swap


async def swap_before_the_placement(world: World, lease: Json) -> tuple[str, Json]:
    pack = await build.pack(world)
    swap = build.acceptance(pack["id"], "2026-01-10")
    return f"/v1/lines/{lease['line']['id']}/swaps", swap


async def swap_in_an_empty_line(world: World, lease: Json) -> tuple[str, Json]:
    line, pack = await free_line(world, lease), await build.pack(world)
    return f"/v1/lines/{line['id']}/swaps", build.acceptance(pack["id"], "2026-06-01")


async def swap_for_a_pack_below_the_guarantee(world: World, lease: Json) -> tuple[str, Json]:
    pack = await build.pack(world)
    swap = build.acceptance(pack["id"], "2026-06-01", 70_000)
    return f"/v1/lines/{lease['line']['id']}/swaps", swap


async def end_a_contract_with_a_pack_out(world: World, lease: Json) -> tuple[str, Json]:
    return f"/v1/contracts/{lease['contract']['id']}/end", {}


async def end_a_contract_twice(world: World, lease: Json) -> tuple[str, Json]:
    line = f"/v1/lines/{lease['line']['id']}/returns"
    await world.staff.post(line, build.returned("2026-05-01"))
    path = f"/v1/contracts/{lease['contract']['id']}/end"
    await world.staff.post(path)
    return path, {}


async def activate_a_contract_in_force(world: World, lease: Json) -> tuple[str, Json]:
    return f"/v1/contracts/{lease['contract']['id']}/activation", {}


async def write_a_number_twice(world: World, lease: Json) -> tuple[str, Json]:
    line = build.line_terms(lease["site"]["id"])
    number = lease["contract"]["number"]
    return "/v1/contracts", build.contract_terms(lease["customer"]["id"], [line], number=number)


async def write_one_slot_twice(world: World, lease: Json) -> tuple[str, Json]:
    line = build.line_terms(lease["site"]["id"])
    return "/v1/contracts", build.contract_terms(lease["customer"]["id"], [line, line])


async def write_an_end_before_the_start(world: World, lease: Json) -> tuple[str, Json]:
    line = build.line_terms(lease["site"]["id"])
    return "/v1/contracts", build.contract_terms(
        lease["customer"]["id"], [line], ends_on="2026-01-01"
    )


async def write_a_line_at_a_neighbours_site(world: World, lease: Json) -> tuple[str, Json]:
    neighbour = await build.customer(world)
    line = build.line_terms(lease["site"]["id"])
    return "/v1/contracts", build.contract_terms(neighbour["id"], [line])


async def write_a_contract_with_a_recycler(world: World, lease: Json) -> tuple[str, Json]:
    firm = await build.recycler(world)
    line = build.line_terms(lease["site"]["id"])
    return "/v1/contracts", build.contract_terms(firm["id"], [line])


async def enter_a_site_of_a_recycler(world: World, lease: Json) -> tuple[str, Json]:
    firm = await build.recycler(world)
    taken = ("code", "name", "kind", "adcode", "longitude", "latitude", "datum")
    return "/v1/sites", {"party_id": firm["id"], **{name: lease["site"][name] for name in taken}}


async def enter_a_pack_twice(world: World, lease: Json) -> tuple[str, Json]:
    taken = ("code", "cells_in_series", "rated_voltage_mv", "rated_capacity_mah", "mass_kg")
    terms = {name: lease["pack"][name] for name in taken}
    return "/v1/packs", {**terms, "acquired_on": "2026-01-01", "acquired_from": "D"}


REFUSED: list[tuple[Step, int, str]] = [
    (accept_a_leased_pack, 409, "pack_already_leased"),
    (accept_into_an_occupied_line, 409, "line_occupied"),
    (accept_before_the_pack_that_stands_there, 409, "line_occupied"),
    (accept_tomorrow, 400, "in_the_future"),
    (accept_before_the_term, 409, "outside_term"),
    (accept_on_the_first_day_after_the_term, 409, "outside_term"),
    (accept_below_the_guarantee, 409, "below_guarantee"),
    (accept_under_a_draft, 409, "contract_state"),
    (accept_an_unknown_pack, 404, "pack_not_found"),
    (accept_a_pack_just_returned, 409, "pack_state"),
    (accept_into_a_line_that_ended, 409, "line_ended"),
    (accept_without_a_signature, 400, "invalid_payload"),
    (return_before_the_placement, 409, "before_placement"),
    (return_on_the_day_of_placement, 409, "before_placement"),
    (return_tomorrow, 400, "in_the_future"),
    (return_twice, 409, "line_empty"),
    (swap_with_the_same_pack, 409, "pack_state"),
    (swap_before_the_placement, 409, "before_placement"),
    (swap_in_an_empty_line, 409, "line_empty"),
    (swap_for_a_pack_below_the_guarantee, 409, "below_guarantee"),
    (end_a_contract_with_a_pack_out, 409, "lines_open"),
    (end_a_contract_twice, 409, "contract_state"),
    (activate_a_contract_in_force, 409, "contract_state"),
    (write_a_number_twice, 409, "contract_number_taken"),
    (write_one_slot_twice, 409, "slot_taken"),
    (write_an_end_before_the_start, 400, "ends_before_start"),
    (write_a_line_at_a_neighbours_site, 409, "not_the_lessees_site"),
    (write_a_contract_with_a_recycler, 409, "not_a_customer"),
    (enter_a_site_of_a_recycler, 409, "not_a_customer"),
    (enter_a_pack_twice, 409, "pack_code_taken"),
]


@pytest.mark.parametrize(
    ("step", "status", "code"), REFUSED, ids=[step.__name__ for step, _, _ in REFUSED]
)
def test_what_cannot_be_is_refused_and_changes_nothing(database, step, status, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            path, payload = await step(world, lease)
            before = await contents(db)
            problem = await world.staff.refused("POST", path, status, payload)
            assert problem["code"] == code, problem
            assert await contents(db) == before

    database(scenario)


CONTENTS = """
SELECT (SELECT count(*) FROM acceptance),
       (SELECT array_agg(placement::text ORDER BY id) FROM placement),
       (SELECT array_agg(lease_line::text ORDER BY id) FROM lease_line),
       (SELECT array_agg(contract::text ORDER BY id) FROM contract),
       (SELECT array_agg(pack::text ORDER BY id) FROM pack),
       (SELECT count(*) FROM pack_return),
       (SELECT count(*) FROM trace_record),
       (SELECT count(*) FROM domain_event)
"""


async def contents(db: Database) -> Any:
    async with db.transaction() as tx:
        return await tx.fetchrow(CONTENTS)


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_who_take_one_pack_at_once_exactly_one_gets_it(database, attempt):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            terms = [build.line_terms(place["id"], slot=slot) for slot in (1, 2, 3)]
            _, lines = await build.active_contract(world, lessee["id"], terms)
            pack = await build.pack(world)
            answers = await asyncio.gather(
                *(
                    world.staff.ask(
                        "POST",
                        acceptances({"line": line}),
                        json=build.acceptance(pack["id"], f"2026-06-0{day}"),
                    )
                    for day, line in enumerate(lines, start=1)
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
            codes = {answer.json().get("code") for answer in answers if answer.status_code == 409}
            assert codes == {"pack_already_leased"}
            listed = (await world.staff.get("/v1/lines"))["items"]
            assert [line["pack_id"] for line in listed].count(pack["id"]) == 1

    database(scenario)


def test_of_two_packs_for_one_line_at_once_exactly_one_is_placed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            line = await free_line(world, lease)
            packs = [await build.pack(world) for _ in range(2)]
            answers = await asyncio.gather(
                *(
                    world.staff.ask(
                        "POST",
                        acceptances({"line": line}),
                        json=build.acceptance(pack["id"], "2026-06-01"),
                    )
                    for pack in packs
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 409]

    database(scenario)


def test_a_contract_does_not_end_while_a_pack_is_handed_over_under_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for _ in range(3):
                lessee = await build.customer(world)
                place = await build.site(world, lessee["id"])
                contract, (line,) = await build.active_contract(
                    world, lessee["id"], [build.line_terms(place["id"])]
                )
                pack = await build.pack(world)
                accepted, ended = await asyncio.gather(
                    world.staff.ask(
                        "POST",
                        acceptances({"line": line}),
                        json=build.acceptance(pack["id"], "2026-06-01"),
                    ),
                    world.staff.ask("POST", f"/v1/contracts/{contract['id']}/end"),
                )
                assert (accepted.status_code, ended.status_code) in ((201, 409), (409, 200))

    database(scenario)


# --- Past the service -------------------------------------------------------------------------

ACCEPT = """
INSERT INTO acceptance (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory)
SELECT id, contract_id, $2, $3, 90000, 'A', 'B'
  FROM lease_line
 WHERE id = $1
RETURNING id
"""

PLACE = """
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT $1, line_id, $3, site_id, slot, $4::text::daterange
  FROM line_revision
 WHERE line_id = $2
"""


def test_the_database_itself_refuses_what_the_service_would(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            taken_line, taken_pack = UUID(lease["line"]["id"]), UUID(lease["pack"]["id"])
            line = UUID((await free_line(world, lease))["id"])
            pack = UUID((await build.pack(world))["id"])

            async def refusal(line_id: UUID, pack_id: UUID, during: str) -> str | None:
                """The name of the constraint that speaks against a placement."""
                try:
                    async with db.transaction() as tx:
                        accepted = await tx.fetchval(ACCEPT, line_id, pack_id, FEBRUARY)
                        await tx.execute(PLACE, accepted, line_id, pack_id, during)
                except asyncpg.IntegrityConstraintViolationError as error:
                    return error.constraint_name
                return None

            assert await refusal(line, taken_pack, "[2026-02-01,)") == "placement_pack_once"
            assert await refusal(taken_line, pack, "[2026-02-01,)") == "placement_line_once"
            # A day before the other comes is enough, a day too long is not.
            assert await refusal(line, taken_pack, "[2026-01-05,2026-01-12)") == (
                "placement_pack_once"
            )
            assert await refusal(line, taken_pack, "[2026-01-05,2026-01-11)") is None
            assert await refusal(line, pack, "empty") == "placement_not_empty"
            assert await refusal(line, pack, "(,2025-01-01)") == "placement_not_empty"
            # A stay lies within its line, and a hand-over within a term.
            other = UUID((await build.pack(world))["id"])
            assert await refusal(line, other, "[2025-12-30,2025-12-31)") == (
                "placement_within_line"
            )
            with pytest.raises(asyncpg.ForeignKeyViolationError) as outside:
                async with db.transaction() as tx:
                    await tx.fetchval(ACCEPT, line, pack, date(2029, 1, 1))
            assert outside.value.constraint_name == "acceptance_within_term"

            async with db.transaction() as tx:
                accepted = await tx.fetchval(ACCEPT, line, pack, FEBRUARY)
            for acceptance_id, line_id, pack_id in (
                (UUID(int=1), line, pack),  # none at all
                (accepted, taken_line, pack),  # for another line
                (accepted, line, taken_pack),  # of another pack
            ):
                with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
                    async with db.transaction() as tx:
                        await tx.execute(
                            PLACE, acceptance_id, line_id, pack_id, "[2026-01-01,2026-01-02)"
                        )
                assert refused.value.constraint_name == "placement_accepted"
            for column in ("line_id", "pack_id", "acceptance_id"):
                with pytest.raises(asyncpg.NotNullViolationError):
                    async with db.transaction() as tx:
                        await tx.execute(f"UPDATE placement SET {column} = NULL")

    database(scenario)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("UPDATE contract_term SET during = '(,2029-01-01)'", "contract_term_not_empty"),
        ("UPDATE contract_term SET during = 'empty'", "contract_term_not_empty"),
        ("UPDATE contract_term SET during = '[2026-01-01,)'", "contract_term_bounded"),
        ("UPDATE contract SET state = 'ended'", "contract_state_has_its_time"),
        ("UPDATE contract SET state = 'suspended'", "contract_state_has_its_time"),
        ("UPDATE contract SET activated_at = NULL", "contract_state_has_its_time"),
        ("UPDATE contract SET lessee_signatory = NULL", "contract_signed_by_both"),
        ("UPDATE contract SET state = 'lost'", "contract_state"),
        ("UPDATE contract_revision SET permitted_use = 'e_bike'", "contract_permitted_use"),
        (
            "UPDATE lease_line SET ended_on = started_on, end_reason = 'returned'",
            "lease_line_ends_after_start",
        ),
        ("UPDATE lease_line SET ended_on = '2026-05-01'", "lease_line_end_has_a_reason"),
        ("UPDATE lease_line SET first_acceptance_id = NULL", "lease_line_started_by_acceptance"),
        ("UPDATE line_revision SET rent_amount = -1", "line_revision_rent"),
        ("UPDATE pack SET state = 'recycled'", "pack_recycled"),
        ("UPDATE acceptance SET lessee_signatory = ' '", "acceptance_lessee_signed"),
        ("UPDATE clock SET now_at = now_at - interval '1 second'", "clock_never_goes_back"),
        ("INSERT INTO clock (single) VALUES (false)", "clock_is_single"),
        ("UPDATE outlet SET reserved_kg = store_limit_kg + 1", "outlet_store_limit"),
        ("UPDATE outlet SET store_limit_kg = 0", "outlet_store_limit_positive"),
    ],
)
def test_a_state_that_cannot_be_is_refused_by_name(database, change, name):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.leased_pack(world)
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                async with db.transaction() as tx:
                    await tx.execute(change)
            assert refused.value.constraint_name == name

    database(scenario)


FORBIDDEN = [
    (
        "INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)"
        " SELECT acceptance_id, line_id, pack_id, site_id, slot + 1, during FROM placement",
        "pack_already_leased",
    ),
    (
        "INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)"
        " SELECT acceptance_id, line_id, pack_id, site_id, slot, '[2025-01-01,2025-02-01)'"
        " FROM placement",
        "outside_line",
    ),
    (
        "INSERT INTO acceptance (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,"
        " lessor_signatory, lessee_signatory)"
        " SELECT line_id, contract_id, pack_id, '2029-01-01', 1, 'A', 'B' FROM acceptance",
        "outside_term",
    ),
    (
        "INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,"
        " rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, cause, entered_by,"
        " entered_at) SELECT line_id, 2, '[2026-05-01,)', contract_id, lessee_id, site_id, 9, 1, 1,"
        " '2026-05-01', 1, 'amended', '-', entered_at FROM line_revision",
        "two_revisions",
    ),
    ("UPDATE lease_line SET first_acceptance_id = NULL", "started_without_test"),
    ("UPDATE contract SET state = 'suspended'", "state_without_time"),
    (
        "INSERT INTO contract_term (contract_id, during, kind, entered_by, entered_at)"
        " SELECT contract_id, '[2028-01-01,2030-01-01)', 'renewal', '-', entered_at"
        " FROM contract_term",
        "two_terms",
    ),
    ("UPDATE contract_revision SET permitted_use = 'e_bike'", "forbidden_use"),
]


def test_each_refusal_of_the_database_is_a_problem_of_its_own(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.leased_pack(world)
            for statement, code in FORBIDDEN:
                with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
                    async with db.transaction() as tx:
                        await tx.execute(statement)
                known = constraint_error(refused.value, CONSTRAINTS)
                assert known is not None, refused.value.constraint_name
                assert known.code == code, refused.value.constraint_name

    database(scenario)
    codes = [code for _, code in FORBIDDEN]
    assert len(set(codes)) == len(codes)
