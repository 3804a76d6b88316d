"""Contracts billed in advance, by anniversary, by the week and by the year, and what happens at the
edges of the calendar."""

from datetime import date
from typing import Any

import pytest

from leasing.db.pool import Database
from tests import build
from tests.billing.steps import advance, invoices_of, lines_of, shown
from tests.build import Json, World


async def lease(world: World, on: str, rent_amount: int = 31_000, **terms: Any) -> Json:
    made: Json = await build.leased_pack(world, on, rent_amount=rent_amount, starts_on=on, **terms)
    return made


async def billed(world: World, leased: Json) -> list[list[tuple[str, str, int]]]:
    """The lines of each invoice."""
    found = await invoices_of(world, leased["customer"])
    return [shown(await lines_of(world, invoice)) for invoice in found]


CYCLES: list[tuple[str, dict[str, Any], date, list[list[tuple[str, str, int]]]]] = [
    (
        # From the 31st, cut to February and back again; each period is whole.
        "2026-01-31",
        {"billing_alignment": "anniversary"},
        date(2026, 4, 2),
        [
            [("2026-01-31", "2026-02-28", 31_000)],
            [("2026-02-28", "2026-03-31", 31_000)],
        ],
    ),
    (
        # From the last of February, and always the last.
        "2026-02-28",
        {"billing_alignment": "anniversary", "billing_end_of_month": True},
        date(2026, 5, 2),
        [
            [("2026-02-28", "2026-03-31", 31_000)],
            [("2026-03-31", "2026-04-30", 31_000)],
        ],
    ),
    (
        # In advance along the calendar: a broken month at once, then whole ones on the first.
        "2026-01-11",
        {"billing_timing": "advance"},
        date(2026, 2, 3),
        [
            [("2026-01-11", "2026-02-01", 21_000)],
            [("2026-02-01", "2026-03-01", 31_000)],
        ],
    ),
    (
        # Weeks begin on Monday; the 7th of January 2026 is a Wednesday.
        "2026-01-07",
        {"billing_frequency": "weekly"},
        date(2026, 1, 20),
        [[("2026-01-07", "2026-01-12", 22_143)], [("2026-01-12", "2026-01-19", 31_000)]],
    ),
    (
        # A quarter of 90 days, of which 46 are left.
        "2026-02-14",
        {"billing_frequency": "quarterly"},
        date(2026, 4, 3),
        [[("2026-02-14", "2026-04-01", 15_844)]],
    ),
    (
        # 30/360: 20 days of 30, though January has 31.
        "2026-01-11",
        {"proration": "30/360"},
        date(2026, 2, 3),
        [[("2026-01-11", "2026-02-01", 20_667)]],
    ),
    (
        # Actual ÷ 30: 21 days of 30.
        "2026-01-11",
        {"proration": "fixed_30"},
        date(2026, 2, 3),
        [[("2026-01-11", "2026-02-01", 21_700)]],
    ),
    (
        # The 15th is the first day of a period.
        "2026-01-11",
        {"billing_day": 15},
        date(2026, 2, 16),
        [[("2026-01-11", "2026-01-15", 4_000)], [("2026-01-15", "2026-02-15", 31_000)]],
    ),
]


@pytest.mark.parametrize(("on", "terms", "until", "wanted"), CYCLES)
def test_periods_are_those_of_the_contract(database, on, terms, until, wanted):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date.fromisoformat(on)) as world:
            leased = await lease(world, on, **terms)
            await advance(world, until)
            assert await billed(world, leased) == wanted

    database(scenario)


def test_a_leap_day_is_a_day_of_the_month_and_a_year_from_it_ends_on_the_28th(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2028, 2, 29)) as world:
            monthly = await lease(world, "2028-02-29", 29_000)
            yearly = await lease(
                world,
                "2028-02-29",
                366_000,
                number="Y",
                billing_frequency="yearly",
                billing_alignment="anniversary",
                ends_on="2032-02-29",
            )
            await advance(world, date(2028, 3, 2))
            assert await billed(world, monthly) == [[("2028-02-29", "2028-03-01", 1_000)]]
            await advance(world, date(2029, 3, 1))
            assert await billed(world, yearly) == [[("2028-02-29", "2029-02-28", 366_000)]]

    database(scenario)


def test_what_is_billed_in_advance_is_given_back_when_the_pack_goes_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, "2026-01-01", billing_timing="advance")
            await advance(world, date(2026, 2, 3))
            line = f"/v1/lines/{leased['line']['id']}"
            await world.set_clock(date(2026, 2, 15))
            await world.staff.post(f"{line}/returns", build.returned("2026-02-15"))
            await world.staff.post(f"/v1/contracts/{leased['contract']['id']}/end")
            await advance(world, date(2026, 3, 2))
            *_, last = await billed(world, leased)
            assert last == [
                ("2026-02-01", "2026-03-01", -31_000),
                ("2026-02-01", "2026-02-15", 15_500),
            ]
            (credit,) = [
                one
                for one in await invoices_of(world, leased["customer"])
                if one["kind"] == "credit_note"
            ]
            assert (credit["number"], credit["net_amount"]) == ("CN-2026-000001", -15_500)

    database(scenario)


def test_a_change_of_the_cycle_bills_every_day_once(database):
    """From months to quarters from the middle of February on, entered in April."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, "2026-01-01", 30_000)
            await advance(world, date(2026, 4, 2))
            path = f"/v1/contracts/{leased['contract']['id']}"
            read = await world.staff.ask("GET", path)
            await world.staff.post(
                f"{path}/amendments",
                {
                    "from_on": "2026-02-15",
                    "reason": "agreed",
                    "terms": {"billing_frequency": "quarterly"},
                    "rents": [{"line_id": leased["line"]["id"], "rent_amount": 90_000}],
                },
                **{"If-Match": read.headers["ETag"]},
            )
            await advance(world, date(2026, 7, 2))
            charged = [line for lines in await billed(world, leased) for line in lines]
            days: dict[str, int] = {}
            for from_on, to_on, amount in charged:
                key = f"{from_on}/{to_on}"
                days[key] = days.get(key, 0) + amount
            left = {key: amount for key, amount in days.items() if amount}
            assert left == {
                "2026-01-01/2026-02-01": 30_000,
                "2026-02-01/2026-02-15": 15_000,
                "2026-02-15/2026-04-01": 45_000,
                "2026-04-01/2026-07-01": 90_000,
            }

    database(scenario)


def test_an_invoice_is_due_on_a_working_day_also_around_the_spring_festival(database):
    """Issued on 20 January 2026 with 28 days to pay: 17 February is New Year's Day of the Horse,
    and work begins again on the 24th."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2025, 12, 20)) as world:
            leased = await lease(world, "2025-12-20", billing_day=20, payment_days=28)
            await advance(world, date(2026, 1, 21))
            (invoice,) = await invoices_of(world, leased["customer"])
            assert (invoice["issued_on"], invoice["due_on"]) == ("2026-01-20", "2026-02-24")
            # The holiday moves the due day only, never a period.
            assert (invoice["period_from"], invoice["period_to"]) == ("2025-12-20", "2026-01-20")

    database(scenario)


def test_a_change_of_vat_splits_the_period_on_its_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2025, 12, 1)) as world:
            leased = await lease(world, "2025-12-01", billing_day=15)
            path = f"/v1/contracts/{leased['contract']['id']}"
            read = await world.staff.ask("GET", path)
            await world.staff.post(
                f"{path}/amendments",
                {
                    "from_on": "2026-01-01",
                    "reason": "the rate was lowered by law",
                    "terms": {"vat_percent": "9"},
                    "rents": [],
                },
                **{"If-Match": read.headers["ETag"]},
            )
            await advance(world, date(2026, 1, 16))
            *_, invoice = await invoices_of(world, leased["customer"])
            lines = await lines_of(world, invoice)
            assert [(line["from_on"], line["amount"], line["vat_percent"]) for line in lines] == [
                ("2025-12-15", 17_000, "13.00"),
                ("2026-01-01", 14_000, "9.00"),
            ]
            # 13 % of 17,000 and 9 % of 14,000, each rounded once.
            assert invoice["vat_amount"] == 2_210 + 1_260

    database(scenario)


def test_six_months_without_a_worker_are_billed_month_by_month_afterwards(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            leased = await lease(world, "2026-01-11")
            await world.set_clock(date(2026, 7, 5))
            await advance(world, date(2026, 7, 6))
            found = await invoices_of(world, leased["customer"])
            assert [(one["period_from"], one["net_amount"]) for one in found] == [
                ("2026-01-01", 21_000),
                *[(f"2026-{month:02}-01", 31_000) for month in range(2, 7)],
            ]

    database(scenario)


def test_months_of_rent_are_months_also_where_a_quarter_is_billed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(
                world,
                "2026-01-01",
                93_000,
                billing_frequency="quarterly",
                early_termination={"kind": "months_of_rent", "months": 2},
            )
            path = f"/v1/contracts/{leased['contract']['id']}"
            found = await world.staff.get(f"{path}/settlement", on="2026-01-01")
            fees = {one["component"]: one["amount"] for one in found["given_back"]["components"]}
            assert fees["early_termination"] == 62_000

    database(scenario)
