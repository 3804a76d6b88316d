"""What changed after it was billed, what is owed once, and both sides' taxes."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from jobs import runner
from jobs.registry import JOBS
from leasing.billing import running
from leasing.contracts import amending, handovers
from leasing.db import clock
from leasing.db.pool import Connection, Database
from leasing.kit.time import midnight
from schemas.contracts import AmendmentCreate, LinePrice, ReturnCreate, TermsPatch
from tests import build
from tests.billing.steps import (
    FEBRUARY,
    JANUARY,
    MARCH,
    advance,
    bill,
    books,
    cancel_soon,
    charge_all,
    hand_over,
    invoices_of,
    lease_out,
    lines_of,
    one,
    postings,
    shown,
    taxes,
    waiting_for_a_lock,
)
from tests.build import Json, World

AMENDED = date(2026, 1, 15)
EARLY_FEBRUARY, EARLY_MARCH = date(2026, 2, 3), date(2026, 3, 3)


async def amend(
    world: World, lease: Json, from_on: str, rent_amount: int | None = None, **terms: object
) -> Json:
    rents = [{"line_id": lease["line"]["id"], "rent_amount": rent_amount}]
    path = f"/v1/contracts/{lease['contract']['id']}"
    read = await world.staff.ask("GET", path)
    made: Json = await world.staff.post(
        f"{path}/amendments",
        {
            "from_on": from_on,
            "reason": "agreed",
            "terms": terms,
            "rents": [] if rent_amount is None else rents,
        },
        **{"If-Match": read.headers["ETag"]},
    )
    return made


async def do(world: World, lease: Json, what: str, **data: object) -> Json:
    made: Json = await world.staff.post(f"/v1/lines/{lease['line']['id']}/{what}", data)
    return made


SETTLED_BY = "SELECT settled_by FROM restatement ORDER BY id"
OPEN = "SELECT count(*) FROM restatement WHERE NOT settled"


# Put right on the next invoice


def test_a_rent_changed_in_the_past_is_taken_back_and_charged_anew_on_the_next_invoice(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            (mistaken,) = await lines_of(world, january)
            amended = await amend(world, lease, "2026-01-11", 62_000)
            assert amended["restated_lines"] == 1
            await advance(world, EARLY_MARCH)
            unchanged, february = await invoices_of(world, lease["customer"])
            assert unchanged == january
            lines = await lines_of(world, february)
            assert shown(lines) == [
                ("2026-01-01", "2026-02-01", -31_000),
                ("2026-01-01", "2026-01-11", 10_000),
                ("2026-01-11", "2026-02-01", 42_000),
                ("2026-02-01", "2026-03-01", 62_000),
            ]
            assert [line["reverses_id"] for line in lines if line["amount"] < 0] == [mistaken["id"]]
            same = ("pack_id", "site_id", "price_amount", "period_days", "vat_mode", "vat_percent")
            assert all(lines[0][name] == mistaken[name] for name in same)
            assert february["net_amount"] == 83_000
            assert await one(db, "SELECT settled_by FROM restatement") == UUID(february["id"])

    database(scenario)


def test_a_month_put_right_twice_takes_back_what_was_charged_last(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_FEBRUARY)
            await amend(world, lease, "2026-01-01", 62_000)
            await advance(world, EARLY_MARCH)
            await amend(world, lease, "2026-01-01", 15_500)
            await advance(world, date(2026, 4, 3))
            _, february, march = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, march)) == [
                ("2026-01-01", "2026-02-01", -62_000),
                ("2026-02-01", "2026-03-01", -62_000),
                ("2026-01-01", "2026-02-01", 15_500),
                ("2026-02-01", "2026-03-01", 15_500),
                ("2026-03-01", "2026-04-01", 15_500),
            ]
            assert march["total_amount"] < 0
            async with db.transaction() as tx:
                settled = [row["settled_by"] for row in await tx.fetch(SETTLED_BY)]
            assert settled == [UUID(february["id"]), UUID(march["id"])]
            assert (await world.staff.get("/v1/ledger/trial-balance"))["balanced"]

    database(scenario)


def test_an_amendment_that_changes_no_rent_is_settled_without_a_word(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_FEBRUARY)
            await amend(world, lease, "2026-01-11", notice_days=60)
            assert await one(db, OPEN) == 1
            await advance(world, EARLY_MARCH)
            _, february = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, february)) == [("2026-02-01", "2026-03-01", 31_000)]
            assert await one(db, OPEN) == 0
            assert await one(db, "SELECT settled_by FROM restatement") is None

    database(scenario)


def test_a_return_entered_late_is_credited_although_the_contract_has_ended(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            lease = await build.leased_pack(world, "2026-01-11")
            await advance(world, EARLY_FEBRUARY)
            await do(world, lease, "returns", **build.returned("2026-01-21"))
            await world.staff.post(f"/v1/contracts/{lease['contract']['id']}/end")
            await advance(world, EARLY_MARCH)
            _, february = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, february)) == [
                ("2026-01-11", "2026-02-01", -21_000),
                ("2026-01-11", "2026-01-21", 10_000),
            ]
            assert (february["state"], february["net_amount"]) == ("final", -11_000)
            assert (february["vat_amount"], february["total_amount"]) == (-1_430, -12_430)
            assert await postings(world, february) == {
                "receivable": -12_430,
                "revenue_rent": 11_000,
                "vat_output": 1_430,
            }
            await advance(world, date(2026, 4, 3))
            assert len(await invoices_of(world, lease["customer"])) == 2

    database(scenario)


def test_a_return_on_the_day_to_which_was_billed_takes_nothing_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            lease = await build.leased_pack(world, "2026-01-11")
            await advance(world, EARLY_FEBRUARY)
            await do(world, lease, "returns", **build.returned("2026-02-01"))
            await advance(world, EARLY_MARCH)
            assert len(await invoices_of(world, lease["customer"])) == 1

    database(scenario)


def test_an_invoice_may_have_nothing_but_what_goes_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_FEBRUARY)
            await do(world, lease, "suspension", from_on="2026-01-01", reason="never connected")
            await advance(world, EARLY_MARCH)
            _, february = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, february)) == [("2026-01-01", "2026-02-01", -31_000)]
            assert february["state"] == "final"
            assert await one(db, OPEN) == 0

    database(scenario)


def test_days_that_were_taken_back_are_due_again_when_they_are_not_free_after_all(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_MARCH)
            await do(world, lease, "suspension", from_on="2026-01-11", reason="no power")
            await advance(world, date(2026, 4, 3))
            await do(world, lease, "resumption", from_on="2026-02-15")
            await advance(world, date(2026, 5, 3))
            *_, march, april = await invoices_of(world, lease["customer"])
            assert march["net_amount"] == 10_000 - 31_000 - 31_000
            assert shown(await lines_of(world, april)) == [
                ("2026-02-15", "2026-03-01", 15_500),
                ("2026-03-01", "2026-04-01", 31_000),
                ("2026-04-01", "2026-05-01", 31_000),
            ]

    database(scenario)


def test_a_transfer_in_the_past_credits_one_lessee_and_charges_the_other(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            other = await build.customer(world, "Other operator")
            await advance(world, EARLY_FEBRUARY)
            await world.staff.post(
                f"/v1/contracts/{lease['contract']['id']}/transfers",
                {
                    "number": "T-1",
                    "lessee_id": other["id"],
                    "from_on": "2026-01-21",
                    "lessor_signatory": "赵总",
                    "lessee_signatory": "钱总",
                    "new_lessee_signatory": "孙总",
                },
            )
            await advance(world, EARLY_MARCH)
            _, credit = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, credit)) == [
                ("2026-01-01", "2026-02-01", -31_000),
                ("2026-01-01", "2026-01-21", 20_000),
            ]
            # January was over when the contract was entered: it is billed on the next day.
            january, february = await invoices_of(world, other)
            assert shown(await lines_of(world, january)) == [("2026-01-21", "2026-02-01", 11_000)]
            assert shown(await lines_of(world, february)) == [("2026-02-01", "2026-03-01", 31_000)]

    database(scenario)


CHARGES_OF = """
SELECT lower(during), upper(during), price_amount, amount, vat_mode, vat_percent, site.name
  FROM charge
  JOIN site ON site.id = site_id
 WHERE charge.contract_id = $1
   AND reverses_id IS NULL
   AND NOT is_reversed
 ORDER BY lower(during)
"""


def test_who_was_corrected_month_by_month_owes_what_one_owes_who_is_billed_at_the_end(database):
    """The same story twice: entered late piece by piece, with bills in between; and all at once."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            corrected, *chapters = await story(world)
            for to_on, chapter in zip((2, 3, 4, 5), chapters, strict=True):
                await advance(world, date(2026, to_on, 3))
                await chapter()
            billed_at_the_end, *chapters = await story(world)
            for chapter in chapters:
                await chapter()
            await advance(world, date(2026, 6, 3))
            async with db.transaction() as tx:
                found, wanted = [
                    [
                        tuple(row)
                        for row in await tx.fetch(CHARGES_OF, UUID(lease["contract"]["id"]))
                    ]
                    for lease in (corrected, billed_at_the_end)
                ]
            assert found == wanted
            assert len(found) == 9
            assert await one(db, "SELECT count(*) FROM charge WHERE is_reversed") > 4

    database(scenario)


async def charged_of(db: Database, lease: Json) -> list[Any]:
    async with db.transaction() as tx:
        rows = await tx.fetch(CHARGES_OF, UUID(lease["contract"]["id"]))
    return [tuple(row) for row in rows]


async def story(world: World) -> tuple[Any, ...]:
    """A lease, and what befell it, in four chapters."""
    lease = await build.leased_pack(world, "2026-01-06", rent_amount=31_007)
    elsewhere = await build.site(world, lease["customer"]["id"])
    other = await build.pack(world)

    async def one_pack_for_another() -> None:
        await do(world, lease, "swaps", **build.acceptance(other["id"], "2026-01-20"))
        await amend(world, lease, "2026-01-12", 40_003)

    async def a_pause() -> None:
        await do(world, lease, "suspension", from_on="2026-02-11", reason="strike")
        await do(world, lease, "resumption", from_on="2026-02-21")

    async def elsewhere_at_another_tax() -> None:
        await amend(world, lease, "2026-02-25", vat_percent="9", vat_mode="inclusive")
        await do(
            world,
            lease,
            "relocations",
            site_id=elsewhere["id"],
            slot=2,
            moved_on="2026-03-05",
            reason="mast moved",
        )

    async def the_end() -> None:
        await do(world, lease, "returns", **build.returned("2026-04-17"))

    return lease, one_pack_for_another, a_pause, elsewhere_at_another_tax, the_end


# Within a month


def test_days_of_suspension_are_free(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await do(world, lease, "suspension", from_on="2026-01-11", reason="no power")
            await do(world, lease, "resumption", from_on="2026-01-21")
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, january)) == [
                ("2026-01-01", "2026-01-11", 10_000),
                ("2026-01-21", "2026-02-01", 11_000),
            ]

    database(scenario)


def test_a_swap_into_another_class_changes_the_rent_on_its_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            larger = await build.pack(world)
            await world.set_clock(date(2026, 1, 21))
            await do(
                world,
                lease,
                "swaps",
                **build.acceptance(larger["id"], "2026-01-21", 180_000),
                rated_capacity_mah=200_000,
                rent_amount=62_000,
            )
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            first, second = await lines_of(world, january)
            assert shown([first, second]) == [
                ("2026-01-01", "2026-01-21", 20_000),
                ("2026-01-21", "2026-02-01", 22_000),
            ]
            assert {first["pack_id"], second["pack_id"]} == {lease["pack"]["id"], larger["id"]}

    database(scenario)


def test_a_move_splits_the_rent_of_its_month_between_two_sites(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01", rent_amount=10_000)
            elsewhere = await build.site(world, lease["customer"]["id"])
            await world.set_clock(date(2026, 1, 12))
            await do(
                world,
                lease,
                "relocations",
                site_id=elsewhere["id"],
                slot=1,
                moved_on="2026-01-12",
                reason="mast moved",
            )
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            found = {line["site_id"]: line["amount"] for line in await lines_of(world, january)}
            assert found == {lease["site"]["id"]: 3_548, elsewhere["id"]: 6_452}

    database(scenario)


# Fees


def test_a_pack_bought_is_a_line_of_the_invoice_and_a_sale_in_the_ledger(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            price = {"kind": "fixed", "amount": 200_000}
            lease = await build.leased_pack(world, "2026-01-01", buy_out=price)
            await world.set_clock(date(2026, 1, 21))
            bought = await do(world, lease, "buy-out", bought_on="2026-01-21")
            await world.staff.post(f"/v1/contracts/{lease['contract']['id']}/end")
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            rent, fee = sorted(await lines_of(world, january), key=lambda line: line["amount"])
            assert (rent["component"], rent["fee_id"], rent["amount"]) == ("rent", None, 20_000)
            assert fee == {
                "id": fee["id"],
                "invoice_id": january["id"],
                "line_id": lease["line"]["id"],
                "contract_id": lease["contract"]["id"],
                "site_id": lease["site"]["id"],
                "pack_id": lease["pack"]["id"],
                "component": "buy_out",
                "fee_id": bought["fee"]["id"],
                "kind": "buy_out",
                "reverses_id": None,
                "from_on": "2026-01-21",
                "to_on": "2026-01-22",
                "days": 1,
                "period_days": None,
                "price_amount": None,
                "quantity": None,
                "unit_price": None,
                "revision": 1,
                "amount": 200_000,
                "vat_mode": "exclusive",
                "vat_percent": "13.00",
            }
            assert await postings(world, january) == {
                "receivable": 248_600,
                "revenue_rent": -20_000,
                "revenue_sales": -200_000,
                "vat_output": -28_600,
            }
            assert await bill(db) == "done"
            await advance(world, EARLY_MARCH)
            assert len(await invoices_of(world, lease["customer"])) == 1

    database(scenario)


def test_a_loss_is_charged_once_and_rent_stops_on_its_day(database):
    """It became known after the month was billed: rent goes back, the compensation comes."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_FEBRUARY)
            await do(
                world,
                lease,
                "incidents",
                kind="stolen",
                happened_on="2026-01-11",
                description="cabinet broken open",
                liable="lessee",
                compensation_amount=150_000,
            )
            await advance(world, EARLY_MARCH)
            _, february = await invoices_of(world, lease["customer"])
            assert shown(await lines_of(world, february)) == [
                ("2026-01-01", "2026-02-01", -31_000),
                ("2026-01-01", "2026-01-11", 10_000),
                ("2026-01-11", "2026-01-12", 150_000),
            ]
            assert (await postings(world, february))["revenue_fees"] == -150_000
            await advance(world, date(2026, 4, 3))
            assert len(await invoices_of(world, lease["customer"])) == 2

    database(scenario)


def test_an_early_end_is_charged_when_it_is_owed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            rule = {"kind": "months_of_rent", "months": 2}
            lease = await build.leased_pack(world, "2026-01-01", early_termination=rule)
            await world.staff.post(
                f"/v1/contracts/{lease['contract']['id']}/termination",
                {"on": "2026-02-11", "reason": "site closes"},
            )
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            assert january["net_amount"] == 31_000
            await world.set_clock(date(2026, 2, 11))
            await do(world, lease, "returns", **build.returned("2026-02-11"))
            await world.staff.post(f"/v1/contracts/{lease['contract']['id']}/end")
            await advance(world, EARLY_MARCH)
            _, february = await invoices_of(world, lease["customer"])
            found = {line["component"]: line for line in await lines_of(world, february)}
            # 31,000 × 10/28, and two months' rent; no pack belongs to that.
            assert {name: line["amount"] for name, line in found.items()} == {
                "rent": 11_071,
                "early_termination": 62_000,
            }
            assert found["early_termination"]["pack_id"] is None
            assert (await postings(world, february))["revenue_fees"] == -62_000

    database(scenario)


def test_a_fee_has_the_tax_and_the_site_of_its_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            price = {"kind": "fixed", "amount": 200_000}
            lease = await build.leased_pack(world, "2026-01-01", buy_out=price)
            elsewhere = await build.site(world, lease["customer"]["id"])
            await world.set_clock(date(2026, 1, 26))
            await amend(world, lease, "2026-01-16", vat_percent="9")
            await amend(world, lease, "2026-01-26", vat_percent="6")
            moved = {"slot": 1, "moved_on": "2026-01-11", "reason": "mast moved"}
            await do(world, lease, "relocations", site_id=elsewhere["id"], **moved)
            await do(world, lease, "buy-out", bought_on="2026-01-21")
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            (fee,) = [line for line in await lines_of(world, january) if line["fee_id"]]
            assert (fee["vat_percent"], fee["site_id"]) == ("9.00", elsewhere["id"])

    database(scenario)


# Tax and due day


def test_amounts_that_contain_vat_add_up_to_the_total(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            price = {"kind": "fixed", "amount": 100_001}
            lease = await build.leased_pack(
                world, "2026-01-01", vat_mode="inclusive", buy_out=price
            )
            await world.set_clock(date(2026, 1, 21))
            await do(world, lease, "buy-out", bought_on="2026-01-21")
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lease["customer"])
            # 120,001 × 13/113 = 13,805.42…; of the price 11,504.54…, of the rent what is left.
            assert january["total_amount"] == 120_001
            assert (january["net_amount"], january["vat_amount"]) == (106_196, 13_805)
            found = await postings(world, january)
            assert found["revenue_rent"] + found["revenue_sales"] == -106_196
            assert found == {
                "receivable": 120_001,
                "revenue_rent": -17_700,
                "revenue_sales": -88_496,
                "vat_output": -13_805,
            }

    database(scenario)


def test_a_tax_changed_in_the_past_is_taken_back_at_the_old_rate(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, EARLY_FEBRUARY)
            await amend(world, lease, "2026-01-01", vat_percent="9")
            await advance(world, EARLY_MARCH)
            _, february = await invoices_of(world, lease["customer"])
            assert await taxes(world, february) == [(9, 62_000, 5_580), (13, -31_000, -4_030)]
            assert february["total_amount"] == 31_000 + 5_580 - 4_030

    database(scenario)


def test_one_invoice_may_have_amounts_with_and_without_vat(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            for slot, mode in ((1, "exclusive"), (2, "inclusive")):
                terms = [build.line_terms(place["id"], slot, rent_amount=11_300)]
                _, (line,) = await build.active_contract(world, lessee["id"], terms, vat_mode=mode)
                await hand_over(world, line, await build.pack(world), JANUARY)
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lessee)
            # 11,300 and 1,469 on top; 10,000 and 1,300 within.
            assert await taxes(world, january) == [(13, 21_300, 2_769)]
            assert january["total_amount"] == 12_769 + 11_300

    database(scenario)


def test_the_time_to_pay_is_the_longest_agreed_on_the_day_of_issue(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            leases = []
            for slot, days in ((1, 20), (2, 60)):
                contract, (line,) = await build.active_contract(
                    world, lessee["id"], [build.line_terms(place["id"], slot)], payment_days=days
                )
                await hand_over(world, line, await build.pack(world), JANUARY)
                leases.append({"contract": contract, "line": line})
            # From the day of issue on 45 days; from the day after it 5.
            await amend(world, leases[1], "2026-02-01", payment_days=45)
            await amend(world, leases[1], "2026-02-02", payment_days=5)
            await advance(world, EARLY_FEBRUARY)
            (january,) = await invoices_of(world, lessee)
            assert (january["issued_on"], january["due_on"]) == ("2026-02-01", "2026-03-18")

    database(scenario)


# Killed, and at the same time


async def amend_all(tx: Connection, terms: TermsPatch, rent_amount: int | None) -> None:
    """Other terms, or another rent for all lines, of every contract."""
    for contract_id, version in await tx.fetch("SELECT id, version FROM contract"):
        lines = await tx.fetch("SELECT id FROM lease_line WHERE contract_id = $1", contract_id)
        rents = [
            LinePrice(line_id=row["id"], rent_amount=rent_amount)
            for row in lines
            if rent_amount is not None
        ]
        data = AmendmentCreate(from_on=AMENDED, reason="agreed", terms=terms, rents=rents)
        await amending.amend(tx, contract_id, data, version, by="test", now=midnight(FEBRUARY))


def test_a_run_cut_short_puts_everything_right_once(database, monkeypatch):
    monkeypatch.setattr(running, "CHUNK_LINES", 1)

    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 2, 1, 3])
        await bill(db)
        async with db.transaction() as tx:
            await amend_all(tx, TermsPatch(), 5_000)
        await one(db, "UPDATE clock SET now_at = now_at + interval '28 days'")
        for _ in range(3):
            attempt = asyncio.create_task(
                runner.run_once(db, "billing", JOBS["billing"], MARCH, cancel_soon)
            )
            with pytest.raises(asyncio.CancelledError):
                await attempt
        assert await one(db, OPEN) in range(1, 7)
        assert await bill(db, MARCH) == "done"
        assert await one(db, OPEN) == 0
        assert await one(db, "SELECT count(*) FROM charge WHERE is_reversed") == 7
        before = await books(db)
        assert await bill(db, MARCH) == "done"
        assert await books(db) == before
        # Of each line January, taken back and anew in two parts, and February.
        assert len(before[1]) == 7 * 5

    database(scenario)


def test_a_return_under_way_while_the_month_is_billed_is_not_charged_beyond_its_day(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        async with db.transaction() as tx:
            await give_back(tx, await tx.fetchval("SELECT id FROM lease_line"))
            billed = asyncio.create_task(bill(db))
            await waiting_for_a_lock(db)
        assert await billed == "done"
        _, ((*_, from_on, to_on, _, _, _, _),) = await books(db)
        assert (from_on, to_on) == (date(2026, 1, 2), date(2026, 1, 20))
        assert await one(db, "SELECT count(*) FROM job_parked") == 0

    database(scenario)


async def give_back(tx: Connection, line_id: UUID) -> None:
    test = ReturnCreate(
        returned_on=date(2026, 1, 20),
        tested_capacity_mah=75_000,
        lessor_signatory="王工",
        lessee_signatory="李工",
    )
    await handovers.return_pack(tx, line_id, test, by="test", now=midnight(FEBRUARY))


# A new tax alone holds the contract and no line.
CHANGES = [(TermsPatch(vat_percent="9"), None), (TermsPatch(), 62_000)]


@pytest.mark.parametrize(("terms", "rent_amount"), CHANGES)
def test_an_amendment_under_way_while_the_month_is_billed_is_in_the_bill(
    database, terms, rent_amount
):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        async with db.transaction() as tx:
            await amend_all(tx, terms, rent_amount)
            billed = asyncio.create_task(bill(db))
            await waiting_for_a_lock(db)
        assert await billed == "done"
        assert await one(db, OPEN) == 0
        _, charges = await books(db)
        assert [row[6] for row in charges] == [20_037, rent_amount or 20_037]
        assert await one(db, "SELECT min(vat_percent) FROM charge") == (13 if rent_amount else 9)

    database(scenario)


@pytest.mark.parametrize(("terms", "rent_amount"), CHANGES)
def test_an_amendment_that_waited_for_the_bill_is_put_right_on_the_next(
    database, terms, rent_amount
):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])

        async def wait_and_amend() -> None:
            async with db.transaction() as tx:
                await amend_all(tx, terms, rent_amount)

        async with db.transaction() as tx:
            await charge_all(tx)
            amended = asyncio.create_task(wait_and_amend())
            await waiting_for_a_lock(db)
        await amended
        assert await one(db, OPEN) == 1

    database(scenario)


def test_a_return_that_waited_for_the_bill_is_put_right_on_the_next(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        line_id = await one(db, "SELECT id FROM lease_line")

        async def wait_and_give_back() -> None:
            async with db.transaction() as tx:
                await give_back(tx, line_id)

        async with db.transaction() as tx:
            await charge_all(tx)
            returned = asyncio.create_task(wait_and_give_back())
            await waiting_for_a_lock(db)
        await returned
        assert await one(db, OPEN) == 1
        assert await bill(db) == "done"
        async with db.transaction() as tx:
            await clock.move(tx, midnight(MARCH) + build.NOON)
        assert await bill(db, MARCH) == "done"
        _, charges = await books(db)
        assert len(charges) == 3
        assert await one(db, OPEN) == 0

    database(scenario)
