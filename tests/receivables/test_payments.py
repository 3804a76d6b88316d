"""Payments: what they pay, what is left of them, and what is taken back."""

import asyncio
from datetime import date

import asyncpg
import httpx
import pytest

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import accounts, invoice, open_of, owed, pay, payment

TODAY = build.TODAY
JAN, FEB, MAR, APR = (date(2026, month, 5) for month in (1, 2, 3, 4))
DAYS = [JAN, FEB, MAR, APR, TODAY]


def test_a_payment_pays_what_was_due_first_and_what_is_left_is_credit(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            later = await invoice(world, payer, 5_000, MAR)
            first = await invoice(world, payer, 10_000, FEB)
            made = await pay(world, payer, 12_000, APR)
            assert made["unallocated_amount"] == 0
            assert await open_of(world, first, later) == [0, 3_000]
            paid, late = await owed(world, first), await owed(world, later)
            assert (paid["paid_on"], paid["overdue_since"]) == ("2026-04-05", None)
            assert (late["paid_on"], late["overdue_since"]) == (None, "2026-03-06")
            more = await pay(world, payer, 4_000, APR)
            assert more["unallocated_amount"] == 1_000
            assert await accounts(world, payer) == {
                "cash": 16_000,
                "customer_credit": -1_000,
                "revenue_rent": -15_000,
            }
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_what_billing_makes_final_is_owed_and_can_be_paid(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            lease = await build.leased_pack(world, on="2026-01-05")
            await steps.advance(world, date(2026, 2, 2))
            payer = lease["customer"]["id"]
            (bill,) = (await world.staff.get("/v1/invoices", buyer_id=payer))["items"]
            found = await owed(world, bill["id"])
            assert found["open_amount"] == bill["total_amount"] > 0
            assert (found["number"], found["due_on"]) == (bill["number"], bill["due_on"])
            await pay(world, payer, bill["total_amount"], "2026-02-02")
            assert (await owed(world, bill["id"]))["paid_on"] == "2026-02-02"
            await steps.refuse_disorder(world, [date(2026, 2, 1), date(2026, 2, 2)])

    database(scenario)


def test_a_payer_may_have_one_kind_of_debt_paid_first(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            old = await invoice(world, payer, 1_000, JAN)
            new = await invoice(world, payer, 1_000, MAR)
            path = f"/v1/parties/{payer}/allocation-order"
            assert (await world.staff.get(path))["first"] == "due"
            order = {"first": "kind", "kinds": ["interest", "invoice"]}
            answer = await world.staff.ask("PUT", path, json=order)
            assert build.expect(answer, 200) == {"party_id": payer, **order}
            await world.staff.post("/v1/interest-terms", terms())
            await steps.night(world, TODAY, "interest")
            interest = await open_interest(world, payer)
            assert interest[0] > 0
            await pay(world, payer, sum(interest) + 1, TODAY)
            assert await open_interest(world, payer) == []
            assert await open_of(world, old, new) == [999, 1_000]

    database(scenario)


def test_a_payer_may_have_the_fees_in_all_its_invoices_paid_before_any_rent(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            old = await invoice(
                world, payer, 1_130, JAN, nets={"revenue_rent": 700, "revenue_fees": 300}
            )
            new = await invoice(
                world, payer, 1_130, MAR, nets={"revenue_rent": 500, "revenue_fees": 500}
            )
            path = f"/v1/parties/{payer}/allocation-order"
            order = {"first": "kind", "kinds": ["fees", "invoice"]}
            build.expect(await world.staff.ask("PUT", path, json=order), 200)
            # Fees with their VAT: 339 of the old one, 565 of the new one.
            await pay(world, payer, 400, MAR)
            assert await open_of(world, old, new) == [1_130 - 339, 1_130 - 61]
            await pay(world, payer, 565 - 61 + 7, MAR)
            assert await open_of(world, old, new) == [1_130 - 339 - 7, 565]
            await pay(world, payer, 1_130 - 339 - 7 + 5, MAR)
            assert await open_of(world, old, new) == [0, 560]
            note = await invoice(world, payer, -60, MAR, issued_on=MAR)
            await steps.night(world, TODAY)
            assert await open_of(world, old, new, note) == [0, 500, 0]
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_fees_come_before_rent_of_the_same_day_where_the_payer_wants_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            one, other = [
                await invoice(world, payer, 100, MAR, nets={"revenue_rent": 50, "revenue_fees": 50})
                for _ in range(2)
            ]
            path = f"/v1/parties/{payer}/allocation-order"
            order = {"first": "due", "kinds": ["fees", "rent"]}
            build.expect(await world.staff.ask("PUT", path, json=order), 200)
            made = await pay(world, payer, 110, MAR)
            assert await open_of(world, one, other) == [40, 50]
            listed = await world.staff.get("/v1/allocations", payment_id=made["id"])
            assert [row["amount"] for row in listed["items"]] == [60, 50]

    database(scenario)


def terms(**changes: object) -> Json:
    return {"from_on": "2025-01-01", "annual_percent": "36.5", **changes}


async def open_interest(world: World, payer: str) -> list[int]:
    page = await world.staff.get("/v1/receivables", party_id=payer, open=True)
    return [one["open_amount"] for one in page["items"] if one["kind"] == "interest"]


def test_a_payment_pays_by_hand_what_is_named(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            old, new = await invoice(world, payer, 100, JAN), await invoice(world, payer, 100, MAR)
            named = [{"receivable_id": new, "amount": 60}]
            made = await pay(world, payer, 90, APR, allocations=named, automatic=False)
            assert made["unallocated_amount"] == 30
            assert await open_of(world, old, new) == [100, 40]
            path = f"/v1/payments/{made['id']}/allocations"
            named = [{"receivable_id": old, "amount": 10}, {"receivable_id": new, "amount": 5}]
            done = await world.staff.post(path, {"allocations": named})
            assert sorted(one["amount"] for one in done["allocations"]) == [5, 10]
            await world.staff.post(path, {})
            assert await open_of(world, old, new) == [75, 35]
            assert (await world.staff.get(f"/v1/payments/{made['id']}"))["unallocated_amount"] == 0
            listed = await world.staff.get("/v1/allocations", payment_id=made["id"])
            assert sum(one["amount"] for one in listed["items"]) == 90
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_a_named_invoice_and_the_rest_by_order_are_one_allocation_each(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            old, new = await invoice(world, payer, 100, JAN), await invoice(world, payer, 100, MAR)
            named = [{"receivable_id": new, "amount": 60}]
            await pay(world, payer, 180, APR, allocations=named)
            assert await open_of(world, old, new) == [0, 20]

    database(scenario)


def test_what_cannot_be_allocated_is_refused_and_leaves_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            other = (await build.customer(world))["id"]
            mine = await invoice(world, payer, 100, JAN)
            theirs = await invoice(world, other, 100, JAN)
            dollars = await invoice(world, payer, 100, JAN, currency="USD")

            async def refused(code: str, *named: tuple[str, int], amount: int = 500) -> None:
                rows = [{"receivable_id": id_, "amount": part} for id_, part in named]
                data = payment(payer, amount, APR, allocations=rows)
                status = 404 if code == "receivable_not_found" else 409
                problem = await world.staff.refused("POST", "/v1/payments", status, data)
                assert problem["code"] == code

            await refused("more_than_open", (mine, 101))
            await refused("more_than_left", (mine, 100), amount=99)
            await refused("bad_allocation", (theirs, 1))
            await refused("bad_allocation", (dollars, 1))
            await refused("bad_allocation", (mine, 1), (mine, 1))
            await refused("receivable_not_found", (payer, 1))
            tomorrow = payment(payer, 1, "2026-06-16")
            problem = await world.staff.refused("POST", "/v1/payments", 400, tomorrow)
            assert problem["code"] == "in_the_future"
            nobody = payment(mine, 1, APR)
            problem = await world.staff.refused("POST", "/v1/payments", 409, nobody)
            assert problem["code"] == "payer_not_found"
            assert (await world.staff.get("/v1/payments"))["items"] == []
            assert await open_of(world, mine, theirs, dollars) == [100, 100, 100]

    database(scenario)


def test_a_reference_is_used_once_by_a_payer(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            other = (await build.customer(world))["id"]
            await pay(world, payer, 100, APR, reference="A 1")
            again = payment(payer, 100, APR, reference="A 1")
            problem = await world.staff.refused("POST", "/v1/payments", 409, again)
            assert problem["code"] == "payment_reference_taken"
            await pay(world, other, 100, APR, reference="A 1")

    database(scenario)


def test_an_allocation_taken_back_leaves_both_and_opens_what_it_paid(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            bill = await invoice(world, payer, 100, JAN)
            made = await pay(world, payer, 100, APR)
            (one,) = (await world.staff.get("/v1/allocations", payment_id=made["id"]))["items"]
            path = f"/v1/allocations/{one['id']}/reversal"
            back = await world.staff.post(path, {"reason": "wrong invoice"})
            assert (back["amount"], back["reverses_id"]) == (-100, one["id"])
            assert (back["value_on"], back["posted_on"]) == ("2026-04-05", "2026-06-15")
            assert await open_of(world, bill) == [100]
            for id_, code in ((one["id"], "already_reversed"), (back["id"], "not_reversible")):
                again = f"/v1/allocations/{id_}/reversal"
                problem = await world.staff.refused("POST", again, 409, {"reason": "again"})
                assert problem["code"] == code
            # It waits for a hand: no night puts it back where it was.
            await steps.night(world, date(2026, 6, 16))
            assert await open_of(world, bill) == [100]
            await steps.refuse_disorder(world, [*DAYS, date(2026, 6, 16)])

    database(scenario)


def test_a_payment_that_bounced_pays_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            bills = [await invoice(world, payer, 100, JAN), await invoice(world, payer, 100, FEB)]
            made = await pay(world, payer, 250, MAR)
            path = f"/v1/payments/{made['id']}/bounce"
            early = {"reason": "no funds", "bounced_on": "2026-03-04"}
            assert (await world.staff.refused("POST", path, 409, early))["code"] == (
                "before_received"
            )
            gone = await world.staff.post(path, {"reason": "no funds", "bounced_on": str(APR)})
            assert (gone["bounced_on"], gone["unallocated_amount"]) == ("2026-04-05", 0)
            assert await open_of(world, *bills) == [100, 100]
            for part in ("bounce", "allocations"):
                data = {"reason": "x"} if part == "bounce" else {}
                again = f"/v1/payments/{made['id']}/{part}"
                problem = await world.staff.refused("POST", again, 409, data)
                assert problem["code"] == "payment_bounced"
            assert await accounts(world, payer) == {"receivable": 200, "revenue_rent": -200}
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_credit_pays_what_is_issued_later_in_the_night(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            await pay(world, payer, 100, JAN)
            kept = await pay(world, payer, 500, JAN, automatic=False)
            await invoice(world, payer, -40, MAR, issued_on=FEB)
            bill = await invoice(world, payer, 200, APR, issued_on=MAR)
            await steps.night(world, date(2026, 6, 16))
            assert await open_of(world, bill) == [60]
            rows = (await world.staff.get("/v1/allocations", receivable_id=bill))["items"]
            assert [(one["source"], one["amount"], one["posted_on"]) for one in rows] == [
                ("credit", 40, "2026-03-05"),
                ("payment", 100, "2026-03-05"),
            ]
            kept = await world.staff.get(f"/v1/payments/{kept['id']}")
            assert kept["unallocated_amount"] == 500
            await steps.job(db, "receivables", date(2026, 6, 16))
            assert len((await world.staff.get("/v1/allocations"))["items"]) == 2
            await steps.refuse_disorder(world, [*DAYS, date(2026, 6, 16)])

    database(scenario)


def test_credit_is_used_by_hand_too(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            note = await invoice(world, payer, -100, JAN)
            old, new = await invoice(world, payer, 80, JAN), await invoice(world, payer, 80, FEB)
            path = f"/v1/receivables/{note}/allocations"
            named = {"allocations": [{"receivable_id": new, "amount": 30}]}
            await world.staff.post(path, named)
            assert await open_of(world, note, old, new) == [-70, 80, 50]
            more = {"allocations": [{"receivable_id": new, "amount": 71}]}
            assert (await world.staff.refused("POST", path, 409, more))["code"] == "more_than_open"
            owed_one = f"/v1/receivables/{old}/allocations"
            assert (await world.staff.refused("POST", owed_one, 409, {}))["code"] == "not_credit"
            done = await world.staff.post(path, {})
            assert [one["amount"] for one in done["allocations"]] == [70]
            assert (await world.staff.post(path, {}))["allocations"] == []
            assert await open_of(world, note, old, new) == [0, 10, 50]
            await pay(world, payer, 50, FEB, automatic=False)
            await pay(world, payer, 5, FEB)
            applied = f"/v1/parties/{payer}/credit-applications"
            assert (await world.staff.post(applied))["allocations"] == []
            await invoice(world, payer, -15, MAR)
            done = await world.staff.post(applied)
            assert sorted(one["amount"] for one in done["allocations"]) == [5, 10]
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_two_payments_at_once_never_pay_an_invoice_twice(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            bills = [await invoice(world, payer, 1_000, JAN) for _ in range(3)]
            made = await asyncio.gather(*(pay(world, payer, 700, MAR) for _ in range(6)))
            assert await open_of(world, *bills) == [0, 0, 0]
            assert sum(one["unallocated_amount"] for one in made) == 6 * 700 - 3_000
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_two_hands_at_once_on_one_invoice_and_one_payment_allocate_it_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            bill = await invoice(world, payer, 1_000, JAN)
            made = [await pay(world, payer, 800, MAR, automatic=False) for _ in range(2)]
            named = {"allocations": [{"receivable_id": bill, "amount": 800}]}

            async def by_hand(one: Json) -> httpx.Response:
                path = f"/v1/payments/{one['id']}/allocations"
                return await world.staff.ask("POST", path, json=named)

            answers = await asyncio.gather(*(by_hand(one) for one in made * 2))
            assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
            assert await open_of(world, bill) == [200]
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_the_database_itself_refuses_to_settle_more_than_is_open(database):
    insert = """
    INSERT INTO allocation (source, payment_id, receivable_id, party_id, currency, amount, value_on,
                            posted_on, entered_by, entered_at)
    SELECT 'payment', payment.id, receivable.id, payer_id, payment.currency, $1, received_on,
           $2, 'somebody', now()
      FROM payment, receivable
    """

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 100, JAN)
            await pay(world, payer, 120, MAR, automatic=False)

            async def refused(constraint: str, amount: int, on: date = APR) -> None:
                with pytest.raises(asyncpg.CheckViolationError) as refusal:
                    async with db.transaction() as tx:
                        await tx.execute(insert, amount, on)
                assert refusal.value.constraint_name == constraint

            await refused("payment_unallocated", 121)
            await refused("receivable_open", 101)
            await refused("allocation_sign", -1)
            await refused("posted_in_order", 1, JAN)

    database(scenario)


def test_a_bank_statement_is_entered_in_one_call_with_a_result_for_each_row(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payers = [(await build.customer(world))["id"] for _ in range(3)]
            bills = [await invoice(world, payer, 1_000, JAN) for payer in payers]
            await pay(world, payers[0], 1, JAN, reference="old", automatic=False)
            rows = [payment(payers[row % 3], 30, MAR) for row in range(60)]
            rows[5] = payment(payers[0], 1, MAR, reference="old")
            rows[7] = payment(payers[1], 1, MAR, reference=rows[1]["reference"])
            rows[9] = payment(payers[0], 0, MAR)
            rows[11] = payment(bills[0], 1, MAR)
            rows[13] = payment(payers[0], 1, "2027-01-01")
            named = [{"receivable_id": bills[1], "amount": 1}]
            rows[14] = payment(payers[2], 1, MAR, allocations=named)
            answer = await world.staff.post("/v1/payments:batch", {"rows": rows})
            assert (answer["done"], answer["refused"]) == (54, 6)
            codes = {row["row"]: row["problem"]["code"] for row in answer["rows"] if row["problem"]}
            assert codes[5] == codes[7] == "payment_reference_taken"
            assert codes[11] == "payer_not_found"
            assert codes[13] == "in_the_future"
            assert codes[14] == "bad_allocation"
            assert set(codes) == {5, 7, 9, 11, 13, 14}
            spent = [
                sum(one["amount"] for at, one in enumerate(rows)
                    if one["payer_id"] == payer and at not in codes)
                for payer in payers
            ]  # fmt: skip
            assert await open_of(world, *bills) == [1_000 - part for part in spent]
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_a_write_off_can_be_taken_back_when_money_comes_after_all(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            bill = await invoice(world, payer, 1_000, JAN)
            await pay(world, payer, 300, FEB)
            path = f"/v1/receivables/{bill}/write-off"
            problem = await world.staff.refused("POST", path, 400, {"reason": " "})
            assert problem["errors"]
            gone = await world.staff.post(path, {"reason": "insolvent"})
            assert (gone["amount"], gone["source"], gone["entered_by"][:6]) == (
                700, "write_off", "staff:",
            )  # fmt: skip
            found = await owed(world, bill)
            assert (found["open_amount"], found["written_off_amount"]) == (0, 700)
            assert (found["paid_on"], found["overdue_since"]) == (None, None)
            assert (await accounts(world, payer))["bad_debt"] == 700
            assert (await world.staff.refused("POST", path, 409, {"reason": "x"}))["code"] == (
                "more_than_open"
            )
            back = f"/v1/allocations/{gone['id']}/reversal"
            await world.staff.post(back, {"reason": "the receiver pays"})
            await pay(world, payer, 700, TODAY)
            found = await owed(world, bill)
            assert (found["paid_on"], found["written_off_amount"]) == ("2026-06-15", 0)
            assert await accounts(world, payer) == {"cash": 1_000, "revenue_rent": -1_000}
            await steps.refuse_disorder(world, DAYS)

    database(scenario)
