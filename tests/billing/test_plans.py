"""What a price plan charges besides the rent: on the same bill, from the evidence there is, and put
right when more of it comes."""

from datetime import date
from typing import Any

from leasing.db.pool import Database
from tests import build
from tests.billing.steps import advance, invoices_of, lines_of, one
from tests.build import Json, World
from tests.tariffs import plans

AVAILABLE: Json = {
    "kind": "availability",
    "code": "sla",
    "codes": ["rent"],
    "tiers": [{"below_percent": "99.9", "credit_percent": "10"}],
}
LEAST: Json = {"kind": "minimum", "code": "least", "codes": ["energy"], "amount": 5_000}


async def lease(world: World, *components: Json, **terms: Any) -> Json:
    """A pack on a line with a price plan, from the first of January on."""
    version = await plans.published(world, *components)
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    line = {**build.line_terms(place["id"]), "price_plan_version_id": version["id"]}
    contract, (line,) = await build.active_contract(world, lessee["id"], [line], **terms)
    pack = await build.pack(world)
    given = build.acceptance(pack["id"], "2026-01-01")
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
    return {
        "customer": lessee,
        "site": place,
        "contract": contract,
        "line": line,
        "pack": pack,
        "version": version,
    }


async def read(world: World, pack: Json, *registers: tuple[str, int]) -> None:
    rows = [
        {
            "pack_id": pack["id"],
            "measure": "throughput_wh",
            "at": f"{day}T00:00:00+08:00",
            "register_value": value,
            "source": "bms",
        }
        for day, value in registers
    ]
    answer = await world.staff.ask("POST", "/v1/meter-readings:batch", json={"rows": rows})
    assert answer.status_code < 300, answer.text
    assert "errors" not in answer.text


async def bill_of(world: World, leased: Json, nth: int) -> dict[str, Any]:
    invoices = await invoices_of(world, leased["customer"])
    return {line["component"]: line for line in await lines_of(world, invoices[nth])}


def test_rent_service_use_and_credit_are_on_one_bill_each_with_its_tax_and_account(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.SERVICE, plans.THROUGHPUT, AVAILABLE)
            await world.set_clock(date(2026, 2, 1))
            await read(world, leased["pack"], ("2026-01-01", 10_000), ("2026-02-01", 1_244_567))
            down = {
                "rows": [
                    {
                        "site_id": leased["site"]["id"],
                        "from_at": "2026-01-10T00:00:00+08:00",
                        "to_at": "2026-01-10T12:00:00+08:00",
                        "cause": "lessor",
                        "evidence": "ticket 7",
                    }
                ]
            }
            answered = await world.staff.ask("POST", "/v1/outages:batch", json=down)
            assert answered.status_code < 300, answered.text
            await advance(world, date(2026, 2, 2))
            bill = await bill_of(world, leased, 0)
            assert {code: (one_["kind"], one_["amount"]) for code, one_ in bill.items()} == {
                "rent": ("rent", 31_000),
                "care": ("service", 31_000),
                # 1,234.567 kWh at 8.5 fen.
                "energy": ("throughput", 10_494),
                # 12 hours of 744 are more than 0.1 %.
                "sla": ("availability", -3_100),
            }
            assert bill["care"]["vat_percent"] == "6.00"
            invoice = (await invoices_of(world, leased["customer"]))[0]
            # 6 % of 31,000; 13 % of 31,000 + 10,494 − 3,100.
            assert invoice["vat_amount"] == 1_860 + 4_991
            told = await world.staff.get(f"/v1/invoice-lines/{bill['energy']['id']}/explanation")
            assert "1244567" in str(told["detail"]) or 1_244_567 in str_values(told["detail"])
            kinds = [one_["kind"] for one_ in told["evidence"]]
            assert "price_plan" in kinds

    database(scenario)


def str_values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in str_values(child)]
    if isinstance(value, list):
        return [leaf for child in value for leaf in str_values(child)]
    return [value]


def test_a_reading_that_comes_late_corrects_the_use_of_its_month_and_nothing_else(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.THROUGHPUT)
            await world.set_clock(date(2026, 2, 1))
            await read(world, leased["pack"], ("2026-01-01", 0), ("2026-01-31", 300_000))
            await advance(world, date(2026, 2, 2))
            first = await bill_of(world, leased, 0)
            await read(world, leased["pack"], ("2026-02-01", 400_000))
            await advance(world, date(2026, 3, 2))
            invoices = await invoices_of(world, leased["customer"])
            lines = await lines_of(world, invoices[1])
            january = [line for line in lines if line["from_on"] == "2026-01-01"]
            assert {line["component"] for line in january} == {"energy"}
            back, anew = sorted(january, key=lambda line: line["amount"])
            assert back["reverses_id"] == first["energy"]["id"]
            assert back["amount"] == -first["energy"]["amount"]
            # 400 kWh at 8.5 fen.
            assert (anew["amount"], anew["revision"]) == (3_400, 2)

    database(scenario)


def test_a_minimum_is_trued_up(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.THROUGHPUT, LEAST)
            await world.set_clock(date(2026, 2, 1))
            await read(world, leased["pack"], ("2026-01-01", 0), ("2026-02-01", 100_000))
            await advance(world, date(2026, 2, 2))
            bill = await bill_of(world, leased, 0)
            assert (bill["energy"]["amount"], bill["least"]["amount"]) == (850, 4_150)

    database(scenario)


def test_where_rent_is_billed_in_advance_use_is_billed_when_it_is_known(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.SERVICE, plans.THROUGHPUT, billing_timing="advance")
            await advance(world, date(2026, 1, 3))
            assert set(await bill_of(world, leased, 0)) == {"rent"}
            await world.set_clock(date(2026, 2, 1))
            await read(world, leased["pack"], ("2026-01-01", 0), ("2026-02-01", 100_000))
            await advance(world, date(2026, 2, 2))
            february = await bill_of(world, leased, 1)
            assert {code: line["from_on"] for code, line in february.items()} == {
                "rent": "2026-02-01",
                "care": "2026-01-01",
                "energy": "2026-01-01",
            }
            # The last month of use is billed after the pack went back on the last day of a period.
            await world.set_clock(date(2026, 3, 1))
            await read(world, leased["pack"], ("2026-03-01", 200_000))
            back = build.returned("2026-03-01")
            await world.staff.post(f"/v1/lines/{leased['line']['id']}/returns", back)
            await world.staff.post(f"/v1/contracts/{leased['contract']['id']}/end")
            await advance(world, date(2026, 3, 2))
            march = await bill_of(world, leased, 2)
            assert {code: line["from_on"] for code, line in march.items()} == {
                "care": "2026-02-01",
                "energy": "2026-02-01",
            }
            assert await one(db, "SELECT count(*) FROM billing_hold") == 0

    database(scenario)


def test_a_bill_made_again_from_its_evidence_is_the_same(database):
    """Run again, and restated without a change: nothing is charged or taken back."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, plans.SERVICE, plans.CAPACITY, plans.THROUGHPUT, AVAILABLE)
            await world.set_clock(date(2026, 2, 1))
            await read(world, leased["pack"], ("2026-01-01", 0), ("2026-02-01", 100_000))
            await advance(world, date(2026, 2, 2))
            await one(
                db,
                "INSERT INTO restatement (line_id, from_on)"
                " SELECT id, '2026-01-01' FROM lease_line",
            )
            await advance(world, date(2026, 3, 2))
            assert await one(db, "SELECT count(*) FROM charge WHERE is_reversed") == 0
            assert await one(db, "SELECT count(*) FROM restatement WHERE NOT settled") == 0

    database(scenario)
