"""What contracts agree about bills: long stubs, the day of return, and periods that were missed."""

from datetime import date
from typing import Any

import pytest

from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.billing.steps import advance, bill, books, invoices_of, lease_out, lines_of, one, shown
from tests.build import Json, World

JANUARY = ("2026-01-20", "2026-02-01", 12_000)
FEBRUARY = ("2026-02-01", "2026-03-01", 31_000)
MARCH = ("2026-03-01", "2026-04-01", 31_000)


async def lease(world: World, on: str, **terms: Any) -> Json:
    made: Json = await build.leased_pack(world, on, starts_on=on, **terms)
    return made


async def billed(world: World, leased: Json) -> list[list[tuple[str, str, int]]]:
    """The lines of each invoice."""
    found = await invoices_of(world, leased["customer"])
    return [shown(await lines_of(world, invoice)) for invoice in found]


STUBS: list[tuple[dict[str, Any], date, list[list[tuple[str, str, int]]]]] = [
    ({}, date(2026, 3, 2), [[JANUARY], [FEBRUARY]]),
    ({"first_stub": "long"}, date(2026, 2, 20), []),
    ({"first_stub": "long"}, date(2026, 4, 2), [[JANUARY, FEBRUARY], [MARCH]]),
    ({"first_stub": "long", "billing_timing": "advance"}, date(2026, 2, 2), [[JANUARY, FEBRUARY]]),
    (
        {"first_stub": "long", "billing_timing": "advance"},
        date(2026, 3, 2),
        [[JANUARY, FEBRUARY], [MARCH]],
    ),
    # The last period is billed with the eleven days after it.
    ({"last_stub": "long", "ends_on": "2026-04-12"}, date(2026, 4, 2), [[JANUARY], [FEBRUARY]]),
    (
        {"last_stub": "long", "ends_on": "2026-04-12", "billing_timing": "advance"},
        date(2026, 3, 2),
        [[JANUARY], [FEBRUARY], [MARCH, ("2026-04-01", "2026-04-12", 11_367)]],
    ),
    # Both stubs have one period between them: all is one bill.
    (
        {"first_stub": "long", "last_stub": "long", "ends_on": "2026-03-11"},
        date(2026, 3, 2),
        [],
    ),
]


@pytest.mark.parametrize(("terms", "until", "wanted"), STUBS)
def test_a_long_stub_is_billed_with_the_period_beside_it_and_costs_the_same(
    database, terms, until, wanted
):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 20)) as world:
            leased = await lease(world, "2026-01-20", **terms)
            await advance(world, until)
            assert await billed(world, leased) == wanted

    database(scenario)


def test_a_period_that_waited_for_the_last_stub_is_billed_with_it_when_both_are_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 20)) as world:
            terms = {"first_stub": "long", "last_stub": "long", "ends_on": "2026-03-11"}
            leased = await lease(world, "2026-01-20", **terms)
            await go_back(world, leased, date(2026, 3, 11))
            await advance(world, date(2026, 4, 2))
            stub = ("2026-03-01", "2026-03-11", 10_000)
            assert await billed(world, leased) == [[JANUARY, FEBRUARY, stub]]

    database(scenario)


async def go_back(world: World, leased: Json, on: date) -> None:
    """The pack goes back, and the contract is over."""
    await world.set_clock(on)
    await world.staff.post(f"/v1/lines/{leased['line']['id']}/returns", build.returned(str(on)))
    await world.staff.post(f"/v1/contracts/{leased['contract']['id']}/end")


RETURNS: list[tuple[dict[str, Any], str, list[tuple[str, str, int]]]] = [
    ({}, "2026-03-21", [("2026-03-01", "2026-03-21", 20_000)]),
    ({"return_day": "billed"}, "2026-03-21", [("2026-03-01", "2026-03-22", 21_000)]),
    # The 31st makes the month whole; the 1st is a day of the next one.
    ({"return_day": "billed"}, "2026-03-31", [MARCH]),
    ({"return_day": "billed"}, "2026-03-01", [("2026-03-01", "2026-03-02", 1_000)]),
    ({}, "2026-03-01", []),
]


@pytest.mark.parametrize("timing", ["arrears", "advance"])
@pytest.mark.parametrize(("terms", "on", "wanted"), RETURNS)
def test_the_contract_says_whether_the_day_of_return_is_billed(database, timing, terms, on, wanted):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 2, 1)) as world:
            leased = await lease(world, "2026-02-01", billing_timing=timing, **terms)
            await advance(world, date.fromisoformat(on))
            await go_back(world, leased, date.fromisoformat(on))
            await advance(world, date(2026, 5, 2))
            assert standing(await billed(world, leased)) == [FEBRUARY, *wanted]

    database(scenario)


def standing(invoices: list[list[tuple[str, str, int]]]) -> list[tuple[str, str, int]]:
    """Charges that were not taken back."""
    charged = [line for lines in invoices for line in lines]
    back = [(from_on, to_on, -amount) for from_on, to_on, amount in charged if amount < 0]
    left = [line for line in charged if line[2] > 0]
    for line in back:
        left.remove(line)
    return sorted(left)


def test_the_day_of_a_swap_is_billed_once_whatever_the_day_of_return_costs(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 3, 1)) as world:
            leased = await lease(world, "2026-03-01", return_day="billed")
            fresh = await build.pack(world)
            await world.set_clock(date(2026, 3, 11))
            await world.staff.post(
                f"/v1/lines/{leased['line']['id']}/swaps",
                build.acceptance(fresh["id"], "2026-03-11"),
            )
            await advance(world, date(2026, 4, 2))
            assert await billed(world, leased) == [
                [("2026-03-01", "2026-03-11", 10_000), ("2026-03-11", "2026-04-01", 21_000)]
            ]

    database(scenario)


def test_the_settlement_counts_the_day_of_return_where_packs_go_back_and_not_where_they_are_bought(
    database,
):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 3, 1)) as world:
            leased = await lease(
                world,
                "2026-03-01",
                return_day="billed",
                early_termination={"kind": "months_of_rent", "months": 2},
                buy_out={"kind": "fixed", "amount": 500_000},
            )
            path = f"/v1/contracts/{leased['contract']['id']}/settlement"
            found = await world.staff.get(path, on="2026-03-11")
            for alternative, rent in (("given_back", 11_000), ("bought", 10_000)):
                owed = {one["component"]: one["amount"] for one in found[alternative]["components"]}
                assert owed["rent"] == rent

    database(scenario)


PERIODS = """
SELECT array_agg(lower(period) || ' ' || net_amount ORDER BY number)
  FROM invoice
 WHERE state = 'final'
"""
AGREE = "UPDATE contract_revision SET catch_up = 'invoice_each'"


@pytest.mark.parametrize("each", [False, True])
def test_the_contract_says_whether_missed_periods_make_one_invoice_or_one_each(database, each):
    """Nothing was billed from January to June; then one run."""

    async def scenario(db: Database) -> tuple[list[str], Any]:
        await lease_out(db, [3])
        if each:
            await one(db, AGREE)
        july = date(2026, 7, 1)
        async with db.transaction() as tx:
            await clock.move(tx, midnight(july) + build.NOON)
        assert await bill(db, july) == "done"
        assert await bill(db, july) == "done"
        _, charged = await books(db)
        return await one(db, PERIODS), sorted(row[:8] for row in charged)

    invoices, charged = database(scenario)
    rents = [20_037, 20_074, 20_111]
    # Handed over on the 2nd, the 3rd and the 4th.
    january = sum(round(rent * days / 31) for rent, days in zip(rents, (30, 29, 28), strict=True))
    months = [january, *[sum(rents)] * 5]
    if each:
        assert invoices == [f"2026-{n + 1:02}-01 {amount}" for n, amount in enumerate(months)]
    else:
        assert invoices == [f"2026-06-01 {sum(months)}"]
    assert sum(row[7] for row in charged) == sum(months)


def test_missed_periods_of_contracts_with_one_payer_share_their_invoices(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            first = await lease(world, "2026-01-01", catch_up="invoice_each")
            line = build.line_terms(first["site"]["id"], slot=2, rent_amount=1_000)
            _, (other,) = await build.active_contract(
                world,
                first["customer"]["id"],
                [line],
                number="C-OTHER",
                starts_on="2026-01-01",
                catch_up="invoice_each",
            )
            pack = await build.pack(world)
            given = build.acceptance(pack["id"], "2026-01-01")
            await world.staff.post(f"/v1/lines/{other['id']}/acceptances", given)
            await world.set_clock(date(2026, 4, 1))
            assert await bill(db, date(2026, 4, 1)) == "done"
            found = await invoices_of(world, first["customer"])
            assert [(one["period_from"], one["number"], one["net_amount"]) for one in found] == [
                ("2026-03-01", "INV-2026-000003", 32_000),
                ("2026-01-01", "INV-2026-000001", 32_000),
                ("2026-02-01", "INV-2026-000002", 32_000),
            ]

    database(scenario)


def test_terms_of_bills_are_amended_like_all_others(database):
    """From the day on which it is agreed, and days that were billed are put right."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 2, 1)) as world:
            leased = await lease(world, "2026-02-01")
            path = f"/v1/contracts/{leased['contract']['id']}"
            read = await world.staff.ask("GET", path)
            assert [read.json()[name] for name in ("first_stub", "last_stub")] == ["short", "short"]
            assert read.json()["return_day"] == "free"
            assert read.json()["catch_up"] == "one_invoice"
            terms = {"return_day": "billed", "catch_up": "invoice_each", "first_stub": "long"}
            told = await world.staff.post(
                f"{path}/amendments",
                {"from_on": "2026-03-01", "reason": "agreed", "terms": terms, "rents": []},
                **{"If-Match": read.headers["ETag"]},
            )
            assert {one["field"]: one["after"] for one in told["changes"]} == terms
            await go_back(world, leased, date(2026, 3, 21))
            await advance(world, date(2026, 4, 2))
            assert standing(await billed(world, leased)) == [
                FEBRUARY,
                ("2026-03-01", "2026-03-22", 21_000),
            ]

    database(scenario)
