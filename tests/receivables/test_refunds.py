"""Refunds: credit that is paid back in money, once, and never more than is left."""

import asyncio
from datetime import date

import asyncpg
import httpx
import pytest

from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import accounts, invoice, pay

TODAY = build.TODAY
MAR, APR = date(2026, 3, 5), date(2026, 4, 5)
DAYS = [MAR, APR, TODAY]


def wanted(amount: int, reference: str = "OUT 1", **more: object) -> Json:
    return {"amount": amount, "reference": reference, "reason": "paid twice", **more}


async def refused(world: World, path: str, status: int, code: str, data: Json) -> None:
    problem = await world.staff.refused("POST", path, status, data)
    assert problem["code"] == code, problem


def test_what_a_payment_left_over_is_paid_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 600, MAR)
            paid = await pay(world, payer, 1_000, MAR)
            path = f"/v1/payments/{paid['id']}"
            made = await world.staff.post(f"{path}/refunds", wanted(300, refunded_on=str(APR)))
            assert (made["amount"], made["posted_on"]) == (300, "2026-04-05")
            assert (made["party_id"], made["credit_id"]) == (payer, None)
            assert (await world.staff.get(path))["unallocated_amount"] == 100
            assert await accounts(world, payer) == {
                "cash": 700,
                "customer_credit": -100,
                "revenue_rent": -600,
            }
            statement = f"/v1/parties/{payer}/statement"
            told = await world.staff.get(statement, from_on=str(APR), to_on=str(APR))
            (line,) = told["lines"]
            assert (line["kind"], line["amount"], told["opening_balance"]) == ("refund", 300, -400)
            (event,) = [
                one for one in await stories.told(world) if one["kind"] == "credit.refunded"
            ]
            assert event["aggregate_id"] == paid["id"]
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_what_is_left_of_a_credit_note_is_paid_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            note = await invoice(world, payer, -500, MAR, issued_on=MAR)
            path = f"/v1/receivables/{note}"
            await world.staff.post(f"{path}/refunds", wanted(200, refunded_on=str(APR)))
            assert (await world.staff.get(path))["open_amount"] == -300
            assert await accounts(world, payer) == {
                "cash": -200,
                "receivable": -300,
                "revenue_rent": 500,
            }
            # On the eve nothing was paid back yet.
            (row,) = (await world.staff.get("/v1/ageing", as_of="2026-04-04"))["rows"]
            assert (row["credit"], row["agrees"]) == (-500, True)
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_never_more_than_is_left_is_paid_back_nor_what_is_owed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            paid = await pay(world, payer, 100, APR)
            note = await invoice(world, payer, -50, MAR, issued_on=MAR)
            bill = await invoice(world, payer, 50, TODAY)
            money, credit = f"/v1/payments/{paid['id']}/refunds", f"/v1/receivables/{note}/refunds"
            await refused(world, money, 409, "more_than_left", wanted(101))
            await refused(world, credit, 409, "more_than_open", wanted(51))
            owed = f"/v1/receivables/{bill}/refunds"
            await refused(world, owed, 409, "not_credit", wanted(1))
            early = wanted(1, refunded_on="2026-04-04")
            await refused(world, money, 409, "before_received", early)
            late = wanted(1, refunded_on="2026-06-16")
            await refused(world, money, 400, "in_the_future", late)
            nobody = f"/v1/payments/{note}/refunds"
            await refused(world, nobody, 404, "payment_not_found", wanted(1))
            nothing = f"/v1/receivables/{paid['id']}/refunds"
            await refused(world, nothing, 404, "receivable_not_found", wanted(1))
            await world.staff.post(money, wanted(60))
            await refused(world, money, 409, "refund_reference_taken", wanted(1))
            await refused(world, money, 409, "more_than_left", wanted(41, "OUT 2"))
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_a_transfer_that_came_back_is_credit_again_and_waits_for_a_hand(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            paid = await pay(world, payer, 100, APR)
            path = f"/v1/payments/{paid['id']}"
            made = await world.staff.post(f"{path}/refunds", wanted(80))
            reason = {"reason": "wrong account"}
            back = await world.staff.post(f"/v1/refunds/{made['id']}/reversal", reason)
            assert (back["amount"], back["reverses_id"]) == (-80, made["id"])
            await refused(
                world, f"/v1/refunds/{made['id']}/reversal", 409, "already_reversed", reason
            )
            await refused(
                world, f"/v1/refunds/{back['id']}/reversal", 409, "not_reversible", reason
            )
            await refused(world, f"/v1/refunds/{payer}/reversal", 404, "refund_not_found", reason)
            assert (await world.staff.get(path))["unallocated_amount"] == 100
            bill = await invoice(world, payer, 100, TODAY)
            await steps.night(world, date(2026, 6, 16))
            assert await steps.open_of(world, bill) == [100]
            page = await world.staff.get("/v1/refunds", payment_id=paid["id"])
            assert [one["amount"] for one in page["items"]] == [80, -80]
            await steps.refuse_disorder(world, [*DAYS, date(2026, 6, 16)])

    database(scenario)


def test_a_payment_of_which_a_part_was_paid_back_does_not_bounce(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            paid = await pay(world, payer, 100, APR)
            path = f"/v1/payments/{paid['id']}"
            made = await world.staff.post(f"{path}/refunds", wanted(80))
            reason = {"reason": "no funds"}
            await refused(world, f"{path}/bounce", 409, "payment_refunded", reason)
            await world.staff.post(f"/v1/refunds/{made['id']}/reversal", reason)
            answer = await world.staff.ask("POST", f"{path}/bounce", json=reason)
            assert build.expect(answer, 200)["bounced_on"] == "2026-06-15"
            await refused(world, f"{path}/refunds", 409, "payment_bounced", wanted(1, "OUT 2"))
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


def test_of_two_refunds_at_once_one_finds_nothing_left(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            path = f"/v1/payments/{(await pay(world, payer, 100, APR))['id']}/refunds"

            async def ask(reference: str) -> httpx.Response:
                return await world.staff.ask("POST", path, json=wanted(70, reference))

            answers = await asyncio.gather(ask("OUT 1"), ask("OUT 2"))
            assert sorted(one.status_code for one in answers) == [201, 409]
            await steps.refuse_disorder(world, DAYS)

    database(scenario)


# What no hand does: the database refuses it by itself.
BY_HAND = """
INSERT INTO refund (payment_id, credit_id, party_id, currency, amount, posted_on, reference, reason,
                    reverses_id, entered_by, entered_at)
SELECT $1, $2, $3, 'CNY', $4, '2026-06-15', 'X', 'x', $5, 'x', now()
"""


@pytest.mark.parametrize(
    ("name", "of", "amount"),
    [
        ("payment_unallocated", "payment", 101),
        ("refund_of_credit", "bill", 10),
        ("receivable_open", "note", 51),
        ("refund_sign", "payment", -1),
        ("refund_of_one_thing", "nothing", 1),
        ("refund_from_its_payer", "theirs", 1),
    ],
)
def test_the_database_itself_refuses_to_pay_back_what_is_no_credit(database, name, of, amount):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer, other = [(await build.customer(world))["id"] for _ in range(2)]
            paid = await pay(world, payer, 100, APR, automatic=False)
            theirs = await pay(world, other, 100, APR, automatic=False)
            note = await invoice(world, payer, -50, MAR, issued_on=MAR)
            # Half paid, so that what is open of it has room.
            bill = await invoice(world, payer, 50, MAR)
            named = [{"receivable_id": bill, "amount": 25}]
            await pay(world, payer, 25, APR, allocations=named, automatic=False)
            payment_id = {"payment": paid["id"], "theirs": theirs["id"]}.get(of)
            credit_id = {"bill": bill, "note": note}.get(of)
            with pytest.raises(asyncpg.PostgresError) as refusal:
                async with db.transaction() as tx:
                    await tx.execute(BY_HAND, payment_id, credit_id, payer, amount, None)
            assert getattr(refusal.value, "constraint_name", None) == name

    database(scenario)
