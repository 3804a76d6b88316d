"""Prices that rest on evidence, on real bills: tested capacity, outages, tenants and regions."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from leasing.db.pool import Database
from tests import build
from tests.billing.steps import advance, bill, invoices_of, lines_of
from tests.billing.test_plans import bill_of, lease
from tests.build import Json, World
from tests.tariffs import plans

EARLY_FEBRUARY, EARLY_MARCH = date(2026, 2, 2), date(2026, 3, 2)
# A pack of 51.2 V and 100 Ah; it was handed over with 95 Ah: 4.864 kWh at 25 yuan.
WHOLE_MONTH = 12_160


def report(on: str, discharged_mah: int, number: str = "R-1") -> Json:
    return {
        "tested_on": on,
        "method": "site_check_discharge",
        "temperature_c": 25.0,
        "c_rate": 0.2,
        "depth_percent": 100,
        "discharged_mah": discharged_mah,
        "laboratory": "own",
        "report_number": number,
        "signatory": "王工",
    }


async def entered(world: World, path: str, **row: Any) -> Json:
    answer = await world.staff.ask("POST", f"/v1/{path}:batch", json={"rows": [row]})
    (result,) = build.expect(answer, 200)["rows"]
    assert result["outcome"] == "done", result
    made: Json = result
    return made


async def lines_by_day(world: World, leased: Json, nth: int, component: str) -> list[Json]:
    invoices = await invoices_of(world, leased["customer"])
    found = [
        line for line in await lines_of(world, invoices[nth]) if line["component"] == component
    ]
    return sorted(found, key=lambda line: (line["from_on"], line["revision"], line["amount"]))


# Capacity


def test_a_weaker_pack_costs_less_from_the_day_of_its_test_and_the_line_names_the_test(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.CAPACITY)
            await world.set_clock(date(2026, 1, 31))
            path = f"/v1/packs/{leased['pack']['id']}/capacity-tests"
            test = await world.staff.post(path, report("2026-01-21", 75_000))
            await advance(world, EARLY_FEBRUARY)
            strong, weak = await lines_by_day(world, leased, 0, "capacity")
            assert (strong["from_on"], strong["to_on"]) == ("2026-01-01", "2026-01-21")
            # 20 days of 31 at 121.60, 11 at 3.84 kWh × 20 in the lower band.
            assert (strong["price_amount"], strong["amount"]) == (WHOLE_MONTH, 7_845)
            assert (weak["price_amount"], weak["amount"]) == (7_680, 2_725)
            told = await world.staff.get(f"/v1/invoice-lines/{weak['id']}/explanation")
            assert told["detail"]["test_id"] == test["id"]
            assert told["detail"]["health_percent"] == "75"
            assert told["detail"]["band_from_percent"] == "0"

    database(scenario)


def test_a_test_that_comes_late_credits_the_days_since_it_was_made(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.CAPACITY)
            await advance(world, EARLY_FEBRUARY)
            path = f"/v1/packs/{leased['pack']['id']}/capacity-tests"
            await world.staff.post(path, report("2026-01-21", 75_000))
            await advance(world, EARLY_MARCH)
            found = await lines_by_day(world, leased, 1, "capacity")
            assert [(line["from_on"], line["amount"]) for line in found] == [
                ("2026-01-01", -WHOLE_MONTH),
                ("2026-01-01", 7_845),
                ("2026-01-21", 2_725),
                ("2026-02-01", 7_680),
            ]

    database(scenario)


def test_a_line_without_its_fact_is_held_by_name_and_billed_whole_once_it_is_known(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.CAPACITY)
            fine = await lease(world, plans.SERVICE)
            await forge(db, leased["line"]["id"], date(2026, 1, 2))
            await world.set_clock(date(2026, 2, 1))
            assert await bill(db) == "done"
            assert await invoices_of(world, leased["customer"]) == []
            assert set(await bill_of(world, fine, 0)) == {"rent", "care"}
            (run,) = (await world.staff.get("/v1/billing-runs"))["items"]
            (held,) = (await world.staff.get(f"/v1/billing-runs/{run['id']}/held-lines"))["items"]
            assert (held["line_id"], held["code"]) == (leased["line"]["id"], "missing_fact")
            assert "was not tested by 2026-01-01" in held["reason"]
            await forge(db, leased["line"]["id"], date(2026, 1, 1))
            await world.set_clock(date(2026, 3, 1))
            assert await bill(db, date(2026, 3, 1)) == "done"
            found = await lines_by_day(world, leased, 0, "capacity")
            assert [line["amount"] for line in found] == [WHOLE_MONTH, WHOLE_MONTH]

    database(scenario)


async def forge(db: Database, line_id: str, on: date) -> None:
    """A joint test has another day, which no hand can do."""
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        done = await tx.execute(
            "UPDATE acceptance SET accepted_on = $2 WHERE line_id = $1", UUID(line_id), on
        )
    assert done == "UPDATE 1"


# Availability

SLA: Json = {
    "kind": "availability",
    "code": "sla",
    "codes": ["rent"],
    "tiers": [
        {"below_percent": "99.9", "credit_percent": "5"},
        {"below_percent": "99", "credit_percent": "10"},
        {"below_percent": "95", "credit_percent": "30"},
    ],
    "cap_percent": "20",
}


@pytest.mark.parametrize(
    ("causes", "credit", "counted"),
    [
        # 44 hours and a bit are 1 % of a month of 744 hours, 37.2 hours are 5 %.
        ([("lessor", 5, 6)], -31_000 * 10 // 100, 24 * 60),
        ([("lessor", 5, 7)], -31_000 * 20 // 100, 48 * 60),
        ([("force_majeure", 5, 20)], 0, 0),
        ([("customer", 5, 20)], 0, 0),
        ([("lessor", 5, 7), ("force_majeure", 6, 8)], -31_000 * 10 // 100, 24 * 60),
        ([("lessor", 5, 7), ("customer", 5, 7)], 0, 0),
    ],
)
def test_minutes_without_service_are_credited_but_for_storms_and_the_customers_own(
    database, causes, credit, counted
):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, SLA)
            await world.set_clock(date(2026, 1, 31))
            for cause, first, last in causes:
                await entered(
                    world,
                    "outages",
                    line_id=leased["line"]["id"],
                    from_at=f"2026-01-{first:02}T00:00:00+08:00",
                    to_at=f"2026-01-{last:02}T00:00:00+08:00",
                    cause=cause,
                    evidence="alarm log of the site",
                )
            await advance(world, EARLY_FEBRUARY)
            lines = await bill_of(world, leased, 0)
            if not credit:
                assert set(lines) == {"rent"}
                return
            assert lines["sla"]["amount"] == credit
            told = await world.staff.get(f"/v1/invoice-lines/{lines['sla']['id']}/explanation")
            assert told["detail"]["counted_minutes"] == counted
            assert told["detail"]["cap_amount"] == 6_200
            assert len(told["detail"]["outages"]) == len(causes)

    database(scenario)


def test_an_outage_that_turns_out_to_be_the_customers_own_is_charged_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, SLA)
            await world.set_clock(date(2026, 1, 31))
            down = {
                "line_id": leased["line"]["id"],
                "from_at": "2026-01-05T00:00:00+08:00",
                "to_at": "2026-01-06T00:00:00+08:00",
                "cause": "lessor",
                "evidence": "alarm log of the site",
            }
            was = await entered(world, "outages", **down)
            await advance(world, EARLY_FEBRUARY)
            assert (await bill_of(world, leased, 0))["sla"]["amount"] == -3_100
            own = {**down, "cause": "customer", "supersedes_id": was["id"]}
            await entered(world, "outages", **own)
            await advance(world, EARLY_MARCH)
            (back,) = await lines_by_day(world, leased, 1, "sla")
            assert (back["amount"], back["from_on"]) == (3_100, "2026-01-01")

    database(scenario)


# The tower trade's formula

REGION: Json = {
    "kind": "region",
    "code": "region",
    "codes": ["rent"],
    "coefficients": [
        {"adcode_prefix": "41", "coefficient": "1.1"},
        {"adcode_prefix": "65", "coefficient": "0.9"},
    ],
}
SHARED: Json = {
    "kind": "sharing",
    "code": "shared",
    "codes": ["rent"],
    "discounts": [{"tenants": 2, "percent": "30"}, {"tenants": 3, "percent": "40"}],
    "anchor_percent": "5",
}


def test_a_site_in_a_dear_region_that_is_shared_from_the_middle_of_a_month_on(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, REGION, SHARED)
            assert leased["site"]["adcode"].startswith("41")
            await world.set_clock(date(2026, 1, 31))
            # Half of the days of February, by the anchor tenant.
            await entered(
                world,
                "site-tenancies",
                site_id=leased["site"]["id"],
                from_on="2026-02-15",
                tenants=2,
                is_anchor=True,
            )
            await advance(world, EARLY_FEBRUARY)
            january = await bill_of(world, leased, 0)
            assert {code: line["amount"] for code, line in january.items()} == {
                "rent": 31_000,
                "region": 3_100,
            }
            await advance(world, EARLY_MARCH)
            february = await bill_of(world, leased, 1)
            # 35 % on half of the days, of what the region has made of the rent.
            assert february["shared"]["amount"] == -5_968
            told = await world.staff.get(
                f"/v1/invoice-lines/{february['shared']['id']}/explanation"
            )
            assert told["detail"]["percent"] == "17.5"
            assert told["detail"]["codes"] == {"rent": 34_100}

    database(scenario)
