"""Lines that are charged by a price plan, and what restates them."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.pricing.periods import MONTHLY, Cycle, Period
from leasing.pricing.plans import Stay, evaluate
from leasing.tariffs import store
from tests import build
from tests.billing.steps import MARCH, advance, bill, one
from tests.build import Json, World
from tests.tariffs import plans
from tests.tariffs.test_facts import enter, outage, reading, tenancy

FEBRUARY = Period(date(2026, 2, 1), date(2026, 3, 1))

USING = {
    "throughput": plans.THROUGHPUT,
    "capacity": plans.CAPACITY,
    "distance": {**plans.THROUGHPUT, "kind": "distance"},
    "availability": {
        "kind": "availability",
        "code": "sla",
        "codes": ["rent"],
        "tiers": [{"below_percent": "99.9", "credit_percent": "5"}],
    },
    "sharing": {
        "kind": "sharing",
        "code": "shared",
        "codes": ["rent"],
        "discounts": [{"tenants": 2, "percent": "30"}],
    },
    "service": plans.SERVICE,
}


async def amend(world: World, contract: Json, **changes: Any) -> Json:
    path = f"/v1/contracts/{contract['id']}"
    version = (await world.staff.get(path))["version"]
    body = {"from_on": "2026-03-01", "reason": "agreed", **changes}
    made: Json = await world.staff.post(f"{path}/amendments", body, **{"if-match": f'"v{version}"'})
    return made


async def refused_amendment(world: World, contract: Json, version_id: str, line_id: str) -> str:
    chosen = [{"line_id": line_id, "price_plan_version_id": version_id}]
    with pytest.raises(build.Answer) as told:
        await amend(world, contract, plans=chosen)
    return str(told.value)


async def leased(world: World, *components: Json, **changes: Any) -> Json:
    """A pack on lease since 11 January under a plan."""
    version = await plans.published(world, *components)
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = {**build.line_terms(place["id"]), "price_plan_version_id": version["id"]}
    contract, (line,) = await build.active_contract(world, lessee["id"], [terms], **changes)
    pack = await build.pack(world)
    accepted = build.acceptance(pack["id"], "2026-01-11")
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", accepted)
    return {
        "customer": lessee,
        "site": place,
        "contract": contract,
        "line": line,
        "pack": pack,
        "version": version,
    }


def test_a_line_says_by_which_plan_it_is_charged_day_by_day(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            story = await leased(world)
            first, line_id = story["version"]["id"], story["line"]["id"]
            assert story["line"]["price_plan_version_id"] == first
            second = await plans.published(world, plans.CAPACITY)
            rents = [{"line_id": line_id, "rent_amount": 20_000}]
            chosen = [{"line_id": line_id, "price_plan_version_id": second["id"]}]
            made = await amend(world, story["contract"], plans=chosen, rents=rents)
            assert [(one["field"], one["after"]) for one in made["changes"]] == [
                ("rent_amount", 20_000),
                ("price_plan_version_id", second["id"]),
            ]
            none = [{"line_id": line_id, "price_plan_version_id": None}]
            await amend(world, story["contract"], plans=none, from_on="2026-04-01")
            path = f"/v1/lines/{line_id}"
            revisions = await world.staff.get(f"{path}/revisions")
            assert [
                (one["from_on"], one["price_plan_version_id"], one["rent_amount"])
                for one in revisions
            ] == [
                ("2026-01-01", first, 31_000),
                ("2026-03-01", second["id"], 20_000),
                ("2026-04-01", None, 20_000),
            ]
            march = await world.staff.get(path, on="2026-03-31")
            assert march["price_plan_version_id"] == second["id"]
            # Its customer reads what it is charged by, and no other plan.
            await plans.published(world)
            customer = await world.login(Role.CUSTOMER, story["customer"]["id"])
            seen = (await customer.get("/v1/price-plans"))["items"]
            expected = {story["version"]["plan_id"], second["plan_id"]}
            assert {one["id"] for one in seen} == expected
            assert await customer.get(f"/v1/price-plan-versions/{first}") == story["version"]

    database(scenario)


def test_a_plan_goes_with_the_line_to_another_lessee(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            story = await leased(world)
            taker = await build.customer(world)
            body = {
                "number": "TAKEN",
                "lessee_id": taker["id"],
                "from_on": "2026-03-01",
                "lessor_signatory": "a",
                "lessee_signatory": "b",
                "new_lessee_signatory": "c",
            }
            path = f"/v1/contracts/{story['contract']['id']}/transfers"
            made = await world.staff.post(path, body)
            (line,) = (await world.staff.get("/v1/lines", contract_id=made["id"]))["items"]
            assert line["price_plan_version_id"] == story["version"]["id"]
            # The fee of the start was owed by the first lessee.
            stay = stay_of(story, FEBRUARY)
            later = stay._replace(from_on=date(2026, 3, 1), to_on=date(2026, 4, 1))
            ids = UUID(story["line"]["id"]), UUID(line["id"])
            async with db.transaction() as tx:
                known = await store.facts_for(tx, {ids[0]: [stay], ids[1]: [later]})
            assert known[ids[0]].started_on == date(2026, 1, 11)
            assert known[ids[1]].started_on is None

    database(scenario)


def test_only_a_published_valid_version_in_the_contracts_currency_is_taken(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            story = await build.leased_pack(world)
            contract, line_id = story["contract"], story["line"]["id"]
            plan = await plans.plan(world)
            draft = await plans.draft(world, plan["id"])
            later = await plans.published(world, valid_from="2026-03-02")
            dollars = await plans.published(world, currency="USD")
            for version_id, code in (
                (draft["id"], "price_plan_not_usable"),
                (later["id"], "price_plan_not_usable"),
                (contract["id"], "price_plan_not_usable"),
                (dollars["id"], "price_plan_currency"),
            ):
                assert code in await refused_amendment(world, contract, version_id, line_id)
            other = await leased(world)
            told = await refused_amendment(
                world, contract, other["version"]["id"], other["line"]["id"]
            )
            assert "line_not_found" in told
            good = await plans.published(world)
            rows = [
                {
                    "site_id": story["site"]["id"],
                    "slot": slot,
                    "from_on": "2026-03-01",
                    "rated_capacity_mah": 100_000,
                    "rent_amount": 1,
                    "price_plan_version_id": version_id,
                }
                for slot, version_id in ((7, draft["id"]), (8, good["id"]), (9, dollars["id"]))
            ]
            answer = await world.staff.post(
                f"/v1/contracts/{contract['id']}/lines:batch", {"rows": rows}
            )
            codes = [row["problem"] and row["problem"]["code"] for row in answer["rows"]]
            assert codes == ["price_plan_not_usable", None, "price_plan_currency"]
            with pytest.raises(asyncpg.CheckViolationError, match="line_revision_plan_published"):
                await one(
                    db,
                    "UPDATE line_revision SET price_plan_version_id = $1 RETURNING 1",
                    UUID(good["id"]),
                )

    database(scenario)


def test_a_draft_does_not_begin_before_its_plans(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            version = await plans.published(world)
            line = {**build.line_terms(place["id"]), "price_plan_version_id": version["id"]}
            made = await world.staff.post(
                "/v1/contracts", build.contract_terms(lessee["id"], [line])
            )
            path = f"/v1/contracts/{made['id']}"
            early = await world.staff.ask(
                "PATCH", path, json={"starts_on": "2025-12-31"}, headers={"if-match": '"v1"'}
            )
            assert early.json()["code"] == "price_plan_not_usable"
            fine = await world.staff.ask(
                "PATCH", path, json={"starts_on": "2026-02-01"}, headers={"if-match": '"v1"'}
            )
            assert fine.status_code == 200

    database(scenario)


def stay_of(story: Json, period: Period, pack: str = "pack") -> Stay:
    return Stay(*period, UUID(story[pack]["id"]), UUID(story["site"]["id"]), 5_120)


def test_facts_are_loaded_for_many_lines_in_a_few_statements(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            raw = [USING[kind] for kind in ("throughput", "capacity", "availability", "sharing")]
            stories = [await leased(world, *raw, time_zone="Asia/Urumqi") for _ in range(3)]
            story = stories[0]
            fresh = story["fresh"] = await build.pack(world)
            swap = build.acceptance(fresh["id"], "2026-02-11", 82_000)
            await world.staff.post(f"/v1/lines/{story['line']['id']}/swaps", swap)
            pack_id, site_id = story["pack"]["id"], story["site"]["id"]
            readings = await enter(
                world,
                "/v1/meter-readings",
                # Midnight in Urumqi; the one before it is not needed.
                reading(pack_id, "2026-01-20T00:00:00Z", 5_000),
                reading(pack_id, "2026-01-31T18:00:00Z", 10_000),
                reading(pack_id, "2026-02-10T18:00:00Z", 40_000),
                reading(pack_id, "2026-03-20T00:00:00Z", 90_000),
                reading(fresh["id"], "2026-01-01T00:00:00Z", 900_000),
                reading(fresh["id"], "2026-02-10T18:00:00Z", 900_000),
                reading(fresh["id"], "2026-02-28T18:00:00Z", 970_000),
                reading(fresh["id"], "2026-02-28T18:00:00Z", 7, measure="distance_m"),
            )
            right = reading(pack_id, "2026-02-10T18:00:00Z", 30_000)
            await enter(world, "/v1/meter-readings", {**right, "supersedes_id": readings[2]["id"]})
            down = outage(site_id=site_id, to_at="2026-02-03T10:00:00Z")
            (first,) = await enter(world, "/v1/outages", down)
            void = {**down, "supersedes_id": first["id"], "is_void": True}
            await enter(world, "/v1/outages", void, outage(line_id=story["line"]["id"]))
            await enter(world, "/v1/site-tenancies", tenancy(site_id, to_on="2026-02-15"))
            first_half = Period(FEBRUARY.from_on, date(2026, 2, 11))
            second_half = Period(date(2026, 2, 11), FEBRUARY.to_on)
            lines = {UUID(one["line"]["id"]): [stay_of(one, FEBRUARY)] for one in stories[1:]}
            line_id = UUID(story["line"]["id"])
            lines[line_id] = [stay_of(story, first_half), stay_of(story, second_half, "fresh")]
            async with db.transaction() as tx:
                sent: list[str] = []
                note = lambda query: sent.append(query.query)  # noqa: E731
                tx.add_query_logger(note)
                known = await store.facts_for(tx, lines)
                await asyncio.sleep(0)  # loggers are called by the loop
                tx.remove_query_logger(note)
                assert len(sent) == 6
                versions = [UUID(story["version"]["id"])]
                components = (await store.components_of(tx, versions))[versions[0]]
            assert set(known) == set(lines)
            empty = known[UUID(stories[1]["line"]["id"])]
            assert (empty.outages, list(empty.readings.values())) == ([], [[], []])
            assert [len(rows) for rows in known[line_id].tests.values()] == [1, 1]
            found = {key[0]: len(rows) for key, rows in known[line_id].readings.items() if rows}
            assert found == {UUID(pack_id): 2, UUID(fresh["id"]): 1}
            rows = evaluate(
                components,
                lines[line_id],
                known[line_id],
                cycle=Cycle(FEBRUARY.from_on, MONTHLY),
                period=FEBRUARY,
                rent_amount=28_000,
            )
            # 20 kWh of one and 70 of the other at 8.5. 95 Ah are 4.864 kWh at 25.00, for 10 days of
            # 28, and 82 Ah 4.1984. Two hours of 40,320 minutes are 99.7 %. Two tenants for 14 days.
            assert [(row.component, row.amount) for row in rows] == [
                ("energy", 170),
                ("energy", 595),
                ("capacity", 4_343),
                ("capacity", 6_747),
                ("sla", -1_190),
                ("shared", -4_200),
            ]
            assert {row.detail["register"]["quality"] for row in rows[:2]} == {"measured"}

    database(scenario)


async def restated(db: Database) -> list[tuple[str, date]]:
    async with db.transaction() as tx:
        rows = await tx.fetch("SELECT line_id, from_on FROM restatement WHERE NOT settled")
    return [(str(row["line_id"]), row["from_on"]) for row in rows]


def capacity_report(on: str, number: str = "R-1", depth: int = 100) -> Json:
    return {
        "tested_on": on,
        "method": "site_check_discharge",
        "temperature_c": 25.0,
        "c_rate": 0.2,
        "depth_percent": depth,
        "discharged_mah": 85_000 if depth == 100 else 40_000,
        "laboratory": "own",
        "report_number": number,
        "signatory": "王工",
    }


async def enter_facts(world: World, story: Json, when: str) -> None:
    """A fact of every kind about a line on a day, in four hours from midnight in UTC."""
    pack_id, site_id = story["pack"]["id"], story["site"]["id"]
    at, to_at = f"{when}T00:00:00Z", f"{when}T04:00:00Z"
    await enter(
        world,
        "/v1/meter-readings",
        reading(pack_id, at, 5),
        reading(pack_id, at, 5, measure="distance_m"),
    )
    down = {"from_at": at, "to_at": to_at}
    told = await enter(world, "/v1/outages", outage(site_id=site_id, **down))
    assert told[0]["outcome"] == "done", told
    await enter(world, "/v1/site-tenancies", tenancy(site_id, from_on=when))
    path = f"/v1/packs/{pack_id}/capacity-tests"
    await world.staff.post(path, capacity_report(when, when))


@pytest.mark.parametrize(
    ("kind", "since"),
    [
        # A reading speaks of the time since the one before, on 12 January; the first of its kind
        # from its own day on. An instant lies in another day somewhere, so that a day is added.
        ("throughput", date(2026, 1, 11)),
        ("distance", date(2026, 2, 14)),
        ("availability", date(2026, 2, 14)),
        ("sharing", date(2026, 2, 15)),
        ("capacity", date(2026, 2, 15)),
        ("service", None),
    ],
)
def test_a_fact_of_charged_days_restates_the_lines_whose_plan_uses_it(
    database, kind, since
) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            story, plain = await leased(world, USING[kind]), await build.leased_pack(world)
            await enter_before_anything_is_charged(world, story)
            await advance(world, date(2026, 3, 2))
            assert await restated(db) == []
            await enter_facts(world, plain, "2026-02-15")
            assert await restated(db) == []
            await enter_facts(world, story, "2026-02-15")
            expected = [] if since is None else [(story["line"]["id"], since)]
            assert await restated(db) == expected
            # It is noted once, and put right by the next run.
            again = outage(
                line_id=story["line"]["id"],
                from_at="2026-02-20T00:00:00Z",
                to_at="2026-02-20T01:00:00Z",
            )
            await enter(world, "/v1/outages", again)
            assert await restated(db) == expected
            await advance(world, date(2026, 4, 3))
            assert await restated(db) == []
            # What lies after all charges is for the bill to come.
            await enter_facts(world, story, "2026-04-02")
            assert [on for _, on in await restated(db)] == (
                # But a reading speaks of the time since the one before.
                [date(2026, 2, 14)] if kind in ("throughput", "distance") else []
            )

    database(scenario)


async def enter_before_anything_is_charged(world: World, story: Json) -> None:
    await world.set_clock(date(2026, 1, 20))
    await enter(world, "/v1/meter-readings", reading(story["pack"]["id"], "2026-01-12T00:00:00Z"))


def test_a_correction_restates_what_the_wrong_fact_spoke_of(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            story = await leased(world, USING["throughput"], USING["availability"])
            await world.set_clock(date(2026, 2, 1))
            pack_id = story["pack"]["id"]
            rows = await enter(
                world,
                "/v1/meter-readings",
                reading(pack_id, "2026-01-12T00:00:00Z", 0),
                reading(pack_id, "2026-01-20T00:00:00Z", 9_000),
                reading(pack_id, "2026-02-01T00:00:00Z", 10_000),
            )
            down = outage(
                line_id=story["line"]["id"],
                from_at="2026-01-25T00:00:00Z",
                to_at="2026-01-25T01:00:00Z",
            )
            (was,) = await enter(world, "/v1/outages", down)
            await advance(world, date(2026, 2, 2))
            assert await restated(db) == []
            moved = reading(pack_id, "2026-02-01T12:00:00Z", 9_000, supersedes_id=rows[1]["id"])
            await enter(world, "/v1/meter-readings", moved)
            # The wrong one spoke of the time from the 12th on.
            assert await restated(db) == [
                (story["line"]["id"], date(2026, 1, 31)),
                (story["line"]["id"], date(2026, 1, 11)),
            ]
            await one(db, "UPDATE restatement SET settled = true RETURNING 1")
            later = {**down, "from_at": "2026-02-01T00:00:00Z", "to_at": "2026-02-01T01:00:00Z"}
            await enter(world, "/v1/outages", {**later, "supersedes_id": was["id"]})
            assert (story["line"]["id"], date(2026, 1, 24)) in await restated(db)

    database(scenario)


def test_another_plan_for_charged_days_restates_the_line(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            story = await build.leased_pack(world)
            await advance(world, MARCH)
            assert await bill(db, MARCH) == "done"
            version = await plans.published(world)
            chosen = [{"line_id": story["line"]["id"], "price_plan_version_id": version["id"]}]
            made = await amend(world, story["contract"], plans=chosen, from_on="2026-02-10")
            assert made["restated_lines"] == 1
            assert (story["line"]["id"], date(2026, 2, 10)) in await restated(db)
            await one(db, "UPDATE restatement SET settled = true RETURNING 1")
            # In place of a revision that begins on that very day.
            other = await plans.published(world)
            chosen[0]["price_plan_version_id"] = other["id"]
            await amend(world, story["contract"], plans=chosen, from_on="2026-02-10")
            assert await restated(db) == [(story["line"]["id"], date(2026, 2, 10))]

    database(scenario)
