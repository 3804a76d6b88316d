"""What may happen to a contract and its lines, one by one, through the API."""

from datetime import date
from typing import Any

import pytest

from leasing.db.pool import Database
from tests import build
from tests.api.stories import run_job, settled
from tests.build import Json, World

EARLY = {"kind": "months_of_rent", "months": 3}
FOR_SALE = {
    "kind": "declining",
    "amount": 300_000,
    "monthly_percent": "1.5",
    "floor_amount": 60_000,
}


def of(lease: Json) -> tuple[str, str]:
    """The paths of a lease's contract and line."""
    return f"/v1/contracts/{lease['contract']['id']}", f"/v1/lines/{lease['line']['id']}"


async def amend(world: World, contract: str, **data: Any) -> Json:
    version = (await world.staff.get(contract))["version"]
    given = {"reason": "agreed", **data}
    made: Json = await world.staff.post(
        f"{contract}/amendments", given, **{"If-Match": f'"v{version}"'}
    )
    return made


async def spans(world: World, line: str, *fields: str) -> list[tuple[Any, ...]]:
    """`(from, to, values of fields)` for every revision of a line, in order of time."""
    return [
        (one["from_on"], one["to_on"], *[one[field] for field in fields])
        for one in await world.staff.get(f"{line}/revisions")
    ]


async def draft(world: World, **changes: Any) -> str:
    """The path of a draft with one line."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = build.contract_terms(lessee["id"], [build.line_terms(place["id"])], **changes)
    made = await world.staff.post("/v1/contracts", terms)
    return f"/v1/contracts/{made['id']}"


# --- From draft to force ----------------------------------------------------------------------

SIGNED = {"lessor_signatory": "赵总", "lessee_signatory": "钱总"}


def test_each_state_is_reached_from_the_one_before_and_carries_its_instant(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await draft(world)
            for step, state, instant, data in (
                ("offer", "offered", "offered_at", None),
                ("offer-withdrawal", "draft", None, None),
                ("offer", "offered", "offered_at", None),
                ("signature", "signed", "signed_at", SIGNED),
                ("activation", "active", "activated_at", None),
            ):
                made = await world.staff.post(f"{path}/{step}", data)
                assert made["state"] == state
                assert instant is None or made[instant] is not None
            for step, data in (("offer", None), ("signature", SIGNED), ("cancellation", None)):
                problem = await world.staff.refused("POST", f"{path}/{step}", 409, data)
                assert problem["code"] == "contract_state"

    database(scenario)


@pytest.mark.parametrize("steps", [[], ["offer"], ["offer", "signature"]])
def test_what_never_came_into_force_can_be_cancelled(database, steps):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await draft(world)
            for step in steps:
                await world.staff.post(f"{path}/{step}", SIGNED if step == "signature" else None)
            made = await world.staff.post(f"{path}/cancellation")
            assert (made["state"], made["cancelled_at"] is None) == ("cancelled", False)
            await world.staff.refused("POST", f"{path}/offer", 409)

    database(scenario)


def test_a_contract_without_lines_is_not_offered(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            terms = build.contract_terms(lessee["id"], [])
            made = await world.staff.post("/v1/contracts", terms)
            path = f"/v1/contracts/{made['id']}"
            assert (await world.staff.refused("POST", f"{path}/offer", 409))["code"] == "no_lines"
            place = await build.site(world, lessee["id"])
            more = {"from_on": "2026-01-01", "lines": [build.line_terms(place["id"])]}
            added = await world.staff.post(f"{path}/lines", more)
            (line,) = (await world.staff.get("/v1/lines", contract_id=made["id"]))["items"]
            assert added["line_ids"] == [line["id"]]
            await world.staff.post(f"{path}/offer")

    database(scenario)


@pytest.mark.parametrize(
    ("terms", "code", "pointer"),
    [
        ({"permitted_use": "e_bike"}, "forbidden_use", "/permitted_use"),
        ({"renewal": "automatic"}, "bad_terms", "/renewal_months"),
        ({"time_zone": "Asia/Nowhere"}, "bad_terms", "/time_zone"),
        ({"buy_out": {**FOR_SALE, "floor_amount": 300_001}}, "bad_terms", "/buy_out/floor_amount"),
        (
            {
                "escalator": {
                    "kind": "table",
                    "steps": [
                        {"from_on": "2028-01-01", "percent_of_base": "103"},
                        {"from_on": "2027-01-01", "percent_of_base": "106"},
                    ],
                }
            },
            "bad_terms",
            "/escalator/steps",
        ),
    ],
)
def test_terms_that_cannot_be_agreed_are_refused_with_the_place(database, terms, code, pointer):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            wanted = build.contract_terms((await build.customer(world))["id"], [], **terms)
            problem = await world.staff.refused("POST", "/v1/contracts", 400, wanted)
            assert problem["code"] == code
            assert [error["pointer"] for error in problem["errors"]] == [pointer]

    database(scenario)


def test_the_law_is_kept_also_when_a_draft_is_edited(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await draft(world)
            answer = await world.staff.ask(
                "PATCH", path, json={"permitted_use": "e_bike"}, headers={"If-Match": '"v1"'}
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "forbidden_use")

    database(scenario)


# --- Revisions --------------------------------------------------------------------------------


def test_an_amendment_holds_from_its_day_on_and_says_what_it_changed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            contract, line = of(lease)
            made = await amend(
                world,
                contract,
                from_on="2026-03-01",
                terms={"payment_days": 45, "guarantee_percent": "80"},
                rents=[{"line_id": lease["line"]["id"], "rent_amount": 29_000}],
            )
            assert [
                (one["line_id"], one["field"], one["before"], one["after"])
                for one in made["changes"]
            ] == [
                (None, "payment_days", 30, 45),
                (lease["line"]["id"], "rent_amount", 31_000, 29_000),
            ]
            revisions = await world.staff.get(f"{contract}/revisions")
            assert [
                (one["from_on"], one["to_on"], one["payment_days"], one["cause"])
                for one in revisions
            ] == [
                ("2026-01-01", "2026-03-01", 30, "agreed"),
                ("2026-03-01", None, 45, "amended"),
            ]
            assert made["revision"] == revisions[1]["number"]
            assert (await world.staff.get(contract, on="2026-02-28"))["payment_days"] == 30
            assert (await world.staff.get(contract))["payment_days"] == 45
            assert (await world.staff.get(line, on="2026-02-28"))["rent_amount"] == 31_000
            assert (await world.staff.get(line, on="2026-03-01"))["rent_amount"] == 29_000

    database(scenario)


def test_an_amendment_in_the_past_runs_through_changes_of_other_things(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            contract, line = of(lease)
            paused = {"from_on": "2026-04-01", "reason": "works"}
            await world.staff.post(f"{line}/suspension", paused)
            await world.staff.post(f"{line}/resumption", {"from_on": "2026-05-01"})
            rents = [{"line_id": lease["line"]["id"], "rent_amount": 29_000}]
            await amend(world, contract, from_on="2026-03-01", rents=rents)
            assert await spans(world, line, "rent_amount", "suspended") == [
                ("2026-01-01", "2026-03-01", 31_000, False),
                ("2026-03-01", "2026-04-01", 29_000, False),
                ("2026-04-01", "2026-05-01", 29_000, True),
                ("2026-05-01", None, 29_000, False),
            ]
            # But not through a later change of the same thing, which somebody agreed to.
            version = (await world.staff.get(contract))["version"]
            rents = [{"line_id": lease["line"]["id"], "rent_amount": 30_000}]
            answer = await world.staff.ask(
                "POST",
                f"{contract}/amendments",
                json={"from_on": "2026-02-01", "reason": "late", "rents": rents},
                headers={"If-Match": f'"v{version}"'},
            )
            assert (answer.status_code, answer.json()["code"]) == (409, "later_change")

    database(scenario)


def test_an_amendment_that_changes_nothing_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            contract, _ = of(await build.leased_pack(world))
            version = (await world.staff.get(contract))["version"]
            answer = await world.staff.ask(
                "POST",
                f"{contract}/amendments",
                json={"from_on": "2026-03-01", "reason": "-", "terms": {"payment_days": 30}},
                headers={"If-Match": f'"v{version}"'},
            )
            assert (answer.status_code, answer.json()["code"]) == (409, "nothing_changes")

    database(scenario)


def test_a_line_is_suspended_and_resumed_by_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, line = of(await build.leased_pack(world))
            paused = {"from_on": "2026-03-01", "reason": "works"}
            seen = await world.staff.post(f"{line}/suspension", paused)
            assert seen["suspended"]
            refused = await world.staff.refused("POST", f"{line}/suspension", 409, paused)
            assert refused["code"] == "nothing_changes"
            seen = await world.staff.post(f"{line}/resumption", {"from_on": "2026-03-11"})
            assert not seen["suspended"]
            assert await spans(world, line, "suspended", "cause") == [
                ("2026-01-01", "2026-03-01", False, "agreed"),
                ("2026-03-01", "2026-03-11", True, "suspended"),
                ("2026-03-11", None, False, "resumed"),
            ]

    database(scenario)


def test_a_suspended_contract_suspends_all_its_lines(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            contract, line = of(await build.leased_pack(world))
            paused = {"from_on": "2026-03-01", "reason": "works"}
            made = await world.staff.post(f"{contract}/suspension", paused)
            assert (made["state"], made["suspended_at"] is None) == ("suspended", False)
            assert (await world.staff.get(line))["suspended"]
            made = await world.staff.post(f"{contract}/resumption", {"from_on": "2026-04-01"})
            assert made["state"] == "active"
            assert not (await world.staff.get(line))["suspended"]

    database(scenario)


@pytest.mark.parametrize(
    ("escalator", "on", "rent"),
    [
        ({"kind": "fixed", "percent": "3", "every_months": 1}, "2026-03-31", 32_888),
        ({"kind": "fixed", "percent": "3", "every_months": 1}, "2026-04-01", 33_875),
        (
            {"kind": "table", "steps": [{"from_on": "2026-02-01", "percent_of_base": "104.5"}]},
            "2026-03-01",
            32_395,
        ),
    ],
)
def test_a_rent_is_escalated_from_what_was_agreed(database, escalator, on, rent):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, escalator=escalator)
            contract, line = of(lease)
            for _ in range(2):
                made = await world.staff.post(f"{contract}/escalations", {"from_on": on})
            assert made["line_ids"] == []
            assert (await world.staff.get(line, on=on))["rent_amount"] == rent

    database(scenario)


def test_the_night_takes_every_step_on_its_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            monthly = {"kind": "fixed", "percent": "10", "every_months": 1}
            _, line = of(await build.leased_pack(world, rent_amount=10_000, escalator=monthly))
            # The night of the second of March was missed; the next makes it good.
            for on in (date(2026, 1, 31), date(2026, 2, 1), date(2026, 3, 3), date(2026, 3, 4)):
                await run_job(world, "contracts", on)
            assert await spans(world, line, "rent_amount") == [
                ("2026-01-01", "2026-02-01", 10_000),
                ("2026-02-01", "2026-03-01", 11_000),
                ("2026-03-01", None, 12_100),
            ]

    database(scenario)


# --- Packs ------------------------------------------------------------------------------------


def test_a_swap_changes_the_rent_only_with_the_capacity_class(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, line = of(await build.leased_pack(world))
            larger = await build.pack(world, rated_capacity_mah=150_000)
            test = build.acceptance(larger["id"], "2026-06-01", 140_000)
            refused = await world.staff.refused(
                "POST", f"{line}/swaps", 400, {**test, "rent_amount": 40_000}
            )
            assert refused["code"] == "rent_without_class"
            other = {**test, "rated_capacity_mah": 150_000, "rent_amount": 40_000}
            await world.staff.post(f"{line}/swaps", other)
            assert await spans(world, line, "rated_capacity_mah", "rent_amount", "cause") == [
                ("2026-01-01", "2026-06-01", 100_000, 31_000, "agreed"),
                ("2026-06-01", None, 150_000, 40_000, "capacity_changed"),
            ]
            assert (await world.staff.get(line))["pack_id"] == larger["id"]

    database(scenario)


def test_the_guarantee_of_a_swap_is_that_of_the_new_class(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, line = of(await build.leased_pack(world))
            larger = await build.pack(world, rated_capacity_mah=150_000)
            weak = build.acceptance(larger["id"], "2026-06-01", 110_000)
            refused = await world.staff.refused(
                "POST", f"{line}/swaps", 409, {**weak, "rated_capacity_mah": 150_000}
            )
            assert refused["code"] == "below_guarantee"
            assert refused["extra"] == {"guaranteed": 120_000}
            assert await spans(world, line) == [("2026-01-01", None)]

    database(scenario)


def test_a_line_moves_with_its_pack(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            _, line = of(lease)
            there = await build.site(world, lease["customer"]["id"])
            moved = {"site_id": there["id"], "slot": 7, "moved_on": "2026-03-01", "reason": "moved"}
            seen = await world.staff.post(f"{line}/relocations", moved)
            assert (seen["site_id"], seen["slot"]) == (there["id"], 7)
            assert (await world.staff.get(line, on="2026-02-28"))["site_id"] == lease["site"]["id"]
            assert [
                (one["site_id"], one["slot"], one["from_on"], one["to_on"], one["pack_id"])
                for one in await world.staff.get(f"{line}/placements")
            ] == [
                (lease["site"]["id"], 1, "2026-01-11", "2026-03-01", lease["pack"]["id"]),
                (there["id"], 7, "2026-03-01", None, lease["pack"]["id"]),
            ]

    database(scenario)


@pytest.mark.parametrize("whose", ["another line's", "a neighbour's"])
def test_a_line_does_not_move_to_a_place_that_is_not_free_or_not_the_lessees(database, whose):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            _, line = of(lease)
            other = await build.leased_pack(world)
            moved = {"slot": 5, "moved_on": "2026-03-01", "reason": "-"}
            if whose == "a neighbour's":
                moved["site_id"] = other["site"]["id"]
                code = "not_the_lessees_site"
            else:
                site = lease["site"]["id"]
                terms = [build.line_terms(site, slot=2)]
                _, (second,) = await build.active_contract(world, lease["customer"]["id"], terms)
                pack = await build.pack(world)
                given = build.acceptance(pack["id"], "2026-02-01")
                await world.staff.post(f"/v1/lines/{second['id']}/acceptances", given)
                moved |= {"site_id": site, "slot": 2}
                code = "slot_occupied"
            problem = await world.staff.refused("POST", f"{line}/relocations", 409, moved)
            assert problem["code"] == code
            assert await spans(world, line) == [("2026-01-01", None)]

    database(scenario)


def test_a_stolen_pack_leaves_its_line_empty_and_may_be_found(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            _, line = of(lease)
            stolen = {
                "kind": "stolen",
                "happened_on": "2026-05-01",
                "description": "cabinet forced open",
                "liable": "lessee",
                "compensation_amount": 150_000,
            }
            incident = await world.staff.post(f"{line}/incidents", stolen)
            pack = f"/v1/packs/{lease['pack']['id']}"
            assert (await world.staff.get(pack))["state"] == "lost"
            assert (await world.staff.get(line))["pack_id"] is None
            assert (await world.staff.get(line, on="2026-04-30"))["pack_id"] is not None
            (fee,) = (await world.staff.get("/v1/fees"))["items"]
            assert (fee["component"], fee["amount"], fee["owed_on"]) == (
                "loss",
                150_000,
                "2026-05-01",
            )
            found = f"/v1/incidents/{incident['id']}/found"
            await world.staff.refused("POST", found, 409, {"found_on": "2026-04-30"})
            seen = await world.staff.post(found, {"found_on": "2026-06-01"})
            assert seen["found_on"] == "2026-06-01"
            assert (await world.staff.get(pack))["state"] == "returned"
            again = await world.staff.refused("POST", found, 409, {"found_on": "2026-06-02"})
            assert again["code"] == "not_lost"

    database(scenario)


def test_a_lost_pack_is_replaced_or_the_line_ends(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, line = of(await build.leased_pack(world))
            ended = {"ended_on": "2026-06-01"}
            refused = await world.staff.refused("POST", f"{line}/loss", 409, ended)
            assert refused["code"] == "line_occupied"
            gone = {"kind": "missing", "happened_on": "2026-05-01", "description": "not there"}
            await world.staff.post(f"{line}/incidents", gone)
            fresh = await build.pack(world)
            given = build.acceptance(fresh["id"], "2026-05-10")
            await world.staff.post(f"{line}/acceptances", given)
            assert (await world.staff.get(line))["started_on"] == "2026-01-11"
            await world.staff.post(f"{line}/incidents", {**gone, "happened_on": "2026-05-20"})
            seen = await world.staff.post(f"{line}/loss", ended)
            assert (seen["ended_on"], seen["end_reason"]) == ("2026-06-01", "lost")

    database(scenario)


def test_a_damaged_pack_stays_and_only_a_liable_lessee_pays(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            _, line = of(lease)
            damaged = {
                "kind": "damaged",
                "happened_on": "2026-05-01",
                "description": "dented",
                "compensation_amount": 5_000,
            }
            refused = await world.staff.refused("POST", f"{line}/incidents", 400, damaged)
            assert refused["code"] == "not_liable"
            await world.staff.post(f"{line}/incidents", {**damaged, "liable": "lessee"})
            assert (await world.staff.get(line))["pack_id"] == lease["pack"]["id"]
            (fee,) = (await world.staff.get("/v1/fees"))["items"]
            assert (fee["component"], fee["pack_id"]) == ("damage", lease["pack"]["id"])

    database(scenario)


def test_a_pack_is_bought_at_the_price_of_the_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, buy_out=FOR_SALE)
            _, line = of(lease)
            made = await world.staff.post(f"{line}/buy-out", {"bought_on": "2026-06-10"})
            # Four whole months since hand-over: 300,000 × (1 - 4 × 1.5 %).
            assert (made["fee"]["component"], made["fee"]["amount"]) == ("buy_out", 282_000)
            assert made["line"]["end_reason"] == "bought_out"
            assert (await world.staff.get(f"/v1/packs/{lease['pack']['id']}"))["state"] == "sold"

    database(scenario)


def test_a_pack_is_not_bought_where_the_contract_does_not_say_so(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, line = of(await build.leased_pack(world))
            bought = {"bought_on": "2026-06-10"}
            refused = await world.staff.refused("POST", f"{line}/buy-out", 409, bought)
            assert refused["code"] == "not_allowed_by_contract"

    database(scenario)


def test_positions_are_added_and_given_up(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            contract, line = of(lease)
            more = {
                "from_on": "2026-05-01",
                "lines": [build.line_terms(lease["site"]["id"], slot=slot) for slot in (2, 3)],
            }
            added = (await world.staff.post(f"{contract}/lines", more))["line_ids"]
            assert [(await world.staff.get(f"/v1/lines/{one}"))["slot"] for one in added] == [2, 3]
            early = await build.pack(world)
            given = build.acceptance(early["id"], "2026-04-30")
            path = f"/v1/lines/{added[0]}"
            refused = await world.staff.refused("POST", f"{path}/acceptances", 409, given)
            assert refused["code"] == "outside_line"
            await world.staff.post(f"{path}/removal", {"on": "2026-06-01"})
            seen = await world.staff.get(path)
            assert (seen["ended_on"], seen["end_reason"]) == ("2026-06-01", "removed")
            refused = await world.staff.refused(
                "POST", f"{line}/removal", 409, {"on": "2026-06-01"}
            )
            assert refused["code"] == "line_started"
            outside = {**more, "from_on": "2029-01-01"}
            refused = await world.staff.refused("POST", f"{contract}/lines", 409, outside)
            assert refused["code"] == "outside_term"

    database(scenario)


def test_packs_are_leased_by_specification_or_by_name(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            named, other = await build.pack(world), await build.pack(world)
            lines = [
                {**build.line_terms(place["id"], slot=1), "count": 3},
                {**build.line_terms(place["id"], slot=4), "pack_id": named["id"]},
            ]
            _, made = await build.active_contract(world, lessee["id"], lines)
            assert [line["slot"] for line in made] == [1, 2, 3, 4]
            assert [line["named_pack_id"] for line in made] == [None, None, None, named["id"]]
            path = f"/v1/lines/{made[3]['id']}"
            given = build.acceptance(other["id"], "2026-06-01")
            refused = await world.staff.refused("POST", f"{path}/acceptances", 409, given)
            assert refused["code"] == "not_the_named_pack"
            given = build.acceptance(named["id"], "2026-06-01")
            await world.staff.post(f"{path}/acceptances", given)
            # It is replaced like any other when it has grown weak.
            await world.staff.post(f"{path}/swaps", build.acceptance(other["id"], "2026-06-10"))

    database(scenario)


@pytest.mark.parametrize(
    ("lines", "code", "pointer"),
    [
        ([{"count": 2, "pack_id": "0198c0de-0000-7000-8000-000000000001"}], "bad_terms", "count"),
        ([{"slot": 999, "count": 3}], "bad_terms", "count"),
        ([{"count": 1000, "slot": 1}] * 11, "bad_terms", ""),
        ([{"count": 0}], "invalid_payload", "count"),
    ],
)
def test_positions_that_cannot_be_are_refused_with_the_place(database, lines, code, pointer):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            wanted = [{**build.line_terms(place["id"]), **line} for line in lines]
            terms = build.contract_terms(lessee["id"], wanted)
            problem = await world.staff.refused("POST", "/v1/contracts", 400, terms)
            assert problem["code"] == code
            pointers = [error["pointer"] for error in problem["errors"]]
            assert pointers == ["/lines" + (f"/0/{pointer}" if pointer else "")]

    database(scenario)


# --- How it ends ------------------------------------------------------------------------------


def test_notice_is_given_in_time_and_may_be_taken_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, notice_days=90, ends_on="2026-09-01")
            contract, _ = of(lease)
            notice = {"given_on": "2026-06-15", "ending_on": "2026-09-01", "reason": "-"}
            refused = await world.staff.refused("POST", f"{contract}/notice", 409, notice)
            assert refused["code"] == "notice_too_short"
            notice["given_on"] = "2026-06-01"
            made = await world.staff.post(f"{contract}/notice", notice)
            assert (made["state"], made["ending_on"], made["ending_reason"]) == (
                "ending",
                "2026-09-01",
                "notice",
            )
            made = await world.staff.post(f"{contract}/notice-withdrawal")
            assert (made["state"], made["ending_on"], made["ending_reason"]) == (
                "active",
                None,
                None,
            )

    database(scenario)


def test_ending_early_costs_what_was_agreed_for_each_line(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(
                world, early_termination=EARLY, minimum_months=5, ends_on="2026-08-01"
            )
            contract, line = of(lease)
            early = {"on": "2026-05-31", "reason": "site closed"}
            refused = await world.staff.refused("POST", f"{contract}/termination", 409, early)
            assert refused["code"] == "before_minimum"
            made = await world.staff.post(f"{contract}/termination", {**early, "on": "2026-06-16"})
            assert (made["state"], made["ending_reason"]) == ("ending", "early_termination")
            (fee,) = (await world.staff.get("/v1/fees"))["items"]
            # One month and 16 of 30 days were left, which is less than three months' rent.
            assert (fee["component"], fee["amount"]) == ("early_termination", 47_533)
            for step, data in (("notice-withdrawal", None), ("renewals", {"months": 1})):
                refused = await world.staff.refused("POST", f"{contract}/{step}", 409, data)
                assert refused["code"] == "not_allowed_by_contract"
            await world.set_clock(date(2026, 6, 20))
            await world.staff.post(f"{line}/returns", build.returned("2026-06-20"))
            made = await world.staff.post(f"{contract}/end")
            assert (made["state"], made["ended_on"]) == ("ended", "2026-06-20")

    database(scenario)


def test_a_lessee_is_bound_unless_an_early_end_was_agreed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            contract, _ = of(await build.leased_pack(world))
            early = {"on": "2026-06-16", "reason": "-"}
            refused = await world.staff.refused("POST", f"{contract}/termination", 409, early)
            assert refused["code"] == "not_allowed_by_contract"

    database(scenario)


@pytest.mark.parametrize(
    ("renewal", "returned", "state", "ends_on"),
    [
        ({"renewal": "automatic", "renewal_months": 6}, False, "active", "2027-02-01"),
        ({"renewal": "none"}, False, "active", None),
        ({"renewal": "negotiated"}, True, "ended", "2026-08-01"),
    ],
)
def test_at_the_end_of_its_term_a_contract_renews_itself_holds_over_or_ends(
    database, renewal, returned, state, ends_on
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, ends_on="2026-08-01", **renewal)
            contract, line = of(lease)
            await run_job(world, "contracts", date(2026, 7, 31))
            assert (await world.staff.get(contract))["ends_on"] == "2026-08-01"
            if returned:
                await world.staff.post(f"{line}/returns", build.returned("2026-07-31"))
            for on in (date(2026, 8, 1), date(2026, 8, 2)):
                await run_job(world, "contracts", on)
            seen = await world.staff.get(contract)
            assert (seen["state"], seen["ends_on"]) == (state, ends_on)
            if ends_on is None:  # a pack may still be swapped while it holds over
                fresh = await build.pack(world)
                swap = build.acceptance(fresh["id"], "2026-08-02")
                await world.staff.post(f"{line}/swaps", swap)
                await settled(world)
                page = await world.staff.get("/v1/events", limit=200)
                kinds = [event["kind"] for event in page["items"]]
                assert kinds.count("contract.held_over") == 1

    database(scenario)


@pytest.mark.parametrize(
    ("returned", "ends_on", "reason"),
    [
        ("2026-08-01", "2026-08-01", "expiry"),
        ("2026-08-10", "2026-08-10", "expiry"),
        ("2026-07-20", "2026-08-01", "agreement"),
    ],
)
def test_a_contract_holds_over_until_the_last_pack_is_back(database, returned, ends_on, reason):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            contract, line = of(await build.leased_pack(world, ends_on="2026-08-01"))
            await run_job(world, "contracts", date(2026, 8, 1))
            assert (await world.staff.get(contract))["ends_on"] is None
            await world.set_clock(date(2026, 8, 12))
            await world.staff.post(f"{line}/returns", build.returned(returned))
            made = await world.staff.post(f"{contract}/end")
            assert (made["ended_on"], made["ends_on"], made["ending_reason"]) == (
                returned,
                ends_on,
                reason,
            )

    database(scenario)


def test_a_renewal_follows_the_last_term(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            contract, _ = of(await build.leased_pack(world, ends_on="2026-08-31"))
            for ends_on in ("2026-09-30", "2026-10-31"):
                again = {"months": 1, "reason": "agreed"}
                made = await world.staff.post(f"{contract}/renewals", again)
                assert made["ends_on"] == ends_on

    database(scenario)


def test_another_lessee_takes_a_contract_over_and_the_packs_stay(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            contract, line = of(lease)
            other = await build.customer(world, "Other operator")
            taken = {
                "number": "C-TAKEN",
                "lessee_id": other["id"],
                "from_on": "2026-06-01",
                **SIGNED,
                "new_lessee_signatory": "孙总",
            }
            successor = await world.staff.post(f"{contract}/transfers", taken)
            assert (successor["state"], successor["transferred_from"]) == (
                "active",
                lease["contract"]["id"],
            )
            before = await world.staff.get(contract)
            assert (before["state"], before["ending_reason"], before["ended_on"]) == (
                "ended",
                "transfer",
                "2026-06-01",
            )
            old = await world.staff.get(line)
            assert (old["end_reason"], old["pack_id"]) == ("transferred", None)
            (new,) = (await world.staff.get("/v1/lines", contract_id=successor["id"]))["items"]
            assert new["pack_id"] == lease["pack"]["id"]
            assert new["rent_amount"] == 31_000
            site = await world.staff.get(f"/v1/sites/{new['site_id']}")
            assert (site["party_id"], site["code"]) == (other["id"], lease["site"]["code"])
            # Each sees its own part.
            first = await world.login(build.Role.CUSTOMER, lease["customer"]["id"])
            second = await world.login(build.Role.CUSTOMER, other["id"])
            for client, mine, theirs in (
                (first, old["id"], new["id"]),
                (second, new["id"], old["id"]),
            ):
                page = await client.get("/v1/lines")
                assert [one["id"] for one in page["items"]] == [mine]
                await client.refused("GET", f"/v1/lines/{theirs}", 404)

    database(scenario)
