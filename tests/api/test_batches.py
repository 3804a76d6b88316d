"""Many rows in one call: what becomes of each, and of all together."""

import asyncio
from typing import Any

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World

ON = "2026-01-11"

COUNTS = """
SELECT (SELECT count(*) FROM site) AS sites,
       (SELECT count(*) FROM pack) AS packs,
       (SELECT count(*) FROM lease_line) AS lines,
       (SELECT count(*) FROM acceptance) AS acceptances,
       (SELECT count(*) FROM placement) AS placements,
       (SELECT count(*) FROM placement WHERE upper_inf(during)) AS standing,
       (SELECT count(*) FROM pack_return) AS returns,
       (SELECT count(*) FROM pack WHERE state = 'leased') AS leased,
       (SELECT count(*) FROM trace_record) AS steps,
       (SELECT count(*) FROM domain_event) AS events
"""


async def counts(world: World) -> dict[str, int]:
    async with world.db.transaction() as tx:
        row = await tx.fetchrow(COUNTS)
        assert row is not None
        return dict(row)


async def grown(world: World, before: dict[str, int]) -> dict[str, int]:
    """What there is more of than before."""
    after = await counts(world)
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


async def leases(world: World, number: int) -> tuple[list[str], list[str]]:
    """Empty lines of one contract in force, and as many packs in stock."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = [build.line_terms(place["id"], slot) for slot in range(1, number + 1)]
    _, lines = await build.active_contract(world, lessee["id"], terms)
    packs = {"rows": [pack_terms() for _ in range(number)]}
    made = await world.staff.post("/v1/packs:batch", packs)
    assert made["done"] == number
    return [line["id"] for line in lines], [row["id"] for row in made["rows"]]


def pack_terms(**changes: Any) -> Json:
    return {
        "code": build.battery_code(),
        "cells_in_series": 16,
        "rated_voltage_mv": 51_200,
        "rated_capacity_mah": 100_000,
        "mass_kg": 46,
        "acquired_on": "2025-01-02",
        "acquired_from": "Dismantler 1",
        **changes,
    }


def site_terms(party_id: str, **changes: Any) -> Json:
    return {
        "party_id": party_id,
        "code": f"ZZ-{next(build.NUMBERS)}",
        "name": "One",
        "kind": "tower",
        "adcode": "410100",
        "longitude": 113.56,
        "latitude": 34.81,
        "datum": "wgs84",
        **changes,
    }


def given(line: str, pack: str, **changes: Any) -> Json:
    return {"line_id": line, **build.acceptance(pack, ON), **changes}


def codes(answer: Json) -> list[str | None]:
    return [row["problem"] and row["problem"]["code"] for row in answer["rows"]]


def pointers(answer: Json) -> list[str]:
    return [fault["pointer"] for row in answer["rows"] if row["problem"]
            for fault in row["problem"]["errors"]]  # fmt: skip


def test_packs_are_handed_over_together_as_one_by_one(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines, packs = await leases(world, 4)
            before = await counts(world)
            rows = [given(line, pack) for line, pack in zip(lines, packs, strict=True)]
            answer = await world.staff.post("/v1/acceptances:batch", {"rows": rows})
            assert (answer["done"], answer["refused"], answer["not_done"]) == (4, 0, 0)
            assert [row["row"] for row in answer["rows"]] == [0, 1, 2, 3]
            assert {row["status"] for row in answer["rows"]} == {201}
            together = await grown(world, before)
            # Each as much as one that is handed over alone.
            assert together == dict.fromkeys(
                ("acceptances", "placements", "standing", "leased", "steps", "events"), 4
            )
            for line, pack, row in zip(lines, packs, answer["rows"], strict=True):
                (stay,) = await world.staff.get(f"/v1/lines/{line}/placements")
                assert (stay["id"], stay["pack_id"], stay["from_on"]) == (row["id"], pack, ON)
                seen = await world.staff.get(f"/v1/lines/{line}")
                assert (seen["started_on"], seen["pack_id"]) == (ON, pack)
                assert (await world.staff.get(f"/v1/packs/{pack}"))["state"] == "leased"
                life = await world.staff.get(f"/v1/packs/{pack}/life")
                assert life["records"][-1]["data"]["line_id"] == line

    database(scenario)


def test_every_row_says_what_speaks_against_it_and_the_others_are_done(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines, packs = await leases(world, 12)
            unknown = "019f0000-0000-7000-8000-000000000000"
            rows = [
                given(lines[0], packs[0]),
                given(unknown, packs[1]),
                given(lines[2], unknown),
                given(lines[3], packs[3], tested_capacity_mah=79_999),
                given(lines[4], packs[4], accepted_on="2026-06-16"),
                # By the database alone: before the contract's term.
                given(lines[5], packs[5], accepted_on="2025-12-31"),
                given(lines[6], packs[0]),
                given(lines[0], packs[7]),
                given(lines[8], packs[8], tested_capacity_mah="much", remark=""),
                given(lines[9], packs[9]),
                # Its pack was refused to another line, so that it is free.
                given(lines[10], packs[5]),
                "nothing",
            ]
            before = await counts(world)
            answer = await world.staff.post("/v1/acceptances:batch", {"rows": rows})
            assert codes(answer) == [
                None, "line_not_found", "pack_not_found", "below_guarantee", "in_the_future",
                "outside_term", "pack_already_leased", "line_occupied", "invalid_payload", None,
                None, "invalid_payload",
            ]  # fmt: skip
            assert [row["status"] for row in answer["rows"]] == [
                201, 404, 404, 409, 400, 409, 409, 409, 400, 201, 201, 400,
            ]  # fmt: skip
            assert pointers(answer) == [
                "/rows/4/accepted_on", "/rows/8/tested_capacity_mah", "/rows/8/remark", "/rows/11",
            ]  # fmt: skip
            assert (answer["done"], answer["refused"]) == (3, 9)
            assert (await grown(world, before))["acceptances"] == 3
            assert (await grown(world, before))["leased"] == 3

    database(scenario)


def test_all_or_nothing_does_nothing_and_says_which_rows_stood_in_the_way(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines, packs = await leases(world, 3)
            rows = [given(line, pack) for line, pack in zip(lines, packs, strict=True)]
            rows[1]["accepted_on"] = "2025-12-31"
            before = await counts(world)
            wanted = {"all_or_nothing": True, "rows": rows}
            problem = await world.staff.refused("POST", "/v1/acceptances:batch", 409, wanted)
            assert problem["code"] == "batch_refused"
            assert [fault["pointer"] for fault in problem["errors"]] == ["/rows/1"]
            result = problem["extra"]["result"]
            assert (result["done"], result["refused"], result["not_done"]) == (0, 1, 2)
            assert [row["outcome"] for row in result["rows"]] == ["not_done", "refused", "not_done"]
            assert [row["status"] for row in result["rows"]] == [424, 409, 424]
            assert await counts(world) == before
            rows[1]["accepted_on"] = ON
            answer = await world.staff.post("/v1/acceptances:batch", wanted)
            assert answer["done"] == 3

    database(scenario)


def test_a_call_that_is_sent_again_with_its_key_is_done_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines, packs = await leases(world, 2)
            wanted = {"rows": [given(lines[0], packs[0]), given(lines[1], packs[0])]}
            key = {"Idempotency-Key": "roll-out-1"}
            first = await world.staff.post("/v1/acceptances:batch", wanted, **key)
            before = await counts(world)
            assert await world.staff.post("/v1/acceptances:batch", wanted, **key) == first
            assert codes(first) == [None, "pack_already_leased"]
            assert await counts(world) == before

    database(scenario)


def test_what_is_no_batch_is_refused_whole(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            row = given(*(["019f0000-0000-7000-8000-000000000000"] * 2))
            for body, pointer in (
                ({"rows": []}, "/rows"),
                ({"rows": [row] * 1001}, "/rows"),
                ({"row": [row]}, "/rows"),
                ({"rows": [row], "all_or_nothing": "yes"}, "/all_or_nothing"),
                ([row], ""),
            ):
                problem = await world.staff.refused("POST", "/v1/acceptances:batch", 400, body)
                assert problem["code"] == "invalid_payload"
                assert pointer in [fault["pointer"] for fault in problem["errors"]], problem

    database(scenario)


def test_only_the_lessors_staff_send_batches(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            customer = await world.login(build.Role.CUSTOMER, lessee["id"])
            for path in ("sites", "packs", "acceptances", "swaps", "returns"):
                await customer.refused("POST", f"/v1/{path}:batch", 403, {"rows": [{}]})

    database(scenario)


def test_sites_and_packs_that_are_there_already_are_told_one_by_one(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            sites = [site_terms(lessee["id"]) for _ in range(9)]
            await world.staff.post("/v1/sites", sites[4])
            sites += [sites[0], site_terms(lessee["id"], vin="1"), site_terms("x")]
            answer = await world.staff.post("/v1/sites:batch", {"rows": sites})
            assert codes(answer) == [
                *[None] * 4, "site_code_taken", *[None] * 4, "site_code_taken", "bad_vin",
                "invalid_payload",
            ]  # fmt: skip
            assert pointers(answer) == ["/rows/10/vin", "/rows/11/party_id"]
            page = await world.staff.get("/v1/sites", party_id=lessee["id"])
            assert {row["id"] for row in answer["rows"] if row["id"]} < {
                site["id"] for site in page["items"]
            }
            packs = [pack_terms() for _ in range(3)]
            packs += [packs[1], pack_terms(code="001"), pack_terms(mass_kg=0)]
            answer = await world.staff.post("/v1/packs:batch", {"rows": packs})
            assert codes(answer) == [
                None, None, None, "pack_code_taken", "bad_pack_code", "invalid_payload",
            ]  # fmt: skip
            for row, pack in zip(answer["rows"][:3], packs, strict=False):
                seen = await world.staff.get(f"/v1/packs/{row['id']}")
                assert seen["code"] == pack["code"]

    database(scenario)


def test_positions_are_added_each_from_its_own_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee, other = await build.customer(world), await build.customer(world)
            place = await build.site(world, lessee["id"])
            foreign = await build.site(world, other["id"])
            first = build.line_terms(place["id"], slot=1)
            contract, _ = await build.active_contract(world, lessee["id"], [first])
            path = f"/v1/contracts/{contract['id']}/lines:batch"

            def position(slot: int, on: str = "2026-02-01", at: str = place["id"]) -> Json:
                return {**build.line_terms(at, slot=slot), "from_on": on}

            rows = [
                position(2), position(1), position(3, on="2029-01-01"),
                position(4, at=foreign["id"]),
                position(5, on="2026-03-01"), position(2),
            ]  # fmt: skip
            answer = await world.staff.post(path, {"rows": rows})
            assert codes(answer) == [
                None, "slot_taken", "outside_term", "not_the_lessees_site", None, "slot_taken",
            ]  # fmt: skip
            for row, (slot, on) in ((0, (2, "2026-02-01")), (4, (5, "2026-03-01"))):
                line = await world.staff.get(f"/v1/lines/{answer['rows'][row]['id']}")
                assert (line["slot"], line["from_on"]) == (slot, on)
            seen = await world.staff.get(f"/v1/contracts/{contract['id']}")
            assert (seen["line_count"], seen["version"]) == (3, contract["version"] + 1)
            unknown = "/v1/contracts/019f0000-0000-7000-8000-000000000000/lines:batch"
            await world.staff.refused("POST", unknown, 404, {"rows": rows})

    database(scenario)


def test_swaps_and_returns_of_many_lines(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines, packs = await leases(world, 4)
            _, fresh = await leases(world, 5)
            rows = [given(line, pack) for line, pack in zip(lines[:3], packs, strict=False)]
            await world.staff.post("/v1/acceptances:batch", {"rows": rows})
            before = await counts(world)
            on = {"accepted_on": "2026-03-01"}
            swaps = [
                given(lines[0], fresh[0], **on),
                given(lines[1], fresh[1], **on, rated_capacity_mah=90_000, rent_amount=28_000),
                given(lines[2], fresh[2], **on, rent_amount=28_000),
                given(lines[3], fresh[3], **on),
                # The same line once more, a month later.
                given(lines[0], fresh[4], accepted_on="2026-04-01"),
            ]
            answer = await world.staff.post("/v1/swaps:batch", {"rows": swaps})
            assert codes(answer) == [None, None, "rent_without_class", "line_empty", None]
            assert await grown(world, before) == {
                "acceptances": 3, "placements": 3, "returns": 3, "steps": 6, "events": 3,
            }  # fmt: skip
            stays = await world.staff.get(f"/v1/lines/{lines[0]}/placements")
            assert [(stay["pack_id"], stay["to_on"]) for stay in stays] == [
                (packs[0], "2026-03-01"), (fresh[0], "2026-04-01"), (fresh[4], None),
            ]  # fmt: skip
            line = await world.staff.get(f"/v1/lines/{lines[1]}")
            assert (line["rated_capacity_mah"], line["rent_amount"]) == (90_000, 28_000)

            before = await counts(world)
            on = "2026-05-01"
            returns = [
                {"line_id": lines[0], **build.returned(on)},
                {"line_id": lines[1], **build.returned("2026-03-01")},
                {"line_id": lines[2], **build.returned(on)},
                {"line_id": lines[3], **build.returned(on)},
                {"line_id": lines[0], **build.returned("2026-05-02")},
            ]
            answer = await world.staff.post("/v1/returns:batch", {"rows": returns})
            assert codes(answer) == [None, "before_placement", None, "line_empty", "line_empty"]
            assert [row["id"] for row in answer["rows"]] == [fresh[4], None, packs[2], None, None]
            assert await grown(world, before) == {
                "standing": -2, "leased": -2, "returns": 2, "steps": 2, "events": 2,
            }  # fmt: skip
            line = await world.staff.get(f"/v1/lines/{lines[2]}")
            assert (line["ended_on"], line["end_reason"]) == (on, "returned")

    database(scenario)


def test_packs_of_one_call_are_mates_in_a_string(database):
    """The second pack finds the first one in its string, and a string that is swapped whole needs
    all its swaps in an order in which each fits."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            terms = [build.line_terms(place["id"], slot) for slot in (1, 2, 3)]
            _, lines = await build.active_contract(world, lessee["id"], terms)
            await build.put_strings(world, place["id"], build.string(1, 1, 2))
            like, unlike = [
                [(await build.pack(world, rated_capacity_mah=size))["id"] for _ in range(2)]
                for size in (100_000, 120_000)
            ]
            rows = [
                given(lines[0]["id"], like[0]),
                given(lines[1]["id"], unlike[0]),
                given(lines[2]["id"], unlike[1]),
            ]
            answer = await world.staff.post("/v1/acceptances:batch", {"rows": rows})
            assert codes(answer) == [None, "mixed_string", None]
            assert answer["rows"][1]["problem"]["extra"]["reasons"][0]["code"] == "mixed_capacity"
            # The only pack of the string makes room for one of another kind.
            swap = [given(lines[0]["id"], unlike[0], accepted_on="2026-02-01")]
            answer = await world.staff.post("/v1/swaps:batch", {"rows": swap})
            assert codes(answer) == [None]
            late = [given(lines[1]["id"], like[1], accepted_on="2026-02-02")]
            answer = await world.staff.post("/v1/acceptances:batch", {"rows": late})
            assert codes(answer) == ["mixed_string"]

    database(scenario)


def test_two_who_hand_over_the_same_packs_at_once_share_them_out(database):
    """Rows in opposite order: neither waits for the other forever, and no pack is placed twice."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lines, packs = await leases(world, 60)
            rows = [given(line, pack) for line, pack in zip(lines, packs, strict=True)]
            # A row of each that the database refuses, so that both look for it by halves.
            bad = given(lines[0], packs[0], accepted_on="2025-12-31")
            other = await world.login(build.Role.STAFF)
            answers = await asyncio.gather(
                world.staff.post("/v1/acceptances:batch", {"rows": [bad, *rows]}),
                other.post("/v1/acceptances:batch", {"rows": [*reversed(rows), bad]}),
            )
            assert sum(answer["done"] for answer in answers) == 60
            told = {code for answer in answers for code in codes(answer)}
            assert told == {None, "pack_already_leased", "outside_term"} or told == {
                None, "pack_already_leased", "outside_term", "line_occupied",
            }  # fmt: skip
            after = await counts(world)
            assert (after["standing"], after["leased"], after["acceptances"]) == (60, 60, 60)

    database(scenario)
